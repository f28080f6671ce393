//! What is told of failures, and when a campaign is paused for them.

use crate::model::{
    AlertSettings, AttemptKey, CampaignAction, CampaignAlert, CampaignId, CampaignState, EventBody, Outcome,
    RejectClass, TenantSettings, Undelivered,
};
use crate::port::Scope;
use crate::port::store::AttemptFact;
use crate::testing::store::world::{World, accepted, must, only, rejected};

/// The alerts about campaigns so far, with what the campaigns moved to in between.
async fn alerts(w: &World) -> Vec<(CampaignId, Result<CampaignAlert, CampaignState>)> {
    let events = w.events().await.into_iter().filter_map(|event| match event.body {
        EventBody::CampaignAlert { campaign, alert } => Some((campaign, Ok(alert))),
        EventBody::Campaign { campaign, state: state @ CampaignState::Paused } => {
            Some((campaign, Err(state)))
        }
        _ => None,
    });
    events.collect()
}

/// What is told of messages that failed, event by event.
async fn undeliverable(w: &World, scope: &Scope) -> Vec<Vec<Undelivered>> {
    let events = w.events().await.into_iter().filter(|event| event.tenant == scope.tenant());
    let told = events.filter_map(|event| match event.body {
        EventBody::Undeliverable { failures } => Some(failures),
        _ => None,
    });
    told.collect()
}

async fn settle_all(w: &World, keys: &[AttemptKey], outcome: Outcome) {
    let facts: Vec<AttemptFact> = keys.iter().map(|key| w.fact(*key, outcome.clone())).collect();
    must(w.outbox().settle(&facts).await);
}

fn bad_number() -> Outcome {
    rejected(RejectClass::Recipient, 131_026)
}

fn taken(key: &AttemptKey) -> Outcome {
    accepted(&format!("wamid.{}", key.message))
}

async fn accept(w: &World, keys: &[AttemptKey]) {
    let facts: Vec<AttemptFact> = keys.iter().map(|key| w.fact(*key, taken(key))).collect();
    must(w.outbox().settle(&facts).await);
}

pub(crate) async fn settle_tells_of_undeliverable_messages(w: World) {
    let (scope, session, own) = w.one().await;
    let settings = TenantSettings { max_retries: 1, ..TenantSettings::default() };
    w.put_settings(&scope, &settings).await;
    let campaign = w.campaign(&scope, session.id, 1).await;
    let of_campaign = only(w.begin_due(&own, session.id).await.attempts).key;
    let single = w.begun(&scope, session.id, &own).await.key;
    let facts = [w.fact(of_campaign, rejected(RejectClass::Retry, 131_000)), w.fact(single, bad_number())];
    must(w.outbox().settle(&facts).await);
    let of_single = Undelivered {
        message: single.message,
        campaign: None,
        code: Some(131_026),
        class: Some(RejectClass::Recipient),
        critical: false,
    };
    assert_eq!(undeliverable(&w, &scope).await, [vec![of_single]], "the other one is tried again");

    w.pass(60);
    let again = only(w.begin_due(&own, session.id).await.attempts).key;
    w.settle(again, rejected(RejectClass::Retry, 131_000)).await;
    let critical = Undelivered {
        message: of_campaign.message,
        campaign: Some(campaign.id),
        code: Some(131_000),
        class: Some(RejectClass::Retry),
        critical: true,
    };
    assert_eq!(undeliverable(&w, &scope).await, [vec![of_single], vec![critical]]);
    let counts = w.counts(&scope, campaign.id).await;
    assert_eq!((counts.failed, counts.critical), (1, 1));
    // The same news again is no news.
    w.settle(again, rejected(RejectClass::Retry, 131_000)).await;
    w.settle(single, bad_number()).await;
    assert_eq!(undeliverable(&w, &scope).await.len(), 2);
}

pub(crate) async fn settle_tells_of_a_failing_campaign_once(w: World) {
    let (scope, session, own) = w.one().await;
    let alerting =
        AlertSettings { failing_percent: 40, failing_of: 5, pause_failures: 0, ..AlertSettings::default() };
    w.put_settings(&scope, &TenantSettings { alerts: alerting, ..TenantSettings::default() }).await;
    let campaign = w.campaign(&scope, session.id, 20).await;
    let keys: Vec<_> =
        w.begin_due(&own, session.id).await.attempts.iter().map(|attempt| attempt.key).collect();
    let part = |from: usize, to: usize| keys.get(from..to).expect("twenty");
    settle_all(&w, part(0, 4), bad_number()).await;
    assert!(alerts(&w).await.is_empty(), "four are too few to say anything");
    settle_all(&w, part(4, 5), bad_number()).await;
    let failing = |failed, answered| (campaign.id, Ok(CampaignAlert::Failing { failed, answered }));
    assert_eq!(alerts(&w).await, [failing(5, 5)]);
    settle_all(&w, part(5, 6), bad_number()).await;
    assert_eq!(alerts(&w).await.len(), 1, "once per crossing");
    // 7 of 17 is still more than 40 %, 8 of 20 is not, nor is it crossed again by that.
    accept(&w, part(6, 16)).await;
    settle_all(&w, part(16, 17), bad_number()).await;
    assert_eq!(alerts(&w).await.len(), 1);
    accept(&w, part(17, 19)).await;
    settle_all(&w, part(19, 20), bad_number()).await;
    assert_eq!(alerts(&w).await.len(), 1);
    assert_eq!(
        w.state(&scope, keys.first().expect("twenty").message).await,
        crate::model::MessageState::Failed
    );

    // Delivery failures after acceptance cross it once more.
    let statuses = part(6, 8).iter().map(|key| {
        let id = format!("wamid.{}", key.message);
        let mut update = w.status(&session, &id, crate::model::Fact::Failed);
        update.failure = Some(crate::testing::store::world::failure(RejectClass::Recipient, 131_026));
        crate::port::store::ProjectedEvent::Status { attempt: None, batch: None, update }
    });
    w.hear(statuses.collect()).await;
    assert_eq!(alerts(&w).await, [failing(5, 5), failing(10, 20)]);
    let last = must(w.reports().alert(&scope, campaign.id).await);
    assert_eq!(last, Some(CampaignAlert::Failing { failed: 10, answered: 20 }));
}

pub(crate) async fn settle_pauses_a_campaign_that_fails_for_one_reason(w: World) {
    let (scope, session, own) = w.one().await;
    let alerting = AlertSettings {
        failing_percent: 100,
        pause_failures: 4,
        pause_percent: 50,
        pause_window: 10,
        ..AlertSettings::default()
    };
    w.put_settings(&scope, &TenantSettings { alerts: alerting, ..TenantSettings::default() }).await;
    let campaign = w.campaign(&scope, session.id, 60).await;
    let page = w.due(&own, session.id).await.messages;
    let begin = async |from: usize, to: usize| -> Vec<AttemptKey> {
        let items = page.get(from..to).expect("sixty");
        let begun = w.begin(&own, session.id, items, crate::testing::store::world::standard()).await;
        begun.attempts.iter().map(|attempt| attempt.key).collect()
    };
    let template = || rejected(RejectClass::Request, 100);
    let first = begin(0, 40).await;
    let part = |from: usize, to: usize| first.get(from..to).expect("forty");
    // Many successes do not hide a burst of failures behind them, nor do other reasons add up to it.
    accept(&w, part(0, 25)).await;
    settle_all(&w, part(25, 28), bad_number()).await;
    settle_all(&w, part(28, 31), template()).await;
    assert!(alerts(&w).await.is_empty());
    settle_all(&w, part(31, 32), bad_number()).await;
    let alert = CampaignAlert::Paused { reason: "failed:131026".to_owned(), failed: 4, answered: 7 };
    let paused = (campaign.id, Err(CampaignState::Paused));
    assert_eq!(alerts(&w).await, [(campaign.id, Ok(alert.clone())), paused.clone()]);
    assert_eq!(must(w.reports().alert(&scope, campaign.id).await), Some(alert));
    let stored = must(w.audience().campaign(&scope, campaign.id).await).expect("the campaign");
    assert_eq!(stored.state, CampaignState::Paused);
    assert!(begin(40, 42).await.is_empty(), "also not on a page that was read before");
    assert!(w.due_ids(&own, session.id).await.is_empty());

    // Resumed, it starts anew; what was begun before still counts.
    w.act(&scope, campaign.id, CampaignAction::Resume).await;
    settle_all(&w, part(32, 35), bad_number()).await;
    assert_eq!(alerts(&w).await.len(), 2);
    assert_eq!(begin(40, 42).await.len(), 2);
    settle_all(&w, part(35, 36), bad_number()).await;
    assert_eq!(alerts(&w).await.len(), 4, "four more are another pause");
}
