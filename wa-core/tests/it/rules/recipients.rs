//! What one recipient may get: cooldown, frequency cap, warm-up, quality, fallback, to the microsecond.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use wa_core::model::{
    BeyondCap, Category, Chosen, Consent, FrequencyCap, HoldReason, Included, Lane, OutsideWindow, Phone,
    Quality, QualityPolicy, QuietHours, QuietSettings, Recipient, Session, SessionSettings, SkipReason,
    TemplateCooldown, TenantSettings, WarmUp, WhenRed,
};
use wa_core::port::store::{Alternative, BeginItem, DueSource};
use wa_core::rules::judge::{Facts, Judge, StandardJudge, Verdict};
use wa_core::rules::owned::OwnedFacts;
use wa_core::rules::touch::{self, Touch};
use wa_core::rules::warmup::{self, WarmUpDay, WarmUpFacts};
use wa_core::rules::{cooldown, fallback, frequency, quality};

use super::judge::{SESSION, facts, item, judge};
use super::{at, epoch};

const MICRO: TimeDelta = TimeDelta::microseconds(1);

fn touch(at: DateTime<Utc>, category: Category, lane: Lane) -> Touch {
    Touch { at, category, lane }
}

/// A marketing template of the bulk lane.
fn offer() -> BeginItem {
    let template = ("offer".parse().expect("a name"), "en_US".parse().expect("a language"));
    BeginItem { template: Some(template), source: DueSource::Row, ..item() }
}

#[test]
fn a_cooldown_holds_until_exactly_its_end_and_for_what_takes_part() {
    use Category::{Authentication, Marketing, Utility};
    let all =
        TemplateCooldown { hours: 1, authentication: Included::Included, transactional: Included::Included };
    let some = TemplateCooldown { hours: 1, ..TemplateCooldown::default() };
    let end = epoch() + TimeDelta::hours(1);
    let check = |cooldown: &TemplateCooldown, past: (Category, Lane), new: (Category, Lane), holds: bool| {
        let touches = [touch(epoch(), past.0, past.1)];
        let ends = |now| cooldown::ends_at(cooldown, new.0, new.1, &touches, now);
        assert_eq!(ends(end - MICRO), holds.then_some(end), "{past:?} {new:?}");
        assert_eq!(ends(end), None, "its end is free");
    };
    let (bulk, urgent) = (Lane::Bulk, Lane::Transactional);
    check(&some, (Utility, bulk), (Marketing, bulk), true);
    check(&some, (Authentication, bulk), (Marketing, bulk), false);
    check(&some, (Utility, urgent), (Marketing, bulk), false);
    check(&some, (Marketing, bulk), (Authentication, bulk), false);
    check(&some, (Marketing, bulk), (Utility, urgent), false);
    check(&all, (Authentication, bulk), (Marketing, bulk), true);
    check(&all, (Utility, urgent), (Marketing, bulk), true);
    check(&all, (Marketing, bulk), (Authentication, urgent), true);
    // An exempt one in between hides nothing.
    let touches = [touch(at(60), Utility, urgent), touch(epoch(), Marketing, bulk)];
    assert_eq!(cooldown::ends_at(&some, Marketing, bulk, &touches, at(61)), Some(end));
}

#[test]
fn the_frequency_cap_frees_up_with_the_oldest_that_counts() {
    let cap = FrequencyCap { times: 2, days: 1, ..FrequencyCap::default() };
    let of = |category, seconds| touch(at(seconds), category, Lane::Bulk);
    let touches = [
        of(Category::Marketing, 300),
        of(Category::Utility, 200),
        of(Category::Marketing, 100),
        of(Category::Marketing, 0),
    ];
    let end = at(100) + TimeDelta::days(1);
    let frees = |now| frequency::frees_up_at(&cap, Category::Marketing, &touches, now);
    assert_eq!(frees(end - MICRO), Some(end));
    assert_eq!(frees(end), None);
    assert_eq!(frequency::frees_up_at(&cap, Category::Utility, &touches, at(301)), None);
    assert_eq!(frequency::frees_up_at(&cap, Category::Marketing, &touches[2..], at(301)), Some(at(86_400)));
    assert_eq!(
        frequency::frees_up_at(&cap, Category::Marketing, &touches[3..], at(301)),
        None,
        "one is left"
    );
}

#[test]
fn the_reach_is_that_of_the_longest_rule() {
    let mut settings = TenantSettings::default();
    assert_eq!(touch::reach(&settings), Some(TimeDelta::hours(12)));
    settings.frequency_cap = Some(FrequencyCap::default());
    assert_eq!(touch::reach(&settings), Some(TimeDelta::days(7)));
    settings.template_cooldown = None;
    assert_eq!(touch::reach(&settings), Some(TimeDelta::days(7)));
    settings.frequency_cap = None;
    assert_eq!(touch::reach(&settings), None);
}

#[test]
fn a_warm_up_counts_civil_days_over_a_change_of_the_clocks() {
    let zone = "Europe/Berlin".parse().expect("a zone");
    let utc = |text: &str| text.parse::<DateTime<Utc>>().expect("an instant");
    let warm_up = WarmUp { since: Some(utc("2026-10-24T12:00:00Z")), caps: vec![50, 100, 200] };
    let session = Session {
        settings: SessionSettings { warm_up: Some(warm_up), ..SessionSettings::default() },
        ..SESSION.clone()
    };
    let cap = |text| warmup::today(&session, &zone, utc(text)).map(|day| (day.cap, day.ends_at));
    // The first day ends at midnight in Berlin, and the second, in which summer time ends, has 25 hours.
    let (first_end, second_end) = (utc("2026-10-24T22:00:00Z"), utc("2026-10-25T23:00:00Z"));
    assert_eq!(cap("2026-10-24T12:00:00Z"), Some((50, first_end)));
    assert_eq!(cap("2026-10-24T21:59:59.999999Z"), Some((50, first_end)));
    assert_eq!(cap("2026-10-24T22:00:00Z"), Some((100, second_end)));
    assert_eq!(cap("2026-10-25T22:59:59.999999Z"), Some((100, second_end)));
    assert_eq!(cap("2026-10-25T23:00:00Z"), Some((200, utc("2026-10-26T23:00:00Z"))));
    assert_eq!(cap("2026-10-26T23:00:00Z"), None, "over");
    assert_eq!(warmup::today(&SESSION, &zone, epoch()), None, "none is set");
}

#[test]
fn ratings_hold_or_slow_marketing_only() {
    let policy = |red| QualityPolicy { yellow_percent: 30, red };
    for category in [Category::Marketing, Category::Utility, Category::Authentication, Category::Service] {
        for rating in Quality::ALL {
            let held = quality::holds(&policy(WhenRed::Hold), *rating, category);
            assert_eq!(held, *rating == Quality::Red && category == Category::Marketing);
            assert!(!quality::holds(&policy(WhenRed::Slow), *rating, category));
        }
    }
    let share = |rating| quality::marketing_percent(&policy(WhenRed::Slow), rating);
    assert_eq!(
        [Quality::Green, Quality::Unknown, Quality::Yellow, Quality::Red].map(share),
        [100, 100, 30, 30]
    );
}

#[test]
fn what_goes_outside_the_window_is_as_the_tenant_says() {
    let template = ("reminder".parse().expect("a name"), "en_US".parse().expect("a language"));
    let fallback = Alternative { category: Category::Utility, template };
    let with = BeginItem { needs_window: true, fallback: Some(fallback), ..item() };
    let without = BeginItem { fallback: None, ..with.clone() };
    let free = BeginItem { needs_window: false, ..with.clone() };
    let check = |item: &BeginItem, outside_window, tracked: bool, open, expected| {
        let settings =
            TenantSettings { outside_window, window_tracking: tracked, ..TenantSettings::default() };
        assert_eq!(fallback::choose(item, &settings, open), expected, "{outside_window:?} {tracked} {open}");
    };
    use OutsideWindow::{Block, Fallback, Send};
    for outside in [Block, Fallback, Send] {
        check(&with, outside, true, true, Ok(Chosen::Own));
        check(&with, outside, false, false, Ok(Chosen::Own));
        check(&free, outside, true, false, Ok(Chosen::Own));
    }
    check(&with, Block, true, false, Err(SkipReason::WindowClosed));
    check(&with, Fallback, true, false, Ok(Chosen::Fallback));
    check(&without, Fallback, true, false, Err(SkipReason::WindowClosed));
    check(&without, Send, true, false, Ok(Chosen::Own));
}

#[test]
fn each_rule_of_the_recipient_and_the_number_refuses_in_its_place() {
    // Everything speaks against this message; the reasons are taken away one by one.
    let quiet = QuietHours::daily("00:00".parse().expect("a time"), "23:00".parse().expect("a time"));
    let mut settings = TenantSettings {
        safe_mode: Some([Recipient::from(Phone::from_digits("15550001").expect("a phone"))].into()),
        require_opt_in: true,
        quiet_hours: Some(QuietSettings::new([quiet])),
        frequency_cap: Some(FrequencyCap { times: 1, days: 2, ..FrequencyCap::default() }),
        ..TenantSettings::default()
    };
    let mut session = Session { quality: Quality::Red, ..SESSION.clone() };
    let item = offer();
    let touches = [touch(at(-60), Category::Marketing, Lane::Bulk)];
    let day = WarmUpDay { number: 1, cap: 5, ends_at: at(30) };
    let mut suppressed = true;
    let mut consent = Consent::Allowed;
    let mut warm_up = Some(WarmUpFacts { day, used: 5 });
    let ask = |settings: &TenantSettings, session: &Session, suppressed, consent, warm_up| {
        judge(&Facts { settings, session, suppressed, consent, warm_up, touches: &touches, ..facts(&item) })
    };
    let why = |verdict| match verdict {
        Verdict::Wait { until, why } => (why, until),
        other => panic!("it waits: {other:?}"),
    };
    let skip = Verdict::Skip;
    assert_eq!(ask(&settings, &session, suppressed, consent, warm_up), skip(SkipReason::NotAllowed));
    settings.safe_mode = None;
    assert_eq!(ask(&settings, &session, suppressed, consent, warm_up), skip(SkipReason::Suppressed));
    suppressed = false;
    assert_eq!(ask(&settings, &session, suppressed, consent, warm_up), skip(SkipReason::NotOptedIn));
    consent = Consent::OptedIn;
    assert_eq!(why(ask(&settings, &session, suppressed, consent, warm_up)).0, HoldReason::QualityLow);
    session.quality = Quality::Green;
    assert_eq!(why(ask(&settings, &session, suppressed, consent, warm_up)).0, HoldReason::QuietHours);
    settings.quiet_hours = None;
    let cooldown = at(-60) + TimeDelta::hours(12);
    let got = why(ask(&settings, &session, suppressed, consent, warm_up));
    assert_eq!(got, (HoldReason::Cooldown, cooldown));
    settings.template_cooldown = None;
    let got = why(ask(&settings, &session, suppressed, consent, warm_up));
    assert_eq!(got, (HoldReason::FrequencyCap, at(-60) + TimeDelta::days(2)));
    settings.frequency_cap =
        settings.frequency_cap.map(|cap| FrequencyCap { beyond: BeyondCap::Skip, ..cap });
    assert_eq!(ask(&settings, &session, suppressed, consent, warm_up), skip(SkipReason::FrequencyCap));
    settings.frequency_cap = None;
    let got = why(ask(&settings, &session, suppressed, consent, warm_up));
    assert_eq!(got, (HoldReason::WarmUpFull, at(30)));
    warm_up = Some(WarmUpFacts { day, used: 4 });
    assert!(matches!(ask(&settings, &session, suppressed, consent, warm_up), Verdict::Send(_)));
}

#[test]
fn what_would_wait_for_too_long_is_skipped_with_its_own_reason() {
    let settings = TenantSettings::default();
    let touches = [touch(epoch(), Category::Marketing, Lane::Bulk)];
    let end = epoch() + TimeDelta::hours(12);
    let ask = |valid_until| {
        let item = BeginItem { valid_until: Some(valid_until), ..offer() };
        judge(&Facts { settings: &settings, touches: &touches, ..facts(&item) })
    };
    assert_eq!(ask(end), Verdict::Skip(SkipReason::Cooldown), "it has expired by then");
    assert_eq!(ask(end + MICRO), Verdict::Wait { until: end, why: HoldReason::Cooldown });
}

#[test]
fn every_reason_is_explained() {
    for reason in HoldReason::ALL {
        assert!(reason.advice().len() > 20, "{reason:?}");
        assert_eq!(HoldReason::from_name(reason.as_str()), Some(*reason));
    }
    for reason in SkipReason::ALL {
        assert!(reason.advice().len() > 20, "{reason:?}");
        assert_eq!(SkipReason::from_name(reason.as_str()), Some(*reason));
    }
}

proptest! {
    #[test]
    fn facts_that_are_kept_give_the_same_verdict(
        ago in proptest::collection::vec(0..200_000_i64, 0..4),
        quality in proptest::sample::select(Quality::ALL),
        consent in proptest::sample::select(Consent::ALL),
        used in 0..4_u64,
        suppressed in any::<bool>(),
    ) {
        let session = Session { quality, ..SESSION.clone() };
        let mut touches: Vec<_> = ago.iter().map(|ago| touch(at(-ago), Category::Marketing, Lane::Bulk)).collect();
        touches.sort_by_key(|touch| std::cmp::Reverse(touch.at));
        let day = WarmUpDay { number: 1, cap: 3, ends_at: at(30) };
        let item = offer();
        let told = Facts {
            session: &session, touches: &touches, consent, suppressed,
            warm_up: Some(WarmUpFacts { day, used }), ..facts(&item)
        };
        let kept = OwnedFacts::after(None, &told);
        let again = OwnedFacts::after(Some(&kept), &kept.as_facts());
        prop_assert_eq!(&kept, &again);
        prop_assert!(std::sync::Arc::ptr_eq(&kept.settings, &again.settings));
        let verdict = judge(&told);
        prop_assert_eq!(StandardJudge::default().judge(&again.as_facts(), epoch()), verdict);
        if let Verdict::Send(_) = verdict {
            prop_assert!(used < 3 && !suppressed && quality != Quality::Red);
            prop_assert!(touches.iter().all(|touch| touch.at + TimeDelta::hours(12) <= epoch()));
        }
    }
}
