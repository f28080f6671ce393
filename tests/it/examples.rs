//! The small examples run and say what they promise.

use serde_json::Value;

use super::program::{Run, count, example};

#[test]
fn a_preflight_is_said_and_nothing_is_sent() {
    let output = example("preflight").output().expect("the example runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Vec<Value> = serde_json::Deserializer::from_slice(&output.stdout)
        .into_iter()
        .collect::<Result<_, _>>()
        .expect("JSON values");
    let [check, forecast] = said.as_slice() else { panic!("{said:?}") };
    assert_eq!((&check["canSend"], &check["blockedReason"]), (&false.into(), &"window_closed".into()));
    assert_eq!((count(forecast, "audience"), count(forecast, "go")), (500, 440));
    assert_eq!(forecast["cost"]["USD"], 60_060_000, "440 times the German price of marketing");
}

#[test]
fn a_transport_of_ones_own_passes_the_suite() {
    let output = example("custom_transport").output().expect("the example runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!output.stdout.is_empty(), "it says what it proved");
}

#[test]
fn a_booking_and_its_confirmation_are_one_on_both_databases() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let database = runtime.block_on(wa_kit::postgres::TestDatabase::create());
    for place in [None, Some(database.url())] {
        let run = Run::of(example("booking").args(place));
        assert_eq!(run.status, 0, "{run:?}");
        let said = |what: &str| run.stdout.lines().filter(|line| line.contains(what)).count();
        assert_eq!((said("confirmation Sent"), said("confirmation NotSent")), (2, 1), "{run:?}");
        assert_eq!((said("owner: failed"), said("begun 3 accepted 2 failed 1")), (1, 1), "{run:?}");
    }
}
