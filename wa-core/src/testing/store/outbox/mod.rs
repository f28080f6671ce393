//! The cases of the Outbox room.

mod begin;
mod begin_budgets;
mod begin_limits;
mod due;
mod intake;
mod settle;
mod settle_effects;
mod sweep;

pub(super) use begin::*;
pub(super) use begin_budgets::*;
pub(super) use begin_limits::*;
pub(super) use due::*;
pub(super) use intake::*;
pub(super) use settle::*;
pub(super) use settle_effects::*;
pub(super) use sweep::*;
