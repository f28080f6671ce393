//! A store that was restored, with an engine on it.

use std::time::Duration;

use chrono::TimeDelta;
use futures::executor::block_on;

use super::stage::{Stage, rejected};
use crate::model::*;
use crate::port::Clock;
use crate::service::{EngineConfig, NewRecurring};

fn daily(stage: &Stage) -> ScheduleId {
    let zone: TimeZone = "UTC".parse().expect("a zone");
    let first = CivilDateTime::at(stage.clock.now() + TimeDelta::minutes(10), &zone);
    let recurrence = Recurrence::new(Repeat::Days { every: 1 }, first, zone);
    let (name, list) = ("daily".parse().expect("a name"), "launch".parse().expect("a name"));
    let mut new = NewRecurring::new(name, list, Stage::template(), vec![stage.session], recurrence);
    new.spec.missed = MissedRuns::RunAll { within: Duration::from_secs(86_400) };
    block_on(stage.tenant.schedules().create(new)).expect("a schedule").id
}

#[test]
fn a_restored_store_sends_nothing_until_it_is_resumed() {
    let mut stage = Stage::new(10, EngineConfig::default());
    // One of them is refused for a reason that passes, and would be tried again in 5 seconds.
    stage.transport.then(rejected(RejectClass::Retry, 131_016));
    let campaign = stage.campaign(100);
    let schedule = daily(&stage);
    stage.wake();
    stage.run_for(Duration::from_secs(2));
    let before = stage.transport.sent().len();
    assert!((10..30).contains(&before), "the campaign is under way: {before}");

    let kit = stage.kit.clone();
    let need = block_on(kit.reconcile().restored()).expect("it waits");
    assert_eq!((need.cause, need.since), (ReconcileCause::Restored, stage.clock.now()));
    let under_way = stage.worker.status().open;
    let single = stage.send(stage.single(4_915_200_000_001));
    stage.wake();
    stage.run_for(Duration::from_secs(3_600));
    let after = stage.transport.sent().len();
    assert!(after <= before + under_way, "only what had begun went out: {after}");
    assert_eq!(block_on(stage.tenant.schedules().runs(schedule, 0, 10)).expect("runs"), []);
    let held = block_on(kit.reconcile().campaigns(None, 10)).expect("a page");
    assert!(
        matches!(held.as_slice(), [(_, held)] if held.id == campaign
            && held.state == CampaignState::NeedsReconcile
            && held.paused_for == Some(HoldReason::NeedsReconcile)),
        "{held:?}"
    );

    assert!(block_on(kit.reconcile().resume()).expect("an answer"));
    stage.wake();
    stage.run_for(Duration::from_secs(70));
    assert_eq!(stage.view(single).state, MessageState::Accepted, "single messages go on");
    assert_eq!(stage.transport.sent().len(), after + 1, "campaigns wait until each is resumed");
    assert_eq!(block_on(stage.tenant.schedules().runs(schedule, 0, 10)).expect("runs"), []);
    block_on(stage.tenant.campaigns().resume(campaign)).expect("it goes on");
    stage.wake();
    stage.run_for(Duration::from_secs(70));
    let counts = stage.counts(campaign);
    assert_eq!((counts.accepted, counts.pending), (100, 0), "everybody is reached");
    assert_eq!(stage.transport.sent().len(), 102, "each once, but for the one that was refused");
}
