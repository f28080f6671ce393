//! The engine keeps its promises in a simulated world, and engines that are broken do not.

use wa_core::testing::simulation::{Setup, Totals, simulate};

/// How many seeds each test runs; `examples/simulate.rs` runs as many as wanted.
const SEEDS: u64 = 300;

fn setup() -> Setup {
    Setup::default()
}

#[test]
fn whatever_goes_wrong_every_promise_is_kept() {
    let mut totals = Totals::default();
    for seed in 0..SEEDS {
        totals.add(&simulate(seed, &setup()));
    }
    assert!(
        totals.failures.is_empty(),
        "replay with `--example simulate -- --seed N --trace`: {:?}",
        totals.failures
    );
    // The rarest ones need more runs than a test has time for.
    let missed = totals.missed();
    assert!(missed.len() <= 6, "too little happens in these runs: {missed:?}");
}

#[test]
fn a_seed_gives_the_same_run_every_time() {
    for seed in 0..40 {
        let [one, other] = [(); 2].map(|()| simulate(seed, &setup()));
        assert_eq!((one.hash, one.steps, one.span), (other.hash, other.steps, other.span), "seed {seed}");
        assert_eq!(one.marks, other.marks, "seed {seed}");
    }
}

#[test]
fn a_death_at_any_call_breaks_no_promise() {
    for seed in 0..3 {
        let mut dying = setup();
        dying.crash_at = Some(u64::MAX);
        let opportunities = simulate(seed, &dying).opportunities;
        assert!(opportunities > 100, "seed {seed}");
        for opportunity in (1 + seed..=opportunities).step_by(9) {
            dying.crash_at = Some(opportunity);
            let report = simulate(seed, &dying);
            assert!(report.violations.is_empty(), "seed {seed} at {opportunity}: {:?}", report.violations);
        }
    }
}

#[test]
fn different_seeds_give_different_runs() {
    let hashes: std::collections::BTreeSet<u64> = (0..40).map(|seed| simulate(seed, &setup()).hash).collect();
    assert_eq!(hashes.len(), 40);
}

#[cfg(feature = "mutants")]
mod mutants {
    use super::{setup, simulate};
    use wa_core::testing::Mutant;

    /// The first seed of the first 200 that finds a mutant out, and the promise that it breaks.
    fn found_by(mutant: Mutant) -> Option<(u64, &'static str)> {
        let mut broken = setup();
        broken.mutant = Some(mutant);
        (0..200).find_map(|seed| {
            let report = simulate(seed, &broken);
            report.violations.first().map(|violation| (seed, violation.promise))
        })
    }

    macro_rules! found {
        ($($test:ident: $mutant:ident,)*) => {$(
            #[test]
            fn $test() {
                assert!(found_by(Mutant::$mutant).is_some(), "nobody finds {} out", Mutant::$mutant.name());
            }
        )*};
    }

    found! {
        who_sends_before_it_is_recorded_is_found: SendThenRecord,
        who_begins_what_was_begun_is_found: BeginTakesTwice,
        who_makes_the_stuck_pending_is_found: StuckIsPending,
        who_takes_a_timeout_for_a_failure_is_found: TimeoutIsFailure,
        who_resends_blindly_is_found: ResendsBlindly,
        who_goes_on_after_a_restore_is_found: RestoredGoesOn,
        who_looks_at_the_last_attempt_only_is_found: LastAttemptDecides,
        who_begins_the_unknown_again_is_found: UnknownIsBegunAgain,
    }
}
