//! What begin would say, asked without beginning anything.

use std::sync::Arc;

use crate::model::{
    CampaignAction, Category, HoldReason, MessageId, NewMessage, NewSession, Recipient, SessionSetting,
    SkipReason, Tier, WarmUp,
};
use crate::port::Scope;
use crate::port::store::{BeginItem, Consider, Considered, DueMessage, DueSource, Judged};
use crate::rules::judge::{Admission, Judge, Verdict};
use crate::rules::tier::SLOT;
use crate::testing::store::judges::{RefusesAll, Remembering, Scripted};
use crate::testing::store::world::{World, found, item, must, only, standard, template};

async fn consider(w: &World, scope: &Scope, ask: &Consider, judge: Arc<dyn Judge>) -> Judged {
    match must(w.outbox().consider(scope, ask, judge).await) {
        Considered::Judged(judged) => *judged,
        Considered::NoSession => panic!("the session is the tenant's own"),
    }
}

fn ask(session: crate::model::SessionId, page: &[DueMessage]) -> Consider {
    Consider { session, items: page.iter().map(item).collect(), recent_since: None }
}

pub(crate) async fn consider_writes_nothing(w: World) {
    let (scope, session, own) = w.one().await;
    w.put_quota(&scope, Some(3)).await;
    w.campaign(&scope, session.id, 4).await;
    let late = NewMessage { valid_until: Some(w.now()), ..w.message(session.id, w.fresh_phone()) };
    w.enqueue(&scope, &late).await;
    let page = w.due(&own, session.id).await;
    let before = w.snapshot(&scope).await;
    let judged = consider(&w, &scope, &ask(session.id, &page.messages), standard()).await;
    assert!(judged.verdicts.iter().any(|(_, it)| matches!(it, Verdict::Send(_))));
    assert!(judged.verdicts.iter().any(|(_, it)| *it == Verdict::Skip(SkipReason::Expired)));
    assert_eq!(w.snapshot(&scope).await, before);
    assert_eq!(w.due(&own, session.id).await, page, "everything is due as before");
    assert_eq!(w.begin_due(&own, session.id).await.attempts.len(), 3, "and no limit was used up");
}

pub(crate) async fn consider_answers_as_begin_would(w: World) {
    let (scope, session, own) = w.one().await;
    w.put_quota(&scope, Some(6)).await;
    let warm_up = WarmUp { since: Some(w.now()), caps: vec![5] };
    let set = SessionSetting::WarmUp(Some(warm_up));
    found(w.numbers().set_session(&scope, session.id, &set).await);
    let campaign = w.campaign(&scope, session.id, 2).await;
    let paused = w.campaign(&scope, session.id, 1).await;
    let ada = w.contact(&scope).await;
    for _ in 0..3 {
        // The second and third wait for the cooldown of the first.
        let content = template("offer", Category::Marketing);
        let offer = NewMessage { content, ..w.message(session.id, ada.recipient.clone()) };
        w.enqueue(&scope, &offer).await;
        w.pass(1);
    }
    for _ in 0..3 {
        w.single(&scope, session.id).await;
        w.pass(1);
    }
    let page = w.due(&own, session.id).await.messages;
    w.act(&scope, paused.id, CampaignAction::Pause).await;

    let (first, second) = (Arc::new(Remembering::default()), Arc::new(Remembering::default()));
    let considered = consider(&w, &scope, &ask(session.id, &page), first.clone()).await;
    let begun = w.begin(&own, session.id, &page, second.clone()).await;
    assert_eq!(Some(considered.at), begun.at);
    assert_eq!(considered.session.id, session.id);
    let groups = |judge: &Remembering| judge.groups();
    assert_eq!(groups(&first), groups(&second), "the same groups, with the same facts");
    // Begin leaves out what a stop or a refused group leaves where it was.
    let told: Vec<_> = second.messages().into_iter().map(|seen| (seen.message, seen.facts)).collect();
    let all: Vec<_> = first.messages().into_iter().map(|seen| (seen.message, seen.facts)).collect();
    assert_eq!(all.get(..told.len()), Some(told.as_slice()), "the same facts, item by item");
    assert!(told.len() >= 6, "rows come first: {}", told.len());
    let verdict = |id: MessageId| considered.verdicts.iter().find(|(it, _)| *it == id).map(|(_, it)| *it);
    for attempt in &begun.attempts {
        let Some(Verdict::Send(grant)) = verdict(attempt.key.message) else { panic!("it would go") };
        assert_eq!((grant.content, grant.price.amount), (attempt.content, attempt.price));
    }
    for (id, why, until) in &begun.waits {
        match verdict(*id) {
            Some(
                Verdict::Wait { until: then, why: reason }
                | Verdict::Stop { until: then, ask_at: _, why: reason },
            ) => {
                assert_eq!((reason, then), (*why, *until));
            }
            other => panic!("it would wait: {other:?}"),
        }
    }
    assert_eq!(begun.waits.iter().filter(|it| it.1 == HoldReason::Cooldown).count(), 2);
    for stopped in &begun.stopped {
        let refused = considered.groups.iter().find(|(group, _)| *group == stopped.campaign);
        if stopped.campaign == Some(paused.id) {
            let expected = Admission::Refuse { why: stopped.why, until: stopped.until };
            assert_eq!(refused, Some(&(Some(paused.id), expected)));
        } else {
            assert_eq!(stopped.campaign, Some(campaign.id));
            assert_eq!(refused.map(|(_, it)| *it), Some(Admission::Admit));
        }
    }
}

pub(crate) async fn consider_judges_behind_a_stop(w: World) {
    let (scope, session, own) = w.one().await;
    let campaign = w.campaign(&scope, session.id, 3).await;
    let page = w.due(&own, session.id).await.messages;
    let first = page.first().expect("three are due").id;
    let stop = Verdict::Stop { until: w.after(50), ask_at: w.after(30), why: HoldReason::QuotaFull };
    let judged =
        consider(&w, &scope, &ask(session.id, &page), Arc::new(Scripted::new([(first, stop)]))).await;
    assert_eq!(
        judged.verdicts.iter().map(|(id, _)| *id).collect::<Vec<_>>(),
        [first, page.get(1).expect("three").id, page.get(2).expect("three").id]
    );
    assert_eq!(judged.verdicts.iter().filter(|(_, it)| matches!(it, Verdict::Send(_))).count(), 2);

    w.act(&scope, campaign.id, CampaignAction::Pause).await;
    let judge = Arc::new(Remembering::default());
    let judged = consider(&w, &scope, &ask(session.id, &page), judge.clone()).await;
    let refused = Admission::Refuse { why: HoldReason::CampaignPaused, until: None };
    assert_eq!(judged.groups, [(Some(campaign.id), refused)]);
    assert_eq!(judge.messages().len(), 3, "a refused group is judged too");
    // The groups of no message are none.
    let nothing = Consider { session: session.id, items: Vec::new(), recent_since: None };
    let until = w.after(1);
    let refuses: Arc<dyn Judge> = Arc::new(RefusesAll(HoldReason::TenantPaused, until));
    let judged = consider(&w, &scope, &nothing, refuses).await;
    assert!(judged.groups.is_empty() && judged.verdicts.is_empty());
}

pub(crate) async fn consider_takes_hypothetical_messages(w: World) {
    let (scope, session, own) = w.one().await;
    let contact = w.contact(&scope).await;
    let source = crate::model::ConsentSource::Caller;
    found(w.audience().set_consent(&scope, contact.id, crate::model::Consent::OptedOut, source).await);
    let hypothetical = |to: Recipient| BeginItem {
        tenant: scope.tenant(),
        message: w.mint(MessageId::mint),
        n: 1,
        source: DueSource::Row,
        campaign: None,
        contact: None,
        recipient: to,
        lane: crate::model::Lane::Bulk,
        category: Category::Marketing,
        needs_window: false,
        template: Some((
            crate::testing::store::world::value("offer"),
            crate::testing::store::world::value("en_US"),
        )),
        fallback: None,
        valid_until: None,
        unsendable: None,
    };
    let stranger = Recipient::from(w.fresh_phone());
    let of_a_draft = BeginItem {
        campaign: Some(w.mint(crate::model::CampaignId::mint)),
        contact: Some(contact.id),
        source: DueSource::Feed,
        ..hypothetical(contact.recipient.clone())
    };
    let items = vec![
        hypothetical(contact.recipient.clone()),
        hypothetical(stranger.clone()),
        hypothetical(stranger),
        of_a_draft.clone(),
    ];
    let since = Some(w.now());
    let ask = Consider { session: session.id, items, recent_since: since };
    let judged = consider(&w, &scope, &ask, standard()).await;
    let verdicts: Vec<_> = judged.verdicts.iter().map(|(_, it)| *it).collect();
    assert_eq!(verdicts.first(), Some(&Verdict::Skip(SkipReason::OptedOut)), "a contact's consent is known");
    assert!(matches!(verdicts.get(1), Some(Verdict::Send(_))), "{verdicts:?}");
    let cooldown = w.now() + chrono::TimeDelta::hours(12);
    let waits = Verdict::Wait { until: cooldown, why: HoldReason::Cooldown };
    assert_eq!(verdicts.get(2), Some(&waits), "an earlier item counts for the later ones");
    assert_eq!(verdicts.get(3), Some(&Verdict::Skip(SkipReason::OptedOut)));
    assert_eq!(judged.groups, [(None, Admission::Admit), (of_a_draft.campaign, Admission::Admit)]);
    assert!(judged.recent.is_empty());

    // What the number did since is told on request.
    let attempt = w.begun(&scope, session.id, &own).await;
    let judged = consider(&w, &scope, &ask, standard()).await;
    let key = w.view(&scope, attempt.key.message).await.recipient.key();
    assert_eq!(only(judged.recent).recipient, key);
}

pub(crate) async fn consider_tells_the_taken_slots(w: World) {
    let scope = w.tenant("one").await;
    let portfolio = |new: NewSession| NewSession { portfolio: "shared".to_owned(), ..new };
    let session = w.session_of(&scope, &portfolio(w.new_session()), Tier::Limited(5)).await;
    let other = w.session_of(&scope, &portfolio(w.new_session()), Tier::Limited(5)).await;
    let own = w.own().await;
    let mut taken = Vec::new();
    for from in [&session, &other] {
        let to = w.fresh_phone();
        let offer = NewMessage { content: template("offer", Category::Marketing), ..w.message(from.id, to) };
        w.enqueue(&scope, &offer).await;
        taken.push((w.begin_due(&own, from.id).await.at.expect("begun") + SLOT, Recipient::from(to).key()));
        w.pass(10);
    }
    let ask = Consider { session: session.id, items: Vec::new(), recent_since: Some(w.now()) };
    let judged = consider(&w, &scope, &ask, standard()).await;
    assert_eq!(judged.slots, taken, "those of the whole portfolio, the earliest first");
    let judged = consider(&w, &scope, &Consider { recent_since: None, ..ask.clone() }, standard()).await;
    assert_eq!(judged.slots, [], "only on request");
    w.pass(24 * 3_600 + 60 - 15);
    let judged = consider(&w, &scope, &ask, standard()).await;
    assert_eq!(judged.slots, taken.split_off(1), "what has ended is not taken");
}

pub(crate) async fn consider_needs_an_own_session(w: World) {
    let (_, session, _) = w.one().await;
    let other = w.tenant("two").await;
    let ask = Consider { session: session.id, items: Vec::new(), recent_since: None };
    assert_eq!(must(w.outbox().consider(&other, &ask, standard()).await), Considered::NoSession);
    assert_eq!(must(w.outbox().consider(&w.nobody(), &ask, standard()).await), Considered::NoSession);
    let unknown = Consider { session: w.mint(crate::model::SessionId::mint), ..ask };
    assert_eq!(must(w.outbox().consider(&other, &unknown, standard()).await), Considered::NoSession);
}
