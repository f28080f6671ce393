//! The log on disk: written before the answer, reloaded after a stop or a kill.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use wa_adapters::simulator::{
    Fault, ManualClock, NumberProfile, Simulator, SimulatorBuilder, StartError, StatusTimes, TemplateCategory,
};

use super::setup::{Client, NUMBER, Receiver, SECRET, USER, exact, template, text, user};

fn logged(path: &Path, clock: &ManualClock) -> SimulatorBuilder {
    exact().log(path).clock(clock.clone())
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("a log");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[tokio::test]
async fn each_accepted_send_is_one_line_written_before_its_answer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let simulator =
        logged(&path, &ManualClock::default()).fault(Fault::ReplyLost, 1.0).start().await.unwrap();
    let client = Client::of(&simulator);
    let mut body = template(USER, &["Ada"]);
    body["biz_opaque_callback_data"] = "tag 7".into();
    assert!(client.try_send(&body).await.is_none());
    assert_eq!(client.send(&text(USER, "refused")).await.code, 131_047);
    let lines = lines(&path);
    assert_eq!(lines.len(), 1, "refusals stand in the journal");
    let accepted = &simulator.accepted()[0];
    for (key, value) in [
        ("at", "2026-11-01T00:00:00Z"),
        ("wamid", accepted.wamid.as_str()),
        ("number", NUMBER),
        ("recipient", USER),
        ("kind", "template"),
        ("callback_data", "tag 7"),
        ("fingerprint", accepted.fingerprint.as_str()),
    ] {
        assert_eq!(lines[0][key], value, "{key}");
    }
}

#[tokio::test]
async fn a_restart_goes_on_with_sends_meters_windows_opt_outs_and_verdicts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let clock = ManualClock::default();
    let start = || async {
        let profile = NumberProfile { throughput: 50, tier: Some(2), ..NumberProfile::default() };
        let builder = Simulator::builder().seed(7).number(NUMBER, profile).jitter_tolerance(Duration::ZERO);
        let builder = builder.any_template(TemplateCategory::Marketing).log(&path).clock(clock.clone());
        builder.start().await.unwrap()
    };
    let first = start().await;
    let client = Client::of(&first);
    let receipt_for = first.inbound(NUMBER, &user(9), "hi").unwrap();
    first.opt_out(NUMBER, &user(8)).unwrap();
    for n in 0..45 {
        client.send(&template(&user(1), &[&n.to_string()])).await.wamid();
    }
    client.send(&template(&user(2), &["0"])).await.wamid();
    assert_eq!(client.send(&text(&user(7), "no window")).await.code, 131_047);
    let before = first.stats();
    let accepted = first.accepted();
    // Dropped, not stopped: what a kill leaves.
    drop(first);

    let second = start().await;
    let client = Client::of(&second);
    assert_eq!(second.stats(), before);
    assert_eq!(second.accepted(), accepted);
    assert_eq!(client.send(&template(&user(1), &["45"])).await.code, 131_056, "pair");
    assert_eq!(client.send(&template(&user(3), &["0"])).await.code, 131_048, "tier");
    assert_eq!(client.send(&template(&user(8), &["0"])).await.code, 131_050, "opt-out");
    // 46 accepted and three arrivals that the throughput meter let pass; the fiftieth is this one.
    assert_eq!(client.send(&text(&user(9), "window")).await.status, 200);
    assert_eq!(client.send(&text(&user(9), "more")).await.code, 130_429, "throughput");
    clock.advance(Duration::from_secs(6));
    let again = client.send(&template(&user(1), &["0"])).await;
    assert!(!accepted.iter().any(|sent| sent.wamid == again.wamid()), "ids are not used again");
    let receipt =
        serde_json::json!({ "messaging_product": "whatsapp", "status": "read", "message_id": receipt_for });
    assert_eq!(client.send(&receipt).await.status, 200);
    let stats = second.stop().await;
    assert_eq!((stats.accepted, stats.repeated, stats.requests), (48, 1, 53));
    assert_eq!((stats.window_violations, stats.rate_violations, stats.tier_violations), (1, 2, 1));
}

#[tokio::test]
async fn webhooks_that_nobody_took_are_posted_after_a_restart_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let clock = ManualClock::default();
    let mut receiver = Receiver::start().await;
    let url = receiver.url.clone();
    let start = || async {
        let times = StatusTimes { read: 1.0, read_after: Duration::from_secs(60), ..StatusTimes::default() };
        logged(&path, &clock).webhook(&url, SECRET).statuses(times).start().await.unwrap()
    };
    let first = start().await;
    let wamid = Client::of(&first).send(&template(USER, &[])).await.wamid().to_owned();
    clock.advance(Duration::from_secs(1));
    // Both may come in one request or in two; the simulator must have heard the answer.
    while first.stats().callbacks.events < 2 {
        tokio::task::yield_now().await;
    }
    let inbound = first.inbound(NUMBER, USER, "not posted yet").unwrap();
    drop(first);
    let second = start().await;
    assert_eq!(second.stats().callbacks.pending, 2);
    drop(second);
    let third = start().await;
    clock.advance(Duration::from_secs(120));
    assert!(third.flush(Duration::from_secs(20)).await);
    drop(third);

    let mut posts = Vec::new();
    while posts.iter().map(|post: &super::setup::Post| post.all("statuses").len()).sum::<usize>() < 3 {
        posts.push(receiver.post().await);
    }
    let statuses: Vec<Value> = posts.iter().flat_map(|post| post.all("statuses")).collect();
    let names: Vec<_> = statuses.iter().map(|status| status["status"].as_str().unwrap()).collect();
    assert_eq!(names, ["sent", "delivered", "read"]);
    assert!(statuses.iter().all(|status| status["id"] == *wamid));
    let mut messages: Vec<Value> = posts.iter().flat_map(|post| post.all("messages")).collect();
    messages.extend(receiver.rest("messages"));
    assert_eq!(messages.iter().map(|message| &message["id"]).collect::<Vec<_>>(), [inbound.as_str()]);
    assert_eq!(start().await.stats().callbacks.pending, 0);
}

#[tokio::test]
async fn a_torn_last_line_is_cut_off_and_a_strange_one_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let clock = ManualClock::default();
    let simulator = logged(&path, &clock).start().await.unwrap();
    Client::of(&simulator).send(&template(USER, &[])).await.wamid();
    drop(simulator);
    let append = |text: &str| {
        fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(text.as_bytes()).unwrap()
    };

    append(r#"{"at":"2026-11-01T00:00:00Z","wamid":"wam"#);
    let simulator = logged(&path, &clock).start().await.unwrap();
    assert_eq!(simulator.stats().accepted, 1);
    Client::of(&simulator).send(&template(&user(1), &[])).await.wamid();
    drop(simulator);
    assert_eq!(lines(&path).len(), 2);

    append("{}\n");
    let error = logged(&path, &clock).start().await.unwrap_err();
    let StartError::Log(source) = error else { panic!("{error}") };
    assert!(source.to_string().contains("line 3"), "{source}");
}

#[tokio::test]
async fn a_log_has_one_writer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let clock = ManualClock::default();
    let first = logged(&path, &clock).start().await.unwrap();
    assert!(matches!(logged(&path, &clock).start().await.unwrap_err(), StartError::Log(_)));
    first.stop().await;
    logged(&path, &clock).start().await.unwrap();
}
