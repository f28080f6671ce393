//! What the standard judge lets through, and in which order it refuses.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use uuid::Uuid;
use wa_core::model::{
    Breaker, BreakerReason, BreakerScope, CampaignState, Category, Chosen, Consent, Estimate, HoldReason,
    Lane, MessageId, Money, Phone, PriceBook, PriceList, Quality, QuietHours, QuietSettings, Recipient,
    Session, SessionId, SessionSettings, SessionState, SkipReason, TenantId, TenantSettings, Throughput,
    Tier,
};
use wa_core::port::store::{BeginItem, DueSource};
use wa_core::rules::budget::BudgetFacts;
use wa_core::rules::judge::{
    Admission, Facts, Grant, GroupFacts, Judge, QuotaFacts, StandardJudge, Verdict, advice, is_open,
};
use wa_core::rules::price::PriceFacts;
use wa_core::rules::tier::TierFacts;
use wa_core::rules::window;

use super::{at, epoch};
use std::sync::LazyLock;

fn session() -> SessionId {
    SessionId::from_uuid(Uuid::from_u128(3))
}

pub(super) fn breaker(until: Option<DateTime<Utc>>) -> Breaker {
    Breaker {
        scope: BreakerScope::Session(session()),
        reason: BreakerReason::Credential,
        code: 190,
        until,
        since: at(-60),
    }
}

/// A marketing template of a campaign: no reason to refuse it.
pub(super) fn item() -> BeginItem {
    BeginItem {
        tenant: TenantId::from_uuid(Uuid::from_u128(1)),
        message: MessageId::from_uuid(Uuid::from_u128(2)),
        n: 1,
        source: DueSource::Feed,
        campaign: None,
        contact: None,
        recipient: Recipient::from(Phone::from_digits("4915112345678").expect("a phone")),
        lane: Lane::Bulk,
        category: Category::Marketing,
        needs_window: false,
        template: None,
        fallback: None,
        valid_until: None,
        unsendable: None,
    }
}

/// What nobody set, and a number of which nothing is known.
static SETTINGS: LazyLock<TenantSettings> = LazyLock::new(TenantSettings::default);
pub(super) static SESSION: LazyLock<Session> = LazyLock::new(|| Session {
    id: session(),
    transport: "suite".parse().expect("a name"),
    number: "100".parse().expect("a number"),
    portfolio: "100".to_owned(),
    state: SessionState::Connected,
    throughput: Throughput::DEFAULT,
    tier: Tier::Unlimited,
    quality: Quality::Unknown,
    created_at: at(-86_400),
    account: None,
    phone: None,
    checked_at: None,
    settings: SessionSettings::default(),
});

pub(super) fn facts(item: &BeginItem) -> Facts<'_> {
    Facts {
        item,
        settings: &SETTINGS,
        session: &SESSION,
        suppressed: false,
        own_zone: None,
        fallback_breaker: None,
        touches: &[],
        warm_up: None,
        consent: Consent::Allowed,
        last_user_message_at: None,
        template_breaker: None,
        tier: TierFacts { limit: Some(250), used: 0, has_slot: false, next_free_at: None },
        quota: QuotaFacts { limit: Some(100), used: 0, resets_at: at(86_400) },
        price: PriceFacts::none(),
        budget: BudgetFacts::default(),
    }
}

pub(super) fn judge(facts: &Facts<'_>) -> Verdict {
    StandardJudge::default().judge(facts, epoch())
}

#[test]
fn a_message_without_reason_against_it_is_sent() {
    let item = item();
    let price = Estimate::unknown();
    assert_eq!(judge(&facts(&item)), Verdict::Send(Grant { tier_slot: true, content: Chosen::Own, price }));
}

/// Those behind the first of a feed have their turn when something else is said of it.
#[test]
fn a_stopped_feed_is_asked_again_when_its_first_message_turns() {
    let noon: DateTime<Utc> = "2026-07-01T12:00:30Z".parse().expect("an instant");
    let later = |minutes| noon + TimeDelta::minutes(minutes);
    let ask_at = |facts: &Facts<'_>| match StandardJudge::default().judge(facts, noon) {
        Verdict::Stop { until, ask_at, why: _ } => (until, ask_at),
        other => panic!("{other:?}"),
    };
    let hours = |from: &str, to: &str| {
        let span = QuietHours::daily(from.parse().expect("a time"), to.parse().expect("a time"));
        let quiet_hours = Some(QuietSettings::new([span]));
        TenantSettings { quiet_hours, template_cooldown: None, ..TenantSettings::default() }
    };
    let item = item();
    let mut full = facts(&item);
    full.tier = TierFacts { limit: Some(1), used: 1, has_slot: false, next_free_at: Some(later(600)) };
    assert_eq!(ask_at(&full), (later(600), later(600)), "nothing happens before");

    // Germany keeps summer time: it gets quiet there at 19:00 UTC, and nothing begins a minute before.
    let evening = hours("21:00", "08:00");
    full.settings = &evening;
    let nightfall: DateTime<Utc> = "2026-07-01T18:59:00Z".parse().expect("an instant");
    assert_eq!(ask_at(&full), (later(600), nightfall));
    full.last_user_message_at = Some(later(60) - TimeDelta::hours(24) + TimeDelta::seconds(60));
    full.tier.used = 2;
    let open = StandardJudge::default().judge(&full, noon);
    assert!(matches!(open, Verdict::Send(_)), "inside the window no limit counts: {open:?}");
    full.quota = QuotaFacts { limit: Some(1), used: 1, resets_at: later(600) };
    assert_eq!(ask_at(&full), (later(600), later(60)), "its window closes before, the guard not counted");
    full.last_user_message_at = None;

    // What stops it comes before the quiet hours, or it keeps none: nightfall changes nothing.
    full.template_breaker = Some(breaker(Some(later(600))));
    assert_eq!(ask_at(&full), (later(600), later(600)));
    full.template_breaker = None;
    let mut code = item.clone();
    code.category = Category::Authentication;
    full.item = &code;
    assert_eq!(ask_at(&full), (later(600), later(600)));
    // So it does where it is quiet already.
    let now_quiet = hours("13:00", "15:00");
    full.settings = &now_quiet;
    assert_eq!(ask_at(&full), (later(600), later(600)));
}

#[test]
fn each_reason_refuses_in_its_place() {
    // Everything speaks against this message; the reasons are taken away one by one.
    let mut item = item();
    item.unsendable = Some(SkipReason::MissingParameter);
    item.valid_until = Some(epoch());
    item.needs_window = true;
    let mut bad = facts(&item);
    bad.consent = Consent::OptedOut;
    bad.template_breaker = Some(breaker(Some(at(600))));
    bad.quota.used = 100;
    bad.tier.used = 250;
    bad.tier.next_free_at = Some(at(300));
    assert_eq!(judge(&bad), Verdict::Skip(SkipReason::MissingParameter));

    let mut item = item.clone();
    item.unsendable = None;
    bad.item = &item;
    assert_eq!(judge(&bad), Verdict::Skip(SkipReason::Expired));

    let mut item = item.clone();
    item.valid_until = Some(at(1));
    bad.item = &item;
    assert_eq!(judge(&bad), Verdict::Skip(SkipReason::OptedOut));
    bad.consent = Consent::Blocked;
    assert_eq!(judge(&bad), Verdict::Skip(SkipReason::Blocked));

    bad.consent = Consent::Allowed;
    assert_eq!(judge(&bad), Verdict::Skip(SkipReason::WindowClosed));

    let mut item = item.clone();
    item.needs_window = false;
    bad.item = &item;
    // It will have expired long before.
    let stop = |seconds, why| Verdict::Stop { until: at(seconds), ask_at: at(1), why };
    assert_eq!(judge(&bad), stop(600, HoldReason::TemplateStopped));

    bad.template_breaker = None;
    assert_eq!(judge(&bad), stop(86_400, HoldReason::QuotaFull));

    bad.quota.used = 99;
    assert_eq!(judge(&bad), stop(300, HoldReason::TierFull));

    bad.tier.used = 249;
    let price = Estimate::unknown();
    assert_eq!(judge(&bad), Verdict::Send(Grant { tier_slot: true, content: Chosen::Own, price }));
}

#[test]
fn a_due_row_is_asked_again_within_a_minute_and_never_stops_its_feed() {
    let mut item = item();
    (item.source, item.lane) = (DueSource::Row, Lane::Transactional);
    let mut full = facts(&item);
    full.quota.used = 100;
    assert_eq!(judge(&full), Verdict::Wait { until: at(60), why: HoldReason::QuotaFull });
    full.quota.used = 0;
    full.template_breaker = Some(breaker(None));
    assert_eq!(judge(&full), Verdict::Wait { until: at(60), why: HoldReason::TemplateStopped });
    full.template_breaker = Some(breaker(Some(at(20))));
    assert_eq!(judge(&full), Verdict::Wait { until: at(20), why: HoldReason::TemplateStopped });
}

#[test]
fn a_crowd_of_due_rows_is_asked_again_bit_by_bit() {
    let mut crowd = item();
    crowd.source = DueSource::Row;
    let mut minutes = std::collections::BTreeMap::<i64, u32>::new();
    for n in 0..10_000 {
        crowd.message = MessageId::from_uuid(Uuid::from_u128(n));
        let mut full = facts(&crowd);
        full.quota.used = 100;
        let Verdict::Wait { until, why: HoldReason::QuotaFull } = judge(&full) else { panic!("it waits") };
        *minutes.entry((until - epoch()).num_minutes()).or_default() += 1;
        full.quota = QuotaFacts { resets_at: at(20), ..full.quota };
        assert_eq!(judge(&full), Verdict::Wait { until: at(20), why: HoldReason::QuotaFull });
    }
    assert_eq!(minutes.keys().copied().collect::<Vec<_>>(), [5, 6, 7, 8, 9]);
    assert!(minutes.values().all(|n| (1_500..2_500).contains(n)), "{minutes:?}");
}

#[test]
fn a_message_expires_exactly_at_its_end() {
    let mut item = item();
    item.valid_until = Some(epoch() + TimeDelta::microseconds(1));
    assert!(matches!(judge(&facts(&item)), Verdict::Send(_)));
    item.valid_until = Some(epoch());
    assert_eq!(judge(&facts(&item)), Verdict::Skip(SkipReason::Expired));
}

#[test]
fn the_guard_of_the_lane_counts() {
    let mut item = item();
    item.needs_window = true;
    item.category = Category::Service;
    for (lane, guard) in [(Lane::Transactional, 5), (Lane::Bulk, 60)] {
        item.lane = lane;
        let mut asked = facts(&item);
        let last = epoch() - TimeDelta::hours(24) + TimeDelta::seconds(guard);
        asked.last_user_message_at = Some(last);
        assert_eq!(judge(&asked), Verdict::Skip(SkipReason::WindowClosed), "{lane:?}");
        asked.last_user_message_at = Some(last + TimeDelta::milliseconds(1));
        assert!(matches!(judge(&asked), Verdict::Send(_)), "{lane:?}");
    }
}

#[test]
fn the_price_is_that_of_the_category_or_unknown() {
    let euro = "EUR".parse().expect("a currency");
    let list = PriceList { currency: euro, per_message: [(Category::Marketing, 136_500)].into() };
    let prices = PriceBook::from(list);
    let mut item = item();
    for (category, price) in [(Category::Marketing, Some(136_500)), (Category::Utility, None)] {
        item.category = category;
        let mut asked = facts(&item);
        asked.price.book = Some(&prices);
        let price = price.map(|micros| Money { micros, currency: euro });
        let Verdict::Send(grant) = judge(&asked) else { panic!("{category:?} is sent") };
        assert_eq!((grant.tier_slot, grant.price.amount), (true, price));
    }
}

fn group() -> GroupFacts {
    GroupFacts {
        awaits_reconcile: false,
        tenant_paused: false,
        suspended: false,
        session: SessionState::Connected,
        breaker: None,
        campaign: Some(CampaignState::Running),
    }
}

fn admit(group: &GroupFacts) -> Admission {
    StandardJudge::default().admit(group, epoch())
}

#[test]
fn only_running_campaigns_and_single_messages_are_admitted() {
    assert_eq!(admit(&GroupFacts { campaign: None, ..group() }), Admission::Admit);
    for state in CampaignState::ALL {
        let got = admit(&GroupFacts { campaign: Some(*state), ..group() });
        let refused = Admission::Refuse { why: HoldReason::CampaignPaused, until: None };
        let expected = if *state == CampaignState::Running { Admission::Admit } else { refused };
        assert_eq!(got, expected, "{state:?}");
    }
}

#[test]
fn only_connected_sessions_without_breaker_are_admitted() {
    for state in SessionState::ALL {
        let got = admit(&GroupFacts { session: *state, ..group() });
        let refused = Admission::Refuse { why: HoldReason::SessionStopped, until: None };
        let expected = if *state == SessionState::Connected { Admission::Admit } else { refused };
        assert_eq!(got, expected, "{state:?}");
    }
    for until in [None, Some(at(10))] {
        let stopped = GroupFacts { breaker: Some(breaker(until)), ..group() };
        assert_eq!(admit(&stopped), Admission::Refuse { why: HoldReason::SessionStopped, until });
    }
    let over = GroupFacts { breaker: Some(breaker(Some(epoch()))), ..group() };
    assert_eq!(admit(&over), Admission::Admit);
}

#[test]
fn a_pause_of_the_tenant_is_named_first() {
    let everything = GroupFacts {
        awaits_reconcile: false,
        tenant_paused: true,
        suspended: true,
        session: SessionState::Banned,
        breaker: Some(breaker(None)),
        campaign: Some(CampaignState::Paused),
    };
    let paused = Admission::Refuse { why: HoldReason::TenantPaused, until: None };
    assert_eq!(admit(&everything), paused);
    assert_eq!(admit(&GroupFacts { tenant_paused: true, ..group() }), paused);
    assert_eq!(admit(&GroupFacts { suspended: true, ..group() }), paused);
    let restored = Admission::Refuse { why: HoldReason::NeedsReconcile, until: None };
    assert_eq!(
        admit(&GroupFacts { awaits_reconcile: true, ..everything }),
        restored,
        "but for a restored store"
    );
}

#[test]
fn a_breaker_holds_until_exactly_its_end() {
    let timed = breaker(Some(at(10)));
    assert!(is_open(&timed, at(10) - TimeDelta::microseconds(1)));
    assert!(!is_open(&timed, at(10)));
    assert!(is_open(&breaker(None), DateTime::<Utc>::MAX_UTC));
}

#[test]
fn every_breaker_comes_with_advice() {
    for reason in BreakerReason::ALL {
        assert!(advice(*reason).ends_with('.'), "{reason:?}");
    }
}

prop_compose! {
    fn any_item()(
        source in proptest::sample::select(vec![DueSource::Feed, DueSource::Row]),
        lane in proptest::sample::select(Lane::ALL),
        category in proptest::sample::select(vec![
            Category::Marketing, Category::Utility, Category::Authentication, Category::Service,
        ]),
        needs_window in any::<bool>(),
        valid_until in proptest::option::of(-2..2_i64),
        unsendable in proptest::option::weighted(0.1, proptest::sample::select(SkipReason::ALL)),
    ) -> BeginItem {
        BeginItem {
            source, lane, category, needs_window, valid_until: valid_until.map(at),
            unsendable, ..item()
        }
    }
}

proptest! {
    #[test]
    fn whatever_is_sent_keeps_every_rule(
        item in any_item(),
        consent in proptest::sample::select(Consent::ALL),
        wrote in proptest::option::of(-90_000..10_i64),
        template in proptest::option::weighted(0.2, proptest::option::of(-5..5_i64)),
        tier in (proptest::option::of(0..3_u32), 0..4_u32, any::<bool>(), proptest::option::of(-5..500_i64)),
        quota in (proptest::option::of(0..3_u64), 0..4_u64, 1..5_000_i64),
    ) {
        let asked = Facts {
            item: &item,
            consent,
            last_user_message_at: wrote.map(at),
            template_breaker: template.map(|until| breaker(until.map(at))),
            tier: TierFacts { limit: tier.0, used: tier.1, has_slot: tier.2, next_free_at: tier.3.map(at) },
            quota: QuotaFacts { limit: quota.0, used: quota.1, resets_at: at(quota.2) },
            ..facts(&item)
        };
        let in_window = wrote.is_some_and(|wrote| at(wrote) + TimeDelta::hours(24) > epoch());
        match judge(&asked) {
            Verdict::Send(grant) => {
                prop_assert!(!item.needs_window || in_window, "free-form outside the window");
                prop_assert!(matches!(consent, Consent::Allowed | Consent::OptedIn)
                    || (consent == Consent::NoMarketing && item.category != Category::Marketing));
                prop_assert!(quota.0.is_none_or(|limit| quota.1 < limit), "beyond the quota");
                prop_assert!(item.valid_until.is_none_or(|until| epoch() < until), "expired");
                prop_assert!(item.unsendable.is_none());
                prop_assert!(asked.template_breaker.as_ref().is_none_or(|open| !is_open(open, epoch())));
                let guarded = window::is_open(asked.last_user_message_at, epoch(), window::Guard::default().of(item.lane));
                let counts = tier.0.is_some() && !guarded;
                let needs_slot = counts && !tier.2;
                prop_assert_eq!(grant.tier_slot, counts, "who has a slot and is written to again keeps it");
                prop_assert!(!needs_slot || tier.0.is_some_and(|limit| tier.1 < limit), "beyond the tier");
            }
            Verdict::Wait { until, .. } => {
                prop_assert_eq!(item.source, DueSource::Row);
                let latest = if item.lane == Lane::Bulk { at(600) } else { at(60) };
                prop_assert!(until > epoch() && until <= latest);
            }
            Verdict::Stop { until, ask_at, .. } => {
                prop_assert_eq!(item.source, DueSource::Feed);
                prop_assert!(epoch() < ask_at && ask_at <= until);
            }
            Verdict::Skip(SkipReason::WindowClosed) if item.unsendable.is_none() => {
                prop_assert!(item.needs_window);
            }
            Verdict::Skip(_) => {}
            Verdict::Pause { .. } => prop_assert!(false, "there is no budget"),
        }
    }
}
