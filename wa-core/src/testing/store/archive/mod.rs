//! The cases of the Archive room.

mod lived;
mod moving;

pub(super) use moving::*;

use std::time::Duration;

use crate::model::{
    Campaign, CampaignAction, CampaignId, CampaignState, Category, CivilDateTime, EventBody, HoldReason,
    IncarnationId, Lane, MissedRuns, NewSchedule, Outcome, ReconcileCause, ReconcileNeed, Recurrence,
    RejectClass, Repeat, ScheduleId, ScheduleSpec, SessionId, TenantId, Tier, TimeZone,
};
use crate::port::Scope;
use crate::port::store::{CreateSchedule, DueSchedules, LaunchStep, RunSchedule, StoreIdentity};
use crate::testing::store::world::{World, ends, found, greeting, must, rejected, standard, value};

const HOUR: u64 = 3_600;

async fn suspend(w: &World) -> ReconcileNeed {
    suspend_for(w, ReconcileCause::Restored).await
}

async fn suspend_for(w: &World, cause: ReconcileCause) -> ReconcileNeed {
    must(w.archive().suspend(&w.admin(), w.mint(IncarnationId::mint), cause).await)
}

async fn awaits(w: &World) -> Option<ReconcileNeed> {
    must(w.archive().awaits(&w.admin()).await)
}

async fn lift(w: &World) -> bool {
    must(w.archive().lift(&w.admin()).await)
}

async fn unreconciled(w: &World) -> Vec<(TenantId, CampaignId)> {
    let held = must(w.archive().unreconciled(&w.admin(), None, 1_000).await);
    held.into_iter().map(|(tenant, campaign)| (tenant, campaign.id)).collect()
}

async fn stored(w: &World, scope: &Scope, id: CampaignId) -> Campaign {
    found(w.audience().campaign(scope, id).await)
}

/// A daily schedule over a list of two, from an hour after now on.
async fn schedule(w: &World, scope: &Scope, session: SessionId) -> ScheduleId {
    let (list, _) = w.list(scope, 2).await;
    let zone: TimeZone = value("UTC");
    let new = NewSchedule {
        id: w.mint(ScheduleId::mint),
        name: value(&format!("schedule {}", w.count())),
        spec: ScheduleSpec {
            content: greeting(Category::Marketing),
            fallback: None,
            list,
            sessions: vec![session],
            lane: Lane::Bulk,
            valid_for: None,
            rate: None,
            budget: None,
            in_doubt: None,
            recurrence: Recurrence::new(
                Repeat::Days { every: 1 },
                CivilDateTime::at(w.after(3_600), &zone),
                zone,
            ),
            missed: MissedRuns::RunAll { within: Duration::from_secs(72 * HOUR) },
        },
    };
    let made = must(w.schedules().create_schedule(scope, &new).await);
    assert!(matches!(made, CreateSchedule::Created(_)), "the schedule is new: {made:?}");
    new.id
}

async fn step(w: &World, scope: &Scope, id: ScheduleId) -> RunSchedule {
    must(w.schedules().run_schedule(scope, id, w.mint(CampaignId::mint)).await)
}

async fn due_schedules(w: &World) -> DueSchedules {
    must(w.schedules().due_schedules(&w.admin(), 100).await)
}

pub(super) async fn a_new_store_waits_for_nobody(mut w: World) {
    assert_eq!(awaits(&w).await, None);
    let (scope, session, own) = w.one().await;
    w.begun(&scope, session.id, &own).await;
    assert!(!lift(&w).await, "there is nothing to lift");
    w.reopen().await;
    assert_eq!(awaits(&w).await, None, "a store that was closed and opened is the same one");
}

pub(super) async fn suspend_binds_the_next_begin(w: World) {
    let (one, two) = (w.tenant("one").await, w.tenant("two").await);
    let (ones, twos) = (w.session(&one).await.id, w.session(&two).await.id);
    let own = w.own().await;
    let retried = w.begun(&one, ones, &own).await.key;
    w.settle(retried, rejected(RejectClass::Retry, 1)).await;
    w.pass(60);
    let campaign = w.campaign(&one, ones, 2).await;
    w.single(&one, ones).await;
    w.single(&two, twos).await;
    let (page, other) = (w.due(&own, ones).await.messages, w.due(&own, twos).await.messages);
    assert_eq!((page.len(), other.len()), (4, 1), "a retry, a single message and a campaign; and another's");

    suspend(&w).await;
    for (session, page) in [(ones, &page), (twos, &other)] {
        let begun = w.begin(&own, session, page, standard()).await;
        assert!(begun.attempts.is_empty(), "nothing begins: {begun:?}");
        assert!(begun.waits.is_empty() && begun.skips.is_empty(), "nothing moves: {begun:?}");
        for stopped in &begun.stopped {
            assert_eq!((stopped.why, stopped.until), (HoldReason::NeedsReconcile, None));
        }
        assert!(begun.stopped.iter().any(|stopped| stopped.campaign.is_none()));
    }
    // What the campaign's tenant does with it lets nothing through.
    w.act(&one, campaign.id, CampaignAction::Resume).await;
    let page = w.due(&own, ones).await.messages;
    assert_eq!(page.len(), 4);
    assert!(w.begin(&own, ones, &page, standard()).await.attempts.is_empty());
}

pub(super) async fn suspend_holds_what_would_go_on(w: World) {
    let (scope, session, _own) = w.one().await;
    let scheduled = schedule(&w, &scope, session.id).await;
    w.pass(HOUR);
    let RunSchedule::Ran(run) = step(&w, &scope, scheduled).await else { panic!("a slot becomes a run") };
    let (list, _) = w.list(&scope, 3).await;
    let new = || w.new_campaign(&list, &[session.id]);
    let draft = w.draft(&scope, &new()).await;
    let launching = w.draft(&scope, &new()).await;
    assert!(matches!(w.launch_step(&scope, launching.id, 1).await, LaunchStep::Frozen { .. }));
    let mut later = new();
    later.start_at = Some(w.after(86_400));
    let later = w.draft(&scope, &later).await;
    let later = w.launch(&scope, later.id, 10).await;
    assert_eq!(later.state, CampaignState::Scheduled);
    let running = w.campaign(&scope, session.id, 2).await;
    let paused = w.campaign(&scope, session.id, 2).await;
    w.act(&scope, paused.id, CampaignAction::Pause).await;
    let cancelled = w.campaign(&scope, session.id, 2).await;
    w.act(&scope, cancelled.id, CampaignAction::Cancel).await;
    let events = w.events().await.len();

    suspend(&w).await;
    let mut held = vec![run.campaign, launching.id, later.id, running.id];
    for id in &held {
        let campaign = stored(&w, &scope, *id).await;
        assert_eq!(campaign.state, CampaignState::NeedsReconcile);
        assert_eq!(campaign.paused_for, Some(HoldReason::NeedsReconcile));
    }
    let stays = [
        (draft.id, CampaignState::Draft),
        (paused.id, CampaignState::Paused),
        (cancelled.id, CampaignState::Cancelled),
    ];
    for (id, state) in stays {
        assert_eq!(stored(&w, &scope, id).await.state, state);
    }
    held.sort_unstable();
    let told: Vec<_> = w.events().await.into_iter().skip(events).map(|event| event.body).collect();
    let expected: Vec<_> = held
        .iter()
        .map(|id| EventBody::Campaign { campaign: *id, state: CampaignState::NeedsReconcile })
        .collect();
    assert_eq!(told, expected, "in order of their ids");
    let of = scope.tenant();
    assert_eq!(unreconciled(&w).await, held.into_iter().map(|id| (of, id)).collect::<Vec<_>>());
}

pub(super) async fn suspend_starts_a_new_incarnation(mut w: World) {
    let first = must(w.directory().identity(&w.admin(), &w.identity(1)).await);
    let fresh = w.mint(IncarnationId::mint);
    must(w.archive().suspend(&w.admin(), fresh, ReconcileCause::Restored).await);
    let expected = StoreIdentity { incarnation: fresh, ..first };
    assert_eq!(must(w.directory().identity(&w.admin(), &w.identity(2)).await), expected);
    w.reopen().await;
    assert_eq!(must(w.directory().identity(&w.admin(), &w.identity(3)).await), expected);
}

pub(super) async fn suspend_keeps_the_first_cause(mut w: World) {
    let first = suspend_for(&w, ReconcileCause::Copied).await;
    assert_eq!(first, ReconcileNeed { since: w.now(), cause: ReconcileCause::Copied });
    w.pass(60);
    assert_eq!(suspend(&w).await, first);
    w.reopen().await;
    assert_eq!(awaits(&w).await, Some(first));
    assert!(lift(&w).await);
    assert_eq!(awaits(&w).await, None);
    assert!(!lift(&w).await, "it is lifted once");
    let again = suspend(&w).await;
    assert_eq!(again, ReconcileNeed { since: w.now(), cause: ReconcileCause::Restored });
}

pub(super) async fn suspend_stops_schedules(w: World) {
    let (scope, session, _own) = w.one().await;
    let (run, waiting) = (schedule(&w, &scope, session.id).await, schedule(&w, &scope, session.id).await);
    w.pass(HOUR);
    assert!(matches!(step(&w, &scope, run).await, RunSchedule::Ran(_)));
    let due = due_schedules(&w).await;
    assert_eq!((due.due.len(), due.launch.len()), (1, 1), "{due:?}");
    suspend(&w).await;
    assert_eq!(due_schedules(&w).await, DueSchedules::default());
    let before = found(w.schedules().schedule(&scope, waiting).await);
    assert_eq!(step(&w, &scope, waiting).await, RunSchedule::Waits(before.state));
    assert_eq!(found(w.schedules().schedule(&scope, waiting).await), before);
    let nobody = w.mint(ScheduleId::mint);
    assert_eq!(step(&w, &scope, nobody).await, RunSchedule::Missing);
}

pub(super) async fn unreconciled_is_paged_by_key(w: World) {
    let mut expected = Vec::new();
    for name in ["one", "two", "three"] {
        w.pass(1);
        let scope = w.tenant(name).await;
        let session = w.session(&scope).await.id;
        for _ in 0..2 {
            let campaign = w.campaign(&scope, session, 1).await;
            expected.push((scope.tenant(), campaign.id));
        }
        let paused = w.campaign(&scope, session, 1).await;
        w.act(&scope, paused.id, CampaignAction::Pause).await;
    }
    expected.sort_unstable();
    assert_eq!(unreconciled(&w).await, [], "nothing is held before");
    suspend(&w).await;
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let page = must(w.archive().unreconciled(&w.admin(), after, 2).await);
        assert!(page.len() <= 2);
        let Some((tenant, last)) = page.last() else { break };
        after = Some((*tenant, last.id));
        paged.extend(page.iter().map(|(tenant, campaign)| (*tenant, campaign.id)));
        ends(&paged);
    }
    assert_eq!(paged, expected);
}

pub(super) async fn lift_lets_singles_go(w: World) {
    let (scope, session, own) = w.one().await;
    let campaign = w.campaign(&scope, session.id, 2).await;
    let single = w.single(&scope, session.id).await;
    let (list, _) = w.list(&scope, 3).await;
    let launching = w.draft(&scope, &w.new_campaign(&list, &[session.id])).await;
    w.launch_step(&scope, launching.id, 1).await;
    let scheduled = schedule(&w, &scope, session.id).await;
    w.pass(HOUR);
    let RunSchedule::Ran(run) = step(&w, &scope, scheduled).await else { panic!("a slot becomes a run") };
    suspend(&w).await;
    assert!(lift(&w).await);

    let begun = w.begin_due(&own, session.id).await;
    let messages: Vec<_> = begun.attempts.iter().map(|attempt| attempt.key.message).collect();
    assert_eq!(messages, [single], "campaigns wait until each is resumed");
    assert_eq!(due_schedules(&w).await.launch, [], "also the draft of a run");
    let resumed = w.act(&scope, campaign.id, CampaignAction::Resume).await;
    assert_eq!((resumed.state, resumed.paused_for), (CampaignState::Running, None));
    assert_eq!(w.begin_due(&own, session.id).await.attempts.len(), 2);
    for (id, audience) in [(launching.id, 3), (run.campaign, 2)] {
        assert_eq!(w.act(&scope, id, CampaignAction::Resume).await.state, CampaignState::Launching);
        assert_eq!(w.launch(&scope, id, 1).await.state, CampaignState::Running);
        assert_eq!(w.begin_due(&own, session.id).await.attempts.len(), audience, "each member once");
    }
    assert_eq!(unreconciled(&w).await, []);
}

pub(super) async fn lift_makes_up_for_no_slot(w: World) {
    let (scope, session, _own) = w.one().await;
    let scheduled = schedule(&w, &scope, session.id).await;
    let first = found(w.schedules().schedule(&scope, scheduled).await).next_at.expect("it is active");
    suspend(&w).await;
    w.pass(30 * HOUR);
    assert!(lift(&w).await);
    let next = first + chrono::TimeDelta::days(2);
    let known = found(w.schedules().schedule(&scope, scheduled).await);
    assert_eq!((known.next_at, known.runs), (Some(next), 0), "two slots have come meanwhile");
    assert_eq!(due_schedules(&w).await, DueSchedules { next_at: Some(next), ..DueSchedules::default() });
    assert_eq!(step(&w, &scope, scheduled).await, RunSchedule::Waits(known.state));
    w.pass(24 * HOUR);
    let RunSchedule::Ran(run) = step(&w, &scope, scheduled).await else { panic!("a slot becomes a run") };
    assert_eq!(run.due_at, next);
}

pub(super) async fn examine_finds_nothing_in_a_sound_store(w: World) {
    let examine = async || must(w.archive().examine(&w.admin(), 100).await);
    assert_eq!(examine().await, []);
    let scope = w.tenant("one").await;
    let session = w.session_of(&scope, &w.new_session(), Tier::Limited(50)).await;
    let own = w.own().await;
    let campaign = w.campaign(&scope, session.id, 6).await;
    let page = w.due(&own, session.id).await.messages;
    let some = page.get(..5).expect("six are due").to_vec();
    let begun = w.begin(&own, session.id, &some, standard()).await.attempts;
    let outcomes = [
        Outcome::Accepted { provider_id: "one".to_owned() },
        Outcome::NotSent,
        Outcome::Ambiguous,
        rejected(RejectClass::Retry, 1),
    ];
    for (attempt, outcome) in begun.iter().zip(outcomes) {
        w.settle(attempt.key, outcome).await;
        assert_eq!(examine().await, []);
    }
    w.pass(60);
    w.single(&scope, session.id).await;
    w.begin_due(&own, session.id).await;
    assert_eq!(examine().await, []);
    let later = w.campaign(&scope, session.id, 2).await;
    for id in [campaign.id, later.id] {
        w.act(&scope, id, CampaignAction::Cancel).await;
        assert_eq!(examine().await, []);
    }
    must(w.audience().advance(&w.admin()).await);
    assert_eq!(examine().await, []);
}
