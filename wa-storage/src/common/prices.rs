//! What a stored attempt is to the rules of prices.

use wa_core::model::{Market, PriceBook, Recipient};
use wa_core::rules::price::Sold;

use super::message::Attempt;

/// An attempt as far as its price goes.
pub(crate) fn sold<'a>(attempt: &'a Attempt, recipient: &Recipient, book: Option<&'a PriceBook>) -> Sold<'a> {
    Sold {
        quote: attempt.quote,
        begun_at: attempt.begun_at,
        market: Market::of(recipient),
        book,
        facts: &attempt.facts,
    }
}
