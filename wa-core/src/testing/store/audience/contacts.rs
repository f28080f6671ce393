//! Contacts, lists and consent.

use std::collections::BTreeMap;

use crate::model::{
    Bsuid, Category, Consent, ConsentSource, Contact, ContactId, EventBody, ListName, NewMessage, Recipient,
    SkipReason, UserChange, UserChangeKind,
};
use crate::port::store::{ProjectedEvent, UpsertContact};
use crate::testing::store::world::{World, ends, found, must, only, standard, template, value};

fn both(phone: crate::model::Phone, bsuid: &str) -> Recipient {
    Recipient::new(Some(phone), Some(value::<Bsuid>(bsuid))).expect("two addresses")
}

pub(crate) async fn upsert_contact_finds_by_any_address(w: World) {
    let scope = w.tenant("one").await;
    let upsert =
        async |recipient: Recipient| found(w.audience().upsert_contact(&scope, &w.upsert(recipient)).await);
    let (phone, bsuid) = (w.fresh_phone(), value::<Bsuid>("DE.111"));
    let first = upsert(phone.into()).await;
    assert_eq!(upsert(phone.into()).await, first, "by phone");
    let learnt = upsert(both(phone, "DE.111")).await;
    assert_eq!((learnt.id, learnt.recipient), (first.id, both(phone, "DE.111")), "and learns the other");
    assert_eq!(upsert(bsuid.clone().into()).await.id, first.id, "by which it is found from now on");
    let kept = upsert(phone.into()).await;
    assert_eq!(kept.recipient, both(phone, "DE.111"), "what is not said is not forgotten");

    // The other way round.
    let hidden = upsert(value::<Bsuid>("DE.222").into()).await;
    let other = w.fresh_phone();
    assert_eq!(upsert(both(other, "DE.222")).await.id, hidden.id);
    assert_eq!(upsert(other.into()).await.id, hidden.id);

    // Where the other one has a phone of its own it is left alone.
    let with_phone = upsert(w.fresh_phone().into()).await;
    let with_bsuid = upsert(both(w.fresh_phone(), "DE.333")).await;
    let said = both(with_phone.recipient.phone().expect("a phone"), "DE.333");
    assert_eq!(upsert(said).await.id, with_phone.id);
    assert_eq!(found(w.audience().contact(&scope, with_bsuid.id).await), with_bsuid);
    assert_eq!(must(w.audience().contacts(&scope, None, None, 100).await).len(), 4);
    let nobody = w.audience().upsert_contact(&w.nobody(), &w.upsert(phone)).await;
    assert_eq!(must(nobody), None);
}

pub(crate) async fn upsert_contact_merges_attributes(mut w: World) {
    let scope = w.tenant("one").await;
    let phone = w.fresh_phone();
    let pairs = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let said = |attributes| UpsertContact { attributes, ..w.upsert(phone) };
    let first = said(pairs(&[("name", "Ada"), ("city", "Köln")]));
    found(w.audience().upsert_contact(&scope, &first).await);
    let second = said(pairs(&[("city", ""), ("zip", "50667")]));
    let merged = found(w.audience().upsert_contact(&scope, &second).await);
    let expected = pairs(&[("name", "Ada"), ("city", ""), ("zip", "50667")]);
    assert_eq!(merged.attributes, expected, "new values win, others stay");
    w.reopen().await;
    assert_eq!(found(w.audience().contact(&scope, merged.id).await), merged);
}

pub(crate) async fn upsert_contact_merges_contacts(mut w: World) {
    let scope = w.tenant("one").await;
    let phone = w.fresh_phone();
    let named = |who: Recipient, name: &str, list: &str| UpsertContact {
        attributes: BTreeMap::from([("name".to_owned(), name.to_owned()), (list.to_owned(), "x".to_owned())]),
        list: Some(value(list)),
        ..w.upsert(who)
    };
    let visible = found(w.audience().upsert_contact(&scope, &named(phone.into(), "Ada", "news")).await);
    w.pass(1);
    let bsuid: Recipient = value::<Bsuid>("DE.1").into();
    let hidden = found(w.audience().upsert_contact(&scope, &named(bsuid, "A. L.", "offers")).await);
    found(w.audience().set_consent(&scope, hidden.id, Consent::OptedOut, ConsentSource::Caller).await);
    w.pass(1);
    let one = found(w.audience().upsert_contact(&scope, &w.upsert(both(phone, "DE.1"))).await);
    assert_eq!((one.id, &one.recipient), (visible.id, &both(phone, "DE.1")), "the one with the phone stays");
    assert_eq!(one.attributes.get("name").map(String::as_str), Some("A. L."), "of the one created later");
    assert!(one.attributes.contains_key("news") && one.attributes.contains_key("offers"));
    assert_eq!(
        (one.consent, one.created_at),
        (Consent::OptedOut, visible.created_at),
        "the stricter consent"
    );
    w.reopen().await;
    for list in ["news", "offers"] {
        let members = must(w.audience().contacts(&scope, Some(&value(list)), None, 10).await);
        assert_eq!(members, std::slice::from_ref(&one), "{list}");
    }
    assert_eq!(must(w.audience().contacts(&scope, None, None, 10).await), [one]);
    let told: Vec<_> = w.events().await.into_iter().map(|event| event.body).collect();
    assert!(told.contains(&EventBody::ContactsMerged { contact: visible.id, alias: hidden.id }));
}

pub(crate) async fn a_merged_contact_is_found_by_its_former_id(w: World) {
    let scope = w.tenant("one").await;
    let phone = w.fresh_phone();
    let visible = found(w.audience().upsert_contact(&scope, &w.upsert(phone)).await);
    let hidden = found(w.audience().upsert_contact(&scope, &w.upsert(value::<Bsuid>("DE.1"))).await);
    found(w.audience().upsert_contact(&scope, &w.upsert(both(phone, "DE.1"))).await);
    let one = found(w.audience().contact(&scope, visible.id).await);
    assert_eq!(found(w.audience().contact(&scope, hidden.id).await), one);
    let blocked =
        found(w.audience().set_consent(&scope, hidden.id, Consent::Blocked, ConsentSource::Caller).await);
    assert_eq!((blocked.id, blocked.consent), (visible.id, Consent::Blocked));
    // Whoever turns out to be the same person by a change of number takes along what was merged before.
    let (session, former) = (w.session(&scope).await, w.contact(&scope).await);
    let change = UserChange {
        number: session.number,
        provider_id: "system.1".to_owned(),
        at: w.now(),
        change: UserChangeKind::Number,
        old: former.recipient.clone(),
        new: phone.into(),
    };
    w.hear(vec![ProjectedEvent::UserChanged { change }]).await;
    let stays = found(w.audience().find_contact(&scope, &phone.into()).await);
    for id in [former.id, visible.id, hidden.id] {
        assert_eq!(found(w.audience().contact(&scope, id).await), stays);
    }
    let other = w.tenant("other").await;
    assert_eq!(must(w.audience().contact(&other, hidden.id).await), None);
}

pub(crate) async fn a_foreign_contact_is_missing(w: World) {
    let (a, b) = (w.tenant("a").await, w.tenant("b").await);
    let contact = w.contact(&a).await;
    assert_eq!(must(w.audience().contact(&a, contact.id).await), Some(contact.clone()));
    assert_eq!(must(w.audience().contact(&b, contact.id).await), None);
    assert_eq!(must(w.audience().contact(&a, w.mint(ContactId::mint)).await), None);
    assert_eq!(must(w.audience().find_contact(&b, &contact.recipient).await), None);
    let changed = w.audience().set_consent(&b, contact.id, Consent::Blocked, ConsentSource::Caller).await;
    assert_eq!(must(changed), None);
    assert_eq!(found(w.audience().contact(&a, contact.id).await), contact);
    // The same phone is a contact of its own at another tenant.
    let twin = found(w.audience().upsert_contact(&b, &w.upsert(contact.recipient.clone())).await);
    assert_ne!(twin.id, contact.id);
}

pub(crate) async fn find_contact_by_either_address(w: World) {
    let scope = w.tenant("one").await;
    let phone = w.fresh_phone();
    let contact = found(w.audience().upsert_contact(&scope, &w.upsert(both(phone, "DE.1"))).await);
    let hidden = found(w.audience().upsert_contact(&scope, &w.upsert(value::<Bsuid>("DE.2"))).await);
    let find = async |who: Recipient| must(w.audience().find_contact(&scope, &who).await);
    assert_eq!(find(phone.into()).await, Some(contact.clone()));
    assert_eq!(find(value::<Bsuid>("DE.1").into()).await, Some(contact.clone()));
    assert_eq!(find(both(w.fresh_phone(), "DE.2")).await, Some(hidden), "an unknown phone is no obstacle");
    assert_eq!(find(both(phone, "DE.2")).await, Some(contact), "the phone decides where both are known");
    assert_eq!(find(w.fresh_phone().into()).await, None);
}

pub(crate) async fn contacts_are_paged_by_id(w: World) {
    let (a, b) = (w.tenant("a").await, w.tenant("b").await);
    let list: ListName = value("news");
    let (mut all, mut members) = (Vec::new(), Vec::new());
    for place in 0..6 {
        w.pass(1);
        let contact = if place % 2 == 0 { w.member(&a, &list).await } else { w.contact(&a).await };
        if place % 2 == 0 {
            members.push(contact.clone());
        }
        all.push(contact);
        w.member(&b, &list).await;
    }
    for (list, mut expected) in [(None, all), (Some(&list), members)] {
        expected.sort_by_key(|contact| contact.id);
        let mut paged: Vec<Contact> = Vec::new();
        loop {
            let after = paged.last().map(|contact| contact.id);
            let page = must(w.audience().contacts(&a, list, after, 2).await);
            assert!(page.len() <= 2);
            if page.is_empty() {
                break;
            }
            paged.extend(page);
            ends(&paged);
        }
        assert_eq!(paged, expected, "{list:?}");
    }
    assert!(must(w.audience().contacts(&a, Some(&value("nothing")), None, 10).await).is_empty());
}

pub(crate) async fn an_opt_out_binds_the_next_begin(w: World) {
    let (scope, session, own) = w.one().await;
    let (list, members) = w.list(&scope, 3).await;
    let [opted_out, blocked, stays] = members.try_into().expect("three members");
    let draft = w.draft(&scope, &w.new_campaign(&list, &[session.id])).await;
    w.launch(&scope, draft.id, 10).await;
    // Single messages name a phone, not a contact; a phone that opted out is bound all the same.
    let single = NewMessage {
        content: template("receipt", Category::Utility),
        ..w.message(session.id, opted_out.recipient.clone())
    };
    w.enqueue(&scope, &single).await;
    let page = w.due(&own, session.id).await.messages;
    assert_eq!(page.len(), 4);

    w.pass(1);
    let before = w.events().await.len();
    for (contact, consent) in [(&opted_out, Consent::OptedOut), (&blocked, Consent::Blocked)] {
        let set = w.audience().set_consent(&scope, contact.id, consent, ConsentSource::Caller).await;
        let changed = found(set);
        assert_eq!((changed.consent, changed.consent_at), (consent, Some(w.now())));
    }
    let begun = w.begin(&own, session.id, &page, standard()).await;
    let attempt = only(begun.attempts);
    assert_eq!(w.view(&scope, attempt.key.message).await.recipient, stays.recipient);
    let mut reasons: Vec<SkipReason> = begun.skips.iter().map(|(_, reason)| *reason).collect();
    reasons.sort();
    assert_eq!(reasons, [SkipReason::OptedOut, SkipReason::OptedOut, SkipReason::Blocked]);
    assert!(begun.skips.contains(&(single.id, SkipReason::OptedOut)));

    let changes = async || -> Vec<_> {
        let events = w.events().await.into_iter().skip(before);
        events
            .filter_map(|event| match event.body {
                EventBody::Consent { contact, consent, source } => Some((contact, consent, source)),
                _ => None,
            })
            .collect()
    };
    let told = [
        (opted_out.id, Consent::OptedOut, ConsentSource::Caller),
        (blocked.id, Consent::Blocked, ConsentSource::Caller),
    ];
    assert_eq!(changes().await, told);
    found(w.audience().set_consent(&scope, blocked.id, Consent::Blocked, ConsentSource::Caller).await);
    assert_eq!(changes().await, told, "what did not change is not told");
    // The tenant's own word lifts it again.
    found(w.audience().set_consent(&scope, opted_out.id, Consent::Allowed, ConsentSource::Caller).await);
    w.enqueue(&scope, &w.message(session.id, opted_out.recipient.clone())).await;
    assert_eq!(w.begin_due(&own, session.id).await.attempts.len(), 1);
}

fn address(recipient: impl Into<Recipient>) -> Recipient {
    recipient.into()
}

pub(crate) async fn suppress_adds_each_address_once(mut w: World) {
    let scope = w.tenant("one").await;
    let (ada, bea) = (w.fresh_phone(), w.fresh_phone());
    let user: Bsuid = value("US.7");
    let both = Recipient::new(Some(bea), Some(user.clone())).expect("two addresses");
    let first_at = w.now();
    assert_eq!(must(w.audience().suppress(&scope, &[address(ada), address(ada)]).await), Some(1));
    w.pass(5);
    assert_eq!(must(w.audience().suppress(&scope, &[address(ada), both]).await), Some(2));
    w.reopen().await;
    let listed = must(w.audience().suppressed(&scope, None, 10).await);
    let listed: Vec<_> = listed.into_iter().map(|it| (it.address, it.at)).collect();
    let second_at = first_at + chrono::TimeDelta::seconds(5);
    let expected = [(address(ada), first_at), (address(bea), second_at), (address(user), second_at)];
    assert_eq!(listed, expected, "each address apart, with the time at which it came");
    assert_eq!(must(w.audience().suppress(&w.nobody(), &[address(ada)]).await), None);
}

pub(crate) async fn unsuppress_lets_go(w: World) {
    let scope = w.tenant("one").await;
    let (ada, bea) = (w.fresh_phone(), w.fresh_phone());
    must(w.audience().suppress(&scope, &[address(ada), address(bea)]).await);
    assert_eq!(must(w.audience().unsuppress(&scope, &[address(ada), address(w.fresh_phone())]).await), 1);
    assert_eq!(must(w.audience().unsuppress(&scope, &[address(ada)]).await), 0, "it is off already");
    let left = must(w.audience().suppressed(&scope, None, 10).await);
    assert_eq!(left.into_iter().map(|it| it.address).collect::<Vec<_>>(), [address(bea)]);
    must(w.audience().suppress(&scope, &[address(ada)]).await);
    assert_eq!(must(w.audience().unsuppress(&scope, &[address(ada), address(bea)]).await), 2);
    assert_eq!(must(w.audience().suppressed(&scope, None, 10).await), [], "several at once");
}

pub(crate) async fn suppressed_is_paged_by_address(w: World) {
    let (one, two) = (w.tenant("one").await, w.tenant("two").await);
    let all: Vec<_> = (0..5).map(|_| address(w.fresh_phone())).collect();
    must(w.audience().suppress(&one, &all).await);
    must(w.audience().suppress(&two, &[address(w.fresh_phone())]).await);
    let mut paged = Vec::new();
    loop {
        let after = paged.last().cloned();
        let page = must(w.audience().suppressed(&one, after.as_ref(), 2).await);
        assert!(page.len() <= 2);
        if page.is_empty() {
            break;
        }
        paged.extend(page.into_iter().map(|it| it.address));
        ends(&paged);
    }
    assert_eq!(paged, all, "phones in order of their digits, each once, none of another tenant");
}
