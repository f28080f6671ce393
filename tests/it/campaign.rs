//! The campaign example as its users run it.

use std::process::Command;

use crate::program::{
    Run, SimulatorProgram, adds_up, against, contacts, count, example, free_port, terminate, wait_until,
};

fn campaign() -> Command {
    let mut command = example("campaign");
    command.arg("--json");
    command
}

#[test]
fn without_arguments_the_bundled_contacts_are_reached() {
    let run = Run::of(&mut campaign());
    let report = run.report();
    assert!(count(&report, "rows") >= 1_000, "{report}");
    assert!(count(&report, "invalid") > 0 && count(&report, "duplicates") > 0, "{report}");
    let skipped = count(&report, "skipped");
    assert!(skipped > 0, "{report}");
    assert_eq!(report["reasons"]["opted_out"], skipped, "{report}");
    assert_eq!(count(&report, "accepted"), count(&report, "audience") - skipped, "{report}");
    assert_eq!(count(&report, "delivered"), count(&report, "accepted"), "{report}");
    assert!(count(&report, "read") > 0, "{report}");
    let cost = count(&report, "accepted") * 60_400;
    assert_eq!(report["cost"], serde_json::json!({ "currency": "USD", "micros": cost }));
}

#[test]
fn the_report_for_people_names_states_reasons_cost_and_time() {
    let run = Run::of(&mut example("campaign"));
    assert_eq!(run.status, 0, "{run:?}");
    for word in ["rows", "delivered", "opted_out", "USD", "messages/s", "campaign.sqlite"] {
        assert!(run.stdout.contains(word), "{word} is missing in {}", run.stdout);
    }
}

#[test]
fn a_finished_campaign_sends_nothing_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = format!("sqlite:{}", folder.path().join("wa.db").display());
    let file = contacts(folder.path(), "contacts.csv", 200);
    let run = || {
        Run::of(campaign().args(["--store", &store, "--template", "hello", "--contacts"]).arg(&file)).report()
    };
    let first = run();
    assert_eq!(count(&first, "accepted"), 200);
    let second = run();
    assert_eq!(count(&second, "accepted"), 200);
    assert_eq!(count(&second, "sends_per_second"), 0, "{second}");
}

#[test]
fn text_goes_to_open_windows_only() {
    let report = Run::of(campaign().args(["--text", "Hello {{name}}"])).report();
    let audience = count(&report, "audience");
    let accepted = count(&report, "accepted");
    assert!(accepted.abs_diff(audience / 10) <= audience / 50, "{report}");
    let closed = report["reasons"]["window_closed"].as_u64().expect("a reason");
    assert_eq!(accepted + count(&report, "skipped"), audience, "{report}");
    assert!(closed > audience * 8 / 10, "{report}");
}

#[test]
fn a_dry_run_sends_nothing() {
    let run = Run::of(campaign().arg("--dry-run"));
    let report = run.report();
    assert_eq!(count(&report, "accepted"), 0);
    assert!(count(&report, "pending") > 900, "{report}");
    assert_eq!(count(&report, "commits"), 0, "{report}");
}

#[test]
fn an_export_names_each_recipient() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, export) = (contacts(folder.path(), "contacts.csv", 100), folder.path().join("result.csv"));
    let mut command = campaign();
    command.args(["--template", "hello", "--contacts"]).arg(file).arg("--export").arg(&export);
    let report = Run::of(&mut command).report();
    assert_eq!(count(&report, "accepted"), 100);
    let text = std::fs::read_to_string(export).expect("the export");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 101, "a header and a line for each");
    assert!(lines[0].starts_with("message,phone,user_id,state,"), "{}", lines[0]);
    assert!(lines[1..].iter().all(|line| line.contains(",+") && line.contains("wamid.")), "{text}");
}

#[test]
fn a_rate_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = contacts(folder.path(), "contacts.csv", 100);
    let report =
        Run::of(campaign().args(["--rate", "50", "--template", "hello", "--contacts"]).arg(file)).report();
    assert_eq!(count(&report, "accepted"), 100);
    assert!(count(&report, "elapsed_ms") >= 1_950, "100 messages at 50 a second: {report}");
}

#[test]
fn a_terminated_run_can_be_resumed() {
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let simulator = SimulatorProgram::start(folder.path(), port, &[]);
    let store = format!("sqlite:{}", folder.path().join("wa.db").display());
    let file = contacts(folder.path(), "contacts.csv", 300);
    let command = || {
        let mut command = against(&simulator, port);
        command.args(["--store", &store, "--template", "hello", "--rate", "60", "--contacts"]).arg(&file);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        command
    };
    let child = command().spawn().expect("started");
    wait_until("some messages went out", || simulator.accepted().len() > 20);
    terminate(&child);
    let output = child.wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let report: serde_json::Value = serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
    adds_up(&report);
    assert!(count(&report, "pending") > 0, "{report}");
    assert_eq!(count(&report, "in_doubt"), 0, "a graceful stop leaves nothing in doubt: {report}");
    let resumed = Run::of(&mut command()).report();
    assert_eq!(count(&resumed, "accepted"), 300, "{resumed}");
    assert!(simulator.accepted().values().all(|times| *times == 1));
}

#[test]
fn a_dead_token_blocks_and_a_new_one_resumes() {
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let simulator = SimulatorProgram::start(folder.path(), port, &["--token", "the-new-token"]);
    let store = format!("sqlite:{}", folder.path().join("wa.db").display());
    let file = contacts(folder.path(), "contacts.csv", 50);
    let command = || {
        let mut command = against(&simulator, port);
        command.args(["--store", &store, "--template", "hello", "--contacts"]).arg(&file);
        command
    };
    let run = Run::of(&mut command());
    assert_eq!(run.status, 3, "{run:?}");
    assert_eq!(count(&run.json(), "pending"), 50, "nothing is lost: {run:?}");
    assert!(run.stderr.contains("190"), "{run:?}");
    let resumed = Run::of(command().env("IT_TOKEN", "the-new-token")).report();
    assert_eq!(count(&resumed, "accepted"), 50, "{resumed}");
}
