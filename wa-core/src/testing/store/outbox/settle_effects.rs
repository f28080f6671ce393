//! What follows from outcomes: giving back, trying again, stopping, opting out.

use std::time::Duration;

use crate::model::{
    BreakerReason, BreakerScope, CampaignAction, Category, Consent, ConsentSource, EventBody, Fact,
    HoldReason, MessageState, NewCampaign, NewMessage, NewSession, Outcome, RejectClass, SkipReason,
    TenantSettings, Tier,
};
use crate::port::store::{AttemptFact, ProjectedEvent};
use crate::testing::store::world::{
    World, accepted, failure, found, must, only, rejected, standard, template, value,
};

pub(crate) async fn settle_gives_back_once(w: World) {
    let scope = w.tenant("one").await;
    let portfolio = NewSession { portfolio: "shared".to_owned(), ..w.new_session() };
    let session = w.session_of(&scope, &portfolio, Tier::Limited(2)).await;
    let own = w.own().await;
    w.put_price(&scope, 1_000).await;
    w.put_quota(&scope, Some(10)).await;
    let offer = || NewMessage {
        content: template("offer", Category::Marketing),
        ..w.message(session.id, w.fresh_phone())
    };
    let mut begun = Vec::new();
    for _ in 0..2 {
        w.enqueue(&scope, &offer()).await;
        begun.push(only(w.begin_due(&own, session.id).await.attempts).key);
    }
    let [dead, alive] = begun.try_into().expect("two attempts");
    let euros = async || {
        must(w.ledger().cost(&scope, &crate::port::store::CostOf::Everything).await)
            .micros
            .values()
            .sum::<i64>()
    };
    w.settle(alive, Outcome::Ambiguous).await;
    assert_eq!((w.used(&scope).await, euros().await), (2, 2_000), "in doubt gives nothing back");
    w.enqueue(&scope, &offer()).await;
    assert_eq!(w.begin_due(&own, session.id).await.waits.len(), 1, "both slots are taken");

    let mut failed = w.status(&session, "wamid.1", Fact::Failed);
    failed.failure = Some(failure(RejectClass::Recipient, 131_026));
    for turn in 0..4 {
        match turn {
            0 => drop(w.settle(dead, rejected(RejectClass::Recipient, 131_026)).await),
            1 => drop(w.settle(dead, rejected(RejectClass::Recipient, 100)).await),
            2 => drop(w.settle(dead, Outcome::NotSent).await),
            _ => {
                let event =
                    ProjectedEvent::Status { attempt: Some(dead), batch: None, update: failed.clone() };
                w.hear(vec![event]).await;
            }
        }
        assert_eq!((w.used(&scope).await, euros().await), (1, 1_000), "after {} reports", turn + 1);
    }
    // One slot is free again, and only one.
    w.pass(601);
    assert_eq!(w.begin_due(&own, session.id).await.attempts.len(), 1);
    w.enqueue(&scope, &offer()).await;
    assert_eq!(w.begin_due(&own, session.id).await.waits.len(), 1);
    // A delivery failure after acceptance gives back as well.
    let mut failed = w.status(&session, "wamid.2", Fact::Failed);
    failed.failure = Some(failure(RejectClass::Recipient, 131_026));
    w.settle(alive, accepted("wamid.2")).await;
    w.hear(vec![ProjectedEvent::Status { attempt: None, batch: None, update: failed }]).await;
    assert_eq!((w.used(&scope).await, euros().await), (1, 1_000));
}

pub(crate) async fn settle_schedules_a_retry(w: World) {
    let (scope, session, own) = w.one().await;
    let settings =
        TenantSettings { max_retries: 2, retry_after_seconds: vec![7, 11], ..TenantSettings::default() };
    w.put_settings(&scope, &settings).await;
    let campaign = w.campaign(&scope, session.id, 1).await;
    let mut key = only(w.begin_due(&own, session.id).await.attempts).key;
    for (n, wait) in [(2, 7_u64), (3, 11)] {
        let until = w.after(i64::try_from(wait).expect("seconds"));
        let settled = w.settle(key, rejected(RejectClass::Retry, 131_000)).await;
        assert_eq!(settled.due_at, Some(until));
        let view = w.view(&scope, key.message).await;
        assert_eq!((view.state, view.held), (MessageState::Held, Some((HoldReason::Retry, until))));
        w.pass(wait - 1);
        let page = w.due(&own, session.id).await;
        assert!(page.messages.is_empty() && page.next_at == Some(until), "not before: {page:?}");
        w.pass(1);
        let due = only(w.due(&own, session.id).await.messages);
        assert_eq!((due.id, due.n, due.campaign.map(|it| it.id)), (key.message, n, Some(campaign.id)));
        key = only(w.begin_due(&own, session.id).await.attempts).key;
        assert_eq!(key.n, n);
    }
    let settled = w.settle(key, rejected(RejectClass::Retry, 131_000)).await;
    assert_eq!(settled.due_at, None);
    assert_eq!(w.state(&scope, key.message).await, MessageState::Failed, "two retries are allowed");
    let counts = w.counts(&scope, campaign.id).await;
    assert_eq!((counts.failed, counts.pending, counts.retries), (1, 0, 2));
    assert_eq!(counts.reasons.get("failed:131000"), Some(&1));
    w.pass(86_400);
    assert!(w.due_ids(&own, session.id).await.is_empty());

    // The provider may ask for longer.
    let key = w.begun(&scope, session.id, &own).await.key;
    let fact = AttemptFact {
        retry_after: Some(Duration::from_secs(90)),
        ..w.fact(key, rejected(RejectClass::Retry, 131_000))
    };
    assert_eq!(must(w.outbox().settle(&[fact]).await).due_at, Some(w.after(90)));
    // And a failure that cannot pass is not tried again.
    let key = w.begun(&scope, session.id, &own).await.key;
    assert_eq!(w.settle(key, rejected(RejectClass::Recipient, 131_026)).await.due_at, None);
    assert_eq!(w.state(&scope, key.message).await, MessageState::Failed);
}

pub(crate) async fn settle_schedules_no_retry_past_the_validity(w: World) {
    let (scope, session, own) = w.one().await;
    let settings = TenantSettings { retry_after_seconds: vec![7], ..TenantSettings::default() };
    w.put_settings(&scope, &settings).await;
    let refused = rejected(RejectClass::Retry, 131_000);
    let throttled = rejected(RejectClass::Throttled, 130_429);
    for (outcome, wait) in [(refused, 7), (throttled, 1), (Outcome::NotSent, 2)] {
        for (valid, expires) in [(wait, true), (wait + 1, false)] {
            let valid_until = Some(w.after(valid));
            let single = NewMessage { valid_until, ..w.message(session.id, w.fresh_phone()) };
            let content = template("offer", Category::Marketing);
            let single = w.enqueue(&scope, &NewMessage { content, ..single }).await;
            let (list, _) = w.list(&scope, 1).await;
            let new = NewCampaign { valid_until, ..w.new_campaign(&list, &[session.id]) };
            let campaign = w.draft(&scope, &new).await;
            w.launch(&scope, campaign.id, 10).await;
            let begun = w.begin_due(&own, session.id).await.attempts;
            assert_eq!(begun.len(), 2, "both are valid when they begin");
            for attempt in begun {
                let settled = w.settle(attempt.key, outcome.clone()).await;
                let view = w.view(&scope, attempt.key.message).await;
                if expires {
                    assert_eq!((settled.due_at, view.state), (None, MessageState::Skipped));
                    assert_eq!((view.skipped, view.held), (Some(SkipReason::Expired), None));
                } else {
                    assert_eq!((settled.due_at, view.state), (Some(w.after(wait)), MessageState::Held));
                }
            }
            let counts = w.counts(&scope, campaign.id).await;
            let expected = if expires { (1, 0, Some(&1)) } else { (0, 1, None) };
            assert_eq!((counts.skipped, counts.pending, counts.reasons.get("skipped:expired")), expected);
            w.act(&scope, campaign.id, CampaignAction::Cancel).await;
            must(w.outbox().cancel(&scope, single).await);
            assert!(w.due_ids(&own, session.id).await.is_empty());
        }
    }
}

pub(crate) async fn settle_puts_a_throttled_message_back(w: World) {
    let (scope, session, own) = w.one().await;
    let settings = TenantSettings { max_retries: 1, ..TenantSettings::default() };
    w.put_settings(&scope, &settings).await;
    let mut key = w.begun(&scope, session.id, &own).await.key;
    let throttles = [
        (RejectClass::Throttled, HoldReason::Throttled),
        (RejectClass::PairThrottled, HoldReason::PairThrottled),
        (RejectClass::Throttled, HoldReason::Throttled),
        (RejectClass::Retry, HoldReason::Retry),
    ];
    for (place, (class, why)) in throttles.into_iter().enumerate() {
        let settled = w.settle(key, rejected(class, 130_429)).await;
        let (reason, until) = w.view(&scope, key.message).await.held.expect("it waits, it has not failed");
        assert_eq!(reason, why);
        assert_eq!(settled.due_at, Some(until));
        assert!(until > w.now(), "after a pause");
        w.pass(3_600);
        key = only(w.begin_due(&own, session.id).await.attempts).key;
        assert_eq!(usize::from(key.n), place + 2);
    }
    w.settle(key, rejected(RejectClass::Retry, 1)).await;
    assert_eq!(
        w.state(&scope, key.message).await,
        MessageState::Failed,
        "the one retry was not used up before"
    );
}

pub(crate) async fn settle_opens_a_breaker(w: World) {
    let (scope, session, own) = w.one().await;
    let healthy = w.session(&scope).await;
    let own_too = w.own().await;
    let key = w.begun(&scope, session.id, &own).await.key;
    let waiting = w.single(&scope, session.id).await;
    let page = w.due(&own, session.id).await.messages;

    let settled = w.settle(key, rejected(RejectClass::Credential, 190)).await;
    let (tenant, opened) = only(settled.opened);
    assert_eq!((tenant, &opened.scope), (scope.tenant(), &BreakerScope::Session(session.id)));
    assert_eq!((opened.reason, opened.code, opened.until), (BreakerReason::Credential, 190, None));
    assert_eq!(must(w.numbers().breakers(&scope).await), std::slice::from_ref(&opened));
    assert_eq!(opened.since, w.now());
    let stops: Vec<_> = w
        .events()
        .await
        .into_iter()
        .filter_map(|event| match event.body {
            EventBody::SessionStopped { session, reason, code } => Some((session, reason, code)),
            _ => None,
        })
        .collect();
    assert_eq!(stops, [(session.id, BreakerReason::Credential, 190)]);

    let begun = w.begin(&own, session.id, &page, standard()).await;
    assert!(begun.attempts.is_empty(), "nothing begins on a page that was read before: {begun:?}");
    assert_eq!(only(begun.stopped).why, HoldReason::SessionStopped);
    assert_eq!(w.state(&scope, waiting).await, MessageState::Pending, "what waits is not lost");
    assert_eq!(w.state(&scope, key.message).await, MessageState::Held, "nor is what was refused for it");
    w.begun(&scope, healthy.id, &own_too).await;

    // Once the session can send again, both go.
    assert!(must(w.numbers().reset_breaker(&scope, &opened.scope).await));
    w.pass(3_600);
    assert_eq!(w.begin_due(&own, session.id).await.attempts.len(), 2);

    // A paused template stops that template only.
    let offer = |name: &str| NewMessage {
        content: template(name, Category::Utility),
        ..w.message(session.id, w.fresh_phone())
    };
    w.enqueue(&scope, &offer("paused")).await;
    let key = only(w.begin_due(&own, session.id).await.attempts).key;
    let (_, opened) = only(w.settle(key, rejected(RejectClass::TemplatePaused, 132_015)).await.opened);
    assert_eq!(opened.scope, BreakerScope::Template(session.id, value("paused"), value("en_US")));
    let (held, free) = (offer("paused"), offer("running"));
    w.enqueue(&scope, &held).await;
    w.enqueue(&scope, &free).await;
    let begun = w.begin_due(&own, session.id).await;
    assert_eq!(only(begun.attempts).key.message, free.id);
    assert_eq!(only(begun.waits).0, held.id);
}

pub(crate) async fn settle_records_a_marketing_opt_out(w: World) {
    let (scope, session, own) = w.one().await;
    let (list, members) = w.list(&scope, 2).await;
    let [lenient, strict] = members.try_into().expect("two members");
    let draft = w.draft(&scope, &w.new_campaign(&list, &[session.id])).await;
    w.launch(&scope, draft.id, 10).await;
    let begun = w.begin_due(&own, session.id).await.attempts;
    found(w.audience().set_consent(&scope, strict.id, Consent::OptedOut, ConsentSource::Caller).await);
    let before = w.events().await.len();
    for attempt in &begun {
        w.settle(attempt.key, rejected(RejectClass::OptedOut, 131_050)).await;
    }
    let consent = async |id| found(w.audience().contact(&scope, id).await).consent;
    assert_eq!(consent(lenient.id).await, Consent::NoMarketing);
    assert_eq!(consent(strict.id).await, Consent::OptedOut, "a stronger opt-out is not weakened");
    let changes: Vec<_> = w
        .events()
        .await
        .into_iter()
        .skip(before)
        .filter_map(|event| match event.body {
            EventBody::Consent { contact, consent, source } => Some((contact, consent, source)),
            _ => None,
        })
        .collect();
    assert_eq!(changes, [(lenient.id, Consent::NoMarketing, ConsentSource::Provider)]);

    // It binds the next marketing message, and no other.
    let to = |category, name| NewMessage {
        content: template(name, category),
        ..w.message(session.id, lenient.recipient.clone())
    };
    let (marketing, utility) = (to(Category::Marketing, "offer"), to(Category::Utility, "receipt"));
    w.enqueue(&scope, &marketing).await;
    w.enqueue(&scope, &utility).await;
    let begun = w.begin_due(&own, session.id).await;
    assert_eq!(only(begun.attempts).key.message, utility.id);
    assert_eq!(only(begun.skips).0, marketing.id);
}
