//! Plans and entitlements for wa-kit.
//!
//! [`ConfiguredPlans`] needs no provider: plans, tenants and the fallback stand in configuration.
//! Nobody is billed by it; it keeps what was reported, so that an operator can read it.

mod configured;
mod plan;

pub use configured::{ConfiguredPlans, PlansBuilder, PlansConfig, PlansError};
pub use plan::Plan;
