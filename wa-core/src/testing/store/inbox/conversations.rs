//! Cases on stored messages and conversations.

use chrono::TimeDelta;

use crate::model::{
    Conversation, ConversationAction, ConversationId, ConversationState, Echo, EventBody, InboundBody,
    InboundContext, InboundMedia, InboundMessage, JsonText, Referral,
};
use crate::port::Scope;
use crate::port::store::{
    Assignment, ConversationFilter, ConversationKey, ConversationMessage, Direction, StoredInbound,
};
use crate::testing::store::world::{World, accepted, ends, found, must, only, orders, value};

async fn stored(w: &World, scope: &Scope) -> Vec<StoredInbound> {
    must(w.inbox().inbound(scope, None, 1_000).await)
}

async fn act(w: &World, scope: &Scope, id: ConversationId, action: ConversationAction) -> Conversation {
    found(w.inbox().act_on_conversation(scope, id, &action).await)
}

/// What the journal tells of conversations, in order.
async fn told(w: &World) -> Vec<&'static str> {
    let name = |body: &EventBody| match body {
        EventBody::ConversationOpened { .. } => Some("opened"),
        EventBody::ConversationClosed { .. } => Some("closed"),
        EventBody::ConversationAssigned { .. } => Some("assigned"),
        _ => None,
    };
    w.events().await.iter().filter_map(|event| name(&event.body)).collect()
}

pub(crate) async fn project_stores_every_kind(mut w: World) {
    let scope = w.tenant("one").await;
    let session = w.session(&scope).await;
    let media = InboundMedia {
        id: "media.1".to_owned(),
        mime_type: Some("image/jpeg".to_owned()),
        caption: Some("schön".to_owned()),
        ..InboundMedia::default()
    };
    let bodies = [
        InboundBody::text("hällo\n\u{1f600}"),
        InboundBody::Image(media.clone()),
        InboundBody::Voice(media),
        InboundBody::Contacts { cards: JsonText::new("[{}]".to_owned()) },
        InboundBody::Button { text: "Yes".to_owned(), payload: Some("yes".to_owned()) },
        InboundBody::Call,
        InboundBody::Order { catalog: None, text: None, items: JsonText::new("[]".to_owned()) },
        InboundBody::Unsupported { name: Some("poll".to_owned()), code: Some(131_051), title: None },
        InboundBody::Other { name: "hologram".to_owned() },
    ];
    let context =
        InboundContext { quoted: Some("wamid.0".to_owned()), forwarded: true, ..InboundContext::default() };
    let referral = Referral { ctwa_clid: Some("click".to_owned()), ..Referral::default() };
    for body in &bodies {
        let message = InboundMessage {
            body: body.clone(),
            context: Some(context.clone()),
            referral: Some(referral.clone()),
            group: Some("g.1".to_owned()),
            ..w.wrote(&session, w.fresh_phone())
        };
        w.hear(vec![w.inbound(message, None)]).await;
    }
    w.reopen().await;
    let all = stored(&w, &scope).await;
    assert_eq!(all.iter().map(|it| it.body.clone()).collect::<Vec<_>>(), bodies);
    for it in all {
        assert_eq!((it.direction, it.context.as_ref()), (Direction::Inbound, Some(&context)));
        assert_eq!((it.referral.as_ref(), it.group.as_deref()), (Some(&referral), Some("g.1")));
        assert_eq!((it.shown(), it.reactions.len()), (Some(&it.body), 0));
    }
    assert_eq!(w.conversations(&scope).await, [], "a group is no conversation with its author");
}

pub(crate) async fn project_attaches_what_hangs_on_a_message(w: World) {
    let scope = w.tenant("one").await;
    let session = w.session(&scope).await;
    let base = w.now();
    w.pass(100);
    for order in orders(5).into_iter().step_by(7) {
        let from = w.fresh_phone();
        let original = InboundMessage { at: base, ..w.wrote(&session, from) };
        let target = original.provider_id.clone();
        let hangs = |body: InboundBody, seconds| InboundMessage {
            body,
            at: base + TimeDelta::seconds(seconds),
            ..w.wrote(&session, from)
        };
        let edit = |text: &str| InboundBody::Edit {
            target: target.clone(),
            body: Box::new(InboundBody::text(text)),
        };
        let reaction =
            |emoji: &str| InboundBody::Reaction { target: target.clone(), emoji: Some(emoji.to_owned()) };
        let all = [
            original.clone(),
            hangs(edit("better"), 1),
            hangs(edit("best"), 2),
            hangs(reaction("👍"), 3),
            hangs(reaction("🎉"), 4),
        ];
        for message in order.iter().filter_map(|which| all.get(*which)) {
            w.hear(vec![w.inbound(message.clone(), None)]).await;
        }
        let by_business = Echo { body: reaction("❤️"), ..w.typed(&session, from, "") };
        w.hear(vec![w.echo(by_business)]).await;
        let of = async || {
            let all = stored(&w, &scope).await;
            only(all.into_iter().filter(|it| it.provider_id == target).collect())
        };
        let seen = of().await;
        assert_eq!(seen.body, original.body, "the original stays");
        assert_eq!(seen.shown(), Some(&InboundBody::text("best")), "{order:?}");
        let reactions: Vec<_> = seen.reactions.iter().map(|it| (it.direction, it.emoji.as_str())).collect();
        assert_eq!(reactions, [(Direction::Inbound, "🎉"), (Direction::Echo, "❤️")], "{order:?}");
        let back = InboundBody::Reaction { target: target.clone(), emoji: None };
        let gone = InboundBody::Revoke { target: target.clone() };
        w.hear(vec![w.inbound(hangs(back, 5), None), w.inbound(hangs(gone, 6), None)]).await;
        let seen = of().await;
        assert_eq!((seen.shown(), seen.reactions.len()), (None, 1), "deleted, and the reaction taken back");
        assert_eq!(seen.revoked_at, Some(base + TimeDelta::seconds(6)));
        assert_eq!(seen.body, original.body);
    }
}

pub(crate) async fn project_stores_an_echo(w: World) {
    let scope = w.tenant("one").await;
    let session = w.session(&scope).await;
    let to = w.fresh_phone();
    let echo = w.typed(&session, to, "hello from the shop");
    let projected = w.hear(vec![w.echo(echo.clone()), w.echo(echo.clone())]).await;
    assert_eq!((projected.inbound, projected.metered), (0, vec![(session.id, w.now())]));
    assert_eq!(w.hear(vec![w.echo(echo.clone())]).await.metered, []);
    let seen = only(stored(&w, &scope).await);
    assert_eq!((seen.direction, &seen.provider_id), (Direction::Echo, &echo.provider_id));
    let contact = found(w.audience().find_contact(&scope, &to.into()).await);
    assert_eq!(must(w.inbox().window(&scope, session.id, contact.id).await), None, "it opens no window");
    let (conversation, messages) = only(w.conversations(&scope).await);
    assert_eq!((conversation.id.contact, conversation.unread), (contact.id, 0));
    assert_eq!((conversation.opened_at, conversation.first_inbound_at), (w.now(), None));
    assert_eq!(messages, [ConversationMessage::Heard(Box::new(seen))]);
}

pub(crate) async fn project_opens_a_conversation(w: World) {
    let scope = w.tenant("one").await;
    let session = w.session(&scope).await;
    let contact = w.contact(&scope).await;
    let base = w.now();
    w.pass(100);
    let write = async |seconds| {
        let at = base + TimeDelta::seconds(seconds);
        let message = InboundMessage { at, ..w.wrote(&session, contact.recipient.clone()) };
        w.hear(vec![w.inbound(message, None)]).await;
        only(w.conversations(&scope).await).0
    };
    write(20).await;
    let first = write(10).await;
    assert_eq!((first.state, first.unread), (ConversationState::Open, 2));
    assert_eq!(first.opened_at, base + TimeDelta::seconds(10), "whatever came in first");
    assert_eq!(first.last_message_at, base + TimeDelta::seconds(20));
    let closed = act(&w, &scope, first.id, ConversationAction::Close).await;
    assert_eq!((closed.state, closed.closed_at), (ConversationState::Closed, Some(w.now())));
    // A reaction asks for nobody; nor does what a person of the business types.
    let body = InboundBody::Reaction { target: "x".to_owned(), emoji: Some("👍".to_owned()) };
    let reaction = InboundMessage { body, ..w.wrote(&session, contact.recipient.clone()) };
    w.hear(vec![w.inbound(reaction, None)]).await;
    w.hear(vec![w.echo(w.typed(&session, contact.recipient.clone(), "bye"))]).await;
    assert_eq!(only(w.conversations(&scope).await).0.state, ConversationState::Closed);
    let again = write(90).await;
    assert_eq!((again.state, again.closed_at), (ConversationState::Open, None));
    assert_eq!(again.opened_at, base + TimeDelta::seconds(90), "a round of its own");
    assert_eq!(told(&w).await, ["opened", "closed", "opened"]);
}

pub(crate) async fn conversations_are_paged_latest_first(w: World) {
    let (a, b) = (w.tenant("a").await, w.tenant("b").await);
    let (at_a, at_b) = (w.session(&a).await, w.session(&b).await);
    let mut expected = Vec::new();
    for place in 0..6 {
        let contact = w.contact(&a).await;
        w.user_writes(&at_a, contact.recipient.clone()).await;
        let id = ConversationId { session: at_a.id, contact: contact.id };
        expected.push(ConversationKey { last_message_at: w.now(), id });
        w.user_writes(&at_b, w.fresh_phone()).await;
        w.pass(u64::from(place % 2 == 0));
    }
    expected.sort();
    expected.reverse();
    let mut paged: Vec<ConversationKey> = Vec::new();
    loop {
        let after = paged.last().copied();
        let page = must(w.inbox().conversations(&a, &ConversationFilter::default(), after, 2).await);
        assert!(page.len() <= 2);
        if page.is_empty() {
            break;
        }
        paged.extend(page.iter().map(ConversationKey::from));
        ends(&paged);
    }
    assert_eq!(paged, expected);
}

pub(crate) async fn conversations_are_filtered(w: World) {
    let scope = w.tenant("one").await;
    let (first, second) = (w.session(&scope).await, w.session(&scope).await);
    let mut ids = Vec::new();
    for session in [&first, &first, &second] {
        let contact = w.contact(&scope).await;
        w.user_writes(session, contact.recipient.clone()).await;
        ids.push(ConversationId { session: session.id, contact: contact.id });
        w.pass(1);
    }
    let [closed, adas, third]: [ConversationId; 3] = ids.try_into().expect("three");
    act(&w, &scope, closed, ConversationAction::Close).await;
    act(&w, &scope, adas, ConversationAction::Assign(Some(value("ada")))).await;
    let list = async |filter: ConversationFilter| {
        let page = must(w.inbox().conversations(&scope, &filter, None, 10).await);
        page.into_iter().map(|it| it.id).collect::<Vec<_>>()
    };
    let by = |state, assigned, session| ConversationFilter { state, assigned, session };
    assert_eq!(list(by(Some(ConversationState::Open), None, None)).await, [third, adas]);
    assert_eq!(list(by(Some(ConversationState::Closed), None, None)).await, [closed]);
    assert_eq!(list(by(None, Some(Assignment::To(value("ada"))), None)).await, [adas]);
    assert_eq!(list(by(None, Some(Assignment::Nobody), None)).await, [third, closed]);
    assert_eq!(list(by(None, None, Some(first.id))).await, [adas, closed]);
    let all = by(Some(ConversationState::Open), Some(Assignment::Nobody), Some(first.id));
    assert_eq!(list(all).await, []);
}

pub(crate) async fn a_foreign_conversation_is_missing(w: World) {
    let (a, b) = (w.tenant("a").await, w.tenant("b").await);
    let session = w.session(&a).await;
    w.user_writes(&session, w.fresh_phone()).await;
    let (conversation, _) = only(w.conversations(&a).await);
    let id = conversation.id;
    assert_eq!(found(w.inbox().conversation(&a, id).await), conversation);
    assert_eq!(must(w.inbox().conversation(&b, id).await), None);
    assert_eq!(must(w.inbox().conversation_messages(&b, id, None, 10).await), []);
    let close = ConversationAction::Close;
    assert_eq!(must(w.inbox().act_on_conversation(&b, id, &close).await), None);
    assert_eq!(found(w.inbox().conversation(&a, id).await), conversation);
}

pub(crate) async fn a_conversation_shows_its_first_response(w: World) {
    let (scope, session, own) = w.one().await;
    w.without_cooldown(&scope).await;
    let contact = w.contact(&scope).await;
    let base = w.now();
    let shown = async || only(w.conversations(&scope).await).0;
    // Before the user's first message: no response to it.
    w.enqueue(&scope, &w.message(session.id, contact.recipient.clone())).await;
    let early = only(w.begin_due(&own, session.id).await.attempts).key;
    w.settle(early, accepted("wamid.0")).await;
    w.pass(10);
    let wrote = w.wrote(&session, contact.recipient.clone());
    w.pass(10);
    // The echo that answers comes in before what it answers.
    w.hear(vec![w.echo(w.typed(&session, contact.recipient.clone(), "yes?"))]).await;
    assert_eq!(shown().await.first_response_at, None);
    w.pass(10);
    w.hear(vec![w.inbound(wrote, None)]).await;
    let seen = shown().await;
    assert_eq!(seen.first_inbound_at, Some(base + TimeDelta::seconds(10)));
    assert_eq!(seen.first_response_at, Some(base + TimeDelta::seconds(20)));
    // In the next round it is the library's own message; one that did not leave is none.
    act(&w, &scope, seen.id, ConversationAction::Close).await;
    w.pass(10);
    w.user_writes(&session, contact.recipient.clone()).await;
    for outcome in [crate::model::Outcome::NotSent, accepted("wamid.2")] {
        w.pass(60);
        w.enqueue(&scope, &w.message(session.id, contact.recipient.clone())).await;
        for attempt in w.begin_due(&own, session.id).await.attempts {
            w.settle(attempt.key, outcome.clone()).await;
        }
    }
    let answered = shown().await.first_response_at.expect("answered");
    assert_eq!(answered, w.now(), "not the one that never left");
    w.pass(10);
    w.hear(vec![w.echo(w.typed(&session, contact.recipient.clone(), "and one more thing"))]).await;
    assert_eq!(shown().await.first_response_at, Some(answered), "the first one stays the first");
}

pub(crate) async fn conversation_messages_are_in_order_of_time(mut w: World) {
    let (scope, session, own) = w.one().await;
    w.without_cooldown(&scope).await;
    let contact = w.contact(&scope).await;
    let from = contact.recipient.clone();
    let mut expected = Vec::new();
    for round in 0..3 {
        let message = w.wrote(&session, from.clone());
        expected.push(message.provider_id.clone());
        w.hear(vec![w.inbound(message, None)]).await;
        // At one instant what was heard comes first.
        let id = w.enqueue(&scope, &w.message(session.id, from.clone())).await;
        let key = only(w.begin_due(&own, session.id).await.attempts).key;
        w.settle(key, accepted(&format!("wamid.{round}"))).await;
        expected.push(id.to_string());
        w.pass(5);
        let echo = w.typed(&session, from.clone(), "by hand");
        expected.push(echo.provider_id.clone());
        w.hear(vec![w.echo(echo)]).await;
        w.pass(5);
    }
    let body = InboundBody::Reaction { target: "wamid.1".to_owned(), emoji: Some("👍".to_owned()) };
    w.hear(vec![w.inbound(InboundMessage { body, ..w.wrote(&session, from.clone()) }, None)]).await;
    w.user_writes(&session, w.fresh_phone()).await;
    w.reopen().await;
    let id = ConversationId { session: session.id, contact: contact.id };
    for size in [1, 2, 4, 100] {
        let mut paged: Vec<ConversationMessage> = Vec::new();
        loop {
            let after = paged.last().map(ConversationMessage::place);
            let page = must(w.inbox().conversation_messages(&scope, id, after, size).await);
            if page.is_empty() {
                break;
            }
            paged.extend(page);
            ends(&paged);
        }
        let names: Vec<_> = paged
            .iter()
            .map(|it| match it {
                ConversationMessage::Heard(heard) => heard.provider_id.clone(),
                ConversationMessage::Sent { view, .. } => view.id.to_string(),
            })
            .collect();
        assert_eq!(names, expected, "in pages of {size}");
        for it in &paged {
            if let ConversationMessage::Sent { view, content, reactions, .. } = it {
                assert!(content.is_some(), "what it says");
                let name = view.attempts.first().and_then(|attempt| attempt.facts.provider_id.as_deref());
                let liked = name == Some("wamid.1");
                assert_eq!(reactions.len(), usize::from(liked));
            }
        }
    }
}

pub(crate) async fn a_conversation_is_assigned_closed_and_reopened(mut w: World) {
    let scope = w.tenant("one").await;
    let session = w.session(&scope).await;
    w.user_writes(&session, w.fresh_phone()).await;
    let id = only(w.conversations(&scope).await).0.id;
    let ada = Some(value("ada"));
    for _ in 0..2 {
        let seen = act(&w, &scope, id, ConversationAction::Assign(ada.clone())).await;
        assert_eq!(seen.assigned, ada);
        let seen = act(&w, &scope, id, ConversationAction::Close).await;
        assert_eq!((seen.state, seen.closed_at), (ConversationState::Closed, Some(w.now())));
        assert_eq!(act(&w, &scope, id, ConversationAction::Close).await, seen);
    }
    w.reopen().await;
    for _ in 0..2 {
        let seen = act(&w, &scope, id, ConversationAction::Reopen).await;
        assert_eq!((seen.state, seen.closed_at), (ConversationState::Open, None));
        let seen = act(&w, &scope, id, ConversationAction::Assign(None)).await;
        assert_eq!(seen.assigned, None);
    }
    assert_eq!(told(&w).await, ["opened", "assigned", "closed", "opened", "assigned"], "each once");
    let missing = ConversationId { session: w.session(&scope).await.id, ..id };
    let nothing = w.inbox().act_on_conversation(&scope, missing, &ConversationAction::Close).await;
    assert_eq!(must(nothing), None);
}

pub(crate) async fn a_conversation_counts_what_is_unread(w: World) {
    let scope = w.tenant("one").await;
    let session = w.session(&scope).await;
    let from = w.fresh_phone();
    let unread = async || only(w.conversations(&scope).await).0.unread;
    for n in 1..=3 {
        w.user_writes(&session, from).await;
        w.hear(vec![w.echo(w.typed(&session, from, "by hand"))]).await;
        assert_eq!(unread().await, n, "its own messages are read");
    }
    let id = only(w.conversations(&scope).await).0.id;
    assert_eq!(act(&w, &scope, id, ConversationAction::MarkRead).await.unread, 0);
    // One that was written before and comes in late was not read.
    let late = InboundMessage { at: w.after(-60), ..w.wrote(&session, from) };
    w.hear(vec![w.inbound(late, None)]).await;
    assert_eq!(unread().await, 1);
}
