//! Roll-ups: what happened in each quarter of an hour.
//!
//! Everything about an attempt is booked in the quarter in which it was begun, so that no order of
//! statuses matters. A quarter, because the offset of every zone is a whole number of them: hours and
//! days of any zone are sums of quarters.

use chrono::{DateTime, TimeDelta, Utc};

use super::cost::{self, CostCounter};
use super::price::Booking;
use super::tally::{Counter, Standing, counted_in};
use crate::model::{DeliveryFacts, UtcOffset, from_micros, micros};
use crate::port::store::{TrendBy, TrendPoint};
use crate::rules::status::{MessageFacts, message_state};

/// How long a slot is.
pub const SLOT: TimeDelta = TimeDelta::minutes(15);

const SLOT_MICROS: i64 = 15 * 60 * 1_000_000;

/// The start of the slot that holds an instant.
#[must_use]
pub fn slot(at: DateTime<Utc>) -> DateTime<Utc> {
    let at = micros(at);
    from_micros(at - at.rem_euclid(SLOT_MICROS))
}

/// One number of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Count {
    /// Attempts begun.
    Begun,
    /// Of these, without an outcome.
    Attempting,
    /// Of these, taken by the provider and not failed since.
    Accepted,
    /// Of these, sent.
    Sent,
    /// Of these, delivered.
    Delivered,
    /// Of these, read.
    Read,
    /// Of these, definitely not delivered.
    Failed,
    /// Of these, in doubt.
    InDoubt,
    /// Of the begun: those that were not the first of their message.
    Retried,
    /// Of these, taken by the provider and not failed since.
    RetriesAccepted,
    /// Messages from users.
    Inbound,
    /// What the attempts cost.
    Cost(CostCounter),
}

/// An attempt as a slot counts it.
#[derive(Debug, Clone, Copy)]
pub struct Counted<'a> {
    /// Its number in the chain of its message, from 1.
    pub n: u16,
    /// What is known of it.
    pub facts: &'a DeliveryFacts,
    /// How it stands in the totals.
    pub booking: Option<&'a Booking>,
}

fn counts(attempt: &Counted<'_>) -> Vec<(Count, i64)> {
    let Counted { n, facts, booking } = attempt;
    let state = message_state(&MessageFacts { attempts: &[facts], closed: None, queued: None });
    let mut counts = vec![(Count::Begun, 1)];
    let standing = Standing { state, reason: None, critical: false, resends: false };
    counts.extend(counted_in(&standing).into_iter().filter_map(|counter| Some((of(&counter)?, 1))));
    if *n > 1 {
        let accepted = counts.contains(&(Count::Accepted, 1)).then_some((Count::RetriesAccepted, 1));
        counts.extend([(Count::Retried, 1)].into_iter().chain(accepted));
    }
    let booked = booking.map(cost::counted_in).unwrap_or_default();
    counts.extend(booked.into_iter().map(|(counter, n)| (Count::Cost(counter), n)));
    counts
}

fn of(counter: &Counter) -> Option<Count> {
    match counter {
        Counter::Attempting => Some(Count::Attempting),
        Counter::Accepted => Some(Count::Accepted),
        Counter::Failed => Some(Count::Failed),
        Counter::InDoubt => Some(Count::InDoubt),
        Counter::Sent => Some(Count::Sent),
        Counter::Delivered => Some(Count::Delivered),
        Counter::Read => Some(Count::Read),
        Counter::Audience
        | Counter::Pending
        | Counter::Skipped
        | Counter::Retries
        | Counter::Cost(_)
        | Counter::Critical
        | Counter::Resending
        | Counter::Reason(_) => None,
    }
}

/// What changes in its slot when an attempt becomes another; a new one has no old form.
#[must_use]
pub fn delta(old: Option<&Counted<'_>>, new: &Counted<'_>) -> Vec<(Count, i64)> {
    let mut changes = counts(new);
    changes.extend(old.map(counts).unwrap_or_default().into_iter().map(|(count, n)| (count, -n)));
    changes
}

/// The first instant of the step of a trend that holds a slot.
#[must_use]
pub fn step(slot: DateTime<Utc>, by: TrendBy) -> DateTime<Utc> {
    let (offset, length) = match by {
        TrendBy::Hour(offset) => (offset, TimeDelta::hours(1)),
        TrendBy::Day(offset) => (offset, TimeDelta::days(1)),
    };
    floor(slot, offset, length)
}

fn floor(at: DateTime<Utc>, offset: UtcOffset, length: TimeDelta) -> DateTime<Utc> {
    let local = micros(offset.local(at));
    let length = length.num_microseconds().unwrap_or(i64::MAX);
    offset.utc(from_micros(local - local.rem_euclid(length)))
}

/// Adds one point of a trend to another, whose start stays.
pub fn add(sum: &mut TrendPoint, point: &TrendPoint) {
    let TrendPoint {
        from: _,
        begun,
        attempting,
        accepted,
        sent,
        delivered,
        read,
        failed,
        in_doubt,
        retried,
        retries_accepted,
        inbound,
        cost,
    } = point;
    for (total, n) in [
        (&mut sum.begun, begun),
        (&mut sum.attempting, attempting),
        (&mut sum.accepted, accepted),
        (&mut sum.sent, sent),
        (&mut sum.delivered, delivered),
        (&mut sum.read, read),
        (&mut sum.failed, failed),
        (&mut sum.in_doubt, in_doubt),
        (&mut sum.retried, retried),
        (&mut sum.retries_accepted, retries_accepted),
        (&mut sum.inbound, inbound),
    ] {
        *total = total.saturating_add(*n);
    }
    cost::add(&mut sum.cost, cost);
}

/// Adds a number to a point of a trend.
pub fn apply(point: &mut TrendPoint, count: &Count, n: i64) {
    let add = |count: &mut u64| *count = count.saturating_add_signed(n);
    match count {
        Count::Begun => add(&mut point.begun),
        Count::Attempting => add(&mut point.attempting),
        Count::Accepted => add(&mut point.accepted),
        Count::Sent => add(&mut point.sent),
        Count::Delivered => add(&mut point.delivered),
        Count::Read => add(&mut point.read),
        Count::Failed => add(&mut point.failed),
        Count::InDoubt => add(&mut point.in_doubt),
        Count::Retried => add(&mut point.retried),
        Count::RetriesAccepted => add(&mut point.retries_accepted),
        Count::Inbound => add(&mut point.inbound),
        Count::Cost(counter) => cost::apply(&mut point.cost, counter, n),
    }
}

impl Count {
    /// A text form for stores; [`Count::from_key`] reads it back.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Begun => "begun".to_owned(),
            Self::Attempting => "attempting".to_owned(),
            Self::Accepted => "accepted".to_owned(),
            Self::Sent => "sent".to_owned(),
            Self::Delivered => "delivered".to_owned(),
            Self::Read => "read".to_owned(),
            Self::Failed => "failed".to_owned(),
            Self::InDoubt => "in_doubt".to_owned(),
            Self::Retried => "retried".to_owned(),
            Self::RetriesAccepted => "retries_accepted".to_owned(),
            Self::Inbound => "inbound".to_owned(),
            Self::Cost(counter) => counter.key(),
        }
    }

    /// The count of a text form.
    #[must_use]
    pub fn from_key(key: &str) -> Option<Self> {
        Some(match key {
            "begun" => Self::Begun,
            "attempting" => Self::Attempting,
            "accepted" => Self::Accepted,
            "sent" => Self::Sent,
            "delivered" => Self::Delivered,
            "read" => Self::Read,
            "failed" => Self::Failed,
            "in_doubt" => Self::InDoubt,
            "retried" => Self::Retried,
            "retries_accepted" => Self::RetriesAccepted,
            "inbound" => Self::Inbound,
            other => return CostCounter::from_key(other).map(Self::Cost),
        })
    }
}
