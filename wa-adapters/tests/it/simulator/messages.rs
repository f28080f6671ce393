//! Every kind of message, both endpoints, and what is told by webhook after a 200.

use std::fs;

use serde_json::{Value, json};
use wa_adapters::simulator::{
    ManualClock, RecipientErrors, Scope, StatusTimes, TemplateCategory, TemplateStatus, UnknownTarget,
};

use super::setup::{Client, NUMBER, Receiver, SECRET, USER, exact, published, template, text, user};

const ID: &str = "US.13491208655302741918";

fn message(kind: &str, content: Value) -> Value {
    json!({ "messaging_product": "whatsapp", "to": USER, "type": kind, (kind): content })
}

fn interactive(content: Value) -> Value {
    message("interactive", content)
}

#[tokio::test]
async fn every_kind_is_taken_up_to_its_limits_and_no_further() {
    let simulator = exact().unknown_target(UnknownTarget::Delivered).start().await.unwrap();
    let client = Client::of(&simulator);
    let long = |n: usize| "x".repeat(n);
    let body = json!({ "text": "?" });
    let rows =
        |n: usize| -> Vec<Value> { (0..n).map(|n| json!({ "id": n.to_string(), "title": "row" })).collect() };
    let list = |rows: Vec<Value>, words: usize| {
        let action = json!({ "button": "Choose", "sections": [{ "rows": rows }] });
        interactive(json!({ "type": "list", "body": { "text": long(words) }, "action": action }))
    };
    let flow = |cta: usize, mode: &str| {
        let parameters =
            json!({ "flow_message_version": "3", "flow_id": "1", "flow_cta": long(cta), "mode": mode });
        let action = json!({ "name": "flow", "parameters": parameters });
        interactive(json!({ "type": "flow", "body": body, "action": action }))
    };
    let products = |n: usize| {
        let items: Vec<_> = (0..n).map(|n| json!({ "product_retailer_id": n.to_string() })).collect();
        let action = json!({ "catalog_id": "1", "sections": [{ "product_items": items }] });
        let header = json!({ "type": "text", "text": "Ours" });
        interactive(json!({ "type": "product_list", "header": header, "body": body, "action": action }))
    };
    let place = |latitude: f64| message("location", json!({ "latitude": latitude, "longitude": 180 }));
    let cards = |n: usize| {
        message(
            "contacts",
            vec![json!({ "name": { "formatted_name": "Ada" }, "birthday": "1815-12-10" }); n].into(),
        )
    };
    let pairs = [
        (
            "text",
            message("text", json!({ "body": long(4_096) })),
            message("text", json!({ "body": long(4_097) })),
        ),
        (
            "image",
            message("image", json!({ "link": "https://x.test/a.png", "caption": long(1_024) })),
            message("image", json!({ "link": "https://x.test/a.png", "caption": long(1_025) })),
        ),
        (
            "video",
            message("video", json!({ "id": "1" })),
            message("video", json!({ "id": "1", "link": "https://x.test/a.mp4" })),
        ),
        (
            "audio",
            message("audio", json!({ "id": "1", "voice": true })),
            message("audio", json!({ "voice": true })),
        ),
        (
            "document",
            message("document", json!({ "id": "1", "filename": "a.pdf", "caption": "c" })),
            message("document", json!({ "id": "1", "name": "a.pdf" })),
        ),
        (
            "sticker",
            message("sticker", json!({ "id": "1" })),
            message("sticker", json!({ "id": "1", "caption": "c" })),
        ),
        ("location", place(90.0), place(90.1)),
        ("contacts", cards(5), cards(6)),
        (
            "reaction",
            message("reaction", json!({ "message_id": "wamid.x", "emoji": "" })),
            message("reaction", json!({ "message_id": "wamid.x" })),
        ),
        ("list rows", list(rows(10), 4_096), list(rows(11), 1)),
        ("list body", list(rows(1), 4_096), list(rows(1), 4_097)),
        ("flow cta", flow(30, "draft"), flow(31, "draft")),
        ("flow mode", flow(1, "published"), flow(1, "hidden")),
        ("products", products(30), products(31)),
    ];
    for (n, (what, mut good, mut bad)) in pairs.into_iter().enumerate() {
        simulator.open_window(NUMBER, &user(n)).unwrap();
        (good["to"], bad["to"]) = (user(n).into(), user(n).into());
        let answer = client.send(&good).await;
        assert_eq!(answer.status, 200, "{what}: {answer:?}");
        let code = client.send(&bad).await.code;
        assert!([100, 131_008, 131_009].contains(&code), "{what}: {code}");
    }
    assert_eq!(simulator.stop().await.accepted, 14);
}

/// One change of a body: each key left out, each value of another type, each text too long, and
/// keys that nobody knows.
fn mutants(body: &Value) -> Vec<Value> {
    fn walk(value: &Value, pointer: &str, found: &mut Vec<String>) {
        found.push(pointer.to_owned());
        match value {
            Value::Object(object) => {
                object.iter().for_each(|(key, value)| walk(value, &format!("{pointer}/{key}"), found));
            }
            Value::Array(list) => {
                list.iter().enumerate().for_each(|(n, value)| walk(value, &format!("{pointer}/{n}"), found));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut pointers = Vec::new();
    walk(body, "", &mut pointers);
    let mut mutants = Vec::new();
    for pointer in pointers.iter().filter(|pointer| !pointer.is_empty() && *pointer != "/to") {
        for other in [json!(7), json!("x".repeat(5_000)), json!([]), json!({})] {
            let mut mutant = body.clone();
            *mutant.pointer_mut(pointer).unwrap() = other;
            mutants.push(mutant);
        }
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let mut mutant = body.clone();
        if let Some(parent) = mutant.pointer_mut(parent).and_then(Value::as_object_mut) {
            parent.remove(key);
            mutants.push(mutant);
        }
    }
    let mut unknown = body.clone();
    unknown["surprise"] = json!(1);
    mutants.push(unknown);
    mutants
}

/// The published contract, corrected, is the least that the simulator asks for.
#[tokio::test]
async fn what_the_published_schema_rejects_is_refused() {
    let Some(folder) = published() else { return };
    let schema: Value =
        serde_json::from_slice(&fs::read(folder.join("send-message.schema.json")).unwrap()).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let simulator = exact().unknown_target(UnknownTarget::Delivered).start().await.unwrap();
    let client = Client::of(&simulator);
    let index: Vec<Value> =
        serde_json::from_slice(&fs::read(folder.join("requests/INDEX.json")).unwrap()).unwrap();
    let (mut rejected, mut stricter, mut n, mut missed) = (0, 0, 0, Vec::new());
    for entry in index.iter().filter(|entry| entry["valid_corrected"] == true) {
        let file = folder.join("requests").join(entry["file"].as_str().unwrap());
        let body: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        for mut mutant in mutants(&body) {
            n += 1;
            simulator.open_window(NUMBER, &user(n)).unwrap();
            if mutant["to"].is_string() {
                mutant["to"] = user(n).into();
            }
            let taken = client.send(&mutant).await.status == 200;
            match (schema.is_valid(&mutant), taken) {
                (false, true) => missed.push(format!("{}: {:.300}", entry["file"], mutant.to_string())),
                (false, false) => rejected += 1,
                (true, false) => stricter += 1,
                (true, true) => {}
            }
        }
    }
    println!("of {n} mutants {rejected} are rejected by both, {stricter} by the simulator alone");
    assert!(missed.is_empty(), "{} bodies that the schema rejects:\n{}", missed.len(), missed.join("\n"));
    assert!(n > 1_000 && rejected > n / 2, "{n}, {rejected}");
}

#[tokio::test]
async fn a_user_id_in_to_is_answered_with_200_dropped_and_counted() {
    let clock = ManualClock::default();
    let mut receiver = Receiver::start().await;
    let simulator = exact().clock(clock.clone()).webhook(&receiver.url, SECRET).start().await.unwrap();
    let client = Client::of(&simulator);
    let lost = client.send(&text(ID, "into the void")).await;
    assert_eq!(lost.status, 200);
    let mut right = template(USER, &[]);
    right.as_object_mut().unwrap().remove("to");
    right["recipient"] = ID.into();
    let told = client.send(&right).await.wamid().to_owned();
    clock.advance(std::time::Duration::from_secs(60));
    let statuses = receiver.collect("statuses", 2).await;
    assert!(statuses.iter().all(|status| status["id"] == told), "nothing follows for {lost:?}");
    let violations = simulator.violations();
    assert_eq!(violations.len(), 1);
    assert_eq!((violations[0].rule.as_str(), &violations[0].request["to"]), ("misaddressed", &json!(ID)));
    assert_eq!(violations[0].wamid.as_deref(), Some(lost.wamid()));
    let stats = simulator.stop().await;
    assert_eq!((stats.accepted, stats.misaddressed, stats.violations()), (2, 1, 1));
}

#[tokio::test]
async fn an_authentication_template_to_a_user_id_is_refused() {
    let builder =
        exact().template("code", "en_US", TemplateCategory::Authentication, TemplateStatus::Approved, 0);
    let simulator = builder.start().await.unwrap();
    let client = Client::of(&simulator);
    let mut code = template(USER, &[]);
    code["template"]["name"] = "code".into();
    assert_eq!(client.send(&code).await.status, 200);
    code.as_object_mut().unwrap().remove("to");
    code["recipient"] = ID.into();
    assert_eq!(client.send(&code).await.code, 131_062);
}

#[tokio::test]
async fn a_closed_window_is_reported_by_webhook_when_that_is_chosen() {
    let clock = ManualClock::default();
    let mut receiver = Receiver::start().await;
    let builder = exact().recipient_errors(RecipientErrors::Reported).clock(clock.clone());
    let builder = builder.template("news", "en_US", TemplateCategory::Marketing, TemplateStatus::Approved, 0);
    let simulator = builder.webhook(&receiver.url, SECRET).start().await.unwrap();
    let client = Client::of(&simulator);
    let late = client.send(&text(USER, "too late")).await;
    assert_eq!(late.status, 200);
    simulator.opt_out(NUMBER, user(1).as_str()).unwrap();
    let mut news = template(&user(1), &[]);
    news["template"]["name"] = "news".into();
    let unwanted = client.send(&news).await;
    assert_eq!(unwanted.status, 200);
    clock.advance(std::time::Duration::from_secs(1));
    let statuses = receiver.collect("statuses", 2).await;
    for (status, (answer, code)) in statuses.iter().zip([(&late, 131_047), (&unwanted, 131_050)]) {
        assert_eq!((status["status"].as_str(), &status["id"]), (Some("failed"), &json!(answer.wamid())));
        assert_eq!(status["errors"][0]["code"], code);
        assert!(status.get("pricing").is_none());
    }
    assert!(simulator.ledger().is_empty(), "what is never sent has no price");
    let codes: Vec<_> = simulator.violations().iter().map(|one| (one.rule.clone(), one.code)).collect();
    assert_eq!(codes, [("window".to_owned(), Some(131_047)), ("opt_out".to_owned(), Some(131_050))]);
    let stats = simulator.stop().await;
    assert_eq!((stats.accepted, stats.window_violations, stats.opt_out_violations), (2, 1, 1));
}

#[tokio::test]
async fn a_reaction_to_a_message_that_the_chat_does_not_have_fails_later() {
    let clock = ManualClock::default();
    let mut receiver = Receiver::start().await;
    let times = StatusTimes { delivered: 0.0, ..StatusTimes::default() };
    let simulator = exact().clock(clock.clone()).statuses(times).webhook(&receiver.url, SECRET);
    let simulator = simulator.start().await.unwrap();
    let client = Client::of(&simulator);
    let theirs = simulator.inbound(NUMBER, USER, "hi").unwrap();
    let ours = client.send(&text(USER, "hello")).await.wamid().to_owned();
    let mut names = Vec::new();
    for (target, status) in [(theirs.as_str(), "sent"), (&ours, "sent"), ("wamid.strange", "failed")] {
        let content = json!({ "message_id": target, "emoji": "👍" });
        let wamid = client.send(&message("reaction", content)).await.wamid().to_owned();
        names.push((wamid, status));
    }
    clock.advance(std::time::Duration::from_secs(1));
    let statuses = receiver.collect("statuses", 4).await;
    for (wamid, name) in names {
        let status = statuses.iter().find(|status| status["id"] == wamid).unwrap();
        assert_eq!(status["status"], name);
        assert_eq!(status["errors"][0]["code"].as_u64(), (name == "failed").then_some(131_009));
    }
    assert_eq!(simulator.stop().await.violations(), 0);
}

#[tokio::test]
async fn the_marketing_endpoint_takes_marketing_templates_and_nothing_else() {
    let account = "200000000000001";
    let builder = exact().template("news", "en_US", TemplateCategory::Marketing, TemplateStatus::Approved, 0);
    let simulator = builder.start().await.unwrap();
    let client = Client::of(&simulator);
    let path = format!("/v26.0/{NUMBER}/marketing_messages");
    let mut news = template(USER, &[]);
    news["template"]["name"] = "news".into();
    news["product_policy"] = "STRICT".into();
    news["message_activity_sharing"] = true.into();
    assert_eq!(client.post(&path, &news).await.status, 200);
    assert_eq!(simulator.accepted()[0].category, "marketing_lite");
    assert_eq!(client.send(&news).await.code, 100, "the policy is for the other endpoint");
    for (key, value, code) in [
        ("product_policy", json!("LOOSE"), 131_009),
        ("message_activity_sharing", json!("yes"), 131_009),
        ("type", json!("text"), 131_055),
        ("context", json!({ "message_id": "wamid.x" }), 100),
    ] {
        let mut wrong = news.clone();
        wrong[key] = value;
        assert_eq!(client.post(&path, &wrong).await.code, code, "{key}");
    }
    assert_eq!(client.post(&path, &template(USER, &[])).await.code, 134_100, "a utility template");

    simulator.refuse_marketing_on_messages(account, true).unwrap();
    for key in ["product_policy", "message_activity_sharing"] {
        news.as_object_mut().unwrap().remove(key);
    }
    assert_eq!(client.send(&news).await.code, 131_063);
    assert_eq!(client.send(&template(USER, &[])).await.status, 200, "utility goes by /messages");
    assert_eq!(client.post(&path, &news).await.status, 200);
    simulator.allow_marketing_endpoint(account, false).unwrap();
    assert_eq!(client.post(&path, &news).await.code, 134_102);
    assert!(simulator.allow_marketing_endpoint("1", false).is_err());
    assert_eq!(simulator.stop().await.violations(), 0);
}

#[tokio::test]
async fn the_marketing_endpoint_learns_of_a_new_template_late() {
    let clock = ManualClock::default();
    let takes = std::time::Duration::from_secs(600);
    let builder = exact().template_sync(takes).new_templates_are(TemplateStatus::Approved);
    let simulator = builder.clock(clock.clone()).start().await.unwrap();
    let client = Client::of(&simulator);
    let created = json!({
        "name": "greeting", "language": "en_US", "category": "MARKETING",
        "components": [{ "type": "BODY", "text": "Hello" }],
    });
    assert_eq!(client.post("/v26.0/200000000000001/message_templates", &created).await.status, 200);
    let path = format!("/v26.0/{NUMBER}/marketing_messages");
    assert_eq!(client.post(&path, &template(USER, &[])).await.code, 134_101);
    assert_eq!(client.send(&template(USER, &[])).await.status, 200, "the other endpoint knows it");
    clock.advance(takes);
    assert_eq!(client.post(&path, &template(USER, &[])).await.status, 200);
}

#[tokio::test]
async fn messages_to_chosen_recipients_fail_with_the_chosen_code() {
    let clock = ManualClock::default();
    let mut receiver = Receiver::start().await;
    let simulator = exact()
        .template("news", "en_US", TemplateCategory::Marketing, TemplateStatus::Approved, 0)
        .failing("1", Scope::Marketing, 131_049)
        .failing("4915199", Scope::Everything, 131_026)
        .clock(clock.clone())
        .webhook(&receiver.url, SECRET)
        .start()
        .await
        .unwrap();
    let client = Client::of(&simulator);
    let mut expected = Vec::new();
    for (name, to, code) in [
        ("news", "15551234567", Some(131_049)),
        ("greeting", "15551234567", None),
        ("news", USER, None),
        ("greeting", "4915199000000", Some(131_026)),
    ] {
        let mut body = template(to, &[]);
        body["template"]["name"] = name.into();
        expected.push((client.send(&body).await.wamid().to_owned(), code));
    }
    clock.advance(std::time::Duration::from_secs(1));
    let statuses = receiver.collect("statuses", 6).await;
    for (wamid, code) in expected {
        let failed = |status: &&Value| status["id"] == wamid && status["status"] == "failed";
        let found = statuses.iter().find(failed).map(|status| status["errors"][0]["code"].as_u64().unwrap());
        assert_eq!(found, code);
    }
    assert_eq!(simulator.stop().await.violations(), 0);
}

#[tokio::test]
async fn a_template_with_a_maximum_price_goes_by_the_marketing_endpoint_to_phones() {
    let simulator = exact().new_templates_are(TemplateStatus::Approved).start().await.unwrap();
    let client = Client::of(&simulator);
    let created = json!({
        "name": "greeting", "language": "en_US", "category": "MARKETING", "optimization_spec": { "max": 1 },
        "components": [{ "type": "BODY", "text": "Hello" }],
    });
    assert_eq!(client.post("/v26.0/200000000000001/message_templates", &created).await.status, 200);
    let path = format!("/v26.0/{NUMBER}/marketing_messages");
    let mut body = template(USER, &[]);
    assert_eq!(client.send(&body).await.code, 131_061);
    assert_eq!(client.post(&path, &body).await.status, 200);
    body.as_object_mut().unwrap().remove("to");
    body["recipient"] = ID.into();
    assert_eq!(client.post(&path, &body).await.code, 131_062);
}
