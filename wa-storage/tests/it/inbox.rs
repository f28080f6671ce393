//! Webhooks on this store: early statuses, bad events, stop words.

use chrono::{DateTime, TimeDelta, Utc};
use wa_core::model::{
    Consent, ContactId, Fact, InboundBody, InboundMessage, Lane, MessageState, RawId, Recipient,
    StatusUpdate, TransportName,
};
use wa_core::port::store::{Projected, ProjectedEvent, Projection, RawBody, Store};

use crate::world::{World, accepted, admin, phone, transport};

pub(crate) fn status(id: &str, fact: Fact, at: DateTime<Utc>) -> StatusUpdate {
    StatusUpdate::new("1".parse().expect("a number id"), id, fact, at)
}

pub(crate) fn untagged(update: StatusUpdate) -> ProjectedEvent {
    ProjectedEvent::Status { attempt: None, batch: None, update }
}

/// Keeps a new body and projects these events from it.
pub(crate) async fn project(world: &World, events: Vec<ProjectedEvent>) -> Projected {
    project_as(world, transport(), events).await
}

async fn project_as(world: &World, transport: TransportName, events: Vec<ProjectedEvent>) -> Projected {
    let id = RawId::from_uuid(world.uuid());
    let raw =
        RawBody { id, transport: transport.clone(), body: id.as_bytes().to_vec(), received_at: world.now() };
    let kept = world.store.inbox().keep(&admin(), std::slice::from_ref(&raw)).await.expect("kept");
    assert!(!kept[0].known);
    let projection = Projection { raw: id, transport, received_at: raw.received_at, events };
    world.store.inbox().project(&admin(), &[projection]).await.expect("projected")
}

pub(crate) fn inbound(world: &World, id: &str, from: u64, at: DateTime<Utc>) -> ProjectedEvent {
    ProjectedEvent::Message {
        message: InboundMessage::new(
            "1".parse().expect("a number id"),
            id,
            phone(from),
            at,
            InboundBody::text("stop"),
        ),
        fresh_contact: ContactId::from_uuid(world.uuid()),
        consent: Some(Consent::OptedOut),
    }
}

#[tokio::test]
async fn statuses_that_come_before_the_answer_are_joined_with_it() {
    let world = World::new().await;
    let (session, worker) = world.held("1", 1).await;
    let campaign = world.running("news", 1, &[session.id]).await;
    let key = world.begin_due(&worker, session.id, 1).await.attempts[0].key;
    let later = world.now() + TimeDelta::seconds(2);
    let early = vec![
        untagged(status("wamid.1", Fact::Read, later)),
        untagged(status("wamid.1", Fact::Delivered, later)),
        untagged(status("wamid.1", Fact::Delivered, world.now())),
    ];
    let done = project(&world, early).await;
    assert_eq!((done.waiting, done.changed.len()), (3, 0));
    assert_eq!(world.view(key.message).await.state, MessageState::Attempting);
    world.settle(key, accepted("wamid.1")).await;
    let view = world.view(key.message).await;
    assert_eq!(view.state, MessageState::Read);
    assert_eq!(view.attempts[0].facts.at(Fact::Delivered), Some(world.now()), "the earlier of the two");
    assert_eq!(world.counts(campaign.id).await.read, 1);
}

#[tokio::test]
async fn a_tag_finds_its_attempt_without_any_provider_id() {
    let world = World::new().await;
    let (session, worker) = world.held("1", 1).await;
    world.enqueue(session.id, 1, Lane::Bulk).await;
    let key = world.begin_due(&worker, session.id, 1).await.attempts[0].key;
    world.settle(key, wa_core::model::Outcome::Ambiguous).await;
    assert_eq!(world.view(key.message).await.state, MessageState::InDoubt);
    let update = status("wamid.9", Fact::Sent, world.now());
    let done =
        project(&world, vec![ProjectedEvent::Status { attempt: Some(key), batch: None, update }]).await;
    assert_eq!(done.changed, [(world.tenant, key.message, MessageState::Sent)]);
    // From now on the provider's id finds it as well.
    let done = project(&world, vec![untagged(status("wamid.9", Fact::Delivered, world.now()))]).await;
    assert_eq!(done.changed, [(world.tenant, key.message, MessageState::Delivered)]);
}

#[tokio::test]
async fn another_transport_with_the_same_number_touches_nothing() {
    let world = World::new().await;
    let (session, worker) = world.held("1", 1).await;
    world.enqueue(session.id, 1, Lane::Bulk).await;
    let key = world.begin_due(&worker, session.id, 1).await.attempts[0].key;
    world.settle(key, accepted("wamid.1")).await;
    let events = vec![
        untagged(status("wamid.1", Fact::Read, world.now())),
        ProjectedEvent::Status {
            attempt: Some(key),
            batch: None,
            update: status("wamid.1", Fact::Read, world.now()),
        },
        inbound(&world, "in.1", 1, world.now()),
    ];
    let done = project_as(&world, "openwa".parse().expect("a name"), events).await;
    assert_eq!((done.foreign, done.changed.len(), done.inbound), (3, 0, 0));
    assert_eq!(world.view(key.message).await.state, MessageState::Accepted);
}

#[tokio::test]
async fn an_event_that_cannot_be_stored_takes_no_sibling_with_it() {
    let world = World::new().await;
    let session = world.add_session("1").await;
    let taken = world.contacts("list", 1).await[0];
    let mut bad = inbound(&world, "in.1", 50, world.now());
    if let ProjectedEvent::Message { fresh_contact, .. } = &mut bad {
        // An id that another contact has: the row breaks the key.
        *fresh_contact = taken;
    }
    let good = inbound(&world, "in.2", 51, world.now());
    let done = project(&world, vec![bad, good]).await;
    assert_eq!(done.inbound, 1);
    let stored = world.store.inbox().inbound(&world.scope(), None, 10).await.expect("a page");
    assert_eq!(stored.len(), 1);
    assert_eq!((stored[0].provider_id.as_str(), stored[0].session), ("in.2", session.id));
    assert!(world.store.inbox().unprojected(&admin(), None, 10).await.expect("a page").is_empty());
}

#[tokio::test]
async fn a_stop_word_from_a_stranger_makes_a_contact_that_begin_respects() {
    let world = World::new().await;
    let (session, worker) = world.held("1", 1).await;
    let message = world.enqueue(session.id, 77, Lane::Bulk).await;
    let due = world.due(&worker, session.id, 1).await;
    assert_eq!(due[0].contact, None);
    let late = world.now() + TimeDelta::hours(1);
    project(&world, vec![inbound(&world, "in.1", 77, late)]).await;
    let contact = world.store.audience().find_contact(&world.scope(), &Recipient::from(phone(77))).await;
    let contact = contact.expect("an answer").expect("a contact");
    assert_eq!(contact.consent, Consent::OptedOut);
    let window = world.store.inbox().window(&world.scope(), session.id, contact.id).await;
    let window = window.expect("an answer").expect("a window");
    assert_eq!(window.last_user_message_at, world.now(), "a stamp from the future is clamped");
    let batch = world.batch(session.id, &due);
    let wa_core::port::store::Begun::Done(done) = world.begin(&worker, &batch).await else {
        panic!("a batch")
    };
    assert_eq!(done.skips, [(message, wa_core::model::SkipReason::OptedOut)]);
}

#[tokio::test]
async fn a_repeated_body_is_known_and_a_projected_one_is_pruned() {
    let world = World::new().await;
    let body = |body: &str| RawBody {
        id: RawId::from_uuid(world.uuid()),
        transport: transport(),
        body: body.as_bytes().to_vec(),
        received_at: world.now(),
    };
    let (first, twin, other) = (body("a"), body("a"), body("b"));
    let inbox = world.store.inbox();
    let kept = inbox.keep(&admin(), &[first.clone(), twin, other.clone()]).await.expect("kept");
    assert_eq!(
        kept.iter().map(|it| (it.id, it.known)).collect::<Vec<_>>(),
        [(first.id, false), (first.id, true), (other.id, false)]
    );
    assert_eq!(inbox.unprojected(&admin(), Some(first.id), 10).await.expect("a page"), [other]);
    let projection =
        Projection { raw: first.id, transport: transport(), received_at: world.now(), events: Vec::new() };
    inbox.project(&admin(), &[projection]).await.expect("projected");
    let later = world.now() + TimeDelta::seconds(1);
    assert_eq!(inbox.prune(&admin(), later).await.expect("a count"), 1);
    assert_eq!(inbox.unprojected(&admin(), None, 10).await.expect("a page").len(), 1);
}
