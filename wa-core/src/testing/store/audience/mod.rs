//! The cases of the Audience room.

mod campaigns;
mod contacts;
mod imports;
mod launch;

pub(super) use campaigns::*;
pub(super) use contacts::*;
pub(super) use imports::*;
pub(super) use launch::*;
