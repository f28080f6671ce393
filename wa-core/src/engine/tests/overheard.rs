//! What intake hears and the worker has to know at once.

use std::time::Duration;

use futures::executor::block_on;

use super::stage::Stage;
use crate::engine::EngineConfig;
use crate::engine::overheard::{News, Overheard};
use crate::model::{SessionState, Throughput};
use crate::port::Clock;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn what_a_person_types_on_the_phone_uses_the_number_up() {
    let mut stage = Stage::new(10, EngineConfig::default());
    stage.campaign(200);
    stage.wake();
    stage.run_for(SECOND);
    let before = stage.sent_from(stage.session).len();
    for _ in 0..50 {
        let metered = vec![(stage.session, stage.clock.now())];
        stage.worker.hear(News { sessions: Vec::new(), metered });
        stage.run_for(SECOND / 5);
    }
    // Ten a second, of which five were typed by hand.
    let sent = stage.sent_from(stage.session).len() - before;
    assert!((40..=60).contains(&sent), "{sent} in ten seconds");
}

#[test]
fn a_throughput_upgrade_is_used_at_once_and_a_ban_gives_back_what_waits() {
    let mut stage = Stage::new(10, EngineConfig::default());
    let campaign = stage.campaign(500);
    stage.wake();
    stage.run_for(SECOND);
    let mut session = block_on(stage.tenant.sessions().get(stage.session)).expect("a session");
    session.throughput = Throughput::UPGRADED;
    stage.worker.hear(News { sessions: vec![session.clone()], metered: Vec::new() });
    let before = stage.sent_from(stage.session).len();
    stage.run_for(SECOND);
    let sent = stage.sent_from(stage.session).len() - before;
    assert!(sent > 100, "{sent} in a second");
    session.state = SessionState::Banned;
    stage.worker.hear(News { sessions: vec![session], metered: Vec::new() });
    assert_eq!(stage.worker.status().waiting, 0, "nothing waits at the gate of a banned number");
    stage.run_for(SECOND);
    assert_eq!(stage.counts(campaign).failed, 0);
}

#[test]
fn where_no_worker_listens_only_the_latest_word_on_each_number_is_kept() {
    let stage = Stage::new(10, EngineConfig::default());
    let mut session = block_on(stage.tenant.sessions().get(stage.session)).expect("a session");
    let overheard = Overheard::default();
    for state in [SessionState::Banned, SessionState::Connected, SessionState::Disconnected] {
        session.state = state;
        overheard.tell(vec![session.clone()], Vec::new());
    }
    assert_eq!(overheard.take().sessions, [session]);
}
