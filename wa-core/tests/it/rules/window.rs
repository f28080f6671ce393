//! Source of the claims: Meta, Customer service windows: 24 hours from the user's last message.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use wa_core::model::Lane;
use wa_core::rules::window::{Guard, end, is_open, merge};

use super::{any_instant, epoch};

fn check(since_end: TimeDelta, guard: TimeDelta, open: bool) {
    let wrote = epoch();
    let now = wrote + TimeDelta::hours(24) - guard + since_end;
    assert_eq!(is_open(Some(wrote), now, guard), open, "{since_end} after the end, guard {guard}");
}

#[test]
fn the_window_closes_exactly_24_hours_after_the_last_user_message() {
    let guards = [TimeDelta::zero(), TimeDelta::seconds(5), TimeDelta::seconds(60)];
    for guard in guards {
        check(TimeDelta::milliseconds(-1), guard, true);
        check(TimeDelta::microseconds(-1), guard, true);
        check(TimeDelta::zero(), guard, false);
        check(TimeDelta::microseconds(1), guard, false);
        check(TimeDelta::milliseconds(1), guard, false);
    }
}

#[test]
fn the_guards_are_those_of_the_design() {
    let guard = Guard::default();
    assert_eq!(guard.of(Lane::Transactional), TimeDelta::seconds(5));
    assert_eq!(guard.of(Lane::Bulk), TimeDelta::seconds(60));
}

#[test]
fn nobody_who_never_wrote_has_a_window() {
    assert!(!is_open(None, epoch(), TimeDelta::zero()));
}

#[test]
fn a_redelivery_30_hours_late_opens_nothing() {
    let now = epoch();
    let wrote = now - TimeDelta::hours(30);
    let known = merge(None, wrote, now);
    assert_eq!(known, wrote);
    assert!(!is_open(Some(known), now, TimeDelta::zero()));
}

#[test]
fn instants_at_the_ends_of_time_do_not_panic() {
    for at in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
        for guard in [TimeDelta::MIN, TimeDelta::zero(), TimeDelta::MAX] {
            let _ = (end(at), is_open(Some(at), epoch(), guard), is_open(Some(epoch()), at, guard));
        }
    }
}

proptest! {
    #[test]
    fn an_open_window_is_never_older_than_24_hours(
        wrote in any_instant(), near_the_end in -600_000_000..600_000_000_i64, guard in -600_000_000..600_000_000_i64,
    ) {
        let now = wrote + TimeDelta::hours(24) + TimeDelta::microseconds(near_the_end);
        if is_open(Some(wrote), now, TimeDelta::microseconds(guard)) {
            prop_assert!(now - wrote < TimeDelta::hours(24));
        }
    }

    #[test]
    fn a_longer_guard_never_opens_a_window(
        wrote in any_instant(), now in any_instant(), a in 0..600_i64, b in 0..600_i64, day in 0..2_i64,
    ) {
        let (short, long) = (TimeDelta::seconds(a.min(b)), TimeDelta::seconds(a.max(b)));
        let now = now + TimeDelta::days(day);
        prop_assert!(is_open(Some(wrote), now, short) || !is_open(Some(wrote), now, long));
    }

    #[test]
    fn only_later_messages_move_the_window(
        known in any_instant(), wrote in any_instant(), received in any_instant(),
    ) {
        let merged = merge(Some(known), wrote, received);
        prop_assert!(merged >= known);
        prop_assert_eq!(merged, if wrote.min(received) > known { wrote.min(received) } else { known });
    }

    #[test]
    fn a_stamp_in_the_future_counts_as_received(ahead in 1..864_000_000_000_i64, received in any_instant()) {
        prop_assert_eq!(merge(None, received + TimeDelta::microseconds(ahead), received), received);
    }

    #[test]
    fn the_order_and_repetition_of_messages_do_not_matter(
        messages in proptest::collection::vec((any_instant(), any_instant()), 1..8),
        order in any::<proptest::sample::Index>(),
    ) {
        let fold = |list: &[(DateTime<Utc>, DateTime<Utc>)]| {
            list.iter().fold(None, |known, (wrote, received)| Some(merge(known, *wrote, *received)))
        };
        let mut other = messages.clone();
        other.rotate_left(order.index(messages.len()));
        other.reverse();
        other.extend_from_slice(&messages);
        prop_assert_eq!(fold(&messages), fold(&other));
    }
}
