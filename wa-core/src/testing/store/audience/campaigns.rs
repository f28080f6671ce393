//! Campaigns: their definition, their moves, and what time does to them.

use crate::model::{
    Campaign, CampaignAction, CampaignId, CampaignState, Category, EventBody, InDoubtPolicy, MessageState,
    Money, NewCampaign, Outcome, RejectClass, SessionId, SkipReason,
};
use crate::port::store::{ActOutcome, CreateCampaign};
use crate::testing::store::world::{
    World, accepted, ends, found, greeting, must, only, rejected, sorted, standard, value,
};

async fn create(w: &World, scope: &crate::port::Scope, new: &NewCampaign) -> CreateCampaign {
    must(w.audience().create_campaign(scope, new).await)
}

async fn act(w: &World, scope: &crate::port::Scope, id: CampaignId, action: CampaignAction) -> ActOutcome {
    must(w.audience().act(scope, id, action).await)
}

pub(crate) async fn create_campaign_is_idempotent_by_name(mut w: World) {
    let scope = w.tenant("one").await;
    let (first, second) = (w.session(&scope).await.id, w.session(&scope).await.id);
    let (list, _) = w.list(&scope, 2).await;
    let new = NewCampaign {
        valid_until: Some(w.after(3_600)),
        start_at: Some(w.after(60)),
        rate: Some(7),
        in_doubt: Some(InDoubtPolicy::Manual),
        ..w.new_campaign(&list, &[second, first])
    };
    let created = w.draft(&scope, &new).await;
    let NewCampaign {
        id,
        name,
        content,
        fallback,
        list,
        sessions,
        lane,
        valid_until,
        start_at,
        rate,
        budget,
        in_doubt,
    } = new.clone();
    let expected = Campaign {
        id,
        name,
        content,
        fallback,
        list,
        sessions,
        lane,
        valid_until,
        start_at,
        rate,
        budget,
        in_doubt,
        definition: new.definition(),
        state: CampaignState::Draft,
        paused_for: None,
        created_at: w.now(),
        launched_at: None,
        completed_at: None,
    };
    assert_eq!(created, expected, "a draft with everything that was asked for");
    w.pass(1);
    w.reopen().await;
    let again = NewCampaign { id: w.mint(CampaignId::mint), ..new.clone() };
    assert_eq!(create(&w, &scope, &again).await, CreateCampaign::Known(created));
    let launched = w.launch(&scope, id, 1).await;
    assert_eq!(create(&w, &scope, &again).await, CreateCampaign::Known(launched), "also once it runs");
    assert_eq!(must(w.audience().campaign(&scope, again.id).await), None);
}

pub(crate) async fn create_campaign_takes_a_new_rate_over(mut w: World) {
    let scope = w.tenant("one").await;
    let session = w.session(&scope).await.id;
    let (list, _) = w.list(&scope, 2).await;
    let new = NewCampaign { rate: Some(7), ..w.new_campaign(&list, &[session]) };
    let stored = w.draft(&scope, &new).await;
    w.launch(&scope, new.id, 10).await;
    let euro = Money { micros: 5_000_000, currency: value("EUR") };
    for (rate, budget) in [(Some(20), Some(euro)), (None, None)] {
        let again = NewCampaign { id: w.mint(CampaignId::mint), rate, budget, ..new.clone() };
        let CreateCampaign::Known(known) = create(&w, &scope, &again).await else {
            unreachable!("the definition is the same")
        };
        assert_eq!((known.id, known.rate, known.budget), (stored.id, rate, budget));
        w.reopen().await;
        let read = found(w.audience().campaign(&scope, stored.id).await);
        assert_eq!((read.rate, read.budget), (rate, budget));
    }
}

pub(crate) async fn set_budget_binds_the_next_begin(mut w: World) {
    let (scope, session, own) = w.one().await;
    w.put_price(&scope, 10).await;
    let campaign = w.campaign(&scope, session.id, 9).await;
    let euros = |micros| Some(Money { micros, currency: value("EUR") });
    let set = async |w: &World, budget| found(w.audience().set_budget(&scope, campaign.id, budget).await);
    assert_eq!(set(&w, euros(20)).await.budget, euros(20));
    let page = w.due(&own, session.id).await.messages;
    assert_eq!(
        w.begin(&own, session.id, &page, standard()).await.attempts.len(),
        2,
        "a lowered one takes it"
    );
    set(&w, euros(50)).await;
    assert_eq!(w.begin_due(&own, session.id).await.attempts.len(), 3, "a raised one makes room");
    set(&w, None).await;
    w.reopen().await;
    assert_eq!(found(w.audience().campaign(&scope, campaign.id).await).budget, None);
    let own = w.own().await;
    w.pass(60);
    assert!(own.epoch(session.id).is_none() || w.begin_due(&own, session.id).await.attempts.len() == 4);
    assert_eq!(must(w.audience().set_budget(&w.nobody(), campaign.id, None).await), None);
    let nothing = w.mint(CampaignId::mint);
    assert_eq!(must(w.audience().set_budget(&scope, nothing, euros(1)).await), None);
}

pub(crate) async fn another_definition_under_a_name_is_refused(w: World) {
    let (scope, other) = (w.tenant("one").await, w.tenant("other").await);
    let (first, second) = (w.session(&scope).await.id, w.session(&scope).await.id);
    let at_other = w.session(&other).await.id;
    let (list, _) = w.list(&scope, 1).await;
    let (other_list, _) = w.list(&scope, 1).await;
    let new = w.new_campaign(&list, &[first]);
    let stored = w.draft(&scope, &new).await;
    let id = w.mint(CampaignId::mint);
    for different in [
        NewCampaign { id, content: greeting(Category::Utility), ..new.clone() },
        NewCampaign { id, list: other_list, ..new.clone() },
        NewCampaign { id, sessions: vec![first, second], ..new.clone() },
        NewCampaign { id, valid_until: Some(w.after(60)), ..new.clone() },
        NewCampaign { id, in_doubt: Some(InDoubtPolicy::AtMostOnce), ..new.clone() },
    ] {
        assert_eq!(create(&w, &scope, &different).await, CreateCampaign::Different(stored.clone()));
        assert_eq!(must(w.audience().campaign(&scope, id).await), None, "nothing is created");
    }
    assert_eq!(found(w.audience().campaign(&scope, new.id).await), stored);
    // Names of two tenants do not meet.
    let theirs = NewCampaign { id, sessions: vec![at_other], ..new };
    assert!(matches!(create(&w, &other, &theirs).await, CreateCampaign::Created(_)));
}

pub(crate) async fn create_campaign_needs_own_sessions(w: World) {
    let (scope, other) = (w.tenant("one").await, w.tenant("other").await);
    let (own, foreign) = (w.session(&scope).await.id, w.session(&other).await.id);
    let unknown = w.mint(SessionId::mint);
    let (list, _) = w.list(&scope, 1).await;
    for (sessions, named) in
        [(vec![own, foreign], Some(foreign)), (vec![own, unknown], Some(unknown)), (vec![], None)]
    {
        let new = w.new_campaign(&list, &sessions);
        assert_eq!(create(&w, &scope, &new).await, CreateCampaign::UnknownSession(named));
        assert_eq!(must(w.audience().campaign_named(&scope, &new.name).await), None);
    }
}

pub(crate) async fn pause_binds_the_next_begin(w: World) {
    let (scope, session, own) = w.one().await;
    let paused = w.campaign(&scope, session.id, 3).await;
    // One of them failed for now, and waits in a row of its own.
    let first = w.due(&own, session.id).await.messages.into_iter().next().expect("three are due");
    let attempt = only(w.begin(&own, session.id, &[first], standard()).await.attempts);
    w.settle(attempt.key, rejected(RejectClass::Retry, 131_000)).await;
    w.pass(3_600);
    let running = w.campaign(&scope, session.id, 1).await;
    let page = w.due(&own, session.id).await.messages;
    assert_eq!(page.len(), 4);
    let before = w.events().await.len();
    assert_eq!(w.act(&scope, paused.id, CampaignAction::Pause).await.state, CampaignState::Paused);
    let begun = w.begin(&own, session.id, &page, standard()).await;
    let began = only(begun.attempts).key.message;
    assert_eq!(w.view(&scope, began).await.campaign, Some(running.id), "no message of the paused one");
    assert_eq!(only(begun.stopped).campaign, Some(paused.id));
    assert_eq!(w.counts(&scope, paused.id).await.pending, 3);
    let told: Vec<EventBody> = w.events().await.into_iter().skip(before).map(|event| event.body).collect();
    let state = CampaignState::Paused;
    assert!(told.contains(&EventBody::Campaign { campaign: paused.id, state }), "{told:?}");
}

pub(crate) async fn resume_goes_on_where_it_stopped(w: World) {
    let (scope, session, own) = w.one().await;
    // In the middle of its launch.
    let (list, _) = w.list(&scope, 4).await;
    let launching = w.draft(&scope, &w.new_campaign(&list, &[session.id])).await;
    w.launch_step(&scope, launching.id, 2).await;
    w.act(&scope, launching.id, CampaignAction::Pause).await;
    let resumed = w.act(&scope, launching.id, CampaignAction::Resume).await;
    assert_eq!(resumed.state, CampaignState::Launching);
    // Before its start, and after its start has passed meanwhile.
    let new = NewCampaign { start_at: Some(w.after(60)), ..w.new_campaign(&list, &[session.id]) };
    let scheduled = w.draft(&scope, &new).await;
    w.launch(&scope, scheduled.id, 10).await;
    w.act(&scope, scheduled.id, CampaignAction::Pause).await;
    let resumed = w.act(&scope, scheduled.id, CampaignAction::Resume).await;
    assert_eq!(resumed.state, CampaignState::Scheduled);
    w.act(&scope, scheduled.id, CampaignAction::Pause).await;
    w.pass(61);
    must(w.audience().advance(&w.admin()).await);
    let still = found(w.audience().campaign(&scope, scheduled.id).await);
    assert_eq!(still.state, CampaignState::Paused, "time does not resume it");
    let resumed = w.act(&scope, scheduled.id, CampaignAction::Resume).await;
    assert_eq!(resumed.state, CampaignState::Running);
    w.act(&scope, scheduled.id, CampaignAction::Cancel).await;
    w.act(&scope, launching.id, CampaignAction::Cancel).await;
    // In the middle of its messages.
    let running = w.campaign(&scope, session.id, 4).await;
    let page = w.due(&own, session.id).await.messages;
    w.begin(&own, session.id, page.get(..1).expect("four are due"), standard()).await;
    w.act(&scope, running.id, CampaignAction::Pause).await;
    assert!(w.due_ids(&own, session.id).await.is_empty());
    let before = w.events().await.len();
    assert_eq!(w.act(&scope, running.id, CampaignAction::Resume).await.state, CampaignState::Running);
    let state = CampaignState::Running;
    let told: Vec<EventBody> = w.events().await.into_iter().skip(before).map(|event| event.body).collect();
    assert!(told.contains(&EventBody::Campaign { campaign: running.id, state }), "{told:?}");
    let rest: Vec<_> = page.iter().skip(1).map(|message| message.id).collect();
    assert_eq!(w.due_ids(&own, session.id).await, rest);
    assert_eq!(w.begin_due(&own, session.id).await.attempts.len(), 3);
}

pub(crate) async fn cancel_skips_everything_not_begun(w: World) {
    let (scope, session, own) = w.one().await;
    let campaign = w.campaign(&scope, session.id, 5).await;
    let other = w.campaign(&scope, session.id, 1).await;
    let page = w.due(&own, session.id).await.messages;
    let of = |id| page.iter().filter(move |it| it.campaign.as_ref().is_some_and(|it| it.id == id)).cloned();
    let first: Vec<_> = of(campaign.id).take(2).collect();
    let begun = w.begin(&own, session.id, &first, standard()).await.attempts;
    let [open, retried] = begun.try_into().expect("two attempts");
    w.settle(retried.key, rejected(RejectClass::Retry, 1)).await;

    let cancelled = w.act(&scope, campaign.id, CampaignAction::Cancel).await;
    assert_eq!(cancelled.state, CampaignState::Cancelled);
    let counts = w.counts(&scope, campaign.id).await;
    assert_eq!((counts.audience, counts.pending, counts.attempting), (5, 0, 1));
    assert_eq!(counts.skipped + counts.failed, 4, "everything that does not run any more: {counts:?}");
    assert!(counts.reasons.get("skipped:cancelled").is_some_and(|count| *count >= 3), "{counts:?}");
    let skipped: Vec<_> = w.recipients(&scope, campaign.id).await;
    let skipped: Vec<_> = skipped.iter().filter(|view| view.attempts.is_empty()).collect();
    assert_eq!(skipped.len(), 3);
    for view in skipped {
        assert_eq!((view.state, view.skipped), (MessageState::Skipped, Some(SkipReason::Cancelled)));
    }
    w.pass(3_600);
    let late = w.begin(&own, session.id, &page, standard()).await.attempts;
    let began = only(late).key.message;
    assert_eq!(
        w.view(&scope, began).await.campaign,
        Some(other.id),
        "nor does a page from before begin them"
    );
    assert!(w.due_ids(&own, session.id).await.is_empty(), "nor the retry");
    // What was under way is still told truly.
    w.settle(open.key, accepted("wamid.1")).await;
    assert_eq!(w.state(&scope, open.key.message).await, MessageState::Accepted);
    let counts = w.counts(&scope, campaign.id).await;
    assert_eq!((counts.accepted, counts.attempting), (1, 0));
    assert_eq!(w.recipients(&scope, campaign.id).await.len(), 5);
}

pub(crate) async fn an_illegal_move_changes_nothing(w: World) {
    let scope = w.tenant("one").await;
    let session = w.session(&scope).await;
    let (list, _) = w.list(&scope, 1).await;
    let draft = w.draft(&scope, &w.new_campaign(&list, &[session.id])).await;
    for action in [CampaignAction::Pause, CampaignAction::Resume] {
        let before = w.snapshot(&scope).await;
        assert_eq!(act(&w, &scope, draft.id, action).await, ActOutcome::Illegal(draft.clone()));
        assert_eq!(w.snapshot(&scope).await, before);
    }
    let running = w.launch(&scope, draft.id, 10).await;
    let before = w.snapshot(&scope).await;
    let outcome = act(&w, &scope, draft.id, CampaignAction::Resume).await;
    assert_eq!(outcome, ActOutcome::Unchanged(running), "it is where the action leads");
    assert_eq!(w.snapshot(&scope).await, before, "nor is it told again");
    let cancelled = w.act(&scope, draft.id, CampaignAction::Cancel).await;
    let before = w.snapshot(&scope).await;
    for (action, expected) in [
        (CampaignAction::Pause, ActOutcome::Illegal(cancelled.clone())),
        (CampaignAction::Resume, ActOutcome::Illegal(cancelled.clone())),
        (CampaignAction::Cancel, ActOutcome::Unchanged(cancelled)),
    ] {
        assert_eq!(act(&w, &scope, draft.id, action).await, expected);
        assert_eq!(w.snapshot(&scope).await, before);
    }
    let missing = w.mint(CampaignId::mint);
    assert_eq!(act(&w, &scope, missing, CampaignAction::Pause).await, ActOutcome::Missing);
}

pub(crate) async fn a_foreign_campaign_is_missing(w: World) {
    let (scope, session, _) = w.one().await;
    let other = w.tenant("other").await;
    let campaign = w.campaign(&scope, session.id, 1).await;
    assert_eq!(must(w.audience().campaign(&scope, campaign.id).await), Some(campaign.clone()));
    assert_eq!(must(w.audience().campaign(&other, campaign.id).await), None);
    assert_eq!(must(w.audience().campaign(&scope, w.mint(CampaignId::mint)).await), None);
    let before = w.snapshot(&scope).await;
    assert_eq!(act(&w, &other, campaign.id, CampaignAction::Cancel).await, ActOutcome::Missing);
    assert_eq!(w.snapshot(&scope).await, before);
}

pub(crate) async fn a_campaign_is_found_by_name(w: World) {
    let (scope, session, _) = w.one().await;
    let other = w.tenant("other").await;
    let campaign = w.campaign(&scope, session.id, 1).await;
    assert_eq!(must(w.audience().campaign_named(&scope, &campaign.name).await), Some(campaign.clone()));
    assert_eq!(must(w.audience().campaign_named(&other, &campaign.name).await), None);
    assert_eq!(must(w.audience().campaign_named(&scope, &value("another")).await), None);
}

pub(crate) async fn campaigns_are_paged_by_id(w: World) {
    let (a, b) = (w.tenant("a").await, w.tenant("b").await);
    let (at_a, at_b) = (w.session(&a).await, w.session(&b).await);
    let mut expected = Vec::new();
    for _ in 0..5 {
        w.pass(1);
        expected.push(w.campaign(&a, at_a.id, 1).await);
        w.campaign(&b, at_b.id, 1).await;
    }
    expected.sort_by_key(|campaign| campaign.id);
    let mut paged: Vec<Campaign> = Vec::new();
    loop {
        let after = paged.last().map(|campaign| campaign.id);
        let page = must(w.audience().campaigns(&a, after, 2).await);
        assert!(page.len() <= 2);
        if page.is_empty() {
            break;
        }
        paged.extend(page);
        ends(&paged);
    }
    assert_eq!(paged, expected);
}

pub(crate) async fn advance_starts_what_is_due(w: World) {
    let (scope, session, own) = w.one().await;
    let mut scheduled = Vec::new();
    for seconds in [60, 90] {
        let (list, _) = w.list(&scope, 2).await;
        let new = NewCampaign { start_at: Some(w.after(seconds)), ..w.new_campaign(&list, &[session.id]) };
        let draft = w.draft(&scope, &new).await;
        scheduled.push(w.launch(&scope, draft.id, 10).await);
    }
    let [first, second] = scheduled.try_into().expect("two campaigns");
    assert!(w.due_ids(&own, session.id).await.is_empty(), "nothing before its start");
    let moved = must(w.audience().advance(&w.admin()).await);
    assert_eq!((moved.moved, moved.next_at), (vec![], first.start_at));
    w.pass(60);
    let moved = must(w.audience().advance(&w.admin()).await);
    assert_eq!(moved.moved, [(scope.tenant(), first.id, CampaignState::Running)]);
    assert_eq!(moved.next_at, second.start_at);
    let told: Vec<EventBody> = w.events().await.into_iter().map(|event| event.body).collect();
    let started = EventBody::Campaign { campaign: first.id, state: CampaignState::Running };
    assert_eq!(told.iter().filter(|body| **body == started).count(), 1);
    let mine: Vec<_> = w.recipients(&scope, first.id).await.iter().map(|view| view.id).collect();
    assert_eq!(w.due_ids(&own, session.id).await, mine);
    assert_eq!(w.begin_due(&own, session.id).await.attempts.len(), 2);
    let again = must(w.audience().advance(&w.admin()).await);
    assert!(again.moved.is_empty(), "once: {again:?}");
}

pub(crate) async fn advance_completes_what_is_done(w: World) {
    let (scope, session, own) = w.one().await;
    let campaign = w.campaign(&scope, session.id, 4).await;
    let state = async || found(w.audience().campaign(&scope, campaign.id).await).state;
    let advance = async || must(w.audience().advance(&w.admin()).await).moved;
    assert!(advance().await.is_empty(), "messages are pending");
    let begun = w.begin_due(&own, session.id).await.attempts;
    assert!(advance().await.is_empty(), "messages are attempting");
    let [taken, lost, refused, retried] = begun.try_into().expect("four attempts");
    w.settle(taken.key, accepted("wamid.1")).await;
    w.settle(lost.key, Outcome::Ambiguous).await;
    w.settle(refused.key, rejected(RejectClass::Recipient, 131_026)).await;
    w.settle(retried.key, rejected(RejectClass::Retry, 1)).await;
    assert!(advance().await.is_empty(), "a retry waits");
    w.pass(60);
    let last = only(w.begin_due(&own, session.id).await.attempts);
    w.settle(last.key, accepted("wamid.2")).await;
    assert_eq!(state().await, CampaignState::Running, "settle leaves the move to the scheduler");

    w.pass(1);
    assert_eq!(advance().await, [(scope.tenant(), campaign.id, CampaignState::Completed)]);
    let completed = found(w.audience().campaign(&scope, campaign.id).await);
    assert_eq!((completed.state, completed.completed_at), (CampaignState::Completed, Some(w.now())));
    w.pass(1);
    assert!(advance().await.is_empty(), "once");
    assert_eq!(found(w.audience().campaign(&scope, campaign.id).await), completed);
    let body = EventBody::Campaign { campaign: campaign.id, state: CampaignState::Completed };
    let told = w.events().await.into_iter().filter(|event| event.body == body).count();
    assert_eq!(told, 1);
    assert_eq!(sorted(w.recipients(&scope, campaign.id).await.iter().map(|view| view.id)).len(), 4);
}
