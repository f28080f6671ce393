//! What becomes of messages whose replies are lost, by their policies.

use super::stage::*;
use super::*;
use crate::model::{InDoubtPolicy, Resolution};
use crate::port::store::ResolveMessage;

/// From a begin to the end of the wait of [`resend`] and [`proven`].
const RIPE: Duration = Duration::from_secs(35 + 120);

fn resend() -> InDoubtPolicy {
    InDoubtPolicy::ResendAfter { after: Duration::from_secs(120) }
}

fn proven() -> InDoubtPolicy {
    InDoubtPolicy::ResendAfterProvenSilence { after: Duration::from_secs(120) }
}

fn lost() -> Reply {
    Reply::Outcome(SendOutcome::Ambiguous { why: "time-out".to_owned() })
}

/// How often a message was sent.
fn sent(stage: &Stage, id: MessageId) -> usize {
    stage.transport.sent().iter().filter(|request| request.attempt.message == id).count()
}

fn tag(stage: &Stage, id: MessageId) -> String {
    let sent = stage.transport.sent();
    sent.iter().find(|request| request.attempt.message == id).expect("it was sent").tag.clone()
}

fn settings(stage: &Stage, change: impl FnOnce(&mut TenantSettings)) {
    block_on(async {
        let mut settings = stage.tenant.settings().await.expect("settings");
        change(&mut settings);
        stage.tenant.put_settings(&settings).await.expect("settings");
    });
}

fn resolve(stage: &Stage, id: MessageId, resolution: Resolution) -> ResolveMessage {
    block_on(stage.tenant.messages().resolve(id, resolution)).expect("an answer")
}

/// A message whose reply is lost.
fn doubtful(stage: &mut Stage, policy: InDoubtPolicy) -> MessageId {
    stage.transport.then(lost());
    let id = stage.send(stage.single(4_915_100_000_001).in_doubt(policy));
    stage.run_for(Duration::from_secs(1));
    assert_eq!(stage.view(id).state, MessageState::InDoubt);
    id
}

/// So many others that are taken; `heard` of them are heard of.
fn others(stage: &mut Stage, count: u64, heard: usize) {
    let others = (0..count).map(|n| stage.send(stage.single(4_915_200_000_000 + n)));
    let others: Vec<_> = others.collect();
    stage.run_for(Duration::from_secs(10));
    for id in others.into_iter().take(heard) {
        stage.status(&tag(stage, id), Fact::Sent);
    }
}

#[test]
fn nothing_is_sent_again_at_most_once_or_by_hand_only() {
    for policy in [InDoubtPolicy::AtMostOnce, InDoubtPolicy::Manual] {
        let mut stage = Stage::new(80, EngineConfig::default());
        let id = doubtful(&mut stage, policy);
        others(&mut stage, 5, 5);
        stage.run_for(Duration::from_secs(7_200));
        assert_eq!((stage.view(id).state, sent(&stage, id)), (MessageState::InDoubt, 1), "{policy:?}");
    }
}

#[test]
fn a_lost_reply_is_sent_again_after_its_time_and_not_before() {
    let mut stage = Stage::new(80, EngineConfig::default());
    let id = doubtful(&mut stage, resend());
    stage.run_for(RIPE - Duration::from_secs(2));
    assert_eq!(sent(&stage, id), 1);
    stage.run_for(Duration::from_secs(7));
    let view = stage.view(id);
    assert_eq!((view.state, view.attempts.len(), sent(&stage, id)), (MessageState::Accepted, 2, 2));
    assert!(view.attempts[0].facts.has(Fact::InDoubt), "what is in doubt stays so");
    let at: Vec<_> = stage.transport.sent().iter().map(|request| request.at).collect();
    assert!(at[1] - at[0] >= TimeDelta::from_std(RIPE - Duration::from_secs(1)).expect("a span"));
    stage.run_for(Duration::from_secs(3_600));
    assert_eq!(sent(&stage, id), 2);
}

#[test]
fn silence_is_proven_before_anything_is_sent_again() {
    for (heard, expected) in [(5, 2), (3, 2), (2, 1), (0, 1)] {
        let mut stage = Stage::new(80, EngineConfig::default());
        let id = doubtful(&mut stage, proven());
        others(&mut stage, 5, heard);
        stage.run_for(Duration::from_secs(100));
        assert_eq!(sent(&stage, id), 1, "not before its time");
        stage.run_for(Duration::from_secs(3_600));
        assert_eq!(sent(&stage, id), expected, "{heard} others were heard of");
    }
}

#[test]
fn webhooks_that_come_late_prove_silence_late() {
    let mut stage = Stage::new(80, EngineConfig::default());
    let id = doubtful(&mut stage, proven());
    others(&mut stage, 3, 0);
    stage.run_for(Duration::from_secs(1_800));
    assert_eq!(sent(&stage, id), 1, "everybody is silent: the number may be deaf");
    for request in stage.transport.sent().into_iter().filter(|request| request.attempt.message != id) {
        stage.status(&request.tag, Fact::Delivered);
    }
    stage.run_for(Duration::from_secs(3_600));
    assert_eq!(sent(&stage, id), 2);
}

#[test]
fn a_webhook_in_time_keeps_a_message_from_being_sent_again() {
    for policy in [resend(), proven()] {
        let mut stage = Stage::new(80, EngineConfig::default());
        let id = doubtful(&mut stage, policy);
        others(&mut stage, 5, 5);
        stage.run_for(Duration::from_secs(60));
        stage.status(&tag(&stage, id), Fact::Delivered);
        stage.run_for(Duration::from_secs(3_600));
        assert_eq!((stage.view(id).state, sent(&stage, id)), (MessageState::Delivered, 1), "{policy:?}");
    }
}

#[test]
fn a_webhook_withdraws_what_waits_to_be_sent_again() {
    let mut stage = Stage::new(80, EngineConfig::default());
    let id = doubtful(&mut stage, resend());
    settings(&stage, |settings| settings.paused = true);
    stage.run_for(RIPE + Duration::from_secs(60));
    let view = stage.view(id);
    assert_eq!((view.state, sent(&stage, id)), (MessageState::InDoubt, 1), "it waits, and stays in doubt");
    assert_eq!(view.held.map(|(why, _)| why), Some(HoldReason::Resend));
    stage.status(&tag(&stage, id), Fact::Sent);
    settings(&stage, |settings| settings.paused = false);
    stage.wake();
    stage.run_for(Duration::from_secs(3_600));
    let view = stage.view(id);
    assert_eq!((view.state, view.held, sent(&stage, id)), (MessageState::Sent, None, 1));
}

#[test]
fn a_campaign_that_is_complete_sends_again_what_is_in_doubt() {
    let mut stage = Stage::new(80, EngineConfig::default());
    stage.transport.then(Reply::Never);
    let policy = Some(resend());
    let campaign = stage.launch("launch", stage.session, 10, |spec| spec.in_doubt = policy);
    stage.wake();
    stage.run_for(Duration::from_secs(60));
    let counts = stage.counts(campaign);
    assert_eq!((counts.accepted, counts.in_doubt), (9, 1));
    let state = |stage: &Stage| block_on(stage.tenant.campaigns().get(campaign)).expect("it").state;
    assert_eq!(state(&stage), CampaignState::Completed);
    stage.run_for(RIPE);
    let counts = stage.counts(campaign);
    assert_eq!((counts.accepted, counts.in_doubt, counts.resending, counts.retries), (10, 0, 0, 1));
    assert_eq!(stage.transport.sent().len(), 11);
    stage.run_for(Duration::from_secs(60));
    assert_eq!(state(&stage), CampaignState::Completed, "once more");
}

#[test]
fn a_refusal_of_the_second_leaves_the_first_in_doubt() {
    let mut stage = Stage::new(80, EngineConfig::default());
    let id = doubtful(&mut stage, resend());
    stage.transport.then(rejected(RejectClass::Recipient, 131_026));
    stage.run_for(Duration::from_secs(7_200));
    let view = stage.view(id);
    assert_eq!((view.state, sent(&stage, id)), (MessageState::InDoubt, 2));
    // Once it is heard of, it is what was heard.
    stage.status(&tag(&stage, id), Fact::Delivered);
    assert_eq!(stage.view(id).state, MessageState::Delivered);
}

#[test]
fn a_tenants_new_policy_holds_for_what_is_in_doubt_already() {
    let mut stage = Stage::new(80, EngineConfig::default());
    stage.transport.then(lost());
    let id = stage.send(stage.single(4_915_100_000_001));
    stage.run_for(Duration::from_secs(3_600));
    assert_eq!(sent(&stage, id), 1);
    settings(&stage, |settings| settings.in_doubt = resend());
    stage.run_for(Duration::from_secs(10));
    assert_eq!((stage.view(id).state, sent(&stage, id)), (MessageState::Accepted, 2));
}

#[test]
fn what_somebody_says_is_done_once() {
    let mut stage = Stage::new(80, EngineConfig::default());
    let id = doubtful(&mut stage, InDoubtPolicy::Manual);
    let first = resolve(&stage, id, Resolution::Resend);
    assert!(matches!(first, ResolveMessage::Requeued(_)), "{first:?}");
    assert_eq!(resolve(&stage, id, Resolution::Resend), first);
    stage.wake();
    stage.run_for(Duration::from_secs(60));
    assert_eq!((stage.view(id).state, sent(&stage, id)), (MessageState::Accepted, 2));
    let not = ResolveMessage::Not(MessageState::Accepted);
    assert_eq!(resolve(&stage, id, Resolution::Resend), not);

    let id = doubtful(&mut stage, resend());
    let failed = ResolveMessage::Resolved(MessageState::Failed);
    assert_eq!(resolve(&stage, id, Resolution::Undelivered), failed);
    stage.run_for(Duration::from_secs(3_600));
    assert_eq!((stage.view(id).state, sent(&stage, id)), (MessageState::Failed, 1));
}
