//! Scripted users: they write in every way, change their names, and read.

use std::time::Duration;

use serde_json::{Value, json};
use wa_adapters::simulator::{
    Crowd, Incoming, ManualClock, SimulatorError, StartError, StatusTimes, TemplateCategory, User,
};

use super::setup::{Client, NUMBER, Receiver, SECRET, USER, exact, template, text, user};

const ID: &str = "US.13491208655302741918";

fn to_id(mut body: Value, id: &str) -> Value {
    body.as_object_mut().expect("an object").remove("to");
    body["recipient"] = id.into();
    body
}

#[tokio::test]
async fn users_write_every_kind_of_message_in_meta_s_shapes() {
    let clock = ManualClock::default();
    let mut receiver = Receiver::start().await;
    let simulator = exact().clock(clock.clone()).webhook(&receiver.url, SECRET).start().await.unwrap();
    let all = [
        (Incoming::text("hi").reply_to("wamid.1"), "/text/body", json!("hi")),
        (Incoming::media("image", "7", "image/png").forwarded(), "/image/mime_type", json!("image/png")),
        (Incoming::media("audio", "8", "audio/ogg"), "/audio/id", json!("8")),
        (Incoming::location(48.1, 11.5, "Here"), "/location/name", json!("Here")),
        (Incoming::contact("Ada", "+49 151 1"), "/contacts/0/phones/0/phone", json!("+49 151 1")),
        (Incoming::reaction("wamid.2", Some("👍")), "/reaction/emoji", json!("👍")),
        (Incoming::reaction("wamid.2", None), "/reaction", json!({ "message_id": "wamid.2" })),
        (Incoming::button("Stop", "stop"), "/button/payload", json!("stop")),
        (Incoming::button_reply("b", "Yes"), "/interactive/button_reply/id", json!("b")),
        (Incoming::list_reply("l", "Express"), "/interactive/list_reply/title", json!("Express")),
        (
            Incoming::flow_reply(&json!({ "stars": 5 })),
            "/interactive/nfm_reply/response_json",
            json!(r#"{"stars":5}"#),
        ),
        (Incoming::order("c", json!([{ "quantity": 2 }])), "/order/product_items/0/quantity", json!(2)),
        (Incoming::unsupported(), "/errors/0/code", json!(131_051)),
        (Incoming::text("ad").referred("ad 7"), "/referral/source_id", json!("ad 7")),
    ];
    let mut ids = Vec::new();
    for (incoming, _, _) in &all {
        ids.push(simulator.receive(NUMBER, USER, incoming).unwrap());
    }
    clock.advance(Duration::from_secs(1));
    let messages = receiver.collect("messages", all.len()).await;
    for ((message, id), (_, pointer, expected)) in messages.iter().zip(&ids).zip(&all) {
        assert_eq!((&message["id"], &message["from"]), (&json!(id), &json!(USER)));
        assert_eq!(message.pointer(pointer), Some(expected), "{message}");
    }
    assert_eq!(messages[0]["context"]["id"], "wamid.1");
    assert_eq!(messages[1]["context"]["forwarded"], true);
    assert_eq!(simulator.stop().await.inbound, 14);
}

#[tokio::test]
async fn a_user_without_a_phone_is_named_by_id_and_username() {
    let clock = ManualClock::default();
    let mut receiver = Receiver::start().await;
    let simulator = exact().clock(clock.clone()).webhook(&receiver.url, SECRET).start().await.unwrap();
    let client = Client::of(&simulator);
    let ada = User::from(ID).username("ada").named("Ada");
    simulator.receive(NUMBER, ada, &Incoming::text("hi")).unwrap();
    clock.advance(Duration::from_secs(1));
    let post = receiver.post().await;
    let profile = json!({ "name": "Ada", "username": "ada" });
    assert_eq!(post.all("contacts"), [json!({ "profile": profile, "user_id": ID })]);
    let message = &post.all("messages")[0];
    assert_eq!((&message["from_user_id"], message.get("from")), (&json!(ID), None));
    assert_eq!(client.send(&to_id(text(USER, "hello"), ID)).await.status, 200, "the window is open");

    // Later Meta shows the phone: it is one person, with one window.
    let shown = User::from(USER).and_id(ID);
    simulator.receive(NUMBER, shown, &Incoming::text("it is me")).unwrap();
    assert_eq!(client.send(&text(USER, "I see")).await.status, 200);
    let nobody = simulator.receive(NUMBER, "nobody", &Incoming::text("hi"));
    assert_eq!(nobody, Err(SimulatorError::User));
}

#[tokio::test]
async fn a_new_number_leaves_windows_behind_takes_a_stop_along_and_empties_the_old_one() {
    let clock = ManualClock::default();
    let mut receiver = Receiver::start().await;
    let builder = exact().any_template(TemplateCategory::Marketing).clock(clock.clone());
    let simulator = builder.webhook(&receiver.url, SECRET).start().await.unwrap();
    let client = Client::of(&simulator);
    let new = "4915198765432";
    simulator.inbound(NUMBER, USER, "hi").unwrap();
    simulator.change_number(NUMBER, USER, User::from(new).and_id("DE.2")).unwrap();
    clock.advance(Duration::from_secs(1));
    let messages = receiver.collect("messages", 2).await;
    assert_eq!((&messages[1]["type"], &messages[1]["from"]), (&json!("system"), &json!(USER)));
    let system = &messages[1]["system"];
    assert_eq!(
        (&system["type"], &system["wa_id"], &system["user_id"]),
        (&json!("user_changed_number"), &json!(new), &json!("DE.2"))
    );
    assert_eq!(client.send(&text(new, "hello")).await.code, 131_047);
    let lost = client.send(&template(USER, &[])).await.wamid().to_owned();
    clock.advance(Duration::from_secs(1));
    let status = &receiver.collect("statuses", 1).await[0];
    assert_eq!((&status["id"], &status["errors"][0]["code"]), (&json!(lost), &json!(131_026)));

    simulator.opt_out(NUMBER, new).unwrap();
    let newest = "4915198765433";
    simulator.change_number(NUMBER, new, newest).unwrap();
    assert_eq!(client.send(&template(newest, &[])).await.code, 131_050);
    assert_eq!(simulator.change_number(NUMBER, ID, newest), Err(SimulatorError::User));
}

#[tokio::test]
async fn a_new_user_id_is_the_same_person() {
    let clock = ManualClock::default();
    let mut receiver = Receiver::start().await;
    let simulator = exact().clock(clock.clone()).webhook(&receiver.url, SECRET).start().await.unwrap();
    let client = Client::of(&simulator);
    simulator.receive(NUMBER, ID, &Incoming::text("hi")).unwrap();
    simulator.change_user_id(NUMBER, ID, "US.2").unwrap();
    clock.advance(Duration::from_secs(1));
    let messages = receiver.collect("messages", 2).await;
    let system = &messages[1]["system"];
    assert_eq!(
        (&system["type"], &system["previous_user_id"], &messages[1]["from_user_id"]),
        (&json!("user_changed_user_id"), &json!(ID), &json!("US.2"))
    );
    assert_eq!(client.send(&to_id(text(USER, "hello"), "US.2")).await.status, 200);
    assert_eq!(simulator.change_user_id(NUMBER, USER, "US.3"), Err(SimulatorError::User), "no id before");
}

#[tokio::test]
async fn the_phone_app_s_messages_are_echoed_and_open_no_window() {
    let clock = ManualClock::default();
    let mut receiver = Receiver::start().await;
    let simulator = exact().clock(clock.clone()).webhook(&receiver.url, SECRET).start().await.unwrap();
    let id = simulator.echo(NUMBER, User::from(USER).and_id(ID), &Incoming::text("by hand")).unwrap();
    clock.advance(Duration::from_secs(1));
    let post = receiver.post().await;
    assert_eq!(post.json()["entry"][0]["changes"][0]["field"], "smb_message_echoes");
    let echo = &post.all("message_echoes")[0];
    assert_eq!(
        *echo,
        json!({
            "from": "15550100200", "to": USER, "to_user_id": ID, "id": id, "timestamp": "1793491200",
            "type": "text", "text": { "body": "by hand" },
        })
    );
    assert_eq!(Client::of(&simulator).send(&text(USER, "hello")).await.code, 131_047);
}

#[tokio::test]
async fn a_voice_message_is_played_and_others_are_read_by_hand() {
    let clock = ManualClock::default();
    let mut receiver = Receiver::start().await;
    let times = StatusTimes { read: 1.0, played: 1.0, ..StatusTimes::default() };
    let simulator = exact().clock(clock.clone()).statuses(times).webhook(&receiver.url, SECRET);
    let simulator = simulator.start().await.unwrap();
    let client = Client::of(&simulator);
    simulator.open_window(NUMBER, USER).unwrap();
    let audio = |content: Value| json!({ "messaging_product": "whatsapp", "to": USER, "type": "audio", "audio": content });
    let voice = client.send(&audio(json!({ "id": "1", "voice": true }))).await.wamid().to_owned();
    let music = client.send(&audio(json!({ "id": "1" }))).await.wamid().to_owned();
    clock.advance(Duration::from_secs(1));
    let statuses = receiver.collect("statuses", 7).await;
    let of = |wamid: &str| {
        let own = statuses.iter().filter(|status| status["id"] == wamid);
        own.map(|status| status["status"].as_str().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(of(&voice), ["sent", "delivered", "read", "played"]);
    assert_eq!(of(&music), ["sent", "delivered", "read"]);
    simulator.played(&music).unwrap();
    clock.advance(Duration::from_secs(1));
    let status = &receiver.collect("statuses", 1).await[0];
    assert_eq!((&status["id"], &status["status"]), (&json!(music), &json!("played")));
    assert!(matches!(simulator.read("wamid.x"), Err(SimulatorError::UnknownMessage(_))));
}

#[tokio::test]
async fn a_crowd_answers_and_stops_by_itself_as_the_seed_has_it() {
    let crowd = Crowd {
        answers: 0.5,
        answers_after: Duration::from_secs(60),
        stops: 0.5,
        stops_after: Duration::from_secs(30),
    };
    let mut runs = Vec::new();
    for _ in 0..2 {
        let clock = ManualClock::default();
        let mut receiver = Receiver::start().await;
        let builder = exact().any_template(TemplateCategory::Marketing).crowd(crowd).clock(clock.clone());
        let simulator = builder.webhook(&receiver.url, SECRET).start().await.unwrap();
        let client = Client::of(&simulator);
        for n in 0..20 {
            client.send(&template(&user(n), &[])).await.wamid();
        }
        let mut codes = Vec::new();
        clock.advance(Duration::from_secs(31));
        for n in 0..20 {
            codes.push(client.send(&template(&user(n), &["after the stops"])).await.code);
        }
        clock.advance(Duration::from_secs(30));
        for n in 0..20 {
            codes.push(client.send(&text(&user(n), "after the answers")).await.code);
        }
        let count = |code: u64| codes.iter().filter(|one| **one == code).count();
        assert!((3..18).contains(&count(131_050)) && (3..18).contains(&count(131_047)), "{codes:?}");
        let answers = receiver.collect("messages", 20 - count(131_047)).await;
        assert_eq!(simulator.stats().inbound, u64::try_from(answers.len()).unwrap());
        runs.push(codes);
    }
    assert_eq!(runs[0], runs[1]);
    let wrong = exact().crowd(Crowd { stops: 1.5, ..crowd }).start().await;
    assert!(matches!(wrong, Err(StartError::Share)));
}
