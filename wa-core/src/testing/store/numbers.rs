//! The cases of the Numbers room.

mod attend;
mod breakers;

pub(super) use attend::*;
pub(super) use breakers::*;

use std::time::Duration;

use crate::model::{
    Category, Entitlement, Gap, GapSetting, NewSession, Outcome, Quality, Session, SessionId, SessionReport,
    SessionSetting, SessionSettings, SessionState, TemplateEvent, Throughput, Tier, WarmUp,
};
use crate::port::store::{AddSession, Begun, DispatchState, RecentAttempt, Route};
use crate::testing::scope;
use crate::testing::store::world::{
    World, accepted, ends, found, holding, must, only, sorted, standard, value,
};

const LEASE: Duration = Duration::from_secs(15);

pub(super) async fn add_session_is_idempotent_by_number(mut w: World) {
    let scope = w.tenant("one").await;
    let new = w.new_session();
    let AddSession::Added(added) = must(w.numbers().add_session(&scope, &new).await) else {
        panic!("the session is new");
    };
    assert_eq!((added.id, &added.transport, &added.number), (new.id, &new.transport, &new.number));
    assert_eq!((added.created_at, added.checked_at), (w.now(), None));
    w.pass(1);
    let again = NewSession { id: w.mint(SessionId::mint), ..new.clone() };
    assert_eq!(must(w.numbers().add_session(&scope, &again).await), AddSession::Known(added.clone()));
    w.reopen().await;
    assert_eq!(must(w.numbers().add_session(&scope, &again).await), AddSession::Known(added.clone()));
    assert_eq!(must(w.numbers().sessions(&scope, None, 10).await), [added]);
    // The same number under another transport is another session.
    let other = NewSession { transport: value("other"), ..again };
    assert!(matches!(must(w.numbers().add_session(&scope, &other).await), AddSession::Added(_)));
}

pub(super) async fn add_session_keeps_the_plans_limit(w: World) {
    let (scope, other) = (w.tenant("one").await, w.tenant("other").await);
    let plan = Entitlement { sessions: Some(2), ..Entitlement::unlimited() };
    assert!(must(w.ledger().set_entitlement(&scope, &plan).await));
    let (first, second, third) = (w.new_session(), w.new_session(), w.new_session());
    let add = async |new: &NewSession| must(w.numbers().add_session(&scope, new).await);
    assert!(matches!(add(&first).await, AddSession::Added(_)));
    assert!(matches!(add(&second).await, AddSession::Added(_)));
    assert_eq!(add(&third).await, AddSession::OverPlan { limit: 2 });
    assert_eq!(must(w.numbers().session(&scope, third.id).await), None, "nothing is added");
    assert!(matches!(add(&first).await, AddSession::Known(_)), "what is there is found at the limit too");
    let unlimited = must(w.numbers().add_session(&other, &w.new_session()).await);
    assert!(matches!(unlimited, AddSession::Added(_)), "another tenant has its own plan");

    let deleted = SessionReport { state: Some(SessionState::Deleted), ..SessionReport::default() };
    found(w.numbers().report_session(&scope, first.id, &deleted).await);
    assert!(matches!(add(&third).await, AddSession::Added(_)), "a deleted one makes room");
    assert_eq!(add(&w.new_session()).await, AddSession::OverPlan { limit: 2 });
}

pub(super) async fn add_session_learns_the_account(mut w: World) {
    let scope = w.tenant("one").await;
    let new = w.new_session();
    assert!(matches!(must(w.numbers().add_session(&scope, &new).await), AddSession::Added(_)));
    let phone = w.fresh_phone();
    let named = NewSession { account: Some("waba.1".to_owned()), phone: Some(phone), ..new.clone() };
    for again in [named, new] {
        let AddSession::Known(known) = must(w.numbers().add_session(&scope, &again).await) else {
            panic!("the session is known");
        };
        assert_eq!((known.account.as_deref(), known.phone), (Some("waba.1"), Some(phone)));
        w.reopen().await;
        assert_eq!(found(w.numbers().session(&scope, known.id).await), known);
    }
}

pub(super) async fn templates_shows_the_latest_of_each_part(mut w: World) {
    let scope = w.tenant("one").await;
    let session = w.of_account(&scope, "waba.1").await;
    let base = w.now();
    w.pass(100);
    let at = |seconds: i64| base + chrono::TimeDelta::seconds(seconds);
    let events = [
        w.template_status("hello", TemplateEvent::Approved, at(1)),
        w.template_status("hello", TemplateEvent::Paused, at(3)),
        w.template_status("hello", TemplateEvent::Flagged, at(2)),
        w.template_quality("hello", Quality::Yellow, at(4)),
        w.template_quality("hello", Quality::Green, at(1)),
        w.template_category("hello", Category::Marketing, true, at(3)),
        w.template_category("hello", Category::Utility, false, at(5)),
    ];
    for event in events {
        w.decide(event).await;
    }
    w.reopen().await;
    let record = only(must(w.numbers().templates(&scope, None, 10).await));
    assert_eq!((record.key.account.as_str(), &record.key.transport), ("waba.1", &session.transport));
    assert_eq!(record.status, Some((at(3), TemplateEvent::Paused)));
    assert_eq!(record.quality, Some((at(4), Quality::Yellow)));
    assert_eq!(record.category, Some((at(3), Category::Marketing)), "what is announced is not yet");
}

pub(super) async fn templates_are_paged_by_key(w: World) {
    let (a, b) = (w.tenant("a").await, w.tenant("b").await);
    w.of_account(&a, "waba.1").await;
    w.of_account(&b, "waba.2").await;
    let names = ["delta", "alpha", "charlie", "bravo"];
    for name in names {
        w.decide(w.template_status(name, TemplateEvent::Approved, w.now())).await;
    }
    let mut paged: Vec<String> = Vec::new();
    let mut after = None;
    loop {
        let page = must(w.numbers().templates(&a, after.as_ref(), 3).await);
        let Some(last) = page.last() else { break };
        after = Some(last.key.clone());
        paged.extend(page.iter().map(|record| record.key.name.as_str().to_owned()));
        ends(&paged);
    }
    assert_eq!(paged, sorted(names.map(str::to_owned)));
    assert_eq!(must(w.numbers().templates(&b, None, 10).await), [], "another account");
}

pub(super) async fn add_session_needs_its_tenant(w: World) {
    let (nobody, new) = (w.nobody(), w.new_session());
    assert_eq!(must(w.numbers().add_session(&nobody, &new).await), AddSession::NoTenant);
    assert_eq!(must(w.numbers().session(&nobody, new.id).await), None);
    assert!(must(w.numbers().route(&w.admin(), &new.transport, &new.number).await).is_empty());
    assert!(w.acquire(w.worker, LEASE, 10).await.is_empty());
}

pub(super) async fn two_tenants_may_add_one_number(w: World) {
    let (a, b) = (w.tenant("a").await, w.tenant("b").await);
    let new = w.new_session();
    let twin = NewSession { id: w.mint(SessionId::mint), ..new.clone() };
    assert!(matches!(must(w.numbers().add_session(&a, &new).await), AddSession::Added(_)));
    let AddSession::Added(added) = must(w.numbers().add_session(&b, &twin).await) else {
        panic!("the other tenant's session does not show");
    };
    assert_eq!(added.id, twin.id);
    let report = SessionReport { quality: Some(Quality::Red), ..SessionReport::default() };
    found(w.numbers().report_session(&a, new.id, &report).await);
    assert_eq!(only(must(w.numbers().sessions(&b, None, 10).await)), added);
    assert_eq!(only(must(w.numbers().sessions(&a, None, 10).await)).id, new.id);
}

pub(super) async fn a_foreign_session_is_missing(w: World) {
    let (a, b) = (w.tenant("a").await, w.tenant("b").await);
    let session = w.session(&a).await;
    assert_eq!(must(w.numbers().session(&a, session.id).await), Some(session.clone()));
    assert_eq!(must(w.numbers().session(&b, session.id).await), None);
    assert_eq!(must(w.numbers().session(&a, w.mint(SessionId::mint)).await), None);
    let report = SessionReport { state: Some(SessionState::Banned), ..SessionReport::default() };
    assert_eq!(must(w.numbers().report_session(&b, session.id, &report).await), None);
    assert_eq!(must(w.numbers().session(&a, session.id).await), Some(session));
}

pub(super) async fn sessions_are_paged_by_id(w: World) {
    let (a, b) = (w.tenant("a").await, w.tenant("b").await);
    let mut expected = Vec::new();
    for _ in 0..5 {
        w.pass(1);
        expected.push(w.session(&a).await);
        w.session(&b).await;
    }
    expected.sort_by_key(|session| session.id);
    let mut paged: Vec<Session> = Vec::new();
    loop {
        let after = paged.last().map(|session| session.id);
        let page = must(w.numbers().sessions(&a, after, 2).await);
        assert!(page.len() <= 2);
        if page.is_empty() {
            break;
        }
        paged.extend(page);
        ends(&paged);
    }
    assert_eq!(paged, expected);
    assert_eq!(must(w.numbers().sessions(&a, None, 0).await).len(), 1, "a limit of 0 counts as 1");
}

pub(super) async fn report_session_keeps_what_is_not_said(w: World) {
    let scope = w.tenant("one").await;
    let session = w.session(&scope).await;
    w.pass(10);
    let first = SessionReport {
        state: Some(SessionState::Disconnected),
        throughput: Some(Throughput::try_from(20).expect("a throughput")),
        tier: Some(Tier::Limited(250)),
        quality: Some(Quality::Yellow),
        phone: None,
    };
    let mut expected = Session {
        state: SessionState::Disconnected,
        throughput: Throughput::try_from(20).expect("a throughput"),
        tier: Tier::Limited(250),
        quality: Quality::Yellow,
        checked_at: Some(w.now()),
        ..session.clone()
    };
    let said = found(w.numbers().report_session(&scope, session.id, &first).await);
    assert_eq!(said, expected);
    // One field at a time; everything else stays.
    let only_state = SessionReport { state: Some(SessionState::Connected), ..SessionReport::default() };
    let only_speed = SessionReport {
        throughput: Some(Throughput::try_from(1_000).expect("a throughput")),
        ..SessionReport::default()
    };
    let only_tier = SessionReport { tier: Some(Tier::Unlimited), ..SessionReport::default() };
    let only_quality = SessionReport { quality: Some(Quality::Green), ..SessionReport::default() };
    for report in [only_state, only_speed, only_tier, only_quality, SessionReport::default()] {
        w.pass(1);
        expected.checked_at = Some(w.now());
        let SessionReport { state, throughput, tier, quality, phone } = report.clone();
        expected.phone = phone.or(expected.phone);
        expected.state = state.unwrap_or(expected.state);
        expected.throughput = throughput.unwrap_or(expected.throughput);
        expected.tier = tier.unwrap_or(expected.tier);
        expected.quality = quality.unwrap_or(expected.quality);
        let said = found(w.numbers().report_session(&scope, session.id, &report).await);
        assert_eq!(said, expected, "after {report:?}");
    }
    assert_eq!(found(w.numbers().session(&scope, session.id).await), expected);
    let missing = w.numbers().report_session(&scope, w.mint(SessionId::mint), &first).await;
    assert_eq!(must(missing), None);
}

pub(super) async fn route_finds_every_tenant_of_a_number(w: World) {
    let (a, b, c) = (w.tenant("a").await, w.tenant("b").await, w.tenant("c").await);
    let new = w.new_session();
    let twin = NewSession { id: w.mint(SessionId::mint), ..new.clone() };
    let gone = NewSession { id: w.mint(SessionId::mint), ..new.clone() };
    let elsewhere = NewSession { id: w.mint(SessionId::mint), transport: value("other"), ..new.clone() };
    w.session_of(&a, &new, Tier::Unlimited).await;
    w.session_of(&b, &twin, Tier::Unlimited).await;
    w.session_of(&c, &gone, Tier::Unlimited).await;
    w.session_of(&c, &elsewhere, Tier::Unlimited).await;
    w.session(&a).await;
    let deleted = SessionReport { state: Some(SessionState::Deleted), ..SessionReport::default() };
    found(w.numbers().report_session(&c, gone.id, &deleted).await);

    let routes = must(w.numbers().route(&w.admin(), &new.transport, &new.number).await);
    let expected =
        [Route { tenant: a.tenant(), session: new.id }, Route { tenant: b.tenant(), session: twin.id }];
    assert_eq!(sorted(routes), sorted(expected));
    let other = must(w.numbers().route(&w.admin(), &elsewhere.transport, &new.number).await);
    assert_eq!(other, [Route { tenant: c.tenant(), session: elsewhere.id }]);
    let unknown = must(w.numbers().route(&w.admin(), &new.transport, &value("number.nobody")).await);
    assert!(unknown.is_empty());
}

pub(super) async fn acquire_raises_the_epoch(mut w: World) {
    let scope = w.tenant("one").await;
    let session = w.session(&scope).await;
    let mut before = 0;
    for turn in 0..5 {
        let worker = w.another_worker();
        let lease = only(w.acquire(worker, LEASE, 10).await);
        assert_eq!((lease.tenant, lease.session.id), (scope.tenant(), session.id));
        assert_eq!(lease.until, w.now() + LEASE);
        assert!(lease.epoch > before, "turn {turn}: {} after {before}", lease.epoch);
        before = lease.epoch;
        match turn {
            // After a release, after the lease ended, after a restart.
            0 => {
                let own = holding(worker, std::slice::from_ref(&lease));
                assert!(must(w.numbers().release(&own, session.id, &DispatchState::default()).await));
            }
            1 => w.reopen().await,
            _ => {}
        }
        w.pass(16);
    }
}

pub(super) async fn acquire_gives_a_session_to_one_worker(w: World) {
    let scope = w.tenant("one").await;
    let mut expected = Vec::new();
    for _ in 0..3 {
        w.pass(1);
        expected.push(w.session(&scope).await.id);
    }
    let (first, second) = (w.another_worker(), w.another_worker());
    let given = |leases: Vec<crate::port::store::Lease>| sorted(leases.iter().map(|lease| lease.session.id));
    let most = w.acquire(first, LEASE, 2).await;
    assert_eq!(given(most), expected.get(..2).expect("three sessions"), "at most so many, oldest first");
    assert_eq!(given(w.acquire(second, LEASE, 10).await), expected.get(2..).expect("three sessions"));
    for worker in [first, second, w.another_worker()] {
        assert!(w.acquire(worker, LEASE, 10).await.is_empty(), "all are held, one's own are not given again");
    }
    w.pass(14);
    assert!(w.acquire(second, LEASE, 10).await.is_empty());
    w.pass(1);
    assert_eq!(given(w.acquire(w.another_worker(), LEASE, 10).await), sorted(expected));
}

pub(super) async fn acquire_after_the_lease_ended_names_the_quiet_time(w: World) {
    let scope = w.tenant("one").await;
    let session = w.session(&scope).await;
    let first = only(w.acquire(w.worker, LEASE, 10).await);
    assert_eq!(first.quiet_until, None, "nobody held it before");
    let own = holding(w.worker, &[first]);
    let early = w.begun(&scope, session.id, &own).await;
    w.pass(5);
    let late = w.begun(&scope, session.id, &own).await;
    w.pass(5);
    let settled = w.begun(&scope, session.id, &own).await;
    w.settle(settled.key, accepted("wamid.1")).await;

    w.pass(10);
    let next = w.another_worker();
    let second = only(w.acquire(next, LEASE, 10).await);
    assert!(late.end_by > early.end_by && late.end_by > w.now());
    assert_eq!(second.quiet_until, Some(late.end_by), "the latest end of a request that may be under way");

    // It reaches over more than one owner, and an outcome shortens it.
    w.settle(late.key, Outcome::Ambiguous).await;
    w.pass(14);
    let own = holding(next, &[second]);
    assert!(must(w.numbers().release(&own, session.id, &DispatchState::default()).await));
    let third = only(w.acquire(w.another_worker(), LEASE, 10).await);
    assert!(early.end_by > w.now());
    assert_eq!(third.quiet_until, Some(early.end_by));
    w.pass(60);
    let fourth = only(w.acquire(w.another_worker(), LEASE, 10).await);
    assert_eq!(fourth.quiet_until, None, "what is over needs no waiting");
}

pub(super) async fn acquire_counts_unsettled_deaths(w: World) {
    let scope = w.tenant("one").await;
    let session = w.session(&scope).await;
    for deaths in 0..3 {
        let worker = w.another_worker();
        let lease = only(w.acquire(worker, LEASE, 10).await);
        assert_eq!(lease.unsettled_deaths, deaths, "so many owners died with open attempts");
        let own = holding(worker, &[lease]);
        w.begun(&scope, session.id, &own).await;
        w.pass(16);
    }
    // An owner that settles what it began ends the row.
    let worker = w.another_worker();
    let lease = only(w.acquire(worker, LEASE, 10).await);
    assert_eq!(lease.unsettled_deaths, 3);
    let own = holding(worker, &[lease]);
    let attempt = w.begun(&scope, session.id, &own).await;
    w.settle(attempt.key, accepted("wamid.1")).await;
    assert!(must(w.numbers().release(&own, session.id, &DispatchState::default()).await));
    let lease = only(w.acquire(w.another_worker(), LEASE, 10).await);
    assert_eq!(lease.unsettled_deaths, 0);
}

pub(super) async fn acquire_passes_a_released_state_on(mut w: World) {
    let scope = w.tenant("one").await;
    let session = w.session(&scope).await;
    let worker = w.another_worker();
    let lease = only(w.acquire(worker, LEASE, 10).await);
    assert_eq!(lease.state, None, "nobody passed anything on");
    let state = DispatchState { releases: vec![-5, 0, 1_794_320_000_123_457] };
    assert!(must(w.numbers().release(&holding(worker, &[lease]), session.id, &state).await));
    w.reopen().await;
    let lease = only(w.acquire(w.another_worker(), LEASE, 10).await);
    assert_eq!(lease.state, Some(state), "what was passed on comes back");
    w.pass(16);
    let lease = only(w.acquire(w.another_worker(), LEASE, 10).await);
    assert_eq!(lease.state, None, "once: a state of two owners ago says nothing");
}

pub(super) async fn heartbeat_prolongs_held_leases(w: World) {
    let scope = w.tenant("one").await;
    let sessions = sorted([w.session(&scope).await.id, w.session(&scope).await.id]);
    let own = holding(w.worker, &w.acquire(w.worker, LEASE, 10).await);
    for _ in 0..4 {
        w.pass(10);
        let held = must(w.numbers().heartbeat(&own, LEASE).await);
        assert_eq!(sorted(held), sessions);
    }
    w.pass(14);
    assert!(w.acquire(w.another_worker(), LEASE, 10).await.is_empty(), "40 seconds later still held");
    let first = *sessions.first().expect("two sessions");
    w.begun(&scope, first, &own).await;
    w.pass(2);
    assert_eq!(
        w.acquire(w.another_worker(), LEASE, 10).await.len(),
        2,
        "and it ends a lease after the last one"
    );
}

pub(super) async fn heartbeat_leaves_out_lost_sessions(w: World) {
    let scope = w.tenant("one").await;
    let session = w.session(&scope).await;
    let own = holding(w.worker, &w.acquire(w.worker, LEASE, 10).await);
    let id = w.single(&scope, session.id).await;
    let page = w.due(&own, session.id).await.messages;
    w.pass(16);
    assert!(must(w.numbers().heartbeat(&own, LEASE).await).is_empty(), "an ended lease is not prolonged");
    assert_eq!(w.try_begin(&own, &w.batch(session.id, &page), standard()).await, Begun::LeaseLost);

    let other = w.another_worker();
    let lease = only(w.acquire(other, LEASE, 10).await);
    let held = w.session(&scope).await;
    let more = w.acquire(w.worker, LEASE, 10).await;
    let both = own.sessions().chain(more.iter().map(|lease| (lease.session.id, lease.epoch)));
    let both = scope::worker(w.worker, both.collect::<Vec<_>>());
    w.pass(10);
    let kept = must(w.numbers().heartbeat(&both, Duration::from_secs(600)).await);
    assert_eq!(kept, [held.id], "the held one is, the lost one is left out");
    w.pass(6);
    let free = only(w.acquire(w.another_worker(), LEASE, 10).await);
    assert_eq!(free.session.id, session.id, "nor did it prolong the new owner's lease");
    assert!(free.epoch > lease.epoch);
    assert_eq!(w.view(&scope, id).await.attempts.len(), 0);
}

pub(super) async fn release_frees_at_once(w: World) {
    let scope = w.tenant("one").await;
    let session = w.session(&scope).await;
    let own = holding(w.worker, &w.acquire(w.worker, LEASE, 10).await);
    w.single(&scope, session.id).await;
    let page = w.due(&own, session.id).await.messages;
    assert!(must(w.numbers().release(&own, session.id, &DispatchState::default()).await));
    let batch = w.batch(session.id, &page);
    assert_eq!(w.try_begin(&own, &batch, standard()).await, Begun::LeaseLost, "who let go begins nothing");
    let other = w.another_worker();
    let next = holding(other, &w.acquire(other, LEASE, 10).await);
    assert_eq!(w.begin(&next, session.id, &page, standard()).await.attempts.len(), 1);
    assert!(
        !must(w.numbers().release(&own, session.id, &DispatchState::default()).await),
        "not held any more"
    );
    let unknown = w.numbers().release(&next, w.mint(SessionId::mint), &DispatchState::default()).await;
    assert!(!must(unknown));
}

pub(super) async fn a_stale_release_changes_nothing(w: World) {
    let scope = w.tenant("one").await;
    let session = w.session(&scope).await;
    let stale = holding(w.worker, &w.acquire(w.worker, LEASE, 10).await);
    w.pass(16);
    let other = w.another_worker();
    let own = holding(other, &w.acquire(other, LEASE, 10).await);
    let state = DispatchState { releases: vec![1] };
    assert!(!must(w.numbers().release(&stale, session.id, &state).await));
    assert!(w.acquire(w.another_worker(), LEASE, 10).await.is_empty(), "it is still held");
    w.begun(&scope, session.id, &own).await;
    assert_eq!(must(w.numbers().heartbeat(&own, LEASE).await), [session.id]);
    w.pass(16);
    assert_eq!(only(w.acquire(w.another_worker(), LEASE, 10).await).state, None, "nor is the state kept");
}

pub(super) async fn recent_gives_what_meters_are_rebuilt_from(w: World) {
    let (scope, session, own) = w.one().await;
    let other = w.session(&scope).await;
    let own_too = w.own().await;
    let mut begun = Vec::new();
    for _ in 0..5 {
        let recipient = crate::model::Recipient::from(w.fresh_phone());
        w.enqueue(&scope, &w.message(session.id, recipient.clone())).await;
        let attempt = only(w.begin_due(&own, session.id).await.attempts);
        begun.push((attempt.key, RecentAttempt { recipient: recipient.key(), begun_at: w.now() }));
        w.begun(&scope, other.id, &own_too).await;
        w.pass(10);
    }
    let not_sent = begun.remove(2).0;
    w.settle(not_sent, Outcome::NotSent).await;
    w.settle(begun.first().expect("four attempts").0, accepted("wamid.1")).await;
    let expected: Vec<RecentAttempt> = begun.iter().map(|(_, recent)| *recent).collect();
    let all = must(w.numbers().recent(&own, session.id, w.after(-3_600)).await);
    assert_eq!(all, expected, "oldest first, settled or not, without those not sent");
    let since = expected.get(1).expect("four attempts").begun_at;
    let some = must(w.numbers().recent(&own, session.id, since).await);
    assert_eq!(some, expected.get(1..).expect("four attempts"), "the instant itself counts");
    let later = must(w.numbers().recent(&own, session.id, w.now()).await);
    assert!(later.is_empty());
}

pub(super) async fn set_session_changes_one_setting(mut w: World) {
    let scope = w.tenant("one").await;
    let session = w.session(&scope).await;
    assert_eq!(session.settings, SessionSettings::default());
    let warm_up = WarmUp { since: None, caps: vec![50, 100, 200] };
    let gap = GapSetting::Of(Gap { millis: 1_500, jitter_millis: 700 });
    let set = SessionSetting::WarmUp(Some(warm_up.clone()));
    let after = found(w.numbers().set_session(&scope, session.id, &set).await);
    assert_eq!(
        after.settings,
        SessionSettings { warm_up: Some(warm_up.clone()), gap: GapSetting::Transport }
    );
    let after = found(w.numbers().set_session(&scope, session.id, &SessionSetting::Gap(gap)).await);
    assert_eq!(after.settings, SessionSettings { warm_up: Some(warm_up), gap });
    // What the provider says leaves it alone, and so does a restart.
    let report = SessionReport { quality: Some(Quality::Red), ..SessionReport::default() };
    found(w.numbers().report_session(&scope, session.id, &report).await);
    w.reopen().await;
    assert_eq!(found(w.numbers().session(&scope, session.id).await).settings, after.settings);
    let ended = w.numbers().set_session(&scope, session.id, &SessionSetting::WarmUp(None)).await;
    assert_eq!(found(ended).settings, SessionSettings { warm_up: None, gap });
    let unknown = w.mint(SessionId::mint);
    assert_eq!(must(w.numbers().set_session(&scope, unknown, &SessionSetting::WarmUp(None)).await), None);
}
