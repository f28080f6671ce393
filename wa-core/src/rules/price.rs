//! Prices: estimated when a message is begun, settled by what the provider says.
//!
//! Invariant: an amount is a function of the attempt as it was begun and of the facts about it, so
//! neither the order nor the number of webhooks matters. What is not known is `None`, never 0.

mod booking;
mod charge;
mod estimate;

pub use booking::{Booking, Quote, Sold, booking, shown};
pub use charge::charge;
pub use estimate::{FREE_SERVICE_MESSAGES, PriceFacts, estimate};
