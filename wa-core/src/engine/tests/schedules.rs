//! Recurring campaigns on manual time, over a change of clocks and over lost processes.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::executor::block_on;

use super::stage::Stage;
use crate::model::*;
use crate::service::{EngineConfig, NewRecurring};

const HOUR: Duration = Duration::from_secs(3_600);

/// A stage at an instant, with so many members on the list `people`.
fn stage(now: &str, members: u64) -> Stage {
    let stage = Stage::new(80, EngineConfig::default());
    stage.clock.set(now.parse().expect("an instant"));
    for n in 0..members {
        let phone = Phone::from_digits(&format!("{}", 4_915_100_000_000 + n)).expect("a phone");
        let list = Some("people".parse().expect("a name"));
        block_on(stage.tenant.contacts().upsert(phone.into(), ContactAttributes::default(), list))
            .expect("a contact");
    }
    stage
}

/// Lets time pass in half hours, of each of which the engine sees the last ten seconds.
fn leap(stage: &mut Stage, hours: u64) {
    for _ in 0..2 * hours {
        stage.clock.advance(Duration::from_secs(1_790));
        stage.run_for(Duration::from_secs(10));
    }
}

fn daily(stage: &Stage, first: &str, missed: MissedRuns) -> Schedule {
    let zone = "Europe/Berlin".parse().expect("a zone");
    let recurrence = Recurrence::new(Repeat::Days { every: 1 }, first.parse().expect("a time"), zone);
    let content = Content::Template(
        TemplateContent::with_body(
            "hello".parse().expect("a name"),
            "en".parse().expect("a language"),
            Category::Marketing,
            [],
        )
        .expect("a template"),
    );
    let (name, list) = ("daily".parse().expect("a name"), "people".parse().expect("a name"));
    let mut new = NewRecurring::new(name, list, content, vec![stage.session], recurrence);
    new.spec.missed = missed;
    block_on(stage.tenant.schedules().create(new)).expect("a schedule")
}

fn runs(stage: &Stage, id: ScheduleId) -> Vec<ScheduleRun> {
    block_on(stage.tenant.schedules().runs(id, 0, 100)).expect("runs")
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant")
}

fn counts(stage: &Stage, campaign: CampaignId) -> CampaignCounts {
    block_on(stage.tenant.campaigns().counts(campaign)).expect("counts")
}

#[test]
fn each_day_has_one_run_over_a_change_of_clocks() {
    let mut stage = stage("2026-03-27T22:00:00Z", 3);
    // Half past two does not come on the 29th.
    let schedule = daily(&stage, "2026-03-28 02:30", MissedRuns::Skip);
    leap(&mut stage, 4 * 24);
    let runs = runs(&stage, schedule.id);
    let due: Vec<_> = runs.iter().map(|run| run.due_at).collect();
    let expected =
        ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z", "2026-03-31T00:30:00Z"];
    assert_eq!(due, expected.map(at));
    for run in &runs {
        assert!(run.made_at - run.due_at < chrono::TimeDelta::seconds(2), "{run:?}");
        let counts = counts(&stage, run.campaign);
        assert_eq!((counts.audience, counts.accepted), (3, 3));
    }
    assert_eq!(stage.transport.sent().len(), 12, "nobody twice, nobody left out");
}

#[test]
fn a_process_lost_between_making_and_launching_a_run_loses_and_doubles_nothing() {
    let mut stage = stage("2026-03-27T22:00:00Z", 1_201);
    let schedule = daily(&stage, "2026-03-28 02:30", MissedRuns::default());
    stage.clock.advance(4 * HOUR);
    // The run is made, and by hand one chunk is frozen; then the process is gone.
    let ports = stage.worker.ports().clone();
    let round = block_on(crate::engine::scheduler::round(&ports)).expect("a round");
    assert!(round.more && round.told);
    let [run] = runs(&stage, schedule.id).try_into().expect("one run");
    let campaign = block_on(stage.tenant.campaigns().get(run.campaign)).expect("a campaign");
    assert_eq!(campaign.state, CampaignState::Draft);
    block_on(crate::engine::scheduler::round(&ports)).expect("a round");
    assert_eq!(counts(&stage, run.campaign).audience, 500);

    let (worker, intake) = stage.kit.steps();
    (stage.worker, stage.intake) = (worker, intake);
    stage.run_for(Duration::from_secs(120));
    assert_eq!(runs(&stage, schedule.id), std::slice::from_ref(&run));
    let counts = counts(&stage, run.campaign);
    assert_eq!((counts.audience, counts.accepted, counts.pending), (1_201, 1_201, 0));
}

#[test]
fn what_was_missed_while_nothing_ran_follows_its_policy() {
    for (missed, numbers) in [
        (MissedRuns::Skip, vec![4]),
        (MissedRuns::RunLatest { within: 12 * HOUR }, vec![3, 4]),
        (MissedRuns::RunAll { within: 48 * HOUR }, vec![2, 3, 4]),
    ] {
        let mut stage = stage("2026-03-27T22:00:00Z", 1);
        let schedule = daily(&stage, "2026-03-28 09:00", missed);
        // Nothing runs until the 30th in the afternoon: three slots have come.
        stage.clock.advance(2 * 24 * HOUR + 16 * HOUR);
        stage.run_for(Duration::from_secs(10));
        leap(&mut stage, 24);
        let ran: Vec<_> = runs(&stage, schedule.id).iter().map(|run| run.slot.number).collect();
        assert_eq!(ran, numbers, "{missed:?}");
        let stands = block_on(stage.tenant.schedules().get(schedule.id)).expect("a schedule");
        assert_eq!(stands.runs + stands.skipped, 4, "{missed:?}");
    }
}

#[test]
fn a_late_run_is_not_sent_once_its_validity_is_over() {
    let mut stage = stage("2026-03-27T22:00:00Z", 2);
    let schedule = daily(&stage, "2026-03-28 09:00", MissedRuns::RunLatest { within: 48 * HOUR });
    // The run is valid for a day after its slot, and a day and some hours late.
    block_on(stage.tenant.schedules().end(schedule.id)).expect("it ends");
    let zone = "Europe/Berlin".parse().expect("a zone");
    let first = "2026-03-28 09:00".parse().expect("a time");
    let once = Recurrence::new(Repeat::Days { every: 1 }, first, zone).times(1);
    let spec = ScheduleSpec { recurrence: once, ..schedule.spec };
    let new = NewRecurring { name: "once".parse().expect("a name"), spec };
    let once = block_on(stage.tenant.schedules().create(new)).expect("a schedule");
    stage.clock.advance(2 * 24 * HOUR);
    stage.run_for(Duration::from_secs(60));
    let [run] = runs(&stage, once.id).try_into().expect("one run");
    let counts = counts(&stage, run.campaign);
    assert_eq!((counts.skipped, counts.reasons.get("skipped:expired")), (2, Some(&2)));
    assert!(stage.transport.sent().is_empty());
}
