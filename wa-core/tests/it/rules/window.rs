//! Source of the claims: Meta, Customer service windows: 24 hours from the user's last message.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use wa_core::model::Lane;
use wa_core::rules::window::{Chain, Guard, end, entry_until, is_open, merge};

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

/// What a store does: asks the rule about each message, and keeps it.
fn told(messages: &[DateTime<Utc>]) -> Option<Chain> {
    let (mut stored, mut known) = (Vec::<DateTime<Utc>>::new(), None::<Chain>);
    for at in messages {
        let since = known.map(|chain| chain.opened_at);
        let earlier = || {
            let mut before: Vec<_> = stored.iter().copied().filter(|it| Some(*it) < since).collect();
            before.sort_by_key(|at| std::cmp::Reverse(*at));
            Ok::<_, std::convert::Infallible>(before)
        };
        known = Some(Chain::heard(known, *at, earlier).expect("nothing fails"));
        stored.push(*at);
    }
    known
}

#[test]
fn a_chain_begins_with_the_message_after_the_last_gap() {
    let at = |hours: i64| epoch() + TimeDelta::hours(hours);
    let chain = |opened, last, user_messages| {
        Some(Chain { opened_at: at(opened), last_user_message_at: at(last), user_messages })
    };
    assert_eq!(told(&[]), None);
    assert_eq!(told(&[at(0)]), chain(0, 0, 1));
    assert_eq!(told(&[at(0), at(23), at(46)]), chain(0, 46, 3));
    assert_eq!(told(&[at(0), at(24)]), chain(24, 24, 1), "at its end the window is closed");
    assert_eq!(told(&[at(0), at(46), at(23)]), chain(0, 46, 3), "the bridge came last");
    assert_eq!(told(&[at(46), at(0)]), chain(46, 46, 1));
    assert_eq!(told(&[at(46), at(0), at(1), at(24)]), chain(0, 46, 4));
    assert_eq!(told(&[at(5), at(5), at(5)]), chain(5, 5, 3), "stamps are in whole seconds and may be equal");
}

#[test]
fn an_entry_point_needs_an_answer_in_time_and_a_webhook_knows_better() {
    let at = |hours: i64| Some(epoch() + TimeDelta::hours(hours));
    assert_eq!(entry_until(at(0), at(1), None), at(73));
    assert_eq!(entry_until(at(0), at(23), None), at(95));
    for (referral, answered) in [(at(0), at(24)), (at(0), None), (None, at(1)), (at(1), at(0))] {
        assert_eq!(entry_until(referral, answered, None), None, "{referral:?} {answered:?}");
        assert_eq!(entry_until(referral, answered, at(168)), at(168));
    }
    let never = entry_until(Some(DateTime::<Utc>::MAX_UTC), Some(DateTime::<Utc>::MAX_UTC), None);
    assert_eq!(never, None, "and the end of time does not panic");
}

proptest! {
    #[test]
    fn every_order_of_user_messages_gives_the_same_chain(
        hours in proptest::collection::vec(0..200_i64, 1..9),
        order in proptest::collection::vec(any::<proptest::sample::Index>(), 9),
    ) {
        let messages: Vec<_> = hours.iter().map(|hours| epoch() + TimeDelta::hours(*hours)).collect();
        let mut other = messages.clone();
        for (place, swap) in order.iter().take(other.len()).enumerate() {
            other.swap(place, swap.index(messages.len()));
        }
        let mut latest_first = messages.clone();
        latest_first.sort_by_key(|at| std::cmp::Reverse(*at));
        prop_assert_eq!(told(&messages), told(&other));
        prop_assert_eq!(told(&messages), Chain::of(latest_first));
    }

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
