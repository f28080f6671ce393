//! The simulated API's answers: tokens, numbers, templates, look-ups, and Meta's own examples.

use std::fs;

use serde_json::{Value, json};
use wa_adapters::simulator::{
    NumberProfile, Quality, Simulator, StartError, TemplateCategory, TemplateStatus, UnknownTarget,
};

use super::setup::{Client, NUMBER, USER, exact, published, template, text, user};

const ACCOUNT: &str = "200000000000001";

#[tokio::test]
async fn an_accepted_send_is_answered_as_meta_answers() {
    let simulator = exact().start().await.unwrap();
    let client = Client::of(&simulator);
    let answer = client.send(&template("+49 (1512) 345-6789", &["Ada"])).await;
    let wamid = answer.wamid().to_owned();
    assert!(wamid.starts_with("wamid."));
    assert_eq!(
        answer.body,
        json!({
            "messaging_product": "whatsapp",
            "contacts": [{ "input": "+49 (1512) 345-6789", "wa_id": USER }],
            "messages": [{ "id": wamid, "message_status": "accepted" }],
        })
    );
    let accepted = simulator.accepted();
    assert_eq!(accepted.len(), 1);
    assert_eq!((accepted[0].wamid.as_str(), accepted[0].recipient.as_str()), (wamid.as_str(), USER));
    assert_eq!((accepted[0].kind.as_str(), accepted[0].category.as_str()), ("template", "utility"));
    assert!(!format!("{accepted:?}").contains(USER), "debug output shortens people's numbers");
}

#[tokio::test]
async fn a_business_scoped_user_id_is_answered_without_a_phone() {
    let simulator = exact().start().await.unwrap();
    let id = "US.13491208655302741918";
    let mut body = template(USER, &[]);
    body.as_object_mut().unwrap().remove("to");
    body["recipient"] = id.into();
    let answer = Client::of(&simulator).send(&body).await;
    assert_eq!(answer.body["contacts"], json!([{ "input": id, "wa_id": "", "user_id": id }]));
}

#[tokio::test]
async fn a_bad_token_a_strange_number_and_a_strange_path_are_refused_as_graph_refuses() {
    let simulator = exact().token("right").start().await.unwrap();
    let client = Client::of(&simulator);
    let path = format!("/v26.0/{NUMBER}/messages");
    let body = template(USER, &[]);
    let wrong = client.request(&path, Some(&body), "wrong").await.unwrap();
    assert_eq!((wrong.status, wrong.code), (401, 190));
    assert_eq!(wrong.body["error"]["type"], "OAuthException");
    assert_eq!(client.request(&path, Some(&body), "right").await.unwrap().status, 200);
    simulator.set_token("newer");
    assert_eq!(client.request(&path, Some(&body), "right").await.unwrap().code, 190);

    let strange = client.request("/v26.0/999/messages", Some(&body), "newer").await.unwrap();
    assert_eq!((strange.status, strange.code), (400, 100));
    assert_eq!(strange.body["error"]["error_subcode"], 33);
    for path in ["/26/100/messages", "/v26.0/100/faxes", "/v26/100/messages"] {
        let lost = client.request(path, Some(&body), "newer").await.unwrap();
        assert_eq!((lost.status, lost.code), (404, 2500), "{path}");
    }
}

#[tokio::test]
async fn without_a_set_token_any_but_the_empty_one_is_taken() {
    let simulator = exact().start().await.unwrap();
    let client = Client::of(&simulator);
    let path = format!("/v26.0/{NUMBER}?fields=id");
    assert_eq!(client.request(&path, None, "").await.unwrap().code, 190);
    assert_eq!(client.request(&path, None, "x").await.unwrap().status, 200);
}

#[tokio::test]
async fn a_template_must_exist_be_approved_and_fit_its_parameters() {
    let utility = TemplateCategory::Utility;
    let simulator = Simulator::builder()
        .number(NUMBER, NumberProfile::default())
        .template("greeting", "en_US", utility, TemplateStatus::Approved, 2)
        .start()
        .await
        .unwrap();
    let client = Client::of(&simulator);
    assert_eq!(client.send(&template(USER, &["a", "b"])).await.status, 200);
    assert_eq!(client.send(&template(USER, &["a"])).await.code, 132_000);
    assert_eq!(client.send(&template(USER, &["a", "b", "c"])).await.code, 132_000);
    assert_eq!(client.send(&template(USER, &["a", &"b".repeat(1_024)])).await.code, 132_005);
    let mut image = template(USER, &["a", "b"]);
    image["template"]["components"][0]["parameters"][1] = json!({ "type": "image", "image": { "id": "1" } });
    assert_eq!(client.send(&image).await.code, 132_012);
    for (key, value) in [("name", json!("farewell")), ("language", json!({ "code": "de" }))] {
        let mut body = template(USER, &["a", "b"]);
        body["template"][key] = value;
        let answer = client.send(&body).await;
        assert_eq!((answer.status, answer.code), (404, 132_001));
    }
    for (status, code) in [
        (TemplateStatus::Paused, 132_015),
        (TemplateStatus::Disabled, 132_016),
        (TemplateStatus::Pending, 132_001),
        (TemplateStatus::Rejected, 132_001),
    ] {
        simulator.set_template_status("greeting", "en_US", status).unwrap();
        assert_eq!(client.send(&template(USER, &["a", "b"])).await.code, code);
    }
    assert!(simulator.set_template_status("farewell", "en_US", TemplateStatus::Approved).is_err());
}

#[tokio::test]
async fn a_template_is_created_listed_by_pages_approved_and_sent() {
    let builder = Simulator::builder().number(NUMBER, NumberProfile::default());
    let simulator = builder.start().await.unwrap();
    let client = Client::of(&simulator);
    let path = format!("/v26.0/{ACCOUNT}/message_templates");
    let create = |name: &str| {
        json!({
            "name": name, "language": "en_US", "category": "UTILITY", "parameter_format": "NAMED",
            "components": [
                { "type": "HEADER", "format": "IMAGE" },
                { "type": "BODY", "text": "Hello {{first}}, {{first}} of {{city}}" },
                { "type": "BUTTONS", "buttons": [{ "type": "URL", "text": "Go", "url": "https://x.test/{{1}}" }] },
            ],
        })
    };
    let mut ids = Vec::new();
    for name in ["greeting", "second", "third"] {
        let created = client.post(&path, &create(name)).await;
        assert_eq!((created.status, &created.body["status"]), (200, &json!("PENDING")));
        ids.push(created.body["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(client.post(&path, &create("greeting")).await.code, 100, "name and language are taken");
    assert_eq!(client.post(&path, &create("Big")).await.code, 131_009);

    let first = client.get(&format!("{path}?limit=2&fields=name")).await.body;
    let names = |page: &Value| -> Vec<String> {
        page["data"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&first), ["greeting", "second"]);
    assert!(first["paging"]["next"].is_string());
    let after = first["paging"]["cursors"]["after"].as_str().unwrap();
    let second = client.get(&format!("{path}?limit=2&after={after}")).await.body;
    assert_eq!(names(&second), ["third"]);
    assert!(second["paging"]["next"].is_null());
    assert_eq!(client.get(&format!("/v26.0/{}", ids[0])).await.body["name"], "greeting");
    assert_eq!(client.get("/v26.0/1234/message_templates").await.code, 100);

    let named = |name: &str, text: &str| json!({ "type": "text", "parameter_name": name, "text": text });
    let full = json!([
        { "type": "header", "parameters": [{ "type": "image", "image": { "link": "https://x.test/a.png" } }] },
        { "type": "body", "parameters": [named("first", "Ada"), named("city", "Turin")] },
        { "type": "button", "sub_type": "url", "index": "0", "parameters": [{ "type": "text", "text": "7" }] },
    ]);
    let mut body = template(USER, &[]);
    body["template"]["components"] = full;
    assert_eq!(client.send(&body).await.code, 132_001, "not approved yet");
    simulator.set_template_status("greeting", "en_US", TemplateStatus::Approved).unwrap();
    assert_eq!(client.send(&body).await.status, 200);
    let without = |place: usize| {
        let mut body = body.clone();
        body["template"]["components"].as_array_mut().unwrap().remove(place);
        body
    };
    assert_eq!(client.send(&without(0)).await.code, 132_012, "no header");
    assert_eq!(client.send(&without(1)).await.code, 132_000, "no body");
    assert_eq!(client.send(&without(2)).await.code, 131_008, "no button");
    body["template"]["components"][1]["parameters"][1]["parameter_name"] = "town".into();
    assert_eq!(client.send(&body).await.code, 132_012);
}

#[tokio::test]
async fn a_number_is_looked_up_with_the_fields_asked_for() {
    let profile = NumberProfile {
        throughput: 1_000,
        tier: Some(2_000),
        quality: Quality::Yellow,
        ..NumberProfile::default()
    };
    let simulator = Simulator::builder().number(NUMBER, profile).start().await.unwrap();
    let client = Client::of(&simulator);
    let fields = "throughput,quality_rating,whatsapp_business_manager_messaging_limit,messaging_limit_tier";
    let answer = client.get(&format!("/v26.0/{NUMBER}?fields={fields}")).await;
    assert_eq!(
        answer.body,
        json!({
            "id": NUMBER, "throughput": { "level": "HIGH" }, "quality_rating": "YELLOW",
            "whatsapp_business_manager_messaging_limit": "TIER_2K", "messaging_limit_tier": "TIER_2K",
        })
    );
    let list = client.get(&format!("/v26.0/{ACCOUNT}/phone_numbers")).await;
    assert_eq!(list.body["data"][0]["id"], NUMBER);
    assert_eq!(client.get(&format!("/v26.0/{NUMBER}?fields=shoe_size")).await.code, 100);
    assert_eq!(client.get("/v26.0/999?fields=id").await.code, 100);
}

#[tokio::test]
async fn a_read_receipt_needs_a_message_of_a_user() {
    let simulator = exact().start().await.unwrap();
    let client = Client::of(&simulator);
    let receipt = |id: &str| json!({ "messaging_product": "whatsapp", "status": "read", "message_id": id });
    assert_eq!(client.send(&receipt("wamid.unknown")).await.code, 100);
    let id = simulator.inbound(NUMBER, USER, "hi").unwrap();
    assert_eq!(client.send(&receipt(&id)).await.body, json!({ "success": true }));
    let stats = simulator.stop().await;
    assert_eq!((stats.requests, stats.read_receipts), (0, 1), "a receipt is no send");
}

#[tokio::test]
async fn bodies_are_refused_by_the_contract_and_counted_by_code() {
    let simulator = exact().start().await.unwrap();
    let client = Client::of(&simulator);
    assert_eq!(client.send(&text(USER, "")).await.code, 131_008);
    assert_eq!(client.send(&text("15550100200", "x")).await.code, 131_021, "to itself");
    let url = format!("{}/v26.0/{NUMBER}/messages", simulator.origin());
    let form = reqwest::Client::new().post(url).bearer_auth("t").body("a=b").send().await.unwrap();
    assert_eq!(form.status(), 400);
    let stats = simulator.stop().await;
    assert_eq!(stats.refused.into_iter().collect::<Vec<_>>(), [(100, 1), (131_008, 1), (131_021, 1)]);
    assert_eq!((stats.requests, stats.accepted), (3, 0));
}

#[tokio::test]
async fn the_statistics_are_served_with_the_six_verdicts_in_front() {
    let simulator = exact().start().await.unwrap();
    let client = Client::of(&simulator);
    client.send(&template(USER, &[])).await.wamid();
    let asked = json!({ "from": user(1), "text": "hi" });
    assert_eq!(client.post("/simulator/inbound", &asked).await.status, 200);
    assert_eq!(
        client.send(&text(&user(1), "hello")).await.status,
        200,
        "the control endpoint opened the window"
    );
    for bad in [json!({ "from": "nobody", "text": "hi" }), json!({ "from": USER }), json!([])] {
        assert_eq!(client.post("/simulator/inbound", &bad).await.status, 400);
    }
    let raw = reqwest::get(format!("{}/stats", simulator.origin())).await.unwrap().text().await.unwrap();
    let stats: Value = serde_json::from_str(&raw).unwrap();
    assert_eq!(
        (&stats["requests"], &stats["accepted"], &stats["inbound"]),
        (&json!(2), &json!(2), &json!(1))
    );
    let head = concat!(
        r#"{"requests":2,"accepted":2,"repeated":0,"#,
        r#""window_violations":0,"rate_violations":0,"tier_violations":0,"#
    );
    assert!(raw.starts_with(head), "{raw}");
}

#[tokio::test]
async fn the_tester_s_paths_make_things_happen_and_show_what_did() {
    let simulator = exact().start().await.unwrap();
    simulator.template("news", "en_US", TemplateCategory::Marketing, TemplateStatus::Approved, 0);
    let client = Client::of(&simulator);
    let pressed = json!({ "type": "button", "button": { "text": "Yes", "payload": "y" } });
    for good in [
        ("inbound", json!({ "from": USER, "message": pressed, "user_id": "DE.1", "username": "ada" })),
        ("inbound", json!({ "from": user(1), "text": "hi", "referral": "ad 1" })),
        ("template", json!({ "name": "news", "language": "en_US", "quality": "red", "category": "utility" })),
        ("template", json!({ "name": "news", "language": "en_US", "status": "paused" })),
        ("number", json!({ "quality": "yellow", "tier": 250 })),
    ] {
        let answer = client.post(&format!("/simulator/{}", good.0), &good.1).await;
        assert_eq!(answer.status, 200, "{good:?}: {answer:?}");
    }
    for bad in [
        ("inbound", json!({ "from": USER })),
        ("inbound", json!({ "from": USER, "message": { "type": "button" } })),
        ("template", json!({ "name": "none", "language": "en_US", "status": "paused" })),
        ("template", json!({ "name": "news", "language": "en_US", "status": "tired" })),
        ("number", json!({ "quality": "purple" })),
        ("number", json!({ "number": "none", "storm_ms": 1 })),
    ] {
        let answer = client.post(&format!("/simulator/{}", bad.0), &bad.1).await;
        assert_eq!(answer.status, 400, "{bad:?}");
        assert!(answer.body["error"]["message"].is_string());
    }
    assert_eq!(client.send(&text(USER, "the window is open")).await.status, 200);
    assert_eq!(client.send(&text(&user(1), "free by the advertisement")).await.status, 200);
    let mut news = template(USER, &[]);
    news["template"]["name"] = "news".into();
    assert_eq!(client.send(&news).await.code, 132_015);
    let shown = client.get(&format!("/v26.0/{NUMBER}?fields=quality_rating,messaging_limit_tier")).await.body;
    assert_eq!(
        (&shown["quality_rating"], &shown["messaging_limit_tier"]),
        (&json!("YELLOW"), &json!("TIER_250"))
    );
    let ledger = client.get("/simulator/ledger").await.body;
    let types: Vec<_> = ledger.as_array().unwrap().iter().map(|line| line["pricing_type"].clone()).collect();
    assert_eq!(types, ["free_entry_point", "free_customer_service"]);
    let storm = json!({ "storm_ms": 60_000 });
    assert_eq!(client.post("/simulator/number", &storm).await.status, 200);
    assert_eq!(client.send(&text(USER, "x")).await.code, 130_429);
}

#[tokio::test]
async fn a_simulator_that_cannot_judge_does_not_start() {
    let start =
        |builder: wa_adapters::simulator::SimulatorBuilder| async { builder.start().await.unwrap_err() };
    let profile = NumberProfile::default;
    assert!(matches!(
        start(Simulator::builder().listen(([0, 0, 0, 0], 0).into())).await,
        StartError::NotLoopback(_)
    ));
    let twice = Simulator::builder().number("1", profile()).number("1", profile());
    assert!(matches!(start(twice).await, StartError::Number(id) if id == "1"));
    let slow = wa_adapters::simulator::Fault::Slow;
    assert!(matches!(start(Simulator::builder().fault(slow, 1.5)).await, StartError::Fault(_)));
    assert!(matches!(start(Simulator::builder().webhook("http://x.test", "")).await, StartError::NoSecret));
    assert!(matches!(start(Simulator::builder().webhook("nowhere", "s")).await, StartError::Webhook(_)));
}

/// Meta's own examples (facebook/openapi, MIT): accepted but for those that the corrected schema
/// rejects as well, which hold placeholders, booleans or no type.
#[tokio::test]
async fn the_examples_of_the_published_contract_are_accepted() {
    let Some(folder) = published().map(|folder| folder.join("requests")) else { return };
    let index = fs::read(folder.join("INDEX.json")).unwrap();
    let index: Vec<Value> = serde_json::from_slice(&index).unwrap();
    let simulator = exact().unknown_target(UnknownTarget::Delivered).start().await.unwrap();
    let client = Client::of(&simulator);
    let (mut accepted, mut refused) = (0, 0);
    for (n, entry) in index.iter().enumerate() {
        let path = folder.join(entry["file"].as_str().unwrap());
        let mut body: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        if body["status"].is_string() {
            // A read receipt names a message that a user sent.
            body["message_id"] = simulator.inbound(NUMBER, &user(n), "hi").unwrap().into();
        } else {
            // The examples name their recipient by a placeholder.
            body["to"] = user(n).into();
            simulator.open_window(NUMBER, &user(n)).unwrap();
        }
        let answer = client.send(&body).await;
        if entry["valid_corrected"] == true {
            assert_eq!(answer.status, 200, "{}: {answer:?}", path.display());
            accepted += 1;
        } else {
            assert_eq!(answer.status, 400, "{}", path.display());
            refused += 1;
        }
    }
    println!("{accepted} published examples were accepted, {refused} were refused on purpose");
    assert!(accepted >= 45 && refused <= 5, "{accepted}, {refused}");
}
