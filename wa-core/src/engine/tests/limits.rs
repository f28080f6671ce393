//! Limits that tenants set, kept by the running worker, and what follows a throttle.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::executor::block_on;

use super::stage::{Stage, rejected};
use crate::model::*;
use crate::port::Clock;
use crate::service::{EngineConfig, Message};

const SECOND: Duration = Duration::from_secs(1);

fn set(stage: &Stage, change: impl FnOnce(&mut TenantSettings)) {
    let mut settings = block_on(stage.tenant.settings()).expect("settings");
    change(&mut settings);
    block_on(stage.tenant.put_settings(&settings)).expect("valid settings");
}

fn report(stage: &Stage, quality: Quality) {
    let report = SessionReport { quality: Some(quality), ..SessionReport::default() };
    block_on(stage.tenant.sessions().report(stage.session, &report)).expect("stored");
}

/// How many requests left within a span that begins so long ago.
fn sent_between(stage: &Stage, from: DateTime<Utc>, to: DateTime<Utc>) -> usize {
    stage.sent_from(stage.session).iter().filter(|at| (from..to).contains(at)).count()
}

#[test]
fn after_throttles_a_number_recovers_to_what_it_is_allowed() {
    let config = EngineConfig { max_in_doubt_per_crash: 1_024, ..EngineConfig::default() };
    let mut stage = Stage::new(80, config);
    let campaign = stage.campaign(4_000);
    // Seven refusals, each with a pause of a second behind it: each halves the rate.
    for _ in 0..7 {
        stage.transport.then(rejected(RejectClass::Throttled, 130_429));
    }
    stage.wake();
    stage.run_for(10 * SECOND);
    let throttled = stage.sent_from(stage.session).len();
    assert!(throttled < 600, "it backed off: {throttled} in ten seconds");
    // Ten seconds after the last refusal at the latest it is as fast as before.
    stage.run_for(10 * SECOND);
    let from = stage.clock.now();
    stage.run_for(20 * SECOND);
    let recovered = sent_between(&stage, from, stage.clock.now());
    let allowed = 80 * 20;
    assert!(recovered * 100 >= allowed * 95 && recovered <= allowed + 1, "{recovered} of {allowed}");
    stage.run_for(120 * SECOND);
    let counts = stage.counts(campaign);
    assert_eq!((counts.accepted, counts.failed), (4_000, 0), "and no retry was used up: {counts:?}");
}

/// What waits at the gate of a slow number must not take all the room that the bound on doubt leaves.
#[test]
fn a_slow_number_does_not_slow_a_fast_one_down() {
    let mut stage = Stage::new(80, EngineConfig::default());
    let fast = stage.number("200");
    stage.transport.set_report(Some(SessionReport::default()));
    for (session, per_second) in [(stage.session, 20), (fast, 500)] {
        let throughput = Throughput::try_from(per_second).ok();
        let report = SessionReport { throughput, ..SessionReport::default() };
        block_on(stage.tenant.sessions().report(session, &report)).expect("stored");
    }
    stage.launch("slow", stage.session, 400, |_| {});
    stage.launch("fast", fast, 6_000, |_| {});
    stage.wake();
    stage.run_for(SECOND);
    let from = stage.clock.now();
    stage.run_for(10 * SECOND);
    for (session, allowed) in [(stage.session, 200), (fast, 5_000)] {
        let sent = stage.sent_from(session).iter().filter(|at| **at >= from).count();
        assert!(sent * 100 >= allowed * 95, "{sent} of {allowed}");
    }
    assert!(stage.most_open <= 64, "{}", stage.most_open);
}

/// A retry has a time of its own: that the next message of the feed finds no room is nothing to it.
#[test]
fn what_waits_in_a_row_goes_on_time_although_the_feed_is_stopped() {
    let config = EngineConfig { poll_every: 60 * SECOND, ..EngineConfig::default() };
    let mut stage = Stage::new(80, config);
    let tier = Tier::Limited(2);
    stage.transport.set_report(Some(SessionReport { tier: Some(tier), ..SessionReport::default() }));
    stage.transport.then(rejected(RejectClass::Retry, 131_000));
    let campaign = stage.campaign(5);
    stage.wake();
    stage.run_for(SECOND);
    let stopped: Vec<_> = stage.worker.status().stopped.into_iter().map(|(_, of, why)| (of, why)).collect();
    assert_eq!(stopped, [(Some(campaign), HoldReason::TierFull)]);
    assert_eq!(stage.transport.sent().len(), 2);
    stage.run_for(6 * SECOND);
    let sent = stage.transport.sent();
    assert_eq!(sent.len(), 3, "the retry after five seconds, and nobody else");
    assert_eq!(sent[0].attempt.message, sent[2].attempt.message);
}

#[test]
fn a_yellow_number_sends_marketing_at_its_share_and_everything_else_at_once() {
    let config = EngineConfig { max_in_doubt_per_crash: 1_024, ..EngineConfig::default() };
    let mut stage = Stage::new(40, config);
    report(&stage, Quality::Yellow);
    set(&stage, |settings| settings.quality.yellow_percent = 25);
    let campaign = stage.campaign(1_000);
    stage.wake();
    stage.run_for(5 * SECOND);
    let from = stage.clock.now();
    stage.run_for(20 * SECOND);
    let marketing = sent_between(&stage, from, stage.clock.now());
    assert!((190..=201).contains(&marketing), "a quarter of 40 a second: {marketing}");
    let views = block_on(stage.tenant.campaigns().recipients(campaign, None, 1_000)).expect("messages");
    assert!(views.iter().all(|view| view.attempts.len() <= 1), "nothing is begun that could only expire");

    let id = stage.send(stage.code());
    stage.wake();
    stage.run_for(SECOND / 2);
    assert_eq!(stage.view(id).state, MessageState::Accepted, "a one-time code is no marketing");

    report(&stage, Quality::Red);
    stage.run_for(10 * SECOND);
    let from = stage.clock.now();
    stage.run_for(10 * SECOND);
    assert_eq!(sent_between(&stage, from, stage.clock.now()), 0, "on red marketing waits");
    report(&stage, Quality::Green);
    stage.run_for(40 * SECOND);
    assert_eq!(stage.counts(campaign).accepted, 1_000);
}

#[test]
fn a_number_with_a_gap_sends_one_by_one_with_pauses_of_chance() {
    let mut stage = Stage::new(80, EngineConfig::default());
    let gap = Gap { millis: 1_500, jitter_millis: 1_000 };
    block_on(stage.tenant.sessions().set_gap(stage.session, GapSetting::Of(gap))).expect("set");
    let campaign = stage.campaign(40);
    stage.wake();
    stage.run_for(110 * SECOND);
    let sent = stage.sent_from(stage.session);
    let gaps: Vec<_> = sent.windows(2).map(|pair| (pair[1] - pair[0]).num_milliseconds()).collect();
    assert_eq!(stage.counts(campaign).accepted, 40, "{gaps:?}");
    assert!(gaps.iter().all(|gap| (1_500..=2_600).contains(gap)), "{gaps:?}");
    let different: std::collections::BTreeSet<_> = gaps.iter().collect();
    assert!(different.len() > 20, "{gaps:?}");
    let views = block_on(stage.tenant.campaigns().recipients(campaign, None, 100)).expect("messages");
    assert!(views.iter().all(|view| view.attempts.len() == 1), "nothing expires at the gate");
}

#[test]
fn what_cannot_go_free_form_goes_as_its_template() {
    let mut stage = Stage::new(80, EngineConfig::default());
    set(&stage, |settings| settings.outside_window = OutsideWindow::Fallback);
    let Content::Template(pattern) = Stage::template() else { unreachable!("it is a template") };
    let hello = Content::text("Hello!").expect("a text");
    let campaign = stage.launch("launch", stage.session, 3, |spec| {
        spec.content = hello.clone().into();
        spec.fallback = Some(Content::Template(pattern.clone()).into());
    });
    let (name, language) = ("reminder".parse().expect("a name"), "en_US".parse().expect("a language"));
    let reminder = TemplateContent::with_body(name, language, Category::Utility, []).expect("a template");
    let to = Phone::try_from(4_915_200_000_000).expect("a phone");
    let id = stage.send(Message::new(stage.session, to, hello).fallback(reminder.clone()));
    stage.wake();
    stage.run_for(2 * SECOND);
    assert_eq!(stage.counts(campaign).accepted, 3);
    let view = stage.view(id);
    assert_eq!(view.state, MessageState::Accepted);
    assert_eq!(view.attempts.iter().map(|it| it.content).collect::<Vec<_>>(), [Chosen::Fallback]);
    let sent = stage.transport.sent();
    let single = sent.iter().find(|request| request.attempt.message == id).expect("it left");
    assert_eq!(single.content, Content::Template(reminder));
    let others = sent.iter().filter(|request| request.attempt.message != id);
    for request in others {
        let shown = serde_json::to_string(&request.content).expect("JSON");
        assert!(shown.contains("offer") && shown.contains("\"N"), "filled for each contact: {shown}");
    }
}

#[test]
fn a_quiet_night_is_waited_out_and_judged_anew_in_the_morning() {
    let mut stage = Stage::new(80, EngineConfig::default());
    // It is 15:13 in London, and quiet until 17:00.
    let hours = QuietHours::daily("15:00".parse().expect("a time"), "17:00".parse().expect("a time"));
    set(&stage, |settings| settings.quiet_hours = Some(QuietSettings::new([hours])));
    let to = |own: &str, n: u64| {
        let phone = Phone::try_from(4_915_200_000_000 + n).expect("a phone");
        let attributes = ContactAttributes::from([("time_zone".to_owned(), own.to_owned())]);
        block_on(stage.tenant.contacts().upsert(phone.into(), attributes, None)).expect("a contact");
        let content = CampaignContent::new(Stage::template()).fill(&["Ada".to_owned()]).expect("content");
        Message::new(stage.session, phone, content).lane(Lane::Bulk)
    };
    let (quiet, awake) = (to("Europe/London", 1), to("Asia/Tokyo", 2));
    let (stays, later) = (to("Europe/London", 3), to("Europe/London", 4));
    let [quiet, awake, stays, later] = [quiet, awake, stays, later].map(|message| stage.send(message));
    stage.wake();
    stage.run_for(5 * SECOND);
    assert_eq!(stage.view(awake).state, MessageState::Accepted);
    let held = stage.view(quiet).held.expect("it waits");
    assert_eq!(held.0, HoldReason::QuietHours);
    assert_eq!(held.1.format("%H:%M:%S").to_string(), "16:00:00", "in UTC; London keeps summer time");

    // Whoever opts out over night gets nothing in the morning.
    let who = Phone::try_from(4_915_200_000_003).expect("a phone").into();
    let contact = block_on(stage.tenant.contacts().find(&who)).expect("found").expect("a contact").id;
    block_on(stage.tenant.contacts().set_consent(contact, Consent::OptedOut)).expect("set");
    stage.clock.advance((held.1 - stage.clock.now()).to_std().expect("ahead"));
    stage.run_for(10 * SECOND);
    assert_eq!(stage.view(quiet).state, MessageState::Accepted);
    assert_eq!(stage.view(later).state, MessageState::Accepted);
    assert_eq!(stage.view(stays).skipped, Some(SkipReason::OptedOut));
    let at = stage.transport.sent().iter().find(|it| it.attempt.message == quiet).map(|it| it.at);
    assert!(at >= Some(held.1), "not before");
}
