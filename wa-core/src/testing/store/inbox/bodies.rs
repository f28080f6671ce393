//! Cases on bodies, statuses and stored messages.

use std::time::Duration;

use chrono::TimeDelta;

use crate::model::{
    BatchId, Consent, ConsentSource, EventBody, Fact, InboundBody, InboundKind, InboundMessage, MessageState,
    NewSession, Outcome, RawId, RejectClass, SkipReason, Tier, TransportName, WebhookPricing,
};
use crate::port::store::{Begun, ProjectedEvent, Projection, RawBody};
use crate::testing::store::world::{
    TRANSPORT, World, accepted, ends, failure, found, must, only, orders, phone, sorted, standard, value,
};

async fn left(w: &World) -> Vec<RawBody> {
    must(w.inbox().unprojected(&w.admin(), None, 1_000).await)
}

fn untagged(update: crate::model::StatusUpdate) -> ProjectedEvent {
    ProjectedEvent::Status { attempt: None, batch: None, update }
}

pub(crate) async fn keep_is_durable(mut w: World) {
    let every_byte: Vec<u8> = (0..=255).collect();
    let bodies = [w.raw(&every_byte), w.raw(b""), w.raw("{\"näme\": 1}".as_bytes())];
    let kept = must(w.inbox().keep(&w.admin(), &bodies).await);
    let ids: Vec<RawId> = kept.iter().map(|kept| kept.id).collect();
    assert_eq!(ids, bodies.iter().map(|body| body.id).collect::<Vec<_>>(), "one answer per body, in order");
    assert!(kept.iter().all(|kept| !kept.known));
    w.reopen().await;
    let mut expected = bodies.to_vec();
    expected.sort_by_key(|body| body.id);
    assert_eq!(left(&w).await, expected);
}

pub(crate) async fn keep_knows_a_repeated_body(w: World) {
    let scope = w.tenant("one").await;
    let session = w.session(&scope).await;
    let first = w.raw(b"the same");
    must(w.inbox().keep(&w.admin(), std::slice::from_ref(&first)).await);
    w.pass(1);
    // Repeated in a later call, and twice within one call.
    let (again, new) = (w.raw(b"the same"), w.raw(b"new"));
    let twin = w.raw(b"new");
    let kept = must(w.inbox().keep(&w.admin(), &[again.clone(), new.clone(), twin]).await);
    let answers: Vec<_> = kept.iter().map(|kept| (kept.id, kept.known)).collect();
    assert_eq!(answers, [(first.id, true), (new.id, false), (new.id, true)]);
    let ids = left(&w).await.iter().map(|body| body.id).collect::<Vec<_>>();
    assert_eq!(ids, sorted([first.id, new.id]), "one body each");

    // The same bytes verified by another transport's secret are another body.
    let other = RawBody { transport: value("other"), ..w.raw(b"the same") };
    assert!(!only(must(w.inbox().keep(&w.admin(), &[other]).await)).known);

    // Once projected it stays known and is not projected again.
    let projection = Projection {
        raw: first.id,
        transport: first.transport.clone(),
        received_at: first.received_at,
        events: vec![w.inbound(w.wrote(&session, w.fresh_phone()), None)],
    };
    assert_eq!(must(w.inbox().project(&w.admin(), &[projection]).await).inbound, 1);
    let kept = only(must(w.inbox().keep(&w.admin(), &[w.raw(b"the same")]).await));
    assert_eq!((kept.id, kept.known), (first.id, true));
    assert!(left(&w).await.iter().all(|body| body.id != first.id));
}

pub(crate) async fn unprojected_gives_what_is_left(w: World) {
    let mut bodies: Vec<RawBody> = Vec::new();
    for count in 0..5 {
        w.pass(1);
        bodies.push(w.raw(format!("body {count}").as_bytes()));
    }
    must(w.inbox().keep(&w.admin(), &bodies).await);
    let done = bodies.remove(2);
    let projection = Projection {
        raw: done.id,
        transport: done.transport,
        received_at: done.received_at,
        events: vec![ProjectedEvent::Unknown { field: "flows".to_owned() }],
    };
    assert_eq!(must(w.inbox().project(&w.admin(), &[projection]).await).unknown, 1);
    bodies.sort_by_key(|body| body.id);
    assert_eq!(left(&w).await, bodies, "everything that is left, in order of the ids");
    let mut paged = Vec::new();
    while let Some(page) =
        Some(must(w.inbox().unprojected(&w.admin(), paged.last().map(|body: &RawBody| body.id), 3).await))
            .filter(|page| !page.is_empty())
    {
        assert!(page.len() <= 3);
        paged.extend(page);
        ends(&paged);
    }
    assert_eq!(paged, bodies);
}

pub(crate) async fn project_heeds_the_batch_of_a_tag(mut w: World) {
    let (scope, session, own) = w.one().await;
    w.single(&scope, session.id).await;
    let batch = w.batch(session.id, &w.due(&own, session.id).await.messages);
    let begun = w.try_begin(&own, &batch, standard()).await;
    let Begun::Done(begun) = begun else { panic!("the batch is judged: {begun:?}") };
    let key = only(begun.attempts).key;
    w.settle(key, accepted("wamid.new")).await;
    let told = |batch, update| ProjectedEvent::Status { attempt: Some(key), batch: Some(batch), update };
    // What became of an attempt that had this number in a life that nobody remembers.
    let mut failed = w.status(&session, "wamid.old", Fact::Failed);
    failed.failure = Some(failure(RejectClass::Retry, 131_000));
    let done = w.hear(vec![told(w.mint(BatchId::mint), failed)]).await;
    assert_eq!((done.waiting, done.changed.len()), (1, 0), "nobody knows that name");
    w.reopen().await;
    assert_eq!(w.view(&scope, key.message).await.state, MessageState::Accepted);
    let delivered = w.status(&session, "wamid.new", Fact::Delivered);
    let done = w.hear(vec![told(batch.id, delivered)]).await;
    assert_eq!(done.changed, [(scope.tenant(), key.message, MessageState::Delivered)]);
}

pub(crate) async fn project_applies_statuses_in_any_order(w: World) {
    let (scope, session, own) = w.one().await;
    let mut ends = Vec::new();
    let base = w.now();
    for (turn, order) in orders(4).into_iter().enumerate() {
        let key = w.begun(&scope, session.id, &own).await.key;
        let id = format!("wamid.{turn}");
        w.settle(key, accepted(&id)).await;
        let mut statuses: Vec<ProjectedEvent> = order
            .iter()
            .filter_map(|place| [Fact::Sent, Fact::Delivered, Fact::Read, Fact::Failed].get(*place).copied())
            .map(|fact| {
                let mut update = w.status(&session, &id, fact);
                update.at = base + TimeDelta::seconds(i64::from(fact.bit()));
                update.failure = (fact == Fact::Failed).then(|| failure(RejectClass::Retry, 131_000));
                // By the tag or by the id, it must not matter.
                let attempt = (turn % 2 == 0).then_some(key);
                ProjectedEvent::Status { attempt, batch: None, update }
            })
            .collect();
        let repeated = statuses.clone();
        statuses.extend(repeated.into_iter().rev());
        if turn % 3 == 0 {
            for status in statuses {
                w.hear(vec![status]).await;
            }
        } else {
            w.hear(statuses).await;
        }
        let view = w.view(&scope, key.message).await;
        let mut facts = only(view.attempts).facts;
        facts.provider_id = None;
        // What a passing failure gave back on the way is a matter of order; what is known is not.
        let known = Fact::ALL.map(|fact| (fact != Fact::Released).then(|| facts.at(fact)).flatten());
        ends.push((view.state, known, facts.failure));
    }
    let first = ends.first().expect("every order was tried");
    assert_eq!(first.0, MessageState::Read, "evidence of delivery beats a report of failure");
    assert!(ends.iter().all(|end| end == first), "every order ends alike: {ends:?}");
    let read_at = base + TimeDelta::seconds(i64::from(Fact::Read.bit()));
    assert!(first.1.contains(&Some(read_at)), "with the provider's own instants");
    w.pass(86_400);
    let due = w.due(&own, session.id).await;
    assert!(
        due.messages.is_empty(),
        "a retry that was planned before the delivery was known is off: {due:?}"
    );

    // A second delivery with a later stamp does not move the first.
    let key = w.begun(&scope, session.id, &own).await.key;
    w.settle(key, accepted("wamid.last")).await;
    w.hear(vec![untagged(w.status(&session, "wamid.last", Fact::Sent))]).await;
    let sent_at = w.now();
    w.pass(9);
    w.hear(vec![untagged(w.status(&session, "wamid.last", Fact::Sent))]).await;
    assert_eq!(only(w.view(&scope, key.message).await.attempts).facts.at(Fact::Sent), Some(sent_at));
}

pub(crate) async fn project_resolves_an_in_doubt_attempt(w: World) {
    let (scope, session, own) = w.one().await;
    let lost = w.begun(&scope, session.id, &own).await.key;
    let silent = w.begun(&scope, session.id, &own).await.key;
    let refused = w.begun(&scope, session.id, &own).await.key;
    w.settle(lost, Outcome::Ambiguous).await;
    w.pass(100);
    must(w.outbox().sweep(&own, Duration::from_secs(10)).await);
    let mut failed = w.status(&session, "wamid.3", Fact::Failed);
    failed.failure = Some(failure(RejectClass::Recipient, 131_026));
    let projected = w
        .hear(vec![
            ProjectedEvent::Status {
                attempt: Some(lost),
                batch: None,
                update: w.status(&session, "wamid.1", Fact::Delivered),
            },
            ProjectedEvent::Status {
                attempt: Some(silent),
                batch: None,
                update: w.status(&session, "wamid.2", Fact::Sent),
            },
            ProjectedEvent::Status { attempt: Some(refused), batch: None, update: failed },
        ])
        .await;
    assert_eq!(projected.waiting, 0);
    for (key, state) in
        [(lost, MessageState::Delivered), (silent, MessageState::Sent), (refused, MessageState::Failed)]
    {
        assert_eq!(w.state(&scope, key.message).await, state);
        assert!(projected.changed.contains(&(scope.tenant(), key.message, state)), "{projected:?}");
    }
    // The tag taught the provider's id, so the next status finds the attempt without it.
    w.hear(vec![untagged(w.status(&session, "wamid.1", Fact::Read))]).await;
    assert_eq!(w.state(&scope, lost.message).await, MessageState::Read);
}

pub(crate) async fn project_keeps_an_early_status(mut w: World) {
    let (scope, session, own) = w.one().await;
    let key = w.begun(&scope, session.id, &own).await.key;
    let early = w.hear(vec![untagged(w.status(&session, "wamid.1", Fact::Delivered))]).await;
    assert_eq!((early.waiting, early.changed.len()), (1, 0));
    w.pass(5);
    w.reopen().await;
    w.settle(key, accepted("wamid.1")).await;
    let view = w.view(&scope, key.message).await;
    assert_eq!(view.state, MessageState::Delivered);
    let at = only(view.attempts).facts.at(Fact::Delivered).expect("delivered");
    assert_eq!(at, w.after(-5), "at the instant that the provider named");
}

pub(crate) async fn project_is_done_once(w: World) {
    let (scope, session, own) = w.one().await;
    let key = w.begun(&scope, session.id, &own).await.key;
    let writer = w.contact(&scope).await;
    let projection = w
        .kept(vec![
            ProjectedEvent::Status {
                attempt: Some(key),
                batch: None,
                update: w.status(&session, "wamid.1", Fact::Sent),
            },
            w.inbound(w.wrote(&session, writer.recipient.clone()), Some(Consent::OptedOut)),
            untagged(w.status(&session, "wamid.unknown", Fact::Sent)),
        ])
        .await;
    let first = must(w.inbox().project(&w.admin(), std::slice::from_ref(&projection)).await);
    assert_eq!((first.changed.len(), first.inbound, first.waiting), (1, 1, 1));
    // Consent given back in between must not be taken again by a replay of the same body.
    found(w.audience().set_consent(&scope, writer.id, Consent::Allowed, ConsentSource::Caller).await);
    let before = w.snapshot(&scope).await;
    w.pass(1);
    let second = must(w.inbox().project(&w.admin(), std::slice::from_ref(&projection)).await);
    assert!(second.changed.is_empty() && (second.inbound, second.waiting) == (0, 0), "{second:?}");
    assert_eq!(w.snapshot(&scope).await, before);
    let twice = w.kept(vec![w.inbound(w.wrote(&session, w.fresh_phone()), None)]).await;
    let both = must(w.inbox().project(&w.admin(), &[twice.clone(), twice]).await);
    assert_eq!(both.inbound, 1, "also twice in one call");
}

pub(crate) async fn project_opens_a_window(w: World) {
    let (scope, session, _) = w.one().await;
    let contact = w.contact(&scope).await;
    let window = async || must(w.inbox().window(&scope, session.id, contact.id).await);
    assert_eq!(window().await, None, "who never wrote has no window");
    let base = w.now();
    w.pass(100);
    let wrote = |seconds| InboundMessage {
        at: base + TimeDelta::seconds(seconds),
        ..w.wrote(&session, contact.recipient.clone())
    };
    for (at, expected) in [(10, 10), (30, 30), (20, 30), (30, 30), (40, 40)] {
        w.hear(vec![w.inbound(wrote(at), None)]).await;
        let expected = base + TimeDelta::seconds(expected);
        let last = window().await.map(|window| window.last_user_message_at);
        assert_eq!(last, Some(expected), "after a message written at {at}");
    }
    // A call is as good as a message.
    let called = InboundMessage { body: InboundBody::Call, ..wrote(50) };
    w.hear(vec![w.inbound(called, None)]).await;
    let last = window().await.map(|window| window.last_user_message_at);
    assert_eq!(last, Some(base + TimeDelta::seconds(50)), "after a call");
    // Who is no contact yet becomes one.
    let stranger = phone("15559999999");
    let event = w.inbound(w.wrote(&session, stranger), None);
    w.hear(vec![event]).await;
    let contact = found(w.audience().find_contact(&scope, &stranger.into()).await);
    let opened = found(w.inbox().window(&scope, session.id, contact.id).await);
    assert_eq!(opened.last_user_message_at, w.now());
}

pub(crate) async fn project_clamps_a_future_stamp(w: World) {
    let (scope, session, _) = w.one().await;
    let contact = w.contact(&scope).await;
    let received_at = w.now();
    let ahead = InboundMessage { at: w.after(3_600), ..w.wrote(&session, contact.recipient.clone()) };
    let projection = w.kept(vec![w.inbound(ahead, None)]).await;
    w.pass(7_200);
    must(w.inbox().project(&w.admin(), &[projection]).await);
    let window = found(w.inbox().window(&scope, session.id, contact.id).await);
    assert_eq!(window.last_user_message_at, received_at, "the body's arrival, not that of its projection");
    assert_eq!(only(must(w.inbox().inbound(&scope, None, 10).await)).at, received_at);
}

pub(crate) async fn project_stores_an_inbound_message_once(w: World) {
    let scope = w.tenant("one").await;
    let (first, second) = (w.session(&scope).await, w.session(&scope).await);
    let contact = w.contact(&scope).await;
    let message = InboundMessage {
        body: InboundBody::text("hällo\n\u{1f600}"),
        ..w.wrote(&first, contact.recipient.clone())
    };
    assert_eq!(w.hear(vec![w.inbound(message.clone(), None)]).await.inbound, 1);
    w.pass(1);
    // Again in another body, and twice within one.
    let again = vec![w.inbound(message.clone(), None), w.inbound(message.clone(), None)];
    assert_eq!(w.hear(again).await.inbound, 0);
    let stored = only(must(w.inbox().inbound(&scope, None, 10).await));
    assert_eq!((stored.session, stored.contact), (first.id, contact.id));
    assert_eq!((&stored.provider_id, stored.at), (&message.provider_id, message.at));
    assert_eq!((stored.kind(), stored.text()), (InboundKind::Text, message.text()));
    assert_eq!(stored.from, contact.recipient);
    assert_eq!(
        must(w.audience().contacts(&scope, None, None, 10).await).len(),
        1,
        "nor is a contact doubled"
    );

    // The same id at another number is another message.
    let elsewhere = InboundMessage { number: second.number.clone(), ..message };
    assert_eq!(w.hear(vec![w.inbound(elsewhere, None)]).await.inbound, 1);
    assert_eq!(must(w.inbox().inbound(&scope, None, 10).await).len(), 2);
}

pub(crate) async fn project_records_a_stop_word(w: World) {
    let (scope, session, own) = w.one().await;
    let campaign = w.campaign(&scope, session.id, 2).await;
    let page = w.due(&own, session.id).await.messages;
    let (stops, stays) = (page.first().expect("two are due"), page.get(1).expect("two are due"));
    let stop = w.inbound(w.wrote(&session, stops.recipient.clone()), Some(Consent::OptedOut));
    w.hear(vec![stop]).await;
    let begun = w.begin(&own, session.id, &page, standard()).await;
    assert_eq!(begun.skips, [(stops.id, SkipReason::OptedOut)], "though the page was read before");
    assert_eq!(only(begun.attempts).key.message, stays.id);
    let contact = found(w.audience().find_contact(&scope, &stops.recipient).await);
    assert_eq!((contact.consent, contact.consent_at), (Consent::OptedOut, Some(w.now())));
    assert_eq!(w.counts(&scope, campaign.id).await.reasons.get("skipped:opted_out"), Some(&1));

    // Neither another message nor a weaker stop word lifts or weakens it.
    w.user_writes(&session, stops.recipient.clone()).await;
    let weaker = w.inbound(w.wrote(&session, stops.recipient.clone()), Some(Consent::NoMarketing));
    w.hear(vec![weaker]).await;
    let contact = found(w.audience().find_contact(&scope, &stops.recipient).await);
    assert_eq!(contact.consent, Consent::OptedOut);
    // A stranger who writes STOP first is known by it.
    let stranger = phone("15559999999");
    let stop = w.inbound(w.wrote(&session, stranger), Some(Consent::OptedOut));
    w.hear(vec![stop]).await;
    let contact = found(w.audience().find_contact(&scope, &stranger.into()).await);
    assert_eq!(contact.consent, Consent::OptedOut);
}

pub(crate) async fn project_leaves_foreign_numbers_alone(w: World) {
    let (scope, session, own) = w.one().await;
    let elsewhere = NewSession { transport: value("other"), ..w.new_session() };
    let elsewhere = w.session_of(&scope, &elsewhere, Tier::Unlimited).await;
    let own_too = w.own().await;
    let here = w.begun(&scope, session.id, &own).await.key;
    let there = w.begun(&scope, elsewhere.id, &own_too).await.key;
    w.settle(there, accepted("wamid.there")).await;
    let writer = w.contact(&scope).await;
    let before = w.snapshot(&scope).await;

    // All of these come through the transport of `here`, and speak of the other one's number.
    let transport: TransportName = value(TRANSPORT);
    assert_ne!(elsewhere.transport, transport);
    let mut unregistered = w.wrote(&session, writer.recipient.clone());
    unregistered.number = value("number.nobody");
    let events = vec![
        untagged(w.status(&elsewhere, "wamid.there", Fact::Read)),
        ProjectedEvent::Status {
            attempt: Some(there),
            batch: None,
            update: w.status(&elsewhere, "wamid.there", Fact::Delivered),
        },
        w.inbound(w.wrote(&elsewhere, writer.recipient.clone()), Some(Consent::OptedOut)),
        w.inbound(unregistered, Some(Consent::OptedOut)),
    ];
    let projected = w.hear(events).await;
    assert_eq!((projected.foreign, projected.inbound, projected.changed.len()), (4, 0, 0));
    assert_eq!(w.snapshot(&scope).await, before);
    // Nor does an own number name an attempt of another one.
    let crossed = ProjectedEvent::Status {
        attempt: Some(there),
        batch: None,
        update: w.status(&session, "wamid.there", Fact::Read),
    };
    w.hear(vec![crossed]).await;
    assert_eq!(w.state(&scope, there.message).await, MessageState::Accepted);
    assert_eq!(w.state(&scope, here.message).await, MessageState::Attempting);
}

pub(crate) async fn project_lets_no_event_block_its_siblings(w: World) {
    let (scope, session, own) = w.one().await;
    let key = w.begun(&scope, session.id, &own).await.key;
    let writer = w.contact(&scope).await;
    let missing = crate::model::AttemptKey { message: w.mint(crate::model::MessageId::mint), ..key };
    let mut stranger = w.status(&session, "wamid.x", Fact::Sent);
    stranger.number = value("number.nobody");
    let mut odd = w.status(&session, "wamid.odd", Fact::Sent);
    odd.pricing = Some(WebhookPricing { kind: Some("odd".into()), ..WebhookPricing::default() });
    let first = w
        .kept(vec![
            ProjectedEvent::Unknown { field: "flows".to_owned() },
            untagged(stranger),
            ProjectedEvent::Status {
                attempt: Some(missing),
                batch: None,
                update: w.status(&session, "wamid.y", Fact::Sent),
            },
            untagged(odd),
            w.inbound(w.wrote(&session, writer.recipient.clone()), None),
        ])
        .await;
    let second = w
        .kept(vec![ProjectedEvent::Status {
            attempt: Some(key),
            batch: None,
            update: w.status(&session, "wamid.1", Fact::Delivered),
        }])
        .await;
    let projected = must(w.inbox().project(&w.admin(), &[first, second]).await);
    assert_eq!((projected.unknown, projected.foreign, projected.inbound), (1, 1, 1));
    assert_eq!(projected.changed, [(scope.tenant(), key.message, MessageState::Delivered)]);
    assert_eq!(w.state(&scope, key.message).await, MessageState::Delivered);
    assert!(left(&w).await.is_empty(), "both bodies are done");
}

pub(crate) async fn project_writes_the_journal(w: World) {
    let (scope, session, own) = w.one().await;
    let key = w.begun(&scope, session.id, &own).await.key;
    let contact = w.contact(&scope).await;
    let before = w.events().await.len();
    let wrote = w.wrote(&session, contact.recipient.clone());
    let provider_id = wrote.provider_id.clone();
    w.hear(vec![
        ProjectedEvent::Status {
            attempt: Some(key),
            batch: None,
            update: w.status(&session, "wamid.1", Fact::Delivered),
        },
        w.inbound(wrote, Some(Consent::OptedOut)),
    ])
    .await;
    let events: Vec<_> = w.events().await.into_iter().skip(before).collect();
    assert!(events.iter().all(|event| event.tenant == scope.tenant() && event.at == w.now()));
    let bodies: Vec<EventBody> = events.into_iter().map(|event| event.body).collect();
    assert_eq!(w.told(&scope).await.get(&key.message), Some(&MessageState::Delivered));
    let inbound = EventBody::Inbound { session: session.id, contact: contact.id, provider_id };
    assert_eq!(bodies.iter().filter(|body| **body == inbound).count(), 1, "{bodies:?}");
    let consent = EventBody::Consent {
        contact: contact.id,
        consent: Consent::OptedOut,
        source: ConsentSource::StopWord,
    };
    assert_eq!(bodies.iter().filter(|body| **body == consent).count(), 1, "{bodies:?}");
}

pub(crate) async fn window_is_of_one_session(w: World) {
    let scope = w.tenant("one").await;
    let (first, second) = (w.session(&scope).await, w.session(&scope).await);
    let (writer, other) = (w.contact(&scope).await, w.contact(&scope).await);
    w.user_writes(&first, writer.recipient.clone()).await;
    let window = async |session, contact| must(w.inbox().window(&scope, session, contact).await).is_some();
    assert!(window(first.id, writer.id).await);
    assert!(!window(second.id, writer.id).await, "another number");
    assert!(!window(first.id, other.id).await, "another contact");
    // What begin goes by is the same.
    let own = w.own().await;
    let text = crate::model::Content::text("hello").expect("a text");
    for session in [&first, &second] {
        let message = crate::model::NewMessage {
            content: text.clone(),
            ..w.message(session.id, writer.recipient.clone())
        };
        w.enqueue(&scope, &message).await;
    }
    assert_eq!(w.begin_due(&own, first.id).await.attempts.len(), 1);
    assert_eq!(only(w.begin_due(&own, second.id).await.skips).1, SkipReason::WindowClosed);
}

pub(crate) async fn inbound_is_paged_by_position(w: World) {
    let (a, b) = (w.tenant("a").await, w.tenant("b").await);
    let (at_a, at_b) = (w.session(&a).await, w.session(&b).await);
    let mut expected = Vec::new();
    for _ in 0..5 {
        let message = w.wrote(&at_a, w.fresh_phone());
        expected.push(message.provider_id.clone());
        w.hear(vec![w.inbound(message, None)]).await;
        w.user_writes(&at_b, w.fresh_phone()).await;
    }
    let mut paged = Vec::new();
    let mut after = None;
    loop {
        let page = must(w.inbox().inbound(&a, after, 2).await);
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        after = Some(last.position);
        paged.extend(page);
        ends(&paged);
    }
    let ids: Vec<_> = paged.iter().map(|message| message.provider_id.clone()).collect();
    assert_eq!(ids, expected, "all of the tenant, oldest first, none of another");
    assert!(paged.is_sorted_by(|one, two| one.position < two.position));
}

pub(crate) async fn prune_keeps_what_is_not_projected(w: World) {
    let scope = w.tenant("one").await;
    let session = w.session(&scope).await;
    w.user_writes(&session, w.fresh_phone()).await;
    let waiting = w.raw(b"not projected yet");
    must(w.inbox().keep(&w.admin(), std::slice::from_ref(&waiting)).await);
    w.pass(100 * 86_400);
    let recent = w.kept(vec![ProjectedEvent::Unknown { field: "flows".to_owned() }]).await;
    must(w.inbox().project(&w.admin(), std::slice::from_ref(&recent)).await);
    let inbound = must(w.inbox().inbound(&scope, None, 10).await);

    assert_eq!(must(w.inbox().prune(&w.admin(), w.now()).await), 1, "the old body that was projected");
    assert_eq!(left(&w).await, [waiting], "what was not projected stays, however old");
    assert_eq!(must(w.inbox().inbound(&scope, None, 10).await), inbound, "what the body said stays");
    assert_eq!(must(w.inbox().prune(&w.admin(), w.after(1)).await), 1, "the recent one");
}
