//! Breakers: what stops a tenant's messages or a number's, until somebody lets go.

use crate::model::{
    Breaker, BreakerReason, BreakerScope, Category, EventBody, HoldReason, NewMessage, SessionId,
};
use crate::testing::store::world::{World, must, only, standard, template, value};

fn breaker(w: &World, scope: BreakerScope) -> Breaker {
    Breaker { scope, reason: BreakerReason::Account, code: 131_031, until: None, since: w.now() }
}

pub(in crate::testing::store) async fn an_open_breaker_binds_the_next_begin(w: World) {
    let (scope, session, own) = w.one().await;
    let offer = |name: &str| NewMessage {
        content: template(name, Category::Utility),
        ..w.message(session.id, w.fresh_phone())
    };
    let (stopped, free) = (offer("stopped"), offer("free"));
    w.enqueue(&scope, &stopped).await;
    w.enqueue(&scope, &free).await;
    let page = w.due(&own, session.id).await.messages;
    let of_template = BreakerScope::Template(session.id, value("stopped"), value("en_US"));
    assert!(must(w.numbers().open_breaker(&scope, &breaker(&w, of_template)).await));
    let begun = w.begin(&own, session.id, &page, standard()).await;
    assert_eq!(only(begun.attempts).key.message, free.id);
    let (id, why, _) = only(begun.waits);
    assert_eq!((id, why), (stopped.id, HoldReason::TemplateStopped));

    w.campaign(&scope, session.id, 2).await;
    let page = w.due(&own, session.id).await.messages;
    let of_session = breaker(&w, BreakerScope::Session(session.id));
    assert!(must(w.numbers().open_breaker(&scope, &of_session).await));
    let begun = w.begin(&own, session.id, &page, standard()).await;
    assert!(begun.attempts.is_empty(), "{begun:?}");
    assert_eq!(only(begun.stopped).why, HoldReason::SessionStopped);

    // Opened again it is changed, not doubled.
    let changed = Breaker { reason: BreakerReason::Spam, until: Some(w.after(60)), ..of_session };
    assert!(must(w.numbers().open_breaker(&scope, &changed).await));
    let listed = must(w.numbers().breakers(&scope).await);
    let of_session: Vec<_> =
        listed.iter().filter(|it| it.scope == BreakerScope::Session(session.id)).collect();
    assert_eq!(of_session.len(), 1);
    assert_eq!(of_session.first().map(|it| (it.reason, it.until)), Some((changed.reason, changed.until)));
}

pub(in crate::testing::store) async fn a_foreign_session_gets_no_breaker(w: World) {
    let (scope, session, own) = w.one().await;
    let other = w.tenant("other").await;
    let before = w.snapshot(&scope).await;
    for what in [
        BreakerScope::Session(session.id),
        BreakerScope::Template(session.id, value("notice"), value("en_US")),
        BreakerScope::Session(w.mint(SessionId::mint)),
    ] {
        assert!(!must(w.numbers().open_breaker(&other, &breaker(&w, what.clone())).await), "{what:?}");
        assert!(!must(w.numbers().reset_breaker(&other, &what).await));
    }
    assert_eq!(w.snapshot(&scope).await, before);
    assert!(must(w.numbers().breakers(&other).await).is_empty());
    w.begun(&scope, session.id, &own).await;
}

pub(in crate::testing::store) async fn a_reset_breaker_lets_go(w: World) {
    let (scope, session, own) = w.one().await;
    let campaign = w.campaign(&scope, session.id, 2).await;
    let what = BreakerScope::Session(session.id);
    assert!(!must(w.numbers().reset_breaker(&scope, &what).await), "none is open");
    assert!(must(w.numbers().open_breaker(&scope, &breaker(&w, what.clone())).await));
    assert!(w.begin_due(&own, session.id).await.attempts.is_empty());
    let before = w.events().await.len();
    assert!(must(w.numbers().reset_breaker(&scope, &what).await));
    let told: Vec<EventBody> = w.events().await.into_iter().skip(before).map(|event| event.body).collect();
    assert_eq!(told, [EventBody::SessionResumed { session: session.id }]);
    assert!(!must(w.numbers().reset_breaker(&scope, &what).await));
    assert_eq!(w.begin_due(&own, session.id).await.attempts.len(), 2, "what it stopped begins");
    assert_eq!(w.counts(&scope, campaign.id).await.attempting, 2);

    let what = BreakerScope::Template(session.id, value("notice"), value("en_US"));
    assert!(must(w.numbers().open_breaker(&scope, &breaker(&w, what.clone())).await));
    w.single(&scope, session.id).await;
    assert!(w.begin_due(&own, session.id).await.attempts.is_empty());
    assert!(must(w.numbers().reset_breaker(&scope, &what).await));
    w.pass(3_600);
    assert_eq!(w.begin_due(&own, session.id).await.attempts.len(), 1);
}

pub(in crate::testing::store) async fn breakers_lists_open_ones(mut w: World) {
    let scope = w.tenant("one").await;
    let (first, second) = (w.session(&scope).await, w.session(&scope).await);
    let timed = Breaker {
        until: Some(w.after(60)),
        reason: BreakerReason::TemplatePaused,
        ..breaker(&w, BreakerScope::Template(first.id, value("offer"), value("de")))
    };
    let plain = breaker(&w, BreakerScope::Session(first.id));
    let reset = breaker(&w, BreakerScope::Session(second.id));
    for it in [&timed, &plain, &reset] {
        assert!(must(w.numbers().open_breaker(&scope, it).await));
    }
    let in_order = |mut all: Vec<Breaker>| {
        all.sort_by(|one, two| one.scope.cmp(&two.scope));
        all
    };
    w.reopen().await;
    let listed = must(w.numbers().breakers(&scope).await);
    assert_eq!(listed, in_order(vec![timed.clone(), plain.clone(), reset.clone()]));
    assert!(must(w.numbers().reset_breaker(&scope, &reset.scope).await));
    assert_eq!(must(w.numbers().breakers(&scope).await), in_order(vec![timed, plain.clone()]));
    w.pass(60);
    assert_eq!(must(w.numbers().breakers(&scope).await), [plain], "from its end on it is over");
}
