//! Cases on what becomes known about users: their will, their names, their addresses.

use chrono::TimeDelta;

use crate::model::{
    Bsuid, Consent, ConversationId, InboundMessage, Preference, PreferenceChoice, Recipient, UserChange,
    UserChangeKind,
};
use crate::port::store::ProjectedEvent;
use crate::testing::store::world::{World, accepted, found, must, only, value};

fn both(phone: crate::model::Phone, bsuid: &str) -> Recipient {
    Recipient::new(Some(phone), Some(value::<Bsuid>(bsuid))).expect("two addresses")
}

pub(crate) async fn project_orders_words_by_the_users_clock(w: World) {
    let scope = w.tenant("one").await;
    let session = w.session(&scope).await;
    let base = w.now();
    w.pass(100);
    let (stop, resume) = (Consent::OptedOut, Consent::Allowed);
    let cases: [(&[(Consent, i64)], Consent); 4] = [
        (&[(stop, 1), (resume, 2)], Consent::Allowed),
        (&[(resume, 2), (stop, 1)], Consent::Allowed),
        (&[(resume, 1), (stop, 2)], Consent::OptedOut),
        (&[(stop, 2), (resume, 1)], Consent::OptedOut),
    ];
    for (words, expected) in cases {
        let from = w.fresh_phone();
        for (said, seconds) in words {
            let at = base + TimeDelta::seconds(*seconds);
            let message = InboundMessage { at, ..w.wrote(&session, from) };
            w.hear(vec![w.inbound(message, Some(*said))]).await;
        }
        let contact = found(w.audience().find_contact(&scope, &from.into()).await);
        assert_eq!(contact.consent, expected, "{words:?}");
    }
}

pub(crate) async fn project_records_a_preference(mut w: World) {
    let scope = w.tenant("one").await;
    let session = w.session(&scope).await;
    let base = w.now();
    w.pass(100);
    let from = w.fresh_phone();
    let wants = async |choice, seconds| {
        let preference = Preference {
            number: session.number.clone(),
            recipient: from.into(),
            at: base + TimeDelta::seconds(seconds),
            category: Some("marketing_messages".to_owned()),
            choice,
        };
        let fresh_contact = w.mint(crate::model::ContactId::mint);
        w.hear(vec![ProjectedEvent::Preference { preference, fresh_contact }]).await;
        found(w.audience().find_contact(&scope, &from.into()).await).consent
    };
    // Whoever is no contact becomes one.
    assert_eq!(wants(PreferenceChoice::Stop, 10).await, Consent::NoMarketing);
    assert_eq!(wants(PreferenceChoice::Resume, 5).await, Consent::NoMarketing, "an older one");
    assert_eq!(wants(PreferenceChoice::Resume, 20).await, Consent::Allowed);
    assert_eq!(wants(PreferenceChoice::Stop, 15).await, Consent::Allowed);
    w.hear(vec![w.inbound(w.wrote(&session, from), Some(Consent::OptedOut))]).await;
    w.reopen().await;
    let wants = async |choice, at| {
        let (number, recipient) = (session.number.clone(), from.into());
        let preference = Preference { number, recipient, at, category: None, choice };
        let fresh_contact = w.mint(crate::model::ContactId::mint);
        w.hear(vec![ProjectedEvent::Preference { preference, fresh_contact }]).await;
        found(w.audience().find_contact(&scope, &from.into()).await).consent
    };
    let last = wants(PreferenceChoice::Resume, w.now()).await;
    assert_eq!(last, Consent::OptedOut, "a resume lifts no stop word");
}

pub(crate) async fn project_notes_names(mut w: World) {
    let scope = w.tenant("one").await;
    let session = w.session(&scope).await;
    let base = w.now();
    w.pass(100);
    let from = w.fresh_phone();
    // Neither the first nor the last to come in is the latest.
    let names = [("Ada", Some("ada"), 10), ("A.", None, 5), ("Ada L.", None, 20), ("A. L.", Some("al"), 7)];
    for (name, user, seconds) in names {
        let message = InboundMessage {
            profile_name: Some(name.to_owned()),
            username: user.map(str::to_owned),
            at: base + TimeDelta::seconds(seconds),
            ..w.wrote(&session, from)
        };
        w.hear(vec![w.inbound(message, None)]).await;
    }
    w.reopen().await;
    let contact = found(w.audience().find_contact(&scope, &from.into()).await);
    let seen = |seen: Option<crate::model::Seen>| seen.map(|seen| (seen.value, seen.at));
    let at = |seconds| base + TimeDelta::seconds(seconds);
    assert_eq!(seen(contact.profile_name), Some(("Ada L.".to_owned(), at(20))), "the latest message's");
    assert_eq!(seen(contact.username), Some(("ada".to_owned(), at(10))));
    assert!(contact.attributes.is_empty(), "no attribute is touched");
}

pub(crate) async fn project_merges_contacts_by_any_address(mut w: World) {
    let (scope, session, own) = w.one().await;
    let list = value("news");
    let member = w.member(&scope, &list).await;
    let phone = member.recipient.phone().expect("a phone");
    let bsuid: Recipient = value::<Bsuid>("DE.1").into();
    let base = w.now();
    // The number hides at first: another contact, with a window, an opt-out and a message of its own.
    w.user_writes(&session, bsuid.clone()).await;
    w.hear(vec![w.inbound(w.wrote(&session, bsuid.clone()), Some(Consent::OptedOut))]).await;
    let hidden = found(w.audience().find_contact(&scope, &bsuid).await);
    w.pass(3_600);
    w.user_writes(&session, phone).await;
    w.enqueue(&scope, &w.message(session.id, phone)).await;
    let sent = only(w.begin_due(&own, session.id).await.attempts).key;
    w.settle(sent, accepted("wamid.1")).await;
    w.pass(3_600);
    w.user_writes(&session, both(phone, "DE.1")).await;
    w.reopen().await;
    let one = only(must(w.audience().contacts(&scope, None, None, 10).await));
    assert_eq!((one.id, &one.recipient), (member.id, &both(phone, "DE.1")));
    assert_eq!(one.consent, Consent::OptedOut, "the stricter consent");
    assert_eq!(must(w.audience().contacts(&scope, Some(&list), None, 10).await).len(), 1);
    let window = found(w.inbox().window(&scope, session.id, hidden.id).await);
    assert_eq!((window.opened_at, window.user_messages, window.business_messages), (base, 4, 1));
    let (conversation, messages) = only(w.conversations(&scope).await);
    assert_eq!((conversation.id.contact, conversation.unread, messages.len()), (one.id, 4, 5));
    let by_alias = ConversationId { session: session.id, contact: hidden.id };
    assert_eq!(found(w.inbox().conversation(&scope, by_alias).await), conversation);
}

pub(crate) async fn project_follows_a_changed_address(mut w: World) {
    let (scope, session, own) = w.one().await;
    let contact = w.contact(&scope).await;
    let (old, new) = (contact.recipient.phone().expect("a phone"), w.fresh_phone());
    w.user_writes(&session, old).await;
    w.enqueue(&scope, &w.message(session.id, old)).await;
    let key = only(w.begin_due(&own, session.id).await.attempts).key;
    w.settle(key, accepted("wamid.1")).await;
    w.pass(60);
    let changed_at = w.now();
    let moves = || UserChange {
        number: session.number.clone(),
        provider_id: "system.1".to_owned(),
        at: changed_at,
        change: UserChangeKind::Number,
        old: old.into(),
        new: both(new, "DE.9"),
    };
    // The user wrote under the new number before the note of it came in.
    w.user_writes(&session, new).await;
    w.hear(vec![ProjectedEvent::UserChanged { change: moves() }]).await;
    w.reopen().await;
    let moved = found(w.audience().find_contact(&scope, &new.into()).await);
    assert_eq!((moved.id, &moved.recipient), (contact.id, &both(new, "DE.9")));
    assert_eq!(must(w.audience().find_contact(&scope, &old.into()).await), None, "nobody's");
    let (_, messages) = only(w.conversations(&scope).await);
    assert_eq!(messages.len(), 3, "both that were written and the one that was sent to the former number");
    // Somebody else gets the former number; a late repetition of the note moves nobody.
    w.pass(60);
    w.user_writes(&session, old).await;
    let other = found(w.audience().find_contact(&scope, &old.into()).await);
    assert_ne!(other.id, contact.id);
    w.hear(vec![ProjectedEvent::UserChanged { change: moves() }]).await;
    assert_eq!(found(w.audience().find_contact(&scope, &old.into()).await), other);
    let id = ConversationId { session: session.id, contact: other.id };
    let messages = must(w.inbox().conversation_messages(&scope, id, None, 10).await);
    assert_eq!(messages.len(), 1, "what was sent to the former owner is not its own");
}
