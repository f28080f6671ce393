//! The cases of the Inbox room.

mod bodies;
mod contacts;
mod conversations;
mod decisions;
mod windows;

pub(super) use bodies::*;
pub(super) use contacts::*;
pub(super) use conversations::*;
pub(super) use decisions::*;
pub(super) use windows::*;
