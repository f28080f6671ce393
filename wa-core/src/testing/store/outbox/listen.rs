//! Messages that were taken and never heard of, and numbers that are deaf.

use crate::model::{
    AlertSettings, AttemptKey, EventBody, Fact, MessageId, Outcome, Session, SessionId, TenantSettings,
};
use crate::port::store::{Listened, ProjectedEvent};
use crate::port::{Scope, WorkerScope};
use crate::testing::store::world::{World, accepted, must, sorted};

const SILENT_AFTER: u64 = 300;

async fn set(w: &World, scope: &Scope, deaf_after: u32) {
    let silent_after_seconds = u32::try_from(SILENT_AFTER).expect("seconds");
    let alerts = AlertSettings { silent_after_seconds, deaf_after, ..AlertSettings::default() };
    w.put_settings(scope, &TenantSettings { alerts, ..TenantSettings::default() }).await;
}

/// A message that the provider took under its own id.
async fn taken(w: &World, scope: &Scope, session: &Session, own: &WorkerScope) -> AttemptKey {
    let key = w.begun(scope, session.id, own).await.key;
    w.settle(key, accepted(&format!("wamid.{}", key.message))).await;
    key
}

async fn status(w: &World, session: &Session, key: AttemptKey) {
    let update = w.status(session, &format!("wamid.{}", key.message), Fact::Sent);
    w.hear(vec![ProjectedEvent::Status { attempt: None, batch: None, update }]).await;
}

/// What the journal tells of silence: messages, and how often each session became deaf.
async fn told(w: &World) -> (Vec<MessageId>, Vec<SessionId>) {
    let (mut silent, mut deaf) = (Vec::new(), Vec::new());
    for event in w.events().await {
        match event.body {
            EventBody::Silent { messages, .. } => silent.extend(messages),
            EventBody::SessionDeaf { session, .. } => deaf.push(session),
            _ => {}
        }
    }
    (silent, deaf)
}

async fn listen(w: &World, own: &WorkerScope, limit: u32) -> Listened {
    must(w.outbox().listen(own, limit).await)
}

pub(crate) async fn listen_finds_silent_messages_once(w: World) {
    let (scope, session, own) = w.one().await;
    set(&w, &scope, 0).await;
    let silent = taken(&w, &scope, &session, &own).await;
    let heard = taken(&w, &scope, &session, &own).await;
    status(&w, &session, heard).await;
    let doubtful = w.begun(&scope, session.id, &own).await.key;
    w.settle(doubtful, Outcome::Ambiguous).await;
    w.pass(SILENT_AFTER - 1);
    assert_eq!(listen(&w, &own, 100).await, Listened::default(), "not before its time");
    w.pass(1);
    let nobody = crate::testing::scope::worker(w.another_worker(), []);
    assert_eq!(
        listen(&w, &nobody, 100).await,
        Listened::default(),
        "a session that is not held is not listened to"
    );
    let listened = listen(&w, &own, 100).await;
    assert_eq!(listened.silent, [(scope.tenant(), silent.message)]);
    assert_eq!((listened.deaf.len(), listened.more), (0, false));
    w.pass(3_600);
    assert_eq!(listen(&w, &own, 100).await, Listened::default(), "each attempt once");
    assert_eq!(told(&w).await, (vec![silent.message], vec![]));
}

pub(crate) async fn listen_finds_a_deaf_session_once(w: World) {
    let (scope, session, own) = w.one().await;
    set(&w, &scope, 3).await;
    for turn in 1..=5 {
        taken(&w, &scope, &session, &own).await;
        w.pass(SILENT_AFTER);
        let deaf = listen(&w, &own, 100).await.deaf;
        let expected: &[_] = if turn == 3 { &[(scope.tenant(), session.id)] } else { &[] };
        assert_eq!(deaf, expected, "after {turn}");
    }
    let heard = taken(&w, &scope, &session, &own).await;
    status(&w, &session, heard).await;
    w.pass(SILENT_AFTER);
    assert!(listen(&w, &own, 100).await.deaf.is_empty());
    for turn in 1..=3 {
        taken(&w, &scope, &session, &own).await;
        w.pass(SILENT_AFTER);
        assert_eq!(listen(&w, &own, 100).await.deaf.len(), usize::from(turn == 3), "heard of, then {turn}");
    }
    assert_eq!(told(&w).await.1, [session.id, session.id]);
}

pub(crate) async fn listen_goes_on_where_it_stopped(mut w: World) {
    let (scope, session, own) = w.one().await;
    set(&w, &scope, 0).await;
    let mut expected = Vec::new();
    for _ in 0..5 {
        expected.push(taken(&w, &scope, &session, &own).await.message);
        w.pass(1);
    }
    // Three that begin together are looked at together, whatever the size of a chunk.
    for _ in 0..3 {
        w.single(&scope, session.id).await;
    }
    for attempt in w.begin_due(&own, session.id).await.attempts {
        w.settle(attempt.key, accepted(&format!("wamid.{}", attempt.key.message))).await;
        expected.push(attempt.key.message);
    }
    w.pass(SILENT_AFTER);
    let mut found = Vec::new();
    for step in 0..20 {
        let Listened { silent, deaf: _, more } = listen(&w, &own, 2).await;
        found.extend(silent.into_iter().map(|(_, id)| id));
        if step == 0 {
            assert!(more, "seven are left");
            w.reopen().await;
        }
        if !more {
            break;
        }
    }
    assert_eq!(sorted(found), sorted(expected.iter().copied()));
    assert_eq!(sorted(told(&w).await.0), sorted(expected));
}
