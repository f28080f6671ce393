//! Short runs of the crash test: processes that are killed, stopped and woken, on both databases.

use crate::program::{Run, count, example};

fn crashed(arguments: &[&str]) {
    let run = Run::of(example("crash_test").args(arguments).arg("--json"));
    assert_eq!(run.status, 0, "{run:?}");
    let balance = run.json();
    println!("{} {balance}", arguments.join(" "));
    for zero in ["duplicates", "lost", "begun_after_start_by", "invariant_violations"] {
        assert_eq!(count(&balance, zero), 0, "{balance}");
    }
    assert!(count(&balance, "kills") > 0 && count(&balance, "accepted") > 0, "{balance}");
}

#[test]
fn one_worker_on_sqlite_is_killed_at_every_named_point() {
    crashed(&["--store", "sqlite", "--kills", "20", "--stops", "1", "--audience", "300"]);
}

#[test]
fn two_workers_on_postgres_are_killed_and_stopped() {
    crashed(&["--store", "postgres", "--workers", "2", "--kills", "6", "--stops", "1", "--audience", "300"]);
}

#[test]
fn the_postgres_server_is_killed() {
    crashed(&[
        "--store",
        "postgres",
        "--kills",
        "2",
        "--stops",
        "0",
        "--server-kills",
        "2",
        "--audience",
        "200",
    ]);
}
