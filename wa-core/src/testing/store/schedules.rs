//! Schedules: their definition, their moves, and the campaign of each slot.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::model::{
    CampaignAction, CampaignId, CampaignState, Category, CivilDateTime, EventBody, InDoubtPolicy, Lane,
    ListName, MissedRuns, NewSchedule, Recurrence, Repeat, Schedule, ScheduleAction, ScheduleId, ScheduleRun,
    ScheduleSpec, ScheduleState, SessionId, SkippedRun, TenantId, TimeZone,
};
use crate::port::Scope;
use crate::port::store::{CreateSchedule, RunSchedule, ScheduleOutcome};
use crate::testing::store::world::{World, ends, found, greeting, must, only, sorted, value};

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

/// Daily, from an hour after now on, in a zone in which that is another time of day.
fn daily(w: &World, list: &ListName, sessions: &[SessionId]) -> NewSchedule {
    let zone: TimeZone = value("Asia/Kolkata");
    let first = CivilDateTime::at(w.after(3_600), &zone);
    NewSchedule {
        id: w.mint(ScheduleId::mint),
        name: value(&format!("schedule {}", w.count())),
        spec: ScheduleSpec {
            content: greeting(Category::Marketing),
            fallback: None,
            list: list.clone(),
            sessions: sessions.to_vec(),
            lane: Lane::Bulk,
            valid_for: Some(Duration::from_secs(2 * HOUR)),
            rate: Some(7),
            budget: None,
            in_doubt: Some(InDoubtPolicy::Manual),
            recurrence: Recurrence::new(Repeat::Days { every: 1 }, first, zone),
            missed: MissedRuns::RunLatest { within: Duration::from_secs(12 * HOUR) },
        },
    }
}

/// A tenant with a session, a list of two, and a daily schedule as it is defined.
async fn stage(w: &World) -> (Scope, NewSchedule) {
    let scope = w.tenant("one").await;
    let session = w.session(&scope).await.id;
    let (list, _) = w.list(&scope, 2).await;
    let new = daily(w, &list, &[session]);
    (scope, new)
}

async fn create(w: &World, scope: &Scope, new: &NewSchedule) -> Schedule {
    match must(w.schedules().create_schedule(scope, new).await) {
        CreateSchedule::Created(schedule) => schedule,
        other => panic!("the schedule is new: {other:?}"),
    }
}

async fn step(w: &World, scope: &Scope, id: ScheduleId) -> RunSchedule {
    must(w.schedules().run_schedule(scope, id, w.mint(CampaignId::mint)).await)
}

async fn ran(w: &World, scope: &Scope, id: ScheduleId) -> ScheduleRun {
    match step(w, scope, id).await {
        RunSchedule::Ran(run) => run,
        other => panic!("a slot becomes a campaign: {other:?}"),
    }
}

/// Lets time pass until the very instant at which a schedule's next slot comes.
fn until(w: &World, schedule: &Schedule) {
    let ahead = schedule.next_at.expect("a slot comes") - w.now();
    w.clock.advance(ahead.to_std().expect("it is to come"));
}

async fn act(w: &World, scope: &Scope, id: ScheduleId, action: ScheduleAction) -> ScheduleOutcome {
    must(w.schedules().act_on_schedule(scope, id, action).await)
}

async fn get(w: &World, scope: &Scope, id: ScheduleId) -> Schedule {
    found(w.schedules().schedule(scope, id).await)
}

/// What the journal says about schedules.
async fn told(w: &World) -> Vec<EventBody> {
    let events = w.events().await.into_iter().map(|event| event.body);
    events
        .filter(|body| {
            matches!(
                body,
                EventBody::Schedule { .. }
                    | EventBody::ScheduleRun { .. }
                    | EventBody::ScheduleSkipped { .. }
            )
        })
        .collect()
}

pub(super) async fn create_schedule_is_idempotent_by_name(mut w: World) {
    let (scope, new) = stage(&w).await;
    let made = create(&w, &scope, &new).await;
    assert_eq!((made.id, &made.name, &made.spec), (new.id, &new.name, &new.spec));
    assert_eq!((made.runs, made.skipped, made.created_at), (0, 0, w.now()));
    w.pass(HOUR);
    let run = ran(&w, &scope, new.id).await;
    w.reopen().await;
    let again = NewSchedule { id: w.mint(ScheduleId::mint), ..new.clone() };
    let known = must(w.schedules().create_schedule(&scope, &again).await);
    let stands = get(&w, &scope, new.id).await;
    assert_eq!((stands.runs, run.slot.number), (1, 1));
    assert_eq!(known, CreateSchedule::Known(stands), "it stands where it stood");
    assert_eq!(must(w.schedules().schedule(&scope, again.id).await), None);
}

pub(super) async fn another_schedule_under_a_name_is_refused(w: World) {
    let (scope, new) = stage(&w).await;
    let made = create(&w, &scope, &new).await;
    let mut specs = vec![new.spec.clone(); 4];
    for (place, spec) in specs.iter_mut().enumerate() {
        match place {
            0 => spec.content = greeting(Category::Utility),
            1 => spec.recurrence.repeat = Repeat::Days { every: 2 },
            2 => spec.valid_for = None,
            _ => spec.missed = MissedRuns::Skip,
        }
        let other = NewSchedule { spec: spec.clone(), ..new.clone() };
        let refused = must(w.schedules().create_schedule(&scope, &other).await);
        assert_eq!(refused, CreateSchedule::Different(made.clone()));
    }
    assert_eq!(get(&w, &scope, new.id).await, made);
}

pub(super) async fn create_schedule_needs_own_sessions(w: World) {
    let (scope, new) = stage(&w).await;
    let other = w.tenant("other").await;
    let foreign = w.session(&other).await.id;
    for sessions in [vec![foreign], vec![]] {
        let spec = ScheduleSpec { sessions: sessions.clone(), ..new.spec.clone() };
        let refused = must(w.schedules().create_schedule(&scope, &NewSchedule { spec, ..new.clone() }).await);
        assert_eq!(refused, CreateSchedule::UnknownSession(sessions.first().copied()));
    }
    assert_eq!(must(w.schedules().all_schedules(&scope, None, 10).await), []);
}

pub(super) async fn a_schedule_starts_with_the_first_slot_from_now_on(w: World) {
    let (scope, new) = stage(&w).await;
    let made = create(&w, &scope, &new).await;
    assert_eq!(made.state, ScheduleState::Active);
    assert_eq!(made.next_at.map(|at| at <= w.after(3_600) && at > w.after(3_500)), Some(true));
    assert_eq!(made.next.map(|slot| slot.number), Some(1));
    until(&w, &made);
    let sharp = NewSchedule { id: w.mint(ScheduleId::mint), name: value("sharp"), ..new.clone() };
    assert_eq!(create(&w, &scope, &sharp).await.next_at, Some(w.now()), "a slot of now is not too late");
    // Three slots have passed: the fourth is the first.
    w.pass(3 * DAY);
    let late = NewSchedule { id: w.mint(ScheduleId::mint), name: value("late"), ..new.clone() };
    assert_eq!(create(&w, &scope, &late).await.next.map(|slot| slot.number), Some(4));
    let mut over = NewSchedule { id: w.mint(ScheduleId::mint), name: value("over"), ..new };
    over.spec.recurrence = over.spec.recurrence.times(3);
    let over = create(&w, &scope, &over).await;
    assert_eq!((over.state, over.next, over.next_at), (ScheduleState::Ended, None, None));
}

pub(super) async fn a_foreign_schedule_is_missing(w: World) {
    let (scope, new) = stage(&w).await;
    create(&w, &scope, &new).await;
    let other = w.tenant("other").await;
    w.pass(HOUR);
    assert_eq!(must(w.schedules().schedule(&other, new.id).await), None);
    assert_eq!(must(w.schedules().schedule_named(&other, &new.name).await), None);
    assert_eq!(step(&w, &other, new.id).await, RunSchedule::Missing);
    assert_eq!(act(&w, &other, new.id, ScheduleAction::End).await, ScheduleOutcome::Missing);
    assert_eq!(get(&w, &scope, new.id).await.runs, 0);
}

pub(super) async fn a_schedule_is_found_by_name(w: World) {
    let (scope, new) = stage(&w).await;
    let made = create(&w, &scope, &new).await;
    assert_eq!(found(w.schedules().schedule_named(&scope, &new.name).await), made);
    assert_eq!(must(w.schedules().schedule_named(&scope, &value("Schedule")).await), None);
}

pub(super) async fn schedules_are_paged_by_id(w: World) {
    let (scope, new) = stage(&w).await;
    let mut ids = Vec::new();
    for n in 0..5 {
        let one = NewSchedule { id: w.mint(ScheduleId::mint), name: value(&format!("n {n}")), ..new.clone() };
        ids.push(create(&w, &scope, &one).await.id);
    }
    let other = w.tenant("other").await;
    assert_eq!(must(w.schedules().all_schedules(&other, None, 10).await), []);
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let page = must(w.schedules().all_schedules(&scope, after, 2).await);
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 2, "no more than asked for");
        after = Some(last.id);
        paged.extend(page.into_iter().map(|it| it.id));
        ends(&paged);
    }
    assert_eq!(paged, sorted(ids));
}

pub(super) async fn runs_are_paged_by_slot(mut w: World) {
    let (scope, new) = stage(&w).await;
    create(&w, &scope, &new).await;
    let twin = NewSchedule { id: w.mint(ScheduleId::mint), name: value("twin"), ..new.clone() };
    create(&w, &scope, &twin).await;
    let mut runs = Vec::new();
    w.pass(HOUR);
    for _ in 0..5 {
        runs.push(ran(&w, &scope, new.id).await);
        ran(&w, &scope, twin.id).await;
        w.pass(DAY);
    }
    w.reopen().await;
    let (mut paged, mut after) = (Vec::new(), 0);
    loop {
        let page = must(w.schedules().schedule_runs(&scope, new.id, after, 2).await);
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 2, "no more than asked for");
        after = last.slot.number;
        paged.extend(page);
        ends(&paged);
    }
    assert_eq!(paged, runs);
}

pub(super) async fn a_paused_schedule_runs_nothing(w: World) {
    let (scope, new) = stage(&w).await;
    create(&w, &scope, &new).await;
    for (action, state) in
        [(ScheduleAction::Pause, ScheduleState::Paused), (ScheduleAction::End, ScheduleState::Ended)]
    {
        let ScheduleOutcome::Moved(moved) = act(&w, &scope, new.id, action).await else {
            panic!("{action:?} moves it");
        };
        assert_eq!((moved.state, moved.next, moved.next_at), (state, None, None));
        assert_eq!(act(&w, &scope, new.id, action).await, ScheduleOutcome::Unchanged(moved.clone()));
        w.pass(DAY);
        assert_eq!(step(&w, &scope, new.id).await, RunSchedule::Waits(state));
        assert_eq!(get(&w, &scope, new.id).await, moved);
        let moved = EventBody::Schedule { schedule: new.id, state };
        assert_eq!(told(&w).await.last(), Some(&moved));
    }
    assert_eq!(must(w.audience().campaigns(&scope, None, 10).await), []);
}

pub(super) async fn resume_goes_on_with_the_next_slot(w: World) {
    let (scope, new) = stage(&w).await;
    create(&w, &scope, &new).await;
    act(&w, &scope, new.id, ScheduleAction::Pause).await;
    w.pass(2 * DAY + HOUR + 60);
    let ScheduleOutcome::Moved(moved) = act(&w, &scope, new.id, ScheduleAction::Resume).await else {
        panic!("it goes on");
    };
    assert_eq!((moved.state, moved.next.map(|slot| slot.number)), (ScheduleState::Active, Some(4)));
    assert_eq!(step(&w, &scope, new.id).await, RunSchedule::Waits(ScheduleState::Active));
    w.pass(DAY);
    assert_eq!(ran(&w, &scope, new.id).await.slot.number, 4);
    assert_eq!(get(&w, &scope, new.id).await.skipped, 0, "what passed meanwhile is nobody's");
}

pub(super) async fn an_ended_schedule_stays_ended(w: World) {
    let (scope, new) = stage(&w).await;
    create(&w, &scope, &new).await;
    act(&w, &scope, new.id, ScheduleAction::End).await;
    let ended = get(&w, &scope, new.id).await;
    let before = told(&w).await;
    for action in [ScheduleAction::Pause, ScheduleAction::Resume] {
        assert_eq!(act(&w, &scope, new.id, action).await, ScheduleOutcome::Illegal(ended.clone()));
    }
    assert_eq!((get(&w, &scope, new.id).await, told(&w).await), (ended, before));
}

pub(super) async fn due_schedules_names_what_has_come(w: World) {
    let (scope, new) = stage(&w).await;
    let made = create(&w, &scope, &new).await;
    let [mut later, paused] = ["later", "paused"].map(|name| NewSchedule {
        id: w.mint(ScheduleId::mint),
        name: value(name),
        ..new.clone()
    });
    later.spec.recurrence.time = CivilDateTime::at(w.after(5_400), &later.spec.recurrence.zone).time();
    create(&w, &scope, &later).await;
    create(&w, &scope, &paused).await;
    act(&w, &scope, paused.id, ScheduleAction::Pause).await;
    let due = || async { must(w.schedules().due_schedules(&w.admin(), 10).await).due };
    assert_eq!(due().await, []);
    until(&w, &made);
    assert_eq!(due().await, [(scope.tenant(), new.id)]);
    assert_eq!(due().await, [(scope.tenant(), new.id)], "asking changes nothing");
    w.pass(HOUR);
    assert_eq!(due().await, [(scope.tenant(), new.id), (scope.tenant(), later.id)], "the oldest first");
    let first = must(w.schedules().due_schedules(&w.admin(), 1).await).due;
    assert_eq!(first, [(scope.tenant(), new.id)]);
    ran(&w, &scope, new.id).await;
    assert_eq!(due().await, [(scope.tenant(), later.id)]);
}

async fn to_launch(w: &World) -> Vec<(TenantId, CampaignId)> {
    must(w.schedules().due_schedules(&w.admin(), 10).await).launch
}

pub(super) async fn due_schedules_names_runs_to_launch(mut w: World) {
    let (scope, new) = stage(&w).await;
    create(&w, &scope, &new).await;
    let own = w.new_campaign(&new.spec.list, &new.spec.sessions);
    w.draft(&scope, &own).await;
    w.pass(HOUR);
    let run = ran(&w, &scope, new.id).await;
    let expected = [(scope.tenant(), run.campaign)];
    assert_eq!(to_launch(&w).await, expected, "a draft that nobody made a run of is its caller's");
    w.launch_step(&scope, run.campaign, 1).await;
    w.reopen().await;
    assert_eq!(to_launch(&w).await, expected);
    w.act(&scope, run.campaign, CampaignAction::Pause).await;
    assert_eq!(to_launch(&w).await, []);
    w.act(&scope, run.campaign, CampaignAction::Resume).await;
    assert_eq!(to_launch(&w).await, expected, "where it was paused meanwhile it goes on once it is resumed");
    let running = w.launch(&scope, run.campaign, 10).await;
    assert_eq!((running.state, to_launch(&w).await), (CampaignState::Running, vec![]));
}

pub(super) async fn due_schedules_says_when_the_next_one_comes(w: World) {
    let (scope, new) = stage(&w).await;
    let next_at = || async { must(w.schedules().due_schedules(&w.admin(), 10).await).next_at };
    assert_eq!(next_at().await, None);
    let made = create(&w, &scope, &new).await;
    assert_eq!(next_at().await, made.next_at);
    let mut later = NewSchedule { id: w.mint(ScheduleId::mint), name: value("later"), ..new.clone() };
    later.spec.recurrence.time = CivilDateTime::at(w.after(5_400), &later.spec.recurrence.zone).time();
    let later = create(&w, &scope, &later).await;
    assert_eq!(next_at().await, made.next_at, "the earliest of two");
    w.pass(HOUR);
    assert_eq!(next_at().await, later.next_at, "what is due is not to come");
    ran(&w, &scope, new.id).await;
    let next: Option<DateTime<Utc>> = get(&w, &scope, new.id).await.next_at;
    assert!(next > later.next_at);
    assert_eq!(next_at().await, later.next_at);
    w.pass(HOUR);
    assert_eq!(next_at().await, next);
}

pub(super) async fn run_schedule_makes_one_campaign_per_slot(mut w: World) {
    let (scope, new) = stage(&w).await;
    let made = create(&w, &scope, &new).await;
    assert_eq!(step(&w, &scope, new.id).await, RunSchedule::Waits(ScheduleState::Active));
    until(&w, &made);
    let run = ran(&w, &scope, new.id).await;
    assert_eq!(Some(run.slot), made.next);
    assert_eq!((Some(run.due_at), run.made_at), (made.next_at, w.now()));
    assert_eq!(step(&w, &scope, new.id).await, RunSchedule::Waits(ScheduleState::Active));
    w.reopen().await;
    assert_eq!(step(&w, &scope, new.id).await, RunSchedule::Waits(ScheduleState::Active));
    let campaign = only(must(w.audience().campaigns(&scope, None, 10).await));
    let ScheduleSpec { content, list, sessions, lane, rate, .. } = &new.spec;
    assert_eq!((campaign.id, campaign.state), (run.campaign, CampaignState::Draft));
    assert_eq!(campaign.name.as_str(), format!("{} {}", new.name.as_str(), run.slot.civil));
    assert_eq!((&campaign.content, &campaign.list, &campaign.sessions), (content, list, sessions));
    assert_eq!((campaign.lane, campaign.rate, campaign.start_at), (*lane, *rate, None));
    // Who resumes in the instant of the slot gets the run that was made.
    let before = get(&w, &scope, new.id).await;
    act(&w, &scope, new.id, ScheduleAction::Pause).await;
    act(&w, &scope, new.id, ScheduleAction::Resume).await;
    assert_eq!(ran(&w, &scope, new.id).await, run);
    assert_eq!(get(&w, &scope, new.id).await, before, "it counts once");
    w.pass(DAY);
    let next = ran(&w, &scope, new.id).await;
    assert_eq!(next.slot.number, 2);
    assert_eq!(next.slot.civil.date(), run.slot.civil.date().succ_opt().expect("a day"));
    assert_eq!(get(&w, &scope, new.id).await.runs, 2);
}

pub(super) async fn run_schedule_counts_the_validity_from_the_slot(w: World) {
    let (scope, new) = stage(&w).await;
    let made = create(&w, &scope, &new).await;
    let mut lasting = NewSchedule { id: w.mint(ScheduleId::mint), name: value("lasting"), ..new.clone() };
    lasting.spec.valid_for = None;
    create(&w, &scope, &lasting).await;
    w.pass(HOUR + 600);
    let run = ran(&w, &scope, new.id).await;
    let campaign = found(w.audience().campaign(&scope, run.campaign).await);
    assert_eq!(campaign.valid_until, made.next_at.map(|at| at + Duration::from_secs(2 * HOUR)));
    let run = ran(&w, &scope, lasting.id).await;
    assert_eq!(found(w.audience().campaign(&scope, run.campaign).await).valid_until, None);
}

pub(super) async fn run_schedule_skips_what_was_missed(w: World) {
    let (scope, new) = stage(&w).await;
    let within = Duration::from_secs(27 * HOUR);
    let policies = [
        MissedRuns::Skip,
        MissedRuns::RunLatest { within },
        MissedRuns::RunAll { within },
        MissedRuns::default(),
    ];
    let mut ids = Vec::new();
    for (n, missed) in (0..).zip(policies) {
        let name = value(&format!("n {n}"));
        let spec = ScheduleSpec { missed, ..new.spec.clone() };
        ids.push(create(&w, &scope, &NewSchedule { id: w.mint(ScheduleId::mint), name, spec }).await.id);
    }
    // The slots 1 to 4 have come, the latest two hours ago.
    w.pass(3 * DAY + 3 * HOUR);
    let mut stories = Vec::new();
    for id in ids {
        let mut story = Vec::new();
        loop {
            match step(&w, &scope, id).await {
                RunSchedule::Ran(run) => story.push(("ran", run.slot.number, 1)),
                RunSchedule::Skipped { first, slots, why: SkippedRun::Missed } => {
                    story.push(("skipped", first.number, slots));
                }
                RunSchedule::Waits(ScheduleState::Active) => break,
                other => panic!("nothing else happens: {other:?}"),
            }
        }
        let stands = get(&w, &scope, id).await;
        let skipped: u64 = story.iter().filter(|(what, ..)| *what == "skipped").map(|(.., n)| n).sum();
        assert_eq!((stands.runs + stands.skipped, stands.skipped), (4, skipped));
        assert_eq!(stands.next.map(|slot| slot.number), Some(5));
        stories.push(story);
    }
    let all_skipped = vec![("skipped", 1, 3), ("skipped", 4, 1)];
    let latest = vec![("skipped", 1, 3), ("ran", 4, 1)];
    let each = vec![("skipped", 1, 2), ("ran", 3, 1), ("ran", 4, 1)];
    assert_eq!(stories, [all_skipped.clone(), latest, each, all_skipped]);
}

pub(super) async fn run_schedule_skips_a_taken_name(w: World) {
    let (scope, new) = stage(&w).await;
    let made = create(&w, &scope, &new).await;
    let slot = made.next.expect("a slot");
    let mut taken = w.new_campaign(&new.spec.list, &new.spec.sessions);
    taken.name = must_name(&made, &slot);
    w.draft(&scope, &taken).await;
    w.pass(HOUR);
    let skipped = RunSchedule::Skipped { first: slot, slots: 1, why: SkippedRun::NameTaken };
    assert_eq!(step(&w, &scope, new.id).await, skipped);
    assert_eq!(step(&w, &scope, new.id).await, RunSchedule::Waits(ScheduleState::Active));
    only(must(w.audience().campaigns(&scope, None, 10).await));
    w.pass(DAY);
    assert_eq!(ran(&w, &scope, new.id).await.slot.number, 2);

    // What its caller made just so is the run's.
    let next = get(&w, &scope, new.id).await;
    let slot = next.next.expect("a slot");
    let own = next.campaign(w.mint(CampaignId::mint), &slot, next.next_at.expect("an instant"));
    let own = w.draft(&scope, &own.expect("a campaign")).await;
    w.pass(DAY);
    assert_eq!(ran(&w, &scope, new.id).await.campaign, own.id);
}

fn must_name(schedule: &Schedule, slot: &crate::model::Slot) -> crate::model::CampaignName {
    schedule.campaign_name(slot).expect("the name of a campaign")
}

pub(super) async fn run_schedule_ends_with_its_last_slot(w: World) {
    let (scope, mut new) = stage(&w).await;
    new.spec.recurrence = new.spec.recurrence.times(2);
    create(&w, &scope, &new).await;
    w.pass(HOUR);
    ran(&w, &scope, new.id).await;
    assert_eq!(get(&w, &scope, new.id).await.state, ScheduleState::Active);
    w.pass(DAY);
    ran(&w, &scope, new.id).await;
    let ended = get(&w, &scope, new.id).await;
    assert_eq!((ended.state, ended.next, ended.next_at, ended.runs), (ScheduleState::Ended, None, None, 2));
    assert_eq!(step(&w, &scope, new.id).await, RunSchedule::Waits(ScheduleState::Ended));
    assert_eq!(get(&w, &scope, new.id).await, ended);
}

pub(super) async fn run_schedule_writes_the_journal(w: World) {
    let (scope, mut new) = stage(&w).await;
    new.spec.recurrence = new.spec.recurrence.times(3);
    let made = create(&w, &scope, &new).await;
    w.pass(DAY + HOUR);
    let first = made.next.expect("a slot");
    step(&w, &scope, new.id).await;
    let second = ran(&w, &scope, new.id).await;
    step(&w, &scope, new.id).await;
    w.pass(DAY);
    let third = ran(&w, &scope, new.id).await;
    let ran = |run: &ScheduleRun| EventBody::ScheduleRun {
        schedule: new.id,
        slot: run.slot,
        campaign: run.campaign,
    };
    let expected = [
        EventBody::ScheduleSkipped { schedule: new.id, first, slots: 1, why: SkippedRun::Missed },
        ran(&second),
        ran(&third),
        EventBody::Schedule { schedule: new.id, state: ScheduleState::Ended },
    ];
    assert_eq!(told(&w).await, expected);
}
