//! Cases on windows and entry points.

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::{
    ChargedCategory, Fact, InboundBody, InboundMessage, Outcome, Referral, RejectClass, StatusUpdate,
    WebhookConversation,
};
use crate::port::store::{ProjectedEvent, WindowFilter, WindowKey};
use crate::testing::store::world::{World, accepted, ends, found, must, only, orders, rejected, sorted};

const HOUR: u64 = 3_600;

fn hours(hours: i64) -> TimeDelta {
    TimeDelta::hours(hours)
}

pub(crate) async fn project_keeps_the_chain_in_any_order(w: World) {
    let scope = w.tenant("one").await;
    let session = w.session(&scope).await;
    let base = w.now();
    w.pass(100 * HOUR);
    // The first is alone; the four others hang together, two of them at one instant.
    let at = [base, base + hours(30), base + hours(50), base + hours(70), base + hours(70)];
    for (place, order) in orders(at.len()).into_iter().enumerate().step_by(5) {
        let contact = w.contact(&scope).await;
        for at in order.iter().filter_map(|which| at.get(*which)) {
            let message = InboundMessage { at: *at, ..w.wrote(&session, contact.recipient.clone()) };
            w.hear(vec![w.inbound(message, None)]).await;
        }
        let window = found(w.inbox().window(&scope, session.id, contact.id).await);
        let expected = (base + hours(30), base + hours(70), base + hours(94), 4);
        let seen = (window.opened_at, window.last_user_message_at, window.closes_at, window.user_messages);
        assert_eq!(seen, expected, "order {place}: {order:?}");
        assert_eq!(window.remaining, TimeDelta::zero());
    }
    // Neither an edit, a deletion nor a message in a group is one of its author's.
    let contact = w.contact(&scope).await;
    let group =
        InboundMessage { group: Some("g.1".to_owned()), ..w.wrote(&session, contact.recipient.clone()) };
    let body = InboundBody::Revoke { target: "x".to_owned() };
    let revoke = InboundMessage { body, ..w.wrote(&session, contact.recipient.clone()) };
    w.hear(vec![w.inbound(group, None), w.inbound(revoke, None)]).await;
    assert_eq!(must(w.inbox().window(&scope, session.id, contact.id).await), None);
}

pub(crate) async fn window_counts_both_ways(w: World) {
    let (scope, session, own) = w.one().await;
    w.without_cooldown(&scope).await;
    let contact = w.contact(&scope).await;
    let window = async || found(w.inbox().window(&scope, session.id, contact.id).await);
    let send = async |outcome: Option<Outcome>| {
        w.enqueue(&scope, &w.message(session.id, contact.recipient.clone())).await;
        let key = only(w.begin_due(&own, session.id).await.attempts).key;
        if let Some(outcome) = outcome {
            w.settle(key, outcome).await;
        }
    };
    send(Some(accepted("wamid.before"))).await;
    w.pass(60);
    w.user_writes(&session, contact.recipient.clone()).await;
    assert_eq!((window().await.user_messages, window().await.business_messages), (1, 0));
    w.pass(60);
    send(Some(accepted("wamid.1"))).await;
    send(None).await;
    send(Some(rejected(RejectClass::Recipient, 131_026))).await;
    w.hear(vec![w.echo(w.typed(&session, contact.recipient.clone(), "on my way"))]).await;
    w.user_writes(&session, contact.recipient.clone()).await;
    let seen = window().await;
    assert_eq!((seen.user_messages, seen.business_messages), (2, 3), "what did not arrive is left out");
    assert_eq!(seen.remaining, hours(24));
    w.pass(HOUR);
    assert_eq!(window().await.remaining, hours(23), "by the store's clock");
    w.pass(23 * HOUR);
    assert!(!window().await.is_open(), "closed 24 hours after the last message");
}

pub(crate) async fn window_knows_its_entry_point(w: World) {
    let (scope, session, own) = w.one().await;
    let contact = w.contact(&scope).await;
    let window = async || found(w.inbox().window(&scope, session.id, contact.id).await);
    let came = w.now();
    let referral = Some(Referral { ctwa_clid: Some("click".to_owned()), ..Referral::default() });
    let message = InboundMessage { referral, ..w.wrote(&session, contact.recipient.clone()) };
    w.hear(vec![w.inbound(message, None)]).await;
    assert_eq!(
        (window().await.referral_at, window().await.free_until),
        (Some(came), None),
        "not answered yet"
    );
    w.pass(HOUR);
    w.enqueue(&scope, &w.message(session.id, contact.recipient.clone())).await;
    let key = only(w.begin_due(&own, session.id).await.attempts).key;
    w.settle(key, accepted("wamid.1")).await;
    assert_eq!(window().await.free_until, None, "not delivered yet");
    w.pass(60);
    let delivered = w.now();
    let update = w.status(&session, "wamid.1", Fact::Delivered);
    w.hear(vec![ProjectedEvent::Status { attempt: None, batch: None, update }]).await;
    assert_eq!(window().await.free_until, Some(delivered + hours(72)));
    // A later answer does not move it, and free-form still needs an open window.
    w.pass(30 * HOUR);
    assert!(!window().await.is_open());
    assert_eq!(window().await.free_until, Some(delivered + hours(72)));
}

pub(crate) async fn project_takes_the_entry_point_from_a_status(w: World) {
    let (scope, session, own) = w.one().await;
    let contact = w.contact(&scope).await;
    w.user_writes(&session, contact.recipient.clone()).await;
    w.enqueue(&scope, &w.message(session.id, contact.recipient.clone())).await;
    let key = only(w.begin_due(&own, session.id).await.attempts).key;
    let told = |origin: ChargedCategory, ends: DateTime<Utc>| {
        let expires_at = Some(ends);
        let conversation = Some(WebhookConversation { id: None, origin: Some(origin), expires_at });
        let update = StatusUpdate { conversation, ..w.status(&session, "wamid.1", Fact::Sent) };
        ProjectedEvent::Status { attempt: Some(key), batch: None, update }
    };
    let ends = w.now() + hours(168);
    let until = async || found(w.inbox().window(&scope, session.id, contact.id).await).free_until;
    w.hear(vec![told(ChargedCategory::Service, ends)]).await;
    assert_eq!(until().await, None, "a conversation is no entry point");
    for (says, expected) in [(ends, ends), (ends - hours(1), ends), (ends + hours(1), ends + hours(1))] {
        w.hear(vec![told(ChargedCategory::ReferralConversion, says)]).await;
        assert_eq!(until().await, Some(expected), "the latest end that was named");
    }
}

pub(crate) async fn windows_are_paged_by_their_end(w: World) {
    let (a, b) = (w.tenant("a").await, w.tenant("b").await);
    let (at_a, at_b) = (w.session(&a).await, w.session(&b).await);
    let mut keys = Vec::new();
    for place in 0..6 {
        let contact = w.contact(&a).await;
        w.user_writes(&at_a, contact.recipient.clone()).await;
        keys.push(WindowKey { last_user_message_at: w.now(), session: at_a.id, contact: contact.id });
        w.user_writes(&at_b, w.fresh_phone()).await;
        // Some close at one instant.
        w.pass(u64::from(place % 2 == 0));
    }
    let mut paged: Vec<WindowKey> = Vec::new();
    loop {
        let after = paged.last().copied();
        let page = must(w.inbox().windows(&a, &WindowFilter::default(), after, 2).await);
        assert!(page.len() <= 2);
        if page.is_empty() {
            break;
        }
        for entry in &page {
            let one = found(w.inbox().window(&a, entry.session, entry.contact).await);
            assert_eq!(entry.window, one, "as it is shown alone");
        }
        paged.extend(page.iter().map(crate::port::store::WindowEntry::key));
        ends(&paged);
    }
    assert_eq!(paged, sorted(keys), "each once, those that close first come first");
}

pub(crate) async fn windows_lists_open_ones(w: World) {
    let scope = w.tenant("one").await;
    let (first, second) = (w.session(&scope).await, w.session(&scope).await);
    let (early, late) = (w.contact(&scope).await, w.contact(&scope).await);
    w.user_writes(&first, early.recipient.clone()).await;
    w.pass(HOUR);
    w.user_writes(&first, late.recipient.clone()).await;
    w.user_writes(&second, late.recipient.clone()).await;
    let list = async |session, open_only| {
        let filter = WindowFilter { session, open_only };
        let page = must(w.inbox().windows(&scope, &filter, None, 10).await);
        let open = page.iter().all(|entry| entry.window.is_open());
        assert!(open || !open_only, "{page:?}");
        page.into_iter().map(|entry| (entry.session, entry.contact)).collect::<Vec<_>>()
    };
    assert_eq!(list(None, true).await.len(), 3);
    w.pass(23 * HOUR);
    let left = sorted([(first.id, late.id), (second.id, late.id)]);
    assert_eq!(list(None, true).await, left, "at its end the early one is closed");
    assert_eq!(list(Some(first.id), true).await, [(first.id, late.id)]);
    assert_eq!(list(Some(first.id), false).await, [(first.id, early.id), (first.id, late.id)]);
    w.pass(HOUR);
    assert_eq!(list(None, true).await, []);
}
