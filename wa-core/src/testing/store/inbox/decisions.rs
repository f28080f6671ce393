//! Cases on what a provider decides about accounts, numbers and templates.

use chrono::TimeDelta;

use crate::model::{
    AccountAlert, AccountChange, BanState, BreakerReason, BreakerScope, BusinessCapability, EventBody,
    InboundEvent, NewSession, NumberEvent, NumberQuality, Quality, Restriction, RestrictionKind, Session,
    SessionState, TemplateEvent, TemplateStatus, Throughput, Tier,
};
use crate::port::Scope;
use crate::testing::store::world::{TRANSPORT, World, found, must, only, sorted, value};

async fn now(w: &World, scope: &Scope, session: &Session) -> Session {
    found(w.numbers().session(scope, session.id).await)
}

fn ban(state: BanState) -> AccountChange {
    AccountChange::Ban { state, date: None }
}

pub(crate) async fn project_keeps_to_the_account(w: World) {
    let (a, b) = (w.tenant("a").await, w.tenant("b").await);
    let own = w.of_account(&a, "waba.1").await;
    let twin = w.of_account(&b, "waba.1").await;
    let others = [w.of_account(&a, "waba.2").await, w.session(&a).await];
    let elsewhere =
        NewSession { transport: value("other"), account: Some("waba.1".to_owned()), ..w.new_session() };
    let elsewhere = w.session_of(&a, &elsewhere, Tier::Unlimited).await;
    assert_ne!(elsewhere.transport, value(TRANSPORT));
    let projected = w.decide(w.account_update(ban(BanState::Disable), w.now())).await;
    assert_eq!(projected.foreign, 0);
    let named: Vec<_> = projected.sessions.iter().map(|session| session.id).collect();
    assert_eq!(named, sorted([own.id, twin.id]), "of every tenant that has it");
    assert_eq!(now(&w, &a, &own).await.state, SessionState::Banned);
    for session in others.iter().chain([&elsewhere]) {
        assert_eq!(now(&w, &a, session).await, *session);
    }
    let mut unknown = w.account_update(ban(BanState::Disable), w.now());
    if let InboundEvent::Account(update) = &mut unknown {
        update.account = "waba.9".to_owned();
    }
    let before = w.snapshot(&a).await;
    assert_eq!(w.decide(unknown).await.foreign, 1);
    assert_eq!(w.snapshot(&a).await, before);
    let nothing = InboundEvent::Unknown { field: "flows".to_owned() };
    assert_eq!(w.decide(nothing).await.unknown, 1, "an event that decides nothing");
}

pub(crate) async fn project_stops_and_resumes_an_account(mut w: World) {
    let scope = w.tenant("one").await;
    let session = w.of_account(&scope, "waba.1").await;
    let base = w.now();
    w.pass(100);
    let at = |seconds| base + TimeDelta::seconds(seconds);
    w.decide(w.account_update(ban(BanState::Disable), at(10))).await;
    let breaker = only(must(w.numbers().breakers(&scope).await));
    assert_eq!(
        (&breaker.scope, breaker.reason),
        (&BreakerScope::Session(session.id), BreakerReason::Account)
    );
    assert_eq!((breaker.until, now(&w, &scope, &session).await.state), (None, SessionState::Banned));
    w.decide(w.account_update(ban(BanState::Reinstate), at(5))).await;
    assert_eq!(must(w.numbers().breakers(&scope).await).len(), 1, "older news changes nothing");
    w.reopen().await;
    w.decide(w.account_update(ban(BanState::Reinstate), at(20))).await;
    assert_eq!(must(w.numbers().breakers(&scope).await), []);
    assert_eq!(now(&w, &scope, &session).await.state, SessionState::Connected);
    w.decide(w.account_update(ban(BanState::Disable), at(15))).await;
    assert_eq!(must(w.numbers().breakers(&scope).await), []);
    // For a time: the longest of what binds.
    let until = w.after(3_600);
    let restrictions = [
        (RestrictionKind::BusinessInitiated, Some(until)),
        (RestrictionKind::CustomerInitiated, Some(w.after(60))),
        (RestrictionKind::AddNumbers, None),
    ];
    let restrictions = restrictions.map(|(kind, until)| Restriction { kind, until }).to_vec();
    w.decide(w.account_update(AccountChange::Restriction { restrictions }, at(30))).await;
    assert_eq!(only(must(w.numbers().breakers(&scope).await)).until, Some(until));
    assert_eq!(now(&w, &scope, &session).await.state, SessionState::Connected);
    w.pass(3_600);
    assert_eq!(must(w.numbers().breakers(&scope).await), []);
    w.decide(w.account_update(AccountChange::Offboarded, at(40))).await;
    w.decide(w.account_update(AccountChange::Reconnected, at(50))).await;
    assert_eq!(must(w.numbers().breakers(&scope).await), []);
    w.decide(w.account_update(AccountChange::Deleted, at(60))).await;
    assert_eq!(now(&w, &scope, &session).await.state, SessionState::Banned);
    let told = w.events().await.into_iter().map(|event| event.body);
    let stopped = told.filter(|body| matches!(body, EventBody::SessionStopped { .. })).count();
    assert_eq!(stopped, 4);
}

pub(crate) async fn project_changes_what_a_number_may(w: World) {
    let scope = w.tenant("one").await;
    let phone = w.fresh_phone();
    let new = NewSession { account: Some("waba.1".to_owned()), phone: Some(phone), ..w.new_session() };
    let named = w.session_of(&scope, &new, Tier::Limited(250)).await;
    let other = w.of_account(&scope, "waba.1").await;
    w.pass(100);
    let event = |event, limit, seconds| {
        InboundEvent::NumberQuality(NumberQuality {
            account: "waba.1".to_owned(),
            display_phone_number: Some(phone),
            event,
            current_limit: None,
            old_limit: None,
            business_limit: limit,
            at: w.after(seconds),
        })
    };
    let fast = w.decide(event(NumberEvent::ThroughputUpgrade, None, 0)).await;
    assert_eq!(only(fast.sessions).throughput, Throughput::UPGRADED, "what the engine has to know");
    assert_eq!(now(&w, &scope, &named).await.throughput, Throughput::UPGRADED);
    assert_eq!(now(&w, &scope, &other).await.throughput, Throughput::DEFAULT, "the number that is named");
    w.decide(event(NumberEvent::Flagged, None, 0)).await;
    w.decide(event(NumberEvent::Unflagged, None, -10)).await;
    assert_eq!(now(&w, &scope, &named).await.quality, Quality::Red, "the later one came first");
    let capability = InboundEvent::BusinessCapability(BusinessCapability {
        account: "waba.1".to_owned(),
        business_limit: Some(Tier::Limited(2_000)),
        max_numbers: None,
        max_numbers_of_account: None,
        at: w.now(),
    });
    assert_eq!(w.decide(capability).await.sessions.len(), 2, "all numbers share the limit");
    for session in [&named, &other] {
        assert_eq!(now(&w, &scope, session).await.tier, Tier::Limited(2_000));
    }
    w.decide(event(NumberEvent::Downgrade, Some(Tier::Limited(10)), -200)).await;
    assert_eq!(now(&w, &scope, &named).await.tier, Tier::Limited(2_000), "older than the report");
    let alert = InboundEvent::AccountAlert(AccountAlert {
        account: "waba.1".to_owned(),
        entity_kind: None,
        entity: None,
        name: Some("NEED_MORE_INFO".to_owned()),
        severity: Some("CRITICAL".to_owned()),
        status: None,
        description: None,
        at: w.now(),
    });
    w.decide(alert).await;
    let told: Vec<_> = w.events().await.into_iter().map(|event| event.body).collect();
    let changed = EventBody::SessionChanged {
        session: named.id,
        state: SessionState::Connected,
        throughput: Throughput::UPGRADED,
        tier: Tier::Limited(2_000),
        quality: Quality::Red,
    };
    assert!(told.contains(&changed), "{told:?}");
    let urgent = |body: &EventBody| matches!(body, EventBody::AccountAlert { name, urgent: true, .. } if name == "NEED_MORE_INFO");
    assert!(told.iter().any(urgent), "{told:?}");
}

pub(crate) async fn project_stops_and_resumes_a_template(mut w: World) {
    let scope = w.tenant("one").await;
    let two = [w.of_account(&scope, "waba.1").await, w.of_account(&scope, "waba.1").await];
    let ids = sorted(two.map(|session| session.id));
    let base = w.now();
    w.pass(100);
    let at = |seconds| base + TimeDelta::seconds(seconds);
    let said = |event, title: Option<&str>, seconds| {
        let InboundEvent::TemplateStatus(status) = w.template_status("hello", event, at(seconds)) else {
            panic!("a status");
        };
        InboundEvent::TemplateStatus(TemplateStatus { title: title.map(str::to_owned), ..status })
    };
    let pause = |title, seconds| said(TemplateEvent::Paused, title, seconds);
    let events = [
        (pause(Some("FIRST_PAUSE"), 1), Some(Some(at(1) + TimeDelta::hours(3)))),
        (said(TemplateEvent::Approved, Some("UNPAUSE"), 2), None),
        (pause(Some("SECOND_PAUSE"), 3), Some(Some(at(3) + TimeDelta::hours(6)))),
        (said(TemplateEvent::Approved, None, 2), Some(Some(at(3) + TimeDelta::hours(6)))),
        (said(TemplateEvent::Disabled, None, 4), Some(None)),
        (said(TemplateEvent::Flagged, None, 5), Some(None)),
        (said(TemplateEvent::Reinstated, None, 6), None),
        (said(TemplateEvent::Rejected, None, 7), Some(None)),
    ];
    for (event, expected) in events {
        let shown = format!("{event:?}");
        w.decide(event).await;
        let open = must(w.numbers().breakers(&scope).await);
        let ends: Vec<_> = open.iter().map(|breaker| breaker.until).collect();
        assert_eq!(ends, expected.into_iter().flat_map(|end| [end, end]).collect::<Vec<_>>(), "{shown}");
        for (breaker, session) in open.iter().zip(&ids) {
            let scope = BreakerScope::Template(*session, value("hello"), value("en_US"));
            assert_eq!((&breaker.scope, breaker.reason), (&scope, BreakerReason::TemplatePaused));
        }
    }
    // A pause that is over when it becomes known stops nothing.
    w.decide(w.template_status("late", TemplateEvent::Approved, at(8))).await;
    w.pass(10 * 3_600);
    w.reopen().await;
    let before = must(w.numbers().breakers(&scope).await);
    w.decide(w.template_status("late", TemplateEvent::Paused, at(9))).await;
    assert_eq!(must(w.numbers().breakers(&scope).await), before);
    let changed = |body: &EventBody| matches!(body, EventBody::TemplateChanged { .. });
    let told = w.events().await.iter().filter(|event| changed(&event.body)).count();
    assert_eq!(told, 9, "older news is not told");
}

pub(crate) async fn project_names_what_the_engine_meters(w: World) {
    let scope = w.tenant("one").await;
    let session = w.of_account(&scope, "waba.1").await;
    let (wrote, from) = (w.wrote(&session, w.fresh_phone()), w.fresh_phone());
    let events = vec![
        w.inbound(wrote.clone(), None),
        w.inbound(wrote, None),
        w.echo(w.typed(&session, from, "by hand")),
    ];
    let projected = w.hear(events).await;
    assert_eq!(projected.metered, [(session.id, w.now()), (session.id, w.now())], "each that is new");
    assert_eq!(projected.sessions, []);
    let told = w.decide(w.template_status("hello", TemplateEvent::Approved, w.now())).await;
    assert_eq!(told.sessions, [session], "what waited for the template may go on");
}
