//! Webhooks: shape, signature, batching, retries, handshake.

use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use wa_adapters::simulator::{ManualClock, SimulatorError, StatusTimes, TemplateCategory, TemplateStatus};

use super::setup::{Client, NUMBER, Receiver, SECRET, USER, exact, template, text, user};

/// HMAC-SHA256 by its definition (RFC 2104), for keys of at most one block.
fn hmac(key: &[u8], message: &[u8]) -> String {
    let mut block = [0; 64];
    block.iter_mut().zip(key).for_each(|(own, byte)| *own = *byte);
    let pad = |byte: u8| block.map(|own| own ^ byte);
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    hex::encode(Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize())
}

#[test]
fn the_test_s_own_hmac_is_right() {
    // Source: RFC 4231, test case 2.
    let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    assert_eq!(hmac(b"Jefe", b"what do ya want for nothing?"), expected);
}

#[tokio::test]
async fn every_webhook_is_signed_over_its_raw_bytes() {
    let clock = ManualClock::default();
    let mut receiver = Receiver::start().await;
    let simulator = exact().clock(clock.clone()).webhook(&receiver.url, SECRET).start().await.unwrap();
    simulator.inbound(NUMBER, USER, "grüß Gott").unwrap();
    clock.advance(Duration::from_secs(1));
    let post = receiver.post().await;
    assert_eq!(post.signature, format!("sha256={}", hmac(SECRET.as_bytes(), &post.raw)));
    assert_ne!(post.signature, format!("sha256={}", hmac(b"another secret", &post.raw)));
}

#[tokio::test]
async fn statuses_come_in_order_with_pricing_and_the_callback_data() {
    let clock = ManualClock::default();
    let mut receiver = Receiver::start().await;
    let simulator = exact()
        .clock(clock.clone())
        .webhook(&receiver.url, SECRET)
        .statuses(StatusTimes {
            delivered_after: Duration::from_secs(3),
            read_after: Duration::from_secs(10),
            read: 1.0,
            ..StatusTimes::default()
        })
        .start()
        .await
        .unwrap();
    let mut body = template(USER, &[]);
    body["biz_opaque_callback_data"] = "tag 7".into();
    let wamid = Client::of(&simulator).send(&body).await.wamid().to_owned();
    let mut expected = Vec::new();
    for (seconds, name, at) in
        [(1, "sent", "1793491200"), (3, "delivered", "1793491203"), (9, "read", "1793491210")]
    {
        clock.advance(Duration::from_secs(seconds));
        let post = receiver.post().await.json();
        assert_eq!(post["object"], "whatsapp_business_account");
        assert_eq!(post["entry"][0]["id"], "200000000000001");
        let change = &post["entry"][0]["changes"][0];
        assert_eq!(change["field"], "messages");
        let metadata = json!({ "display_phone_number": "15550100200", "phone_number_id": NUMBER });
        assert_eq!(change["value"]["metadata"], metadata);
        let mut status = json!({
            "id": wamid, "status": name, "timestamp": at, "recipient_id": USER,
            "biz_opaque_callback_data": "tag 7",
        });
        if name != "read" {
            status["pricing"] = json!({
                "billable": true, "pricing_model": "PMP", "type": "regular", "category": "utility",
            });
        }
        assert_eq!(change["value"]["statuses"], json!([status]));
        expected.push(name);
    }
    assert_eq!(expected, ["sent", "delivered", "read"]);
}

#[tokio::test]
async fn free_form_in_a_window_is_priced_as_service() {
    let clock = ManualClock::default();
    let mut receiver = Receiver::start().await;
    let simulator = exact().clock(clock.clone()).webhook(&receiver.url, SECRET).start().await.unwrap();
    simulator.open_window(NUMBER, USER).unwrap();
    Client::of(&simulator).send(&text(USER, "hello")).await.wamid();
    clock.advance(Duration::from_secs(1));
    let pricing = json!({
        "billable": false, "pricing_model": "PMP", "type": "free_customer_service", "category": "service",
    });
    assert_eq!(receiver.collect("statuses", 1).await[0]["pricing"], pricing);
}

#[tokio::test]
async fn a_status_to_a_business_scoped_user_id_names_no_phone() {
    let clock = ManualClock::default();
    let mut receiver = Receiver::start().await;
    let simulator = exact().clock(clock.clone()).webhook(&receiver.url, SECRET).start().await.unwrap();
    let mut body = template(USER, &[]);
    body.as_object_mut().unwrap().remove("to");
    body["recipient"] = "US.1349".into();
    Client::of(&simulator).send(&body).await.wamid();
    simulator.inbound(NUMBER, "US.1349", "hi").unwrap();
    clock.advance(Duration::from_millis(50));
    let post = receiver.post().await;
    let status = &post.all("statuses")[0];
    assert_eq!((&status["recipient_user_id"], &status["recipient_id"]), (&json!("US.1349"), &Value::Null));
    let message = &post.all("messages")[0];
    assert_eq!((&message["from_user_id"], &message["from"]), (&json!("US.1349"), &Value::Null));
}

#[tokio::test]
async fn what_is_due_is_posted_together_up_to_a_hundred_at_once() {
    let clock = ManualClock::default();
    let mut receiver = Receiver::start().await;
    let simulator = exact()
        .clock(clock.clone())
        .webhook(&receiver.url, SECRET)
        .statuses(StatusTimes { delivered: 0.0, ..StatusTimes::default() })
        .start()
        .await
        .unwrap();
    let client = Client::of(&simulator);
    for n in 0..250 {
        client.send(&template(&user(n), &[])).await.wamid();
    }
    clock.advance(Duration::from_millis(50));
    let mut sizes = Vec::new();
    while sizes.iter().sum::<usize>() < 250 {
        sizes.push(receiver.post().await.all("statuses").len());
    }
    sizes.sort_unstable();
    assert_eq!(sizes, [50, 100, 100]);
}

#[tokio::test]
async fn what_users_do_arrives_in_meta_s_shapes() {
    let clock = ManualClock::default();
    let mut receiver = Receiver::start().await;
    let simulator = exact()
        .clock(clock.clone())
        .template("greeting", "en_US", TemplateCategory::Utility, TemplateStatus::Pending, 0)
        .webhook(&receiver.url, SECRET)
        .start()
        .await
        .unwrap();
    let id = simulator.inbound(NUMBER, "+49 1512 3456789", "hello").unwrap();
    simulator.opt_out(NUMBER, USER).unwrap();
    simulator.set_template_status("greeting", "en_US", TemplateStatus::Approved).unwrap();
    assert_eq!(simulator.inbound("999", USER, "x"), Err(SimulatorError::UnknownNumber("999".to_owned())));
    assert_eq!(simulator.inbound(NUMBER, "Ada", "x"), Err(SimulatorError::User));
    clock.advance(Duration::from_millis(50));
    let post = receiver.post().await;
    assert_eq!(
        post.all("messages"),
        [json!({
            "from": USER, "id": id, "timestamp": "1793491200", "type": "text", "text": { "body": "hello" },
        })]
    );
    assert_eq!(post.all("contacts")[0]["wa_id"], USER);
    let preference = &post.all("user_preferences")[0];
    assert_eq!((&preference["value"], &preference["wa_id"]), (&json!("stop"), &json!(USER)));
    assert_eq!(preference["timestamp"], 1_793_491_200, "an integer, unlike elsewhere");
    let body = post.json();
    let change = &body["entry"][0]["changes"][2];
    assert_eq!(
        (&change["field"], &change["value"]["event"]),
        (&json!("message_template_status_update"), &json!("APPROVED"))
    );
}

#[tokio::test]
async fn a_webhook_that_is_not_answered_with_200_comes_again_later() {
    let clock = ManualClock::default();
    let mut receiver = Receiver::start().await;
    let simulator = exact()
        .clock(clock.clone())
        .webhook(&receiver.url, SECRET)
        .retry(Duration::from_secs(1), Duration::from_secs(2))
        .start()
        .await
        .unwrap();
    receiver.answer_with(&[500, 204, 302]);
    let id = simulator.inbound(NUMBER, USER, "hello").unwrap();
    // 50 ms to the first, then 1, 2 and 2 seconds of waiting, each with its tick.
    for wait in [50, 1_050, 2_050, 2_050] {
        let failed = simulator.stats().callbacks.failed_posts;
        clock.advance(Duration::from_millis(wait));
        assert_eq!(receiver.collect("messages", 1).await[0]["id"], Value::from(id.as_str()));
        // The answer has to reach the simulator before time moves again.
        while simulator.stats().callbacks.pending > 0 && simulator.stats().callbacks.failed_posts == failed {
            tokio::task::yield_now().await;
        }
    }
    let stats = simulator.stop().await.callbacks;
    assert_eq!((stats.failed_posts, stats.posts, stats.events, stats.pending), (3, 1, 1, 0));
}

#[tokio::test]
async fn flush_posts_what_is_not_due_yet_and_says_whether_all_was_taken() {
    let mut receiver = Receiver::start().await;
    let builder = exact().clock(ManualClock::default()).webhook(&receiver.url, SECRET);
    let simulator = builder
        .statuses(StatusTimes { read: 1.0, read_after: Duration::from_secs(3_600), ..StatusTimes::default() })
        .start()
        .await
        .unwrap();
    Client::of(&simulator).send(&template(USER, &[])).await.wamid();
    receiver.answer_with(&[500]);
    assert!(!simulator.flush(Duration::from_secs(20)).await);
    assert!(simulator.flush(Duration::from_secs(20)).await);
    assert_eq!(receiver.collect("statuses", 6).await.len(), 6, "all three twice");
    assert_eq!(simulator.stats().callbacks.pending, 0);
    assert!(simulator.flush(Duration::from_secs(20)).await, "nothing is pending");
}

#[tokio::test]
async fn the_handshake_needs_the_receiver_s_verify_token() {
    let receiver = Receiver::start().await;
    let simulator = exact().webhook(&receiver.url, SECRET).start().await.unwrap();
    assert_eq!(simulator.handshake("verify-me").await, Ok(()));
    assert_eq!(simulator.handshake("guess").await, Err(SimulatorError::Handshake));
    assert_eq!(exact().start().await.unwrap().handshake("verify-me").await, Err(SimulatorError::Handshake));
}
