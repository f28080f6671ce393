//! Source of the claims: Meta, Messaging limits: unique users outside open windows in a moving day.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use wa_core::rules::tier::{SLOT, TierFacts, TierVerdict, check};

use super::{at, epoch};

const FULL: TierFacts = TierFacts { limit: Some(250), used: 250, has_slot: false, next_free_at: None };

#[test]
fn only_a_new_person_outside_windows_takes_a_slot() {
    let some = TierFacts { used: 249, ..FULL };
    assert_eq!(check(&some, false, epoch()), TierVerdict::Take);
    assert_eq!(check(&some, true, epoch()), TierVerdict::Free);
    assert_eq!(check(&TierFacts { has_slot: true, ..FULL }, false, epoch()), TierVerdict::Free);
    assert_eq!(check(&FULL, true, epoch()), TierVerdict::Free);
    assert_eq!(check(&TierFacts { limit: None, ..FULL }, false, epoch()), TierVerdict::Free);
}

#[test]
fn a_full_tier_says_when_and_never_now() {
    let soon = TierFacts { next_free_at: Some(at(90)), ..FULL };
    assert_eq!(check(&soon, false, epoch()), TierVerdict::Full { until: at(90) });
    for next_free_at in [None, Some(at(-5)), Some(at(0))] {
        let TierVerdict::Full { until } = check(&TierFacts { next_free_at, ..FULL }, false, epoch()) else {
            panic!("a full tier takes nobody");
        };
        assert!(until > epoch());
    }
}

#[test]
fn a_limit_of_nobody_takes_nobody() {
    let none = TierFacts { limit: Some(0), used: 0, has_slot: false, next_free_at: None };
    assert!(matches!(check(&none, false, epoch()), TierVerdict::Full { .. }));
}

#[test]
fn a_slot_lasts_longer_than_the_day_that_the_provider_counts() {
    assert!(SLOT > TimeDelta::hours(24));
}

proptest! {
    #[test]
    fn no_moving_day_holds_more_people_than_the_limit(
        sends in proptest::collection::vec((0..30_u64, 0..4 * 3_600_i64, proptest::bool::weighted(0.2)), 1..300),
        limit in 1..12_u32,
    ) {
        let mut slots: BTreeMap<u64, DateTime<Utc>> = BTreeMap::new();
        let mut counted: Vec<(DateTime<Utc>, u64)> = Vec::new();
        let mut now = epoch();
        for (person, after, window_open) in sends {
            now += TimeDelta::seconds(after);
            slots.retain(|_, until| *until > now);
            let facts = TierFacts {
                limit: Some(limit),
                used: u32::try_from(slots.len()).expect("few"),
                has_slot: slots.contains_key(&person),
                next_free_at: slots.values().min().copied(),
            };
            match check(&facts, window_open, now) {
                TierVerdict::Take => { slots.insert(person, now + SLOT); counted.push((now, person)); }
                TierVerdict::Free => {}
                TierVerdict::Full { until } => {
                    prop_assert!(until > now);
                    prop_assert_eq!(slots.len(), usize::try_from(limit).expect("few"));
                }
            }
        }
        for (from, _) in &counted {
            let mut people: Vec<u64> = counted.iter()
                .filter(|(at, _)| at >= from && *at - *from <= TimeDelta::hours(24))
                .map(|(_, person)| *person).collect();
            people.sort_unstable();
            people.dedup();
            prop_assert!(people.len() <= usize::try_from(limit).expect("few"));
        }
    }
}
