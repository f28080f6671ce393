//! The check against a kit on manual time.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::lock::Mutex;
use serde_json::json;

use super::*;
use crate::engine;
use crate::memory::MemoryStore;
use crate::model::*;
use crate::port::Clock;
use crate::port::store::{ProjectedEvent, Projection, RawBody, Store};
use crate::service::{Kit, Message, Number, TenantHandle};
use crate::testing::{ManualClock, ScriptedTransport, scope};

struct Desk {
    clock: Arc<ManualClock>,
    store: MemoryStore,
    tenant: TenantHandle,
    session: Session,
    worker: Mutex<engine::Worker>,
}

fn phone() -> Phone {
    Phone::from_digits("919876543210").expect("a phone")
}

fn template(category: Category) -> TemplateContent {
    let name = "availability_request".parse().expect("a name");
    TemplateContent::with_body(name, "en_US".parse().expect("a language"), category, []).expect("a template")
}

fn text() -> Content {
    Content::text("Are you free tonight?").expect("a text")
}

impl Desk {
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::new(from_micros(1_790_000_000_000_000)));
        let store = MemoryStore::new(clock.clone());
        let transport = Arc::new(ScriptedTransport::new(clock.clone()));
        let kit = Kit::builder(Arc::new(store.clone()))
            .transport("cloud", transport)
            .clock(clock.clone())
            .build()
            .await
            .expect("a kit");
        let tenant = kit.tenants().ensure("acme").await.expect("a tenant");
        let session = tenant.sessions().add(&Number::cloud("100")).await.expect("a session");
        let worker = Mutex::new(kit.steps().0);
        Self { clock, store, tenant, session, worker }
    }

    /// A template of the bulk lane.
    fn bulk(&self, category: Category) -> Message {
        Message::new(self.session.id, phone(), Content::Template(template(category))).lane(Lane::Bulk)
    }

    fn text(&self) -> Message {
        Message::new(self.session.id, phone(), text())
    }

    async fn check(&self, message: Message) -> SendCheck {
        self.tenant.messages().check(message).await.expect("a check")
    }

    async fn set(&self, change: impl FnOnce(&mut TenantSettings)) {
        let mut settings = self.tenant.settings().await.expect("settings");
        change(&mut settings);
        self.tenant.put_settings(&settings).await.expect("valid settings");
    }

    /// The user writes now.
    async fn user_writes(&self) {
        let raw = RawId::mint(self.clock.now(), [1; 10]);
        let transport: TransportName = "cloud".parse().expect("a name");
        let body =
            RawBody { id: raw, transport: transport.clone(), body: vec![1], received_at: self.clock.now() };
        let admin = scope::admin(WorkerId::mint(self.clock.now(), [2; 10]));
        self.store.inbox().keep(&admin, &[body]).await.expect("kept");
        let said = InboundBody::Text { body: "hi".to_owned() };
        let number = self.session.number.clone();
        let message = InboundMessage::new(number, "wamid.in", phone(), self.clock.now(), said);
        let fresh_contact = ContactId::mint(self.clock.now(), [3; 10]);
        let events = vec![ProjectedEvent::Message { message, fresh_contact, consent: None }];
        let projection = Projection { raw, transport, received_at: self.clock.now(), events };
        self.store.inbox().project(&admin, &[projection]).await.expect("projected");
    }

    /// Sends a bulk template and gives the kit's worker what it needs to begin it.
    async fn template_goes(&self, category: Category) {
        self.tenant.messages().send(self.bulk(category)).await.expect("taken in");
        self.work().await;
    }

    /// Does everything that can be done without time passing.
    async fn work(&self) {
        let mut worker = self.worker.lock().await;
        worker.wake();
        for _ in 0..500 {
            let sending = worker.release();
            let jobs = worker.jobs();
            if sending.is_empty() && jobs.is_empty() {
                return;
            }
            for it in sending {
                let attempt = it.permit.attempt();
                let outcome = it.transport.send(it.permit).await;
                worker.record(attempt, outcome);
            }
            for job in jobs {
                let done = job.run(worker.ports()).await;
                worker.apply(done);
            }
        }
        panic!("the worker is busy although no time passes");
    }

    fn after(&self, time: TimeDelta) -> DateTime<Utc> {
        self.clock.now() + time
    }
}

fn never(check: &SendCheck, why: SkipReason, name: &str) {
    assert_eq!(check.answer, CheckAnswer::Never(why));
    assert_eq!((check.can_send(), check.blocked_reason()), (false, Some(name)));
    assert_eq!(check.advice(), Some(why.advice()));
}

fn later(check: &SendCheck, why: HoldReason, until: Option<DateTime<Utc>>, name: &str) {
    assert_eq!(check.answer, CheckAnswer::Later { why, until });
    assert_eq!((check.can_send(), check.blocked_reason()), (false, Some(name)));
}

#[tokio::test]
async fn a_message_that_nothing_speaks_against_can_go_and_nothing_is_used_up() {
    let desk = Desk::new().await;
    for _ in 0..3 {
        let check = desk.check(desk.bulk(Category::Utility)).await;
        assert_eq!((check.answer, check.content), (CheckAnswer::Now, Some(Chosen::Own)));
        assert_eq!((check.blocked_reason(), check.advice()), (None, None));
        assert_eq!((check.release_at, check.paced_by), (check.at, None), "an idle number has room at once");
        assert_eq!(check.cost, CostCheck { price: None, reason: CostReason::Priced(PriceReason::Unknown) });
        assert_eq!(check.quota.used, 0);
    }
}

#[tokio::test]
async fn the_answer_has_the_shape_and_the_values_of_the_check_send_example() {
    let desk = Desk::new().await;
    // 12 hours after the user wrote, 11 h 15 min after the last template; templates are free inside the window.
    desk.user_writes().await;
    desk.clock.advance(Duration::from_secs(45 * 60));
    let prices = PriceList {
        currency: "INR".parse().expect("a currency"),
        per_message: [(Category::Utility, 0)].into(),
    };
    desk.set(|settings| settings.prices = Some(prices.into())).await;
    desk.template_goes(Category::Utility).await;
    desk.clock.advance(Duration::from_secs((11 * 60 + 15) * 60));
    let check = desk.check(desk.bulk(Category::Utility)).await;
    let expected = json!({
        "phone": "919876543210",
        "session": { "isActive": true, "remainingMinutes": 720 },
        "rateLimit": { "canSend": false, "cooldownRemainingMinutes": 45 },
        "cost": { "cost": 0, "reason": "within_session" },
        "canSend": false,
        "blockedReason": "rate_limited"
    });
    assert_eq!(check.to_check_send_json(), expected);
    later(&check, HoldReason::Cooldown, Some(desk.after(TimeDelta::minutes(45))), "rate_limited");

    // The last microsecond of the cooldown is a minute, and then it is over.
    desk.clock.advance(Duration::from_micros(45 * 60 * 1_000_000 - 1));
    let json = desk.check(desk.bulk(Category::Utility)).await.to_check_send_json();
    assert_eq!(json["rateLimit"], json!({ "canSend": false, "cooldownRemainingMinutes": 1 }));
    desk.clock.advance(Duration::from_micros(1));
    let json = desk.check(desk.bulk(Category::Utility)).await.to_check_send_json();
    assert_eq!(json["rateLimit"], json!({ "canSend": true, "cooldownRemainingMinutes": 0 }));
    assert_eq!((&json["canSend"], &json["blockedReason"]), (&json!(true), &json!(null)));
}

#[tokio::test]
async fn the_cost_matrix_is_told_with_its_reason() {
    let desk = Desk::new().await;
    let inr = "INR".parse().expect("a currency");
    let per_message = [(Category::Utility, 350_000), (Category::Marketing, 750_000), (Category::Service, 0)];
    desk.set(|settings| {
        settings.prices = Some(PriceList { currency: inr, per_message: per_message.into() }.into());
    })
    .await;
    let cost = |check: SendCheck| check.to_check_send_json()["cost"].clone();
    let utility = cost(desk.check(desk.bulk(Category::Utility)).await);
    assert_eq!(utility, json!({ "cost": 0.35, "reason": "category" }));
    let marketing = cost(desk.check(desk.bulk(Category::Marketing)).await);
    assert_eq!(marketing, json!({ "cost": 0.75, "reason": "category" }));
    let code = cost(desk.check(desk.bulk(Category::Authentication)).await);
    assert_eq!(code, json!({ "cost": null, "reason": "unknown" }), "unknown is not free");
    desk.user_writes().await;
    assert_eq!(cost(desk.check(desk.text()).await), json!({ "cost": 0, "reason": "within_session" }));
    desk.set(|settings| settings.cost_tracking = false).await;
    let untracked = cost(desk.check(desk.bulk(Category::Utility)).await);
    assert_eq!(untracked, json!({ "cost": null, "reason": "not_tracked" }));
}

#[tokio::test]
async fn free_form_content_outside_the_window_is_blocked_or_falls_back() {
    let desk = Desk::new().await;
    let check = desk.check(desk.text()).await;
    never(&check, SkipReason::WindowClosed, "window_closed");
    assert_eq!((check.content, check.window), (None, WindowCheck { is_open: false, ends_at: None }));
    let with_fallback = desk.text().fallback(template(Category::Utility));
    never(&desk.check(with_fallback.clone()).await, SkipReason::WindowClosed, "window_closed");
    desk.set(|settings| settings.outside_window = OutsideWindow::Fallback).await;
    let check = desk.check(with_fallback.clone()).await;
    assert_eq!((check.answer, check.content), (CheckAnswer::Now, Some(Chosen::Fallback)));
    assert_eq!(check.category, Category::Utility);
    desk.user_writes().await;
    let check = desk.check(with_fallback).await;
    assert_eq!((check.answer, check.content), (CheckAnswer::Now, Some(Chosen::Own)));
    let end = desk.after(TimeDelta::hours(24));
    assert_eq!(check.window, WindowCheck { is_open: true, ends_at: Some(end) });
    assert_eq!(check.window_remaining(), Some(TimeDelta::hours(24)));
}

#[tokio::test]
async fn what_keeps_a_person_from_getting_it_is_named() {
    let desk = Desk::new().await;
    let marketing = || desk.bulk(Category::Marketing);
    let expired = marketing().valid_until(desk.clock.now());
    never(&desk.check(expired).await, SkipReason::Expired, "expired");
    desk.set(|settings| settings.require_opt_in = true).await;
    never(&desk.check(marketing()).await, SkipReason::NotOptedIn, "not_opted_in");
    let contact = desk.tenant.contacts().upsert(phone().into(), ContactAttributes::new(), None).await;
    let contact = contact.expect("a contact").id;
    let contacts = desk.tenant.contacts();
    contacts.set_consent(contact, Consent::OptedIn).await.expect("set");
    assert!(desk.check(marketing()).await.can_send());
    contacts.set_consent(contact, Consent::OptedOut).await.expect("set");
    let check = desk.check(marketing()).await;
    never(&check, SkipReason::OptedOut, "opted_out");
    assert_eq!(check.consent, Consent::OptedOut);
    contacts.set_consent(contact, Consent::Blocked).await.expect("set");
    never(&desk.check(marketing()).await, SkipReason::Blocked, "blocked");
    contacts.set_consent(contact, Consent::OptedIn).await.expect("set");
    assert_eq!(contacts.suppress([phone().into()]).await.expect("a count"), 1);
    let check = desk.check(marketing()).await;
    never(&check, SkipReason::Suppressed, "suppressed");
    assert!(check.suppressed);
    assert_eq!(contacts.suppressed(None, 10).await.expect("a page").len(), 1);
    assert_eq!(contacts.unsuppress(&[phone().into()]).await.expect("a count"), 1);
    desk.set(|settings| settings.safe_mode = Some(Default::default())).await;
    never(&desk.check(marketing()).await, SkipReason::NotAllowed, "not_allowed");
}

#[tokio::test]
async fn what_a_person_got_lately_and_the_hour_are_told() {
    let desk = Desk::new().await;
    let cap = FrequencyCap { times: 1, days: 3, ..FrequencyCap::default() };
    desk.set(|settings| {
        settings.template_cooldown = None;
        settings.frequency_cap = Some(cap.clone());
    })
    .await;
    let end = desk.after(TimeDelta::days(3));
    desk.template_goes(Category::Marketing).await;
    let check = desk.check(desk.bulk(Category::Marketing)).await;
    later(&check, HoldReason::FrequencyCap, Some(end), "frequency_cap");
    assert_eq!(check.frequency_until, Some(end));
    let soon = desk.bulk(Category::Marketing).valid_until(desk.after(TimeDelta::days(1)));
    never(&desk.check(soon).await, SkipReason::FrequencyCap, "frequency_cap");

    let always: QuietHours =
        QuietHours::daily("00:00".parse().expect("a time"), "23:00".parse().expect("a time"));
    desk.set(|settings| settings.quiet_hours = Some(QuietSettings::new([always]))).await;
    let check = desk.check(desk.bulk(Category::Utility)).await;
    let until = check.quiet_until.expect("it is quiet nearly always");
    later(&check, HoldReason::QuietHours, Some(until), "quiet_hours");
    assert!(until > check.at && until <= desk.after(TimeDelta::days(1)));
}

#[tokio::test]
async fn what_stops_the_number_or_the_tenant_is_told() {
    let desk = Desk::new().await;
    let bulk = || desk.bulk(Category::Marketing);
    let sessions = desk.tenant.sessions();
    let report = |state, quality| SessionReport { state, quality, ..SessionReport::default() };
    sessions.report(desk.session.id, &report(None, Some(Quality::Red))).await.expect("stored");
    let check = desk.check(bulk()).await;
    assert!(matches!(check.answer, CheckAnswer::Later { why: HoldReason::QualityLow, .. }), "{check:?}");
    assert_eq!((check.blocked_reason(), check.quality), (Some("quality_low"), Quality::Red));
    sessions
        .report(desk.session.id, &report(Some(SessionState::Banned), Some(Quality::Green)))
        .await
        .expect("stored");
    let check = desk.check(bulk()).await;
    later(&check, HoldReason::SessionStopped, None, "session_stopped");
    assert_eq!(check.session, SessionState::Banned);
    sessions.report(desk.session.id, &report(Some(SessionState::Connected), None)).await.expect("stored");
    let warm_up = WarmUp { since: None, caps: vec![1] };
    sessions.set_warm_up(desk.session.id, Some(warm_up)).await.expect("set");
    desk.template_goes(Category::Utility).await;
    let other = Phone::from_digits("919876543211").expect("a phone");
    let content = Content::Template(template(Category::Utility));
    let check = desk.check(Message::new(desk.session.id, other, content)).await;
    assert!(matches!(check.answer, CheckAnswer::Later { why: HoldReason::WarmUpFull, until: Some(_) }));
    assert_eq!(check.blocked_reason(), Some("warm_up_full"));
    assert_eq!(check.warm_up.map(|it| it.used), Some(1));
    sessions.set_warm_up(desk.session.id, None).await.expect("set");
    desk.set(|settings| settings.paused = true).await;
    later(&desk.check(bulk()).await, HoldReason::TenantPaused, None, "tenant_paused");
}

#[tokio::test]
async fn the_gap_of_a_number_is_counted_from_its_latest_attempts() {
    let desk = Desk::new().await;
    let gap = GapSetting::Of(Gap { millis: 60_000, jitter_millis: 30_000 });
    desk.tenant.sessions().set_gap(desk.session.id, gap).await.expect("set");
    desk.template_goes(Category::Utility).await;
    desk.clock.advance(Duration::from_secs(10));
    let other = Phone::from_digits("919876543211").expect("a phone");
    let content = Content::Template(template(Category::Utility));
    let check = desk.check(Message::new(desk.session.id, other, content)).await;
    assert_eq!(check.answer, CheckAnswer::Now);
    assert_eq!(check.release_at, desk.after(TimeDelta::seconds(80)), "the longest that the gap may be");
    assert_eq!(check.paced_by, Some(PaceLimit::Gap));
}

#[tokio::test]
async fn a_full_pair_is_told_with_its_time() {
    let desk = Desk::new().await;
    desk.set(|settings| settings.template_cooldown = None).await;
    for _ in 0..45 {
        desk.tenant.messages().send(desk.bulk(Category::Utility)).await.expect("taken in");
    }
    let start = desk.clock.now();
    // The number takes 80 a second, so all of them leave within the first one.
    for _ in 0..100 {
        desk.work().await;
        desk.clock.advance(Duration::from_millis(20));
    }
    let check = desk.check(desk.bulk(Category::Utility)).await;
    let CheckAnswer::Later { why: HoldReason::PairThrottled, until: Some(until) } = check.answer else {
        panic!("45 went at once: {check:?}")
    };
    assert_eq!(check.blocked_reason(), Some("pair_throttled"));
    assert!(until > desk.clock.now() && until <= start + TimeDelta::seconds(7), "one more every six seconds");
    assert_eq!((check.release_at, check.paced_by), (until, Some(PaceLimit::PairRate)));
}
