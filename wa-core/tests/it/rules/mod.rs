//! What the rules claim, checked from their documentation and from Meta's, not from their code.

mod alert;
mod campaign;
mod civil;
mod classify;
mod consent;
mod doubt;
mod judge;
mod pair;
mod price;
mod purity;
mod quiet;
mod recipients;
mod recur;
mod redrive;
mod retry;
mod sendable;
mod settle;
mod silence;
mod status;
mod tally;
mod throughput;
mod tier;
mod window;
mod zone_table;
mod zones;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use wa_core::model::{DeliveryFacts, Fact, FailureCode, RejectClass, from_micros};

/// An instant late in 2026 from which the tests count.
pub(crate) fn epoch() -> DateTime<Utc> {
    from_micros(1_793_000_000_000_000)
}

/// So many seconds after [`epoch`].
pub(crate) fn at(seconds: i64) -> DateTime<Utc> {
    epoch() + TimeDelta::seconds(seconds)
}

/// An instant within a day after [`epoch`], to the microsecond.
pub(crate) fn any_instant() -> impl Strategy<Value = DateTime<Utc>> {
    (0..86_400_000_000_i64).prop_map(|micros| epoch() + TimeDelta::microseconds(micros))
}

pub(crate) fn failure(code: i64, class: RejectClass) -> FailureCode {
    FailureCode { code, class, title: format!("title of {code}"), details: None }
}

/// Facts of an attempt that was refused for this class.
pub(crate) fn refused(class: RejectClass) -> DeliveryFacts {
    let mut facts = DeliveryFacts::default();
    facts.add(Fact::Rejected, epoch());
    facts.failure = Some(failure(1, class));
    facts
}

/// Facts of an attempt about which only this is known.
pub(crate) fn only(fact: Fact) -> DeliveryFacts {
    let mut facts = DeliveryFacts::default();
    facts.add(fact, epoch());
    facts
}

pub(crate) fn any_class() -> impl Strategy<Value = RejectClass> {
    proptest::sample::select(&RejectClass::ALL[..])
}
