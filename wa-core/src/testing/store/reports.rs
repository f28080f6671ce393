//! The cases of the Reports room.

mod trend;

pub(super) use super::failures::{
    alert_gives_the_last_one, failed_lists_exactly_those_that_fit, failed_says_why,
    silent_lists_what_was_never_heard_of,
};

use std::collections::BTreeMap;
use std::time::Duration;

pub(super) use trend::*;

use crate::model::{
    Campaign, CampaignAction, CampaignCounts, Fact, MessageId, MessageState, MessageView, Outcome,
    RejectClass, Session,
};
use crate::port::store::ProjectedEvent;
use crate::port::{Scope, WorkerScope};
use crate::testing::store::world::{World, accepted, ends, failure, must, only, rejected, standard};

/// The counts as they follow from the messages themselves, without what they cost.
fn recount(views: &[MessageView]) -> CampaignCounts {
    let mut counts = CampaignCounts::default();
    for view in views {
        counts.audience += 1;
        match view.state {
            MessageState::Pending | MessageState::Held => counts.pending += 1,
            MessageState::Attempting => counts.attempting += 1,
            MessageState::InDoubt => {
                counts.in_doubt += 1;
                counts.resending += u64::from(view.held.is_some());
            }
            MessageState::Failed => counts.failed += 1,
            MessageState::Skipped => counts.skipped += 1,
            MessageState::Accepted => counts.accepted += 1,
            MessageState::Sent => {
                counts.accepted += 1;
                counts.sent += 1;
            }
            MessageState::Delivered => {
                counts.accepted += 1;
                counts.sent += 1;
                counts.delivered += 1;
            }
            MessageState::Read | MessageState::Played => {
                counts.accepted += 1;
                counts.sent += 1;
                counts.delivered += 1;
                counts.read += 1;
            }
        }
        counts.retries += u64::try_from(view.attempts.len().saturating_sub(1)).expect("few attempts");
        let failure = view.attempts.iter().rev().find_map(|attempt| attempt.facts.failure.as_ref());
        let reason = match (view.state, view.skipped, failure) {
            (MessageState::Skipped, Some(reason), _) => Some(format!("skipped:{}", reason.as_str())),
            (MessageState::Failed, _, Some(failure)) => Some(format!("failed:{}", failure.code)),
            _ => None,
        };
        let last = view.attempts.last().and_then(|attempt| attempt.facts.failure.as_ref());
        let could_pass = last.is_some_and(|failure| failure.class == RejectClass::Retry);
        counts.critical += u64::from(view.state == MessageState::Failed && could_pass);
        if let Some(reason) = reason {
            *counts.reasons.entry(reason).or_default() += 1;
        }
    }
    counts
}

/// A campaign of nine and everything that can happen to it, with a look after every step.
async fn everything_happens(w: &World, look: impl AsyncFn(&Scope, &Campaign, &str)) {
    let (scope, session, own) = w.one().await;
    w.put_price(&scope, 1_000).await;
    let campaign = w.campaign(&scope, session.id, 9).await;
    let look = async |step: &str| look(&scope, &campaign, step).await;
    look("launch").await;
    let page = w.due(&own, session.id).await.messages;
    assert_eq!(
        must(w.outbox().cancel(&scope, page.get(8).expect("nine are due").id).await),
        crate::port::store::CancelMessage::Cancelled
    );
    look("cancelling one").await;
    let begun = w.begin(&own, session.id, page.get(..7).expect("nine"), standard()).await.attempts;
    look("begin").await;
    let keys: Vec<_> = begun.iter().map(|attempt| attempt.key).collect();
    let [read, silent, refused, retried, undelivered, doubtful, not_sent] =
        keys.try_into().expect("seven attempts");
    let status = |id: &str, fact| ProjectedEvent::Status {
        attempt: None,
        batch: None,
        update: w.status(&session, id, fact),
    };
    w.hear(vec![status("wamid.1", Fact::Delivered)]).await;
    look("an early status").await;
    w.settle(read, accepted("wamid.1")).await;
    look("accepted").await;
    for fact in [Fact::Read, Fact::Sent, Fact::Delivered] {
        w.hear(vec![status("wamid.1", fact)]).await;
        look("a status").await;
    }
    w.settle(refused, rejected(RejectClass::Recipient, 131_026)).await;
    look("refused").await;
    w.settle(retried, rejected(RejectClass::Retry, 5)).await;
    w.settle(not_sent, Outcome::NotSent).await;
    look("to be tried again").await;
    w.settle(undelivered, accepted("wamid.5")).await;
    let mut failed = w.status(&session, "wamid.5", Fact::Failed);
    failed.failure = Some(failure(RejectClass::Recipient, 131_026));
    w.hear(vec![ProjectedEvent::Status { attempt: None, batch: None, update: failed }]).await;
    look("failed after it was accepted").await;
    w.settle(doubtful, Outcome::Ambiguous).await;
    look("in doubt").await;
    w.pass(60);
    must(w.outbox().sweep(&own, Duration::from_secs(10)).await);
    look("the sweep").await;
    let again = w.begin_due(&own, session.id).await.attempts;
    assert_eq!(again.len(), 3, "one that is fresh and two again");
    look("trying again").await;
    for attempt in again.iter().take(2) {
        w.settle(attempt.key, accepted(&format!("wamid.again.{}", w.count()))).await;
        look("taken").await;
    }
    let tagged = w.status(&session, "wamid.2", Fact::Played);
    w.hear(vec![ProjectedEvent::Status { attempt: Some(silent), batch: None, update: tagged }]).await;
    look("out of doubt").await;
    w.act(&scope, campaign.id, CampaignAction::Cancel).await;
    look("cancelling all").await;
}

pub(super) async fn counts_equal_a_recount(w: World) {
    everything_happens(&w, async |scope: &Scope, campaign: &Campaign, step: &str| {
        let counts = w.counts(scope, campaign.id).await;
        let views = w.recipients(scope, campaign.id).await;
        let cost = must(w.ledger().cost(scope, &crate::port::store::CostOf::Campaign(campaign.id)).await);
        let micros: BTreeMap<String, i64> = cost
            .micros
            .iter()
            .filter(|(_, micros)| **micros != 0)
            .map(|(currency, micros)| (currency.as_str().to_owned(), *micros))
            .collect();
        let mut known = counts.clone();
        known.cost.retain(|_, micros| *micros != 0);
        let expected = CampaignCounts { cost: micros, unpriced: cost.unpriced, ..recount(&views) };
        assert_eq!(known, expected, "after {step}");
    })
    .await;
    let (scope, missing) = (w.tenant("one").await, w.mint(crate::model::CampaignId::mint));
    assert_eq!(must(w.reports().counts(&scope, missing).await), None);
}

pub(super) async fn counts_add_up(w: World) {
    everything_happens(&w, async |scope: &Scope, campaign: &Campaign, step: &str| {
        let counts = w.counts(scope, campaign.id).await;
        let CampaignCounts {
            audience,
            pending,
            attempting,
            accepted,
            failed,
            in_doubt,
            resending,
            skipped,
            sent,
            delivered,
            read,
            ..
        } = counts;
        assert_eq!(audience, 9);
        let sum = pending + attempting + accepted + failed + in_doubt + skipped;
        assert_eq!(audience, sum, "after {step}: {counts:?}");
        assert!(resending <= in_doubt, "after {step}: {counts:?}");
        assert!(read <= delivered && delivered <= sent && sent <= accepted, "after {step}: {counts:?}");
    })
    .await;
}

pub(super) async fn a_foreign_message_is_missing(w: World) {
    let (scope, session, own) = w.one().await;
    let other = w.tenant("other").await;
    let campaign = w.campaign(&scope, session.id, 1).await;
    let key = only(w.begin_due(&own, session.id).await.attempts).key;
    w.settle(key, Outcome::Ambiguous).await;
    let view = w.view(&scope, key.message).await;
    assert_eq!((view.id, view.campaign, view.session), (key.message, Some(campaign.id), session.id));
    assert_eq!(must(w.reports().message(&other, key.message).await), None);
    assert_eq!(must(w.reports().message(&scope, w.mint(MessageId::mint)).await), None);
    assert_eq!(must(w.reports().counts(&other, campaign.id).await), None);
    assert!(must(w.reports().recipients(&other, campaign.id, None, 10).await).is_empty());
    assert!(must(w.reports().in_doubt(&other, None, 10).await).is_empty());
}

pub(super) async fn a_message_shows_its_chain_of_attempts(w: World) {
    let (scope, session, own) = w.one().await;
    let to = w.fresh_phone();
    let id = w.enqueue(&scope, &w.message(session.id, to)).await;
    let view = w.view(&scope, id).await;
    let expected = MessageView {
        id,
        campaign: None,
        session: session.id,
        recipient: to.into(),
        state: MessageState::Pending,
        skipped: None,
        held: None,
        given_up_at: None,
        attempts: Vec::new(),
    };
    assert_eq!(view, expected);
    let first = only(w.begin_due(&own, session.id).await.attempts);
    let begun_at = w.now();
    w.pass(1);
    w.settle(first.key, rejected(RejectClass::Retry, 5)).await;
    let rejected_at = w.now();
    w.pass(60);
    let second = only(w.begin_due(&own, session.id).await.attempts);
    w.settle(second.key, accepted("wamid.2")).await;
    w.pass(1);
    let read = w.status(&session, "wamid.2", Fact::Read);
    w.hear(vec![ProjectedEvent::Status { attempt: None, batch: None, update: read }]).await;

    let view = w.view(&scope, id).await;
    assert_eq!((view.state, view.held), (MessageState::Read, None));
    let [one, two] = view.attempts.try_into().expect("two attempts");
    assert_eq!((one.n, one.begun_at, one.end_by), (1, begun_at, first.end_by));
    assert_eq!(one.facts.at(Fact::Rejected), Some(rejected_at));
    assert_eq!(one.facts.failure, Some(failure(RejectClass::Retry, 5)));
    assert!(!one.facts.has(Fact::Read) && one.facts.provider_id.is_none());
    assert_eq!((two.n, two.end_by), (2, second.end_by));
    assert_eq!(two.facts.at(Fact::Read), Some(w.now()));
    assert_eq!(two.facts.provider_id.as_deref(), Some("wamid.2"));
    assert!(two.facts.failure.is_none());
}

async fn doubtful(w: &World, scope: &Scope, session: &Session, own: &WorkerScope) -> MessageId {
    let key = w.begun(scope, session.id, own).await.key;
    w.settle(key, Outcome::Ambiguous).await;
    key.message
}

pub(super) async fn recipients_are_paged_by_id(w: World) {
    let (scope, session, _) = w.one().await;
    let (mine, other) = (w.campaign(&scope, session.id, 7).await, w.campaign(&scope, session.id, 3).await);
    let all = w.recipients(&scope, mine.id).await;
    assert_eq!(all.len(), 7);
    assert!(all.iter().all(|view| view.campaign == Some(mine.id)), "none of another campaign");
    assert!(all.is_sorted_by(|one, two| one.id < two.id));
    for limit in [1, 3] {
        let mut paged: Vec<MessageView> = Vec::new();
        loop {
            let after = paged.last().map(|view| view.id);
            let page = must(w.reports().recipients(&scope, mine.id, after, limit).await);
            assert!(page.len() <= usize::try_from(limit).expect("a small number"));
            if page.is_empty() {
                break;
            }
            paged.extend(page);
            ends(&paged);
        }
        assert_eq!(paged, all, "in pages of {limit}");
    }
    assert_eq!(w.recipients(&scope, other.id).await.len(), 3);
}

pub(super) async fn messages_are_paged_latest_first(w: World) {
    let (scope, session, _) = w.one().await;
    let campaign = w.campaign(&scope, session.id, 5).await;
    let mut expected: Vec<MessageId> =
        w.recipients(&scope, campaign.id).await.iter().map(|it| it.id).collect();
    for _ in 0..3 {
        expected.push(w.single(&scope, session.id).await);
    }
    let other = w.tenant("other").await;
    let theirs = w.session(&other).await;
    w.campaign(&other, theirs.id, 2).await;
    expected.sort_unstable();
    expected.reverse();
    for limit in [1, 3, 100] {
        let mut paged: Vec<MessageId> = Vec::new();
        loop {
            let page = must(w.reports().messages(&scope, paged.last().copied(), limit).await);
            assert!(page.len() <= usize::try_from(limit).expect("a small number"));
            if page.is_empty() {
                break;
            }
            paged.extend(page.iter().map(|view| view.id));
            ends(&paged);
        }
        assert_eq!(paged, expected, "in pages of {limit}");
    }
}

pub(super) async fn in_doubt_lists_exactly_those_in_doubt(w: World) {
    let (scope, session, own) = w.one().await;
    let mut expected = Vec::new();
    for _ in 0..5 {
        expected.push(doubtful(&w, &scope, &session, &own).await);
    }
    w.begun(&scope, session.id, &own).await;
    w.single(&scope, session.id).await;
    expected.sort();
    let list = async |after, limit| -> Vec<MessageId> {
        let page = must(w.reports().in_doubt(&scope, after, limit).await);
        assert!(page.iter().all(|view| view.state == MessageState::InDoubt));
        page.into_iter().map(|view| view.id).collect()
    };
    assert_eq!(list(None, 100).await, expected);
    assert_eq!(list(None, 2).await, expected.get(..2).expect("five"));
    assert_eq!(list(expected.get(1).copied(), 2).await, expected.get(2..4).expect("five"));

    // Resolved ones leave the list, whichever way.
    let key = |place: usize| crate::model::AttemptKey {
        tenant: scope.tenant(),
        message: *expected.get(place).expect("five"),
        n: 1,
    };
    w.settle(key(0), accepted("wamid.1")).await;
    w.settle(key(1), rejected(RejectClass::Recipient, 131_026)).await;
    w.settle(key(2), rejected(RejectClass::Retry, 1)).await;
    let tagged = w.status(&session, "wamid.2", Fact::Sent);
    w.hear(vec![ProjectedEvent::Status { attempt: Some(key(3)), batch: None, update: tagged }]).await;
    assert_eq!(list(None, 100).await, expected.get(4..).expect("five"));
}
