//! The cases of the Outbox room.

mod alerts;
mod begin;
mod begin_budgets;
mod begin_limits;
mod begin_rules;
mod consider;
mod due;
mod intake;
mod listen;
mod recover;
mod redrive;
mod resolve;
mod settle;
mod settle_effects;
mod sweep;

pub(super) use alerts::*;
pub(super) use begin::*;
pub(super) use begin_budgets::*;
pub(super) use begin_limits::*;
pub(super) use begin_rules::*;
pub(super) use consider::*;
pub(super) use due::*;
pub(super) use intake::*;
pub(super) use listen::*;
pub(super) use recover::*;
pub(super) use redrive::*;
pub(super) use resolve::*;
pub(super) use settle::*;
pub(super) use settle_effects::*;
pub(super) use sweep::*;
