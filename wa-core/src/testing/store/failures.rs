//! The cases of the lists of what failed, fell silent or raised an alert.

use crate::model::{
    AlertSettings, CampaignAlert, CampaignId, Fact, FailureDetails, MessageId, Outcome, RejectClass,
    TenantSettings,
};
use crate::port::Scope;
use crate::port::store::{FailureFilter, ProjectedEvent};
use crate::testing::store::world::{World, accepted, ends, failure, must, only, rejected, sorted};

async fn list(w: &World, scope: &Scope, filter: &FailureFilter) -> Vec<MessageId> {
    let all = must(w.reports().failed(scope, filter, None, 10_000).await);
    let ids: Vec<_> = all.into_iter().map(|view| view.id).collect();
    for limit in [1, 2] {
        let mut paged: Vec<MessageId> = Vec::new();
        loop {
            let page = must(w.reports().failed(scope, filter, paged.last().copied(), limit).await);
            if page.is_empty() {
                break;
            }
            paged.extend(page.into_iter().map(|view| view.id));
            ends(&paged);
        }
        assert_eq!(paged, ids, "in pages of {limit} by {filter:?}");
    }
    ids
}

pub(super) async fn failed_lists_exactly_those_that_fit(w: World) {
    let (scope, session, own) = w.one().await;
    w.put_settings(&scope, &TenantSettings { max_retries: 0, ..TenantSettings::default() }).await;
    let other = w.session(&scope).await;
    let own_too = w.own().await;
    let campaign = w.campaign(&scope, session.id, 2).await;
    let [bad, passing] = w.begin_due(&own, session.id).await.attempts.try_into().expect("two");
    let single = w.begun(&scope, other.id, &own_too).await.key;
    let doubt = w.begun(&scope, other.id, &own_too).await.key;
    let first = w.now();
    w.settle(bad.key, rejected(RejectClass::Recipient, 131_026)).await;
    w.settle(doubt, Outcome::Ambiguous).await;
    w.pass(10);
    w.settle(passing.key, rejected(RejectClass::Retry, 131_000)).await;
    w.settle(single, rejected(RejectClass::Recipient, 131_021)).await;
    let [bad, passing, single] = [bad.key.message, passing.key.message, single.message];

    let none = FailureFilter::default();
    let cases: Vec<(FailureFilter, Vec<MessageId>)> = vec![
        (none.clone(), vec![bad, passing, single]),
        (FailureFilter { campaign: Some(campaign.id), ..none.clone() }, vec![bad, passing]),
        (FailureFilter { campaign: Some(w.mint(CampaignId::mint)), ..none.clone() }, vec![]),
        (FailureFilter { session: Some(other.id), ..none.clone() }, vec![single]),
        (FailureFilter { code: Some(131_026), ..none.clone() }, vec![bad]),
        (FailureFilter { class: Some(RejectClass::Recipient), ..none.clone() }, vec![bad, single]),
        (FailureFilter { since: Some(w.now()), ..none.clone() }, vec![passing, single]),
        (FailureFilter { before: Some(w.now()), ..none.clone() }, vec![bad]),
        (FailureFilter { since: Some(first), before: Some(first), ..none.clone() }, vec![]),
        (FailureFilter { critical_only: true, ..none.clone() }, vec![passing]),
        (
            FailureFilter {
                campaign: Some(campaign.id),
                session: Some(session.id),
                code: Some(131_000),
                class: Some(RejectClass::Retry),
                since: Some(w.now()),
                before: Some(w.after(1)),
                critical_only: true,
            },
            vec![passing],
        ),
    ];
    for (filter, expected) in cases {
        assert_eq!(list(&w, &scope, &filter).await, sorted(expected), "{filter:?}");
    }

    // What is put back leaves the list, and so does what was delivered after all.
    must(w.outbox().retry(&scope, passing).await);
    let update = w.status(&session, "wamid.1", Fact::Delivered);
    let attempt = crate::model::AttemptKey { tenant: scope.tenant(), message: bad, n: 1 };
    w.hear(vec![ProjectedEvent::Status { attempt: Some(attempt), batch: None, update }]).await;
    assert_eq!(list(&w, &scope, &none).await, [single]);
    w.pass(60);
    let again = only(w.begin_due(&own, session.id).await.attempts).key;
    w.settle(again, rejected(RejectClass::Request, 100)).await;
    assert_eq!(
        list(&w, &scope, &none).await,
        sorted([single, passing]),
        "and comes back when it fails again"
    );
    assert!(list(&w, &scope, &FailureFilter { critical_only: true, ..none }).await.is_empty());
}

pub(super) async fn failed_says_why(mut w: World) {
    let (scope, session, own) = w.one().await;
    let said = FailureDetails::new("Parameter 2 of +4915112345678 is missing");
    let key = w.begun(&scope, session.id, &own).await.key;
    let why = crate::model::FailureCode { details: said.clone(), ..failure(RejectClass::Request, 131_008) };
    w.settle(key, Outcome::Rejected(why.clone())).await;
    // Statuses bring their details too, also before the provider's id is known.
    let early = w.begun(&scope, session.id, &own).await.key;
    let mut update = w.status(&session, "wamid.early", Fact::Failed);
    update.failure = Some(why.clone());
    w.hear(vec![ProjectedEvent::Status { attempt: None, batch: None, update }]).await;
    w.settle(early, accepted("wamid.early")).await;
    w.reopen().await;
    let all = must(w.reports().failed(&scope, &FailureFilter::default(), None, 10).await);
    assert_eq!(sorted(all.iter().map(|view| view.id)), sorted([key.message, early.message]));
    for view in all {
        let shown = view.failure().expect("it says why");
        assert_eq!(shown, &why);
        assert!(!view.is_critical());
        assert!(!format!("{view:?}").contains("4915112345678 is"), "details may name a person");
    }
}

pub(super) async fn silent_lists_what_was_never_heard_of(w: World) {
    let (scope, session, own) = w.one().await;
    let mut expected = Vec::new();
    for n in 0..3 {
        let key = w.begun(&scope, session.id, &own).await.key;
        w.settle(key, accepted(&format!("wamid.{n}"))).await;
        expected.push(key.message);
    }
    let silent = async |after, limit| -> Vec<MessageId> {
        let page = must(w.reports().silent(&scope, after, limit).await);
        page.into_iter().map(|view| view.id).collect()
    };
    w.pass(3_600);
    assert!(silent(None, 10).await.is_empty(), "nobody has listened yet");
    must(w.outbox().listen(&own, 100).await);
    let expected = sorted(expected);
    assert_eq!(silent(None, 10).await, expected);
    assert_eq!(silent(expected.first().copied(), 1).await, expected.get(1..2).expect("three"));
    let update = w.status(&session, "wamid.1", Fact::Delivered);
    w.hear(vec![ProjectedEvent::Status { attempt: None, batch: None, update }]).await;
    assert_eq!(silent(None, 10).await.len(), 2, "a status breaks the silence");
}

pub(super) async fn alert_gives_the_last_one(mut w: World) {
    let (scope, session, own) = w.one().await;
    let alerts = AlertSettings { failing_of: 1, pause_failures: 0, ..AlertSettings::default() };
    w.put_settings(&scope, &TenantSettings { alerts, ..TenantSettings::default() }).await;
    let campaign = w.campaign(&scope, session.id, 1).await;
    assert_eq!(must(w.reports().alert(&scope, campaign.id).await), None);
    let key = only(w.begin_due(&own, session.id).await.attempts).key;
    w.settle(key, rejected(RejectClass::Recipient, 131_026)).await;
    w.reopen().await;
    let expected = CampaignAlert::Failing { failed: 1, answered: 1 };
    assert_eq!(must(w.reports().alert(&scope, campaign.id).await), Some(expected));
}
