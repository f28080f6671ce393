//! Freezing an audience.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{
    Bsuid, CampaignAction, CampaignState, ListName, MessageState, NewCampaign, Recipient, SkipReason,
    from_micros, micros,
};
use crate::port::store::{DueBody, LaunchStep, Member, UpsertContact};
use crate::testing::store::world::{World, ends, found, must, only, sorted, value};

pub(crate) async fn launch_freezes_each_member_once(w: World) {
    let scope = w.tenant("one").await;
    let session = w.session(&scope).await;
    for size in [1, 2, 3, 7, 8, 100] {
        let (list, members) = w.list(&scope, 7).await;
        let draft = w.draft(&scope, &w.new_campaign(&list, &[session.id])).await;
        w.pass(1);
        let launched = w.launch(&scope, draft.id, size).await;
        assert_eq!((launched.state, launched.launched_at), (CampaignState::Running, Some(w.now())));
        let got = w.recipients(&scope, draft.id).await;
        let recipients: Vec<Recipient> = got.iter().map(|view| view.recipient.clone()).collect();
        let expected = members.iter().map(|member| member.recipient.clone());
        assert_eq!(sorted(recipients), sorted(expected), "in chunks of {size}");
        let counts = w.counts(&scope, draft.id).await;
        assert_eq!((counts.audience, counts.pending), (7, 7));
        assert!(got.iter().all(|view| view.campaign == Some(draft.id) && view.session == session.id));
    }
    // An empty list has an empty audience.
    let (list, _) = w.list(&scope, 0).await;
    let draft = w.draft(&scope, &w.new_campaign(&list, &[session.id])).await;
    assert_eq!(w.launch(&scope, draft.id, 10).await.state, CampaignState::Running);
    assert_eq!(w.counts(&scope, draft.id).await.audience, 0);
    // One that starts later is scheduled.
    let (list, _) = w.list(&scope, 1).await;
    let new = NewCampaign { start_at: Some(w.after(60)), ..w.new_campaign(&list, &[session.id]) };
    let draft = w.draft(&scope, &new).await;
    assert_eq!(w.launch(&scope, draft.id, 10).await.state, CampaignState::Scheduled);
}

pub(crate) async fn members_come_in_the_order_of_a_launch(mut w: World) {
    let (scope, other) = (w.tenant("one").await, w.tenant("two").await);
    let sessions = [w.session(&scope).await.id, w.session(&scope).await.id];
    let list: ListName = value("news");
    let mut joined = Vec::new();
    for _ in 0..7 {
        // Not in the order of their ids: who was a contact long before may join last.
        joined.push(w.contact(&scope).await);
        w.member(&other, &list).await;
        w.pass(1);
    }
    joined.reverse();
    for contact in &joined {
        let upsert = UpsertContact {
            id: contact.id,
            recipient: contact.recipient.clone(),
            attributes: contact.attributes.clone(),
            list: Some(list.clone()),
        };
        found(w.audience().upsert_contact(&scope, &upsert).await);
    }
    w.reopen().await;
    let mut members: Vec<Member> = Vec::new();
    loop {
        let after = members.last().map_or(0, |member| member.number);
        let page = must(w.audience().members(&scope, &list, after, 3).await);
        assert!(page.len() <= 3);
        if page.is_empty() {
            break;
        }
        members.extend(page);
        ends(&members);
    }
    assert!(members.is_sorted_by(|a, b| a.number < b.number), "numbers rise");
    let contacts: Vec<_> = members.iter().map(|member| member.contact.clone()).collect();
    assert_eq!(contacts, joined);
    let draft = w.draft(&scope, &w.new_campaign(&list, &sessions)).await;
    w.launch(&scope, draft.id, 3).await;
    // The k-th member went to session k mod 2, so each session has every other one, in order.
    for (place, session) in sessions.into_iter().enumerate() {
        let frozen = w.recipients(&scope, draft.id).await.into_iter().filter(|view| view.session == session);
        let frozen: Vec<_> = frozen.map(|view| view.recipient).collect();
        let expected: Vec<_> =
            contacts.iter().skip(place).step_by(2).map(|contact| contact.recipient.clone()).collect();
        assert_eq!(frozen, expected, "session {place}");
    }
    assert!(must(w.audience().members(&scope, &value("nothing"), 0, 10).await).is_empty());
    two_members_become_one(&w).await;
}

/// Who joins next does not get the number that is free now, and no launch waits for it.
async fn two_members_become_one(w: &World) {
    let scope = w.tenant("three").await;
    let session = w.session(&scope).await;
    let list: ListName = value("news");
    let joins = async |who: Recipient| {
        let upsert = UpsertContact { list: Some(list.clone()), ..w.upsert(who) };
        found(w.audience().upsert_contact(&scope, &upsert).await)
    };
    let phone = w.fresh_phone();
    let both = Recipient::new(Some(phone), Some(value("DE.1"))).expect("two addresses");
    joins(phone.into()).await;
    joins(value::<Bsuid>("DE.1").into()).await;
    let early = w.draft(&scope, &w.new_campaign(&list, &[session.id])).await;
    assert_eq!(w.launch_step(&scope, early.id, 1).await, LaunchStep::Frozen { audience: 1 });
    // The second member is the first one.
    let one = joins(both).await;
    let ended = w.launch_step(&scope, early.id, 1).await;
    assert!(matches!(&ended, LaunchStep::Done(it) if it.state == CampaignState::Running), "{ended:?}");
    let late = w.draft(&scope, &w.new_campaign(&list, &[session.id])).await;
    let launched = w.launch_step(&scope, late.id, 10).await;
    assert!(matches!(&launched, LaunchStep::Done(_)), "{launched:?}");
    joins(w.fresh_phone().into()).await;
    let members = must(w.audience().members(&scope, &list, 0, 10).await);
    let numbers: Vec<_> = members.iter().map(|member| member.number).collect();
    assert_eq!((members.first().map(|it| it.contact.id), numbers), (Some(one.id), vec![1, 3]));
    for campaign in [early, late] {
        assert_eq!(only(w.recipients(&scope, campaign.id).await).recipient.phone(), Some(phone));
    }
}

pub(crate) async fn launch_resumes_where_it_stopped(mut w: World) {
    let scope = w.tenant("one").await;
    let session = w.session(&scope).await;
    let (list, _) = w.list(&scope, 6).await;
    let draft = w.draft(&scope, &w.new_campaign(&list, &[session.id])).await;
    assert_eq!(w.launch_step(&scope, draft.id, 2).await, LaunchStep::Frozen { audience: 2 });
    let launching = found(w.audience().campaign(&scope, draft.id).await);
    assert_eq!(launching.state, CampaignState::Launching);
    let first = w.recipients(&scope, draft.id).await;
    w.reopen().await;
    w.pass(3_600);
    assert_eq!(w.launch_step(&scope, draft.id, 3).await, LaunchStep::Frozen { audience: 5 });
    w.reopen().await;
    let done = w.launch(&scope, draft.id, 2).await;
    assert_eq!(done.launched_at, launching.launched_at, "the first chunk is the launch");
    let all = w.recipients(&scope, draft.id).await;
    let recipients: BTreeSet<_> = all.iter().map(|view| view.recipient.clone()).collect();
    assert_eq!((all.len(), recipients.len()), (6, 6), "everybody, nobody twice");
    assert!(first.iter().all(|view| all.contains(view)), "what was frozen stays");
    let own = w.own().await;
    let page = w.due_ids(&own, session.id).await;
    assert_eq!(page.len(), 6, "and all of them are due, whatever chunk they came in");
    assert!(page.is_sorted());
}

pub(crate) async fn launch_does_not_take_later_members(w: World) {
    let scope = w.tenant("one").await;
    let session = w.session(&scope).await;
    let (list, _) = w.list(&scope, 4).await;
    let late_before = w.upsert(w.fresh_phone());
    let draft = w.draft(&scope, &w.new_campaign(&list, &[session.id])).await;
    // Who is there at the first chunk belongs to it, also who joined after the draft.
    w.member(&scope, &list).await;
    w.launch_step(&scope, draft.id, 2).await;
    w.pass(1);
    let late = w.member(&scope, &list).await;
    // An id that sorts before all the others must not slip in either.
    let early_id = UpsertContact {
        id: crate::model::ContactId::mint(from_micros(micros(w.now()) - 86_400_000_000), [0; 10]),
        list: Some(list.clone()),
        ..late_before
    };
    let early = found(w.audience().upsert_contact(&scope, &early_id).await);
    w.launch(&scope, draft.id, 2).await;
    let got: Vec<Recipient> =
        w.recipients(&scope, draft.id).await.into_iter().map(|view| view.recipient).collect();
    assert_eq!(got.len(), 5);
    assert!(!got.contains(&late.recipient) && !got.contains(&early.recipient));
}

pub(crate) async fn launch_freezes_values(w: World) {
    let (scope, session, own) = w.one().await;
    let (list, members) = w.list(&scope, 2).await;
    let until = Some(w.after(3_600));
    let new = NewCampaign { valid_until: until, rate: Some(3), ..w.new_campaign(&list, &[session.id]) };
    let draft = w.draft(&scope, &new).await;
    w.launch(&scope, draft.id, 10).await;
    let expected: BTreeMap<Recipient, Vec<String>> = members
        .iter()
        .map(|member| (member.recipient.clone(), member.attributes.values().cloned().collect()))
        .collect();
    for member in &members {
        let changed = UpsertContact {
            attributes: [("name".to_owned(), "somebody else".to_owned())].into(),
            ..w.upsert(member.recipient.clone())
        };
        found(w.audience().upsert_contact(&scope, &changed).await);
    }
    let due = w.due(&own, session.id).await.messages;
    assert!(due.iter().all(|message| message.valid_until == until && message.lane == new.lane));
    assert!(due.iter().all(|message| message.campaign.as_ref().is_some_and(|it| it.rate == new.rate)));
    let got: BTreeMap<Recipient, Vec<String>> = due
        .into_iter()
        .map(|message| match message.body {
            DueBody::Values(values) => (message.recipient, values),
            DueBody::Own(content) => panic!("a campaign's message has values: {content:?}"),
        })
        .collect();
    assert_eq!(got, expected);
}

pub(crate) async fn launch_skips_members_without_a_value(w: World) {
    let (scope, session, own) = w.one().await;
    let (list, members) = w.list(&scope, 2).await;
    let mut nameless = Vec::new();
    for attributes in [BTreeMap::new(), [("name".to_owned(), "  ".to_owned())].into()] {
        let without = UpsertContact { attributes, list: Some(list.clone()), ..w.upsert(w.fresh_phone()) };
        nameless.push(found(w.audience().upsert_contact(&scope, &without).await).recipient);
    }
    let draft = w.draft(&scope, &w.new_campaign(&list, &[session.id])).await;
    w.launch(&scope, draft.id, 10).await;
    let counts = w.counts(&scope, draft.id).await;
    assert_eq!((counts.audience, counts.pending, counts.skipped), (4, 2, 2));
    assert_eq!(counts.reasons.get("skipped:missing_parameter"), Some(&2));
    for view in w.recipients(&scope, draft.id).await {
        let expected = if nameless.contains(&view.recipient) {
            (MessageState::Skipped, Some(SkipReason::MissingParameter))
        } else {
            (MessageState::Pending, None)
        };
        assert_eq!((view.state, view.skipped), expected);
    }
    let due = w.due(&own, session.id).await.messages;
    let recipients = due.iter().map(|message| message.recipient.clone());
    assert_eq!(sorted(recipients), sorted(members.into_iter().map(|member| member.recipient)));
    assert_eq!(w.begin_due(&own, session.id).await.attempts.len(), 2, "the gap stops nobody behind it");
}

pub(crate) async fn launch_spreads_over_the_sessions(w: World) {
    let scope = w.tenant("one").await;
    let mut sessions = Vec::new();
    for _ in 0..3 {
        sessions.push(w.session(&scope).await.id);
    }
    for (members, size) in [(7, 2), (9, 100), (2, 1), (8, 3)] {
        let (list, _) = w.list(&scope, members).await;
        let draft = w.draft(&scope, &w.new_campaign(&list, &sessions)).await;
        w.launch(&scope, draft.id, size).await;
        let mut shares: BTreeMap<_, usize> = sessions.iter().map(|session| (*session, 0)).collect();
        for view in w.recipients(&scope, draft.id).await {
            *shares.entry(view.session).or_default() += 1;
        }
        assert_eq!(shares.len(), 3, "the named sessions only");
        let (least, most) = (shares.values().min(), shares.values().max());
        assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 1), "{members}: {shares:?}");
        assert_eq!(shares.values().sum::<usize>(), members);
    }
}

pub(crate) async fn a_paused_launch_does_not_go_on(w: World) {
    let scope = w.tenant("one").await;
    let session = w.session(&scope).await;
    let (list, _) = w.list(&scope, 4).await;
    let draft = w.draft(&scope, &w.new_campaign(&list, &[session.id])).await;
    w.launch_step(&scope, draft.id, 2).await;
    let paused = w.act(&scope, draft.id, CampaignAction::Pause).await;
    assert_eq!(w.launch_step(&scope, draft.id, 2).await, LaunchStep::NotLaunchable(paused));
    assert_eq!(w.counts(&scope, draft.id).await.audience, 2, "nobody is added");
    let resumed = w.act(&scope, draft.id, CampaignAction::Resume).await;
    assert_eq!(resumed.state, CampaignState::Launching);
    let running = w.launch(&scope, draft.id, 2).await;
    assert_eq!(w.counts(&scope, draft.id).await.audience, 4);

    assert_eq!(w.launch_step(&scope, draft.id, 2).await, LaunchStep::NotLaunchable(running));
    let cancelled = w.act(&scope, draft.id, CampaignAction::Cancel).await;
    assert_eq!(w.launch_step(&scope, draft.id, 2).await, LaunchStep::NotLaunchable(cancelled));
    assert_eq!(w.counts(&scope, draft.id).await.audience, 4);
    let missing = w.mint(crate::model::CampaignId::mint);
    assert_eq!(w.launch_step(&scope, missing, 2).await, LaunchStep::Missing);
    assert!(must(w.audience().campaigns(&scope, None, 10).await).len() == 1);
    assert_eq!(only(must(w.audience().campaigns(&scope, None, 10).await)).id, draft.id);
}
