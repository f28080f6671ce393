//! Source of the claims: S1 (alert when more than half fail) and the documentation of the settings.

use std::collections::BTreeMap;

use proptest::prelude::*;
use wa_core::model::{AlertSettings, CampaignAlert, CampaignCounts, RetryBackoff};
use wa_core::rules::alert::{Look, Meter, Seen, look};

/// A campaign whose messages are answered one call after the other.
#[derive(Default)]
struct Campaign {
    counts: CampaignCounts,
    meter: Meter,
}

impl Campaign {
    /// One call makes so many messages accepted and so many fail for a code.
    fn call(
        &mut self,
        accepted: u64,
        failed: u64,
        code: i64,
        settings: &AlertSettings,
    ) -> Vec<CampaignAlert> {
        self.counts.accepted += accepted;
        self.counts.failed += failed;
        if failed == 0 {
            return Vec::new();
        }
        let reason = format!("failed:{code}");
        *self.counts.reasons.entry(reason.clone()).or_default() += failed;
        let fresh = BTreeMap::from([(reason, failed)]);
        let answered = i64::try_from(accepted + failed).expect("few");
        let Seen { meter, alerts } = look(
            std::mem::take(&mut self.meter),
            &Look { counts: &self.counts, fresh: &fresh, answered },
            settings,
        );
        self.meter = meter;
        alerts
    }
}

fn paused(code: i64, failed: u64, answered: u64) -> CampaignAlert {
    CampaignAlert::Paused { reason: format!("failed:{code}"), failed, answered }
}

fn only_pauses() -> AlertSettings {
    AlertSettings { failing_of: u32::MAX, ..AlertSettings::default() }
}

#[test]
fn half_is_not_yet_failing_and_one_more_is() {
    let settings = AlertSettings { pause_failures: 0, ..AlertSettings::default() };
    let mut campaign = Campaign::default();
    assert_eq!(campaign.call(0, 9, 1, &settings), [], "nine are too few to say anything");
    assert_eq!(campaign.call(10, 1, 1, &settings), [], "10 of 20");
    let failing = CampaignAlert::Failing { failed: 11, answered: 21 };
    assert_eq!(campaign.call(0, 1, 1, &settings), [failing]);
    assert_eq!(campaign.call(0, 100, 1, &settings), [], "it is told once");
    assert_eq!(campaign.call(500, 1, 1, &settings), [], "below again");
    let failing = CampaignAlert::Failing { failed: 1_112, answered: 1_622 };
    assert_eq!(campaign.call(0, 1_000, 1, &settings), [failing], "and once per crossing");
}

#[test]
fn twenty_in_a_row_pause_at_the_twentieth_whatever_went_before() {
    for before in [0, 1, 99, 100, 1_000_000] {
        let mut campaign = Campaign::default();
        // The mark moves at the first failure behind a full window.
        campaign.call(before, 0, 1, &only_pauses());
        for nth in 1..=20 {
            let alerts = campaign.call(0, 1, 131_026, &only_pauses());
            let in_window = if before < 100 { before } else { 0 };
            // Twenty of at most 66 are thirty per cent.
            let expected =
                if nth == 20 && in_window <= 46 { vec![paused(131_026, 20, 20 + in_window)] } else { vec![] };
            assert_eq!(alerts, expected, "failure {nth} after {before}");
        }
    }
}

#[test]
fn a_third_of_the_latest_pauses_and_a_quarter_does_not() {
    let mut quarter = Campaign::default();
    let mut third = Campaign::default();
    let (mut quiet, mut told) = (0, 0);
    for _ in 0..1_000 {
        quiet += quarter.call(3, 1, 7, &only_pauses()).len();
        told += third.call(2, 1, 7, &only_pauses()).len();
    }
    assert_eq!(quiet, 0);
    assert!(told > 0);
}

#[test]
fn several_reasons_do_not_add_up() {
    let mut campaign = Campaign::default();
    for code in 0..10 {
        assert_eq!(campaign.call(0, 19, code, &only_pauses()), []);
    }
    assert_eq!(campaign.call(0, 1, 9, &AlertSettings { pause_percent: 10, ..only_pauses() }).len(), 1);
}

#[test]
fn after_a_pause_it_starts_anew() {
    let mut campaign = Campaign::default();
    assert_eq!(campaign.call(0, 25, 7, &only_pauses()), [paused(7, 25, 25)]);
    assert_eq!(campaign.call(0, 19, 7, &only_pauses()), []);
    assert_eq!(campaign.call(0, 1, 7, &only_pauses()), [paused(7, 20, 20)]);
    assert_eq!(campaign.meter.last, Some(paused(7, 20, 20)));
}

#[test]
fn zero_switches_pausing_off() {
    let settings = AlertSettings { pause_failures: 0, ..only_pauses() };
    assert_eq!(Campaign::default().call(0, 10_000, 7, &settings), []);
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    type Change = fn(&mut AlertSettings);
    let changes: [(&str, Change); 5] = [
        ("failing_percent", |it| it.failing_percent = 0),
        ("failing_of", |it| it.failing_of = 0),
        ("pause_percent", |it| it.pause_percent = 101),
        ("pause_window", |it| it.pause_window = 0),
        ("silent_after_seconds", |it| it.silent_after_seconds = 59),
    ];
    assert!(AlertSettings::default().validate().is_ok());
    for (name, change) in changes {
        let mut settings = AlertSettings::default();
        change(&mut settings);
        let error = settings.validate().expect_err(name).to_string();
        assert!(error.contains(name), "{error}");
    }
    assert!(RetryBackoff::default().validate().is_ok());
    let bad = [
        RetryBackoff { base_seconds: 0, ..RetryBackoff::default() },
        RetryBackoff { factor: 0, ..RetryBackoff::default() },
        RetryBackoff { cap_seconds: 4, ..RetryBackoff::default() },
        RetryBackoff { jitter_percent: 101, ..RetryBackoff::default() },
    ];
    for backoff in bad {
        assert!(backoff.validate().is_err(), "{backoff:?}");
    }
}

proptest! {
    #[test]
    fn no_pause_without_enough_failures_of_one_kind(
        calls in proptest::collection::vec((0..30_u64, 0..10_u64, 0..3_i64), 1..80),
    ) {
        let mut campaign = Campaign::default();
        let mut since: BTreeMap<i64, u64> = BTreeMap::new();
        for (accepted, failed, code) in calls {
            *since.entry(code).or_default() += failed;
            for alert in campaign.call(accepted, failed, code, &only_pauses()) {
                let CampaignAlert::Paused { failed, answered, .. } = alert else { continue };
                prop_assert!(failed >= 20 && failed * 100 >= answered * 30);
                prop_assert!(since[&code] >= failed, "none is counted twice");
                since.clear();
            }
        }
    }
}
