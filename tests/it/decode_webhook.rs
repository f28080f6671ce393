//! The decoder of webhook bodies as its users run it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::program::{Run, example};

const SECRET: &str = "app-secret-of-the-tests";
const LARGEST: usize = 3 * 1024 * 1024;

fn decode(arguments: &[&str], input: impl Into<Vec<u8>>) -> Run {
    feed(example("decode_webhook").args(arguments), input.into())
}

fn feed(command: &mut Command, input: Vec<u8>) -> Run {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the example starts");
    let mut stdin = child.stdin.take().expect("piped");
    // One that refuses early closes its side; what it says is what counts.
    let writer = thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("the writer ends");
    Run {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// The events of a run that went well, one object a line.
fn events(run: &Run) -> Vec<Value> {
    assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{run:?}");
    run.stdout.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// Exit status 2, and one sentence on stderr that says so.
fn refused(run: &Run, expected: &str) {
    assert_eq!(run.status, 2, "{run:?}");
    assert_eq!(run.stderr.lines().count(), 1, "one sentence: {run:?}");
    assert!(run.stderr.starts_with("decode_webhook: ") && run.stderr.ends_with(".\n"), "{run:?}");
    assert!(run.stderr.contains(expected), "{:?} does not say {expected:?}", run.stderr);
}

fn change(field: &str, value: Value) -> String {
    let changes = json!([{"field": field, "value": value}]);
    json!({"object": "whatsapp_business_account", "entry": [{"id": "102", "time": 1_751_247_548, "changes": changes}]})
        .to_string()
}

fn messages(value: Value) -> String {
    let mut value = value;
    value["metadata"] = json!({"display_phone_number": "15550783881", "phone_number_id": "106540352242922"});
    change("messages", value)
}

fn text(id: &str) -> String {
    let item = json!({"from": "16505551234", "id": id, "timestamp": "1750269342", "type": "text", "text": {"body": "hällo"}});
    messages(json!({"messages": [item]}))
}

/// The value of the header, computed here and not by the library.
fn signature(body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key of any length");
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

#[test]
fn a_status_and_a_message_are_told_with_what_matters() {
    let failed = json!({
        "id": "wamid.A", "status": "failed", "timestamp": "1750269342", "recipient_id": "16505551234",
        "errors": [{"code": 131_026, "title": "Message undeliverable", "error_data": {"details": "why"}}],
    });
    let item = json!({"from_user_id": "US.1", "id": "wamid.B", "timestamp": "1750269343", "type": "image", "image": {"id": "7"}});
    let body = messages(json!({"statuses": [failed], "messages": [item]}));
    let events = events(&decode(&[], body));
    let [status, message] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(status["event"], "status");
    assert_eq!(status["at"], "2025-06-18T17:55:42Z");
    assert_eq!(status["phone_number_id"], "106540352242922");
    assert_eq!(status["provider_message_id"], "wamid.A");
    assert_eq!(status["status"], "failed");
    assert_eq!(status["recipient"], "+16505551234");
    assert_eq!(status["error"]["code"], 131_026);
    assert_eq!(status["error"]["title"], "Message undeliverable");
    assert_eq!(status["error"]["details"], "why");
    assert_eq!(message["event"], "message");
    assert_eq!(message["at"], "2025-06-18T17:55:43Z");
    assert_eq!(message["phone_number_id"], "106540352242922");
    assert_eq!(message["provider_message_id"], "wamid.B");
    assert_eq!(message["from"], "US.1");
    assert_eq!(message["kind"], "image");
    assert_eq!(message["body"]["id"], "7");
}

#[test]
fn each_family_of_events_has_its_name() {
    let template = |more: Value| {
        let mut value = json!({"message_template_id": 7, "message_template_name": "hello"});
        for (key, inner) in more.as_object().expect("an object") {
            value[key] = inner.clone();
        }
        value
    };
    let number = json!({"phone_number_id": "106540352242922"});
    for (field, value, event, name) in [
        (
            "message_template_status_update",
            template(json!({"event": "PAUSED"})),
            "template",
            "template_status",
        ),
        (
            "template_category_update",
            template(json!({"new_category": "UTILITY"})),
            "template",
            "template_category",
        ),
        (
            "message_template_components_update",
            template(json!({"message_template_element": "Hi"})),
            "template",
            "template_components",
        ),
        (
            "message_template_quality_update",
            template(json!({"new_quality_score": "RED"})),
            "quality",
            "template_quality",
        ),
        ("phone_number_quality_update", json!({"event": "FLAGGED"}), "quality", "number_quality"),
        (
            "phone_number_name_update",
            json!({"decision": "APPROVED", "requested_verified_name": "X"}),
            "account",
            "number_name",
        ),
        (
            "business_capability_update",
            json!({"max_daily_conversations_per_business": -1}),
            "account",
            "business_capability",
        ),
        ("account_update", json!({"event": "ACCOUNT_DELETED"}), "account", "account"),
        ("account_alerts", json!({"alert_info": {"alert_type": "X"}}), "account", "account_alert"),
        ("account_review_update", json!({"decision": "APPROVED"}), "account", "account_review"),
        ("security", json!({"event": "PIN_CHANGED"}), "account", "security"),
        (
            "user_preferences",
            json!({"metadata": number, "user_preferences": [{"wa_id": "16505551234", "value": "stop"}]}),
            "preference",
            "preference",
        ),
        (
            "smb_message_echoes",
            json!({"metadata": number, "message_echoes": [{"id": "wamid.E", "to": "16505551234", "type": "text", "text": {"body": "x"}}]}),
            "echo",
            "echo",
        ),
        ("history", json!({}), "history", "history"),
        ("smb_app_state_sync", json!({}), "app_state", "app_state"),
        ("standby", json!({}), "standby", "standby"),
        ("messages", json!({"errors": [{"code": 1}]}), "error", "error"),
        ("flows", json!({}), "other", "other"),
    ] {
        let events = events(&decode(&["--kind", "meta"], change(field, value)));
        let [only] = events.as_slice() else { panic!("{field}: {events:?}") };
        assert_eq!((&only["event"], &only["name"]), (&json!(event), &json!(name)), "{field}");
        for key in ["at", "phone_number_id"] {
            assert!(only.get(key).is_some(), "{key} is missing in {only}");
        }
    }
    let events = events(&decode(&[], change("brand_new", json!({"x": 1}))));
    let [only] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((&only["event"], &only["field"]), (&json!("unknown"), &json!("brand_new")));
}

#[test]
fn the_signature_covers_every_byte_of_stdin() {
    let check = |body: &str| {
        let signed = signature(body.as_bytes());
        let fine = decode(&["--secret", SECRET, "--signature", &signed], body);
        assert_eq!(events(&fine).len(), 1, "{fine:?}");
        let header = format!("X-Hub-Signature-256: {signed}");
        let by_name = feed(
            example("decode_webhook").env("DECODER_SECRET", SECRET).args([
                "--secret-env",
                "DECODER_SECRET",
                "--signature",
                &header,
            ]),
            body.as_bytes().to_vec(),
        );
        assert_eq!(by_name.stdout, fine.stdout);
        for other in [format!("{body}\n"), format!(" {body}"), body.trim_end().replacen("hällo", "hello", 1)]
        {
            refused(&decode(&["--secret", SECRET, "--signature", &signed], other), "check the app secret");
        }
        refused(&decode(&["--secret", "another", "--signature", &signed], body), "check the app secret");
    };
    check(&text("wamid.A"));
    check(&format!("{}\n", text("wamid.A")));
    check(&format!("\r\n{}\r\n", text("wamid.A")));
}

#[test]
fn a_signed_body_is_never_read_line_by_line() {
    let two = format!("{}\n{}\n", text("wamid.A"), text("wamid.B"));
    let signed = signature(two.as_bytes());
    refused(&decode(&["--secret", SECRET, "--signature", &signed], two.clone()), "not JSON");
    assert_eq!(events(&decode(&[], two)).len(), 2);
    let empty = signature(b"");
    refused(&decode(&["--secret", SECRET, "--signature", &empty], ""), "not JSON");
    for odd in ["", "sha1=00", "sha256=xyz", "-"] {
        refused(&decode(&["--secret", SECRET, "--signature", odd], text("wamid.A")), "malformed");
    }
}

#[test]
fn broken_and_empty_input_is_refused_in_one_sentence() {
    refused(&decode(&[], ""), "the input is empty");
    refused(&decode(&[], " \r\n\n"), "the input is empty");
    refused(&decode(&[], "{\"object\":"), "line 1 is not JSON");
    refused(&decode(&[], "not json"), "line 1 is not JSON");
    refused(&decode(&[], b"\xff\xfe".to_vec()), "line 1 is not JSON");
    refused(&decode(&[], "[".repeat(100_000)), "line 1 is not JSON");
}

#[test]
fn unsigned_lines_are_bodies_of_their_own() {
    let crlf = format!("{}\r\n\r\n{}\r\n", text("wamid.A"), text("wamid.B"));
    let ids = |run: &Run| -> Vec<String> {
        let id = |event: &Value| event["provider_message_id"].as_str().expect("an id").to_owned();
        events(run).iter().map(id).collect()
    };
    assert_eq!(ids(&decode(&[], crlf)), ["wamid.A", "wamid.B"]);
    let no_end = format!("{}\n{}", text("wamid.A"), text("wamid.B"));
    assert_eq!(ids(&decode(&[], no_end)), ["wamid.A", "wamid.B"]);
    let value: Value = serde_json::from_str(&text("wamid.A")).expect("JSON");
    let pretty = serde_json::to_string_pretty(&value).expect("JSON");
    assert_eq!(ids(&decode(&[], pretty)), ["wamid.A"], "one value over many lines is one body");

    let broken = format!("{}\n\n{{\"object\":\n{}\n", text("wamid.A"), text("wamid.B"));
    let run = decode(&[], broken);
    refused(&run, "line 3 is not JSON");
    let told = run.stdout.lines().count();
    assert_eq!(told, 1, "what stood before it is told, what stands after it is not: {run:?}");
}

#[test]
fn no_body_is_larger_than_3_mib() {
    let padded = |size: usize| {
        let body = text("wamid.A");
        format!("{body}{}", " ".repeat(size - body.len()))
    };
    assert_eq!(events(&decode(&[], padded(LARGEST))).len(), 1);
    refused(&decode(&[], padded(LARGEST + 1)), "larger than 3 MiB");
    let line_by_line = format!("{}\r\n{}\r\n", padded(LARGEST), padded(LARGEST));
    assert_eq!(events(&decode(&[], line_by_line)).len(), 2, "the limit is that of a body");
    let second = format!("{}\n{}\n", text("wamid.A"), padded(LARGEST + 1));
    refused(&decode(&[], second), "line 2 is larger than 3 MiB");
    let signed = |body: &str| {
        let signature = signature(body.as_bytes());
        decode(&["--secret", SECRET, "--signature", &signature], body)
    };
    assert_eq!(events(&signed(&padded(LARGEST))).len(), 1);
    refused(&signed(&padded(LARGEST + 1)), "larger than 3 MiB");
}

#[test]
fn wrong_use_is_explained_in_one_sentence() {
    for (arguments, expected) in [
        (["--kind", "stripe"].as_slice(), "stripe"),
        (&["--secret", "x"], "--signature"),
        (&["--signature", "sha256=00"], "--secret"),
        (&["--secret", "x", "--secret-env", "Y", "--signature", "z"], "--secret"),
        (&["--secret-env", "NO_SUCH_VARIABLE", "--signature", "z"], "NO_SUCH_VARIABLE is not set"),
        (&["--secret", "", "--signature", "z"], "app secret is empty"),
        (&["--nonsense"], "--nonsense"),
    ] {
        let run = decode(arguments, text("wamid.A"));
        println!("{arguments:?}\n    {}", run.stderr.trim_end());
        refused(&run, expected);
        assert_eq!(run.stdout, "", "{arguments:?}");
    }
    let help = decode(&["--help"], "");
    assert_eq!(help.status, 0);
    assert!(help.stdout.contains("--secret-env"), "{help:?}");
}

#[test]
fn every_recorded_body_is_decoded() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data/meta/webhooks");
    if !folder.is_dir() {
        println!("absent: ../shared/data/meta, so no recorded body was decoded");
        return;
    }
    let mut table: BTreeMap<String, u32> = BTreeMap::new();
    let mut all = Vec::new();
    let mut single = 0;
    for source in ["facebook-openapi", "pywa"] {
        for entry in fs::read_dir(folder.join(source)).expect("a folder") {
            let path = entry.expect("an entry").path();
            let bytes = fs::read(&path).expect("a file");
            let events = events(&decode(&[], bytes.clone()));
            assert!(!events.is_empty(), "{} says nothing", path.display());
            single += events.len();
            for event in events {
                let event = event["event"].as_str().expect("a name").to_owned();
                assert_ne!(event, "unknown", "{}", path.display());
                *table.entry(event).or_default() += 1;
            }
            let value: Value = serde_json::from_slice(&bytes).expect("JSON");
            all.push(value.to_string());
        }
    }
    println!("{} recorded bodies, {single} events", all.len());
    for (event, count) in &table {
        println!("{count:>4}  {event}");
    }
    assert!(all.len() >= 90, "recordings are missing");
    assert_eq!(events(&decode(&[], all.join("\n"))).len(), single, "all of them, line by line");
}
