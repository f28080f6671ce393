//! What the stores have in common: how a message stands, what a transaction adds up, how values are named.
//!
//! Invariant: nothing here reads or writes a database.

pub(crate) mod archive;
pub(crate) mod audience;
pub(crate) mod begin;
pub(crate) mod booked;
pub(crate) mod changes;
pub(crate) mod court;
pub(crate) mod doubt;
pub(crate) mod examine;
pub(crate) mod inbox;
pub(crate) mod message;
pub(crate) mod migration;
pub(crate) mod numbers;
pub(crate) mod prices;
pub(crate) mod recount;
pub(crate) mod spend;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use wa_core::model::{Bsuid, Fingerprint, Lane, Phone, Recipient};

/// The order of the lanes in a column: transactional goes first.
pub(crate) const fn lane_rank(lane: Lane) -> i64 {
    match lane {
        Lane::Transactional => 0,
        Lane::Bulk => 1,
    }
}

/// The name under which numbers of one account share their slots.
pub(crate) fn portfolio_key(transport: &str, portfolio: &str) -> String {
    // No transport name holds a space, so two accounts never share a key.
    format!("{transport} {portfolio}")
}

/// The hash under which a provider's message id is indexed.
pub(crate) fn provider_hash(provider_id: &str) -> i64 {
    Fingerprint::of(provider_id.as_bytes()).short().cast_signed()
}

/// A count as a column holds it; counts beyond `i64::MAX` do not occur and are cut.
pub(crate) fn int(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A phone as its column holds it; at most 15 digits, so it always fits.
pub(crate) fn phone_number(phone: Phone) -> i64 {
    phone.as_u64().cast_signed()
}

/// The phone and bsuid columns of a recipient.
pub(crate) fn addresses(recipient: &Recipient) -> (Option<i64>, Option<&str>) {
    (recipient.phone().map(phone_number), recipient.bsuid().map(Bsuid::as_str))
}

/// An instant plus a span, held at the end of time instead of passing it.
pub(crate) fn later(at: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    let end = DateTime::<Utc>::MAX_UTC;
    let micros = TimeDelta::from_std(by).ok().and_then(|by| at.checked_add_signed(by)).unwrap_or(end);
    wa_core::model::whole_micros(micros)
}

#[cfg(test)]
mod tests {
    use wa_core::model::from_micros;

    use super::*;

    #[test]
    fn later_stops_at_the_end_of_time() {
        let now = from_micros(1_790_000_000_000_000);
        assert_eq!((later(now, Duration::from_secs(2)) - now).num_seconds(), 2);
        assert!(later(now, Duration::MAX) > now);
    }

    #[test]
    fn recipient_keys_survive_the_signed_column() {
        let bsuid: Bsuid = "US.13491208655302741918".parse().expect("a user id");
        let key = Recipient::from(bsuid).key();
        assert!(key.cast_signed() < 0, "the key of a bsuid has its top bit set");
        assert_eq!(key.cast_signed().cast_unsigned(), key);
    }
}
