//! Processes killed in the middle: nobody is written to twice, nobody is lost.

use std::process::Stdio;

use crate::figure;
use crate::program::{Run, SimulatorProgram, against, contacts, count, free_port, wait_until};

/// Kills the campaign `kills` times while it sends, and resumes it by name each time.
fn killed(kills: u64, audience: usize, bound: u64, rate: u32, faults: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let simulator = SimulatorProgram::start(folder.path(), port, faults);
    let store = format!("sqlite:{}", folder.path().join("wa.db").display());
    let file = contacts(folder.path(), "contacts.csv", audience);
    let command = || {
        let mut command = against(&simulator, port);
        command.args(["--store", &store, "--template", "hello", "--rate", &rate.to_string(), "--wait", "3"]);
        command.args(["--max-in-doubt", &bound.to_string(), "--contacts"]).arg(&file);
        command
    };
    let mut done = 0;
    for kill in 0..kills {
        let mut child = command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started");
        let step = audience / (usize::try_from(kills).expect("few") + 2);
        let target = done + step / 2 + usize::try_from(kill % 3).expect("few") * step / 4;
        wait_until("more messages went out", || simulator.accepted().len() > target);
        child.kill().expect("killed");
        child.wait().expect("ended");
        done = simulator.accepted().len();
    }
    let report = Run::of(&mut command()).report();
    let accepted = simulator.accepted();
    let twice: Vec<_> = accepted.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "written to twice: {twice:?}");
    let in_doubt = count(&report, "in_doubt");
    let missing = audience - accepted.len();
    println!(
        "kills {kills}, audience {audience}, bound {bound}: duplicates 0, missing {missing}, in doubt {in_doubt}"
    );
    assert!(u64::try_from(missing).expect("few") <= in_doubt, "somebody is lost: {report}");
    assert!(in_doubt <= kills * bound, "{report}");
    assert_eq!(count(&report, "pending") + count(&report, "failed"), 0, "{report}");
    let words = simulator.stop();
    assert!(words.contains("repeated"), "{words}");
}

#[test]
fn a_campaign_that_is_killed_again_and_again_reaches_everybody_once() {
    let audience = usize::try_from(figure("WA_KILL_AUDIENCE", 1_200)).expect("it fits");
    let rate = u32::try_from(figure("WA_KILL_RATE", 400)).expect("it fits");
    killed(figure("WA_KILLS", 4), audience, figure("WA_KILL_BOUND", 16), rate, &[]);
}

#[test]
fn lost_replies_and_kills_together_repeat_nothing() {
    killed(2, 600, 16, 400, &["--fault", "reply-lost=0.05", "--fault", "status-missing=0.2"]);
}

#[test]
fn a_killed_import_or_launch_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let simulator = SimulatorProgram::start(folder.path(), port, &[]);
    let path = folder.path().join("wa.db");
    let store = format!("sqlite:{}", path.display());
    let file = contacts(folder.path(), "contacts.csv", 3_000);
    let command = || {
        let mut command = against(&simulator, port);
        command
            .args(["--store", &store, "--template", "hello", "--max-in-doubt", "8", "--contacts"])
            .arg(&file);
        command
    };
    let mut kills = 0;
    for grown in [1, 2, 3] {
        let mut child = command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started");
        // Each chunk of a thousand lines grows the log of the store.
        let log = folder.path().join("wa.db-wal");
        wait_until("a chunk was stored", || {
            let size = std::fs::metadata(&log).map_or(0, |it| it.len());
            size > grown * 100_000 || !simulator.accepted().is_empty()
        });
        child.kill().expect("killed");
        child.wait().expect("ended");
        kills += 1;
    }
    let report = Run::of(&mut command()).report();
    assert_eq!((count(&report, "rows"), count(&report, "audience")), (3_000, 3_000), "{report}");
    assert!(count(&report, "in_doubt") <= kills * 8, "{report}");
    assert_eq!(count(&report, "accepted") + count(&report, "in_doubt"), 3_000, "{report}");
    assert!(simulator.accepted().values().all(|times| *times == 1));
}
