//! Which endpoint a message takes, and what is refused without any request.

use std::time::Duration;

use serde_json::{Value, json};
use wa_adapters::cloud::{CloudTransport, MarketingMessages, ProductPolicy};
use wa_core::model::{
    Bsuid, Category, Content, ContentKind, Reaction, Recipient, RejectClass, TemplateContent,
};
use wa_core::port::{SendOutcome, SendPermit, Transport};
use wa_core::testing::quoting;

use super::support::{Behaviour, NUMBER, Server, answer, clock, config, meta_data, permit_to, phone};

fn template(name: &str, category: Category) -> Content {
    let (name, language) = (name.parse().expect("a name"), "en_US".parse().expect("a language"));
    Content::Template(TemplateContent::with_body(name, language, category, []).expect("a template"))
}

fn to_phone(content: Content) -> SendPermit {
    permit_to(phone().into(), content, 1)
}

fn quoted(permit: SendPermit) -> SendPermit {
    quoting(permit, "wamid.HBgL".parse().expect("an id"))
}

/// Sends one message with these settings; gives back the paths and bodies that arrived.
async fn sent(marketing: Option<MarketingMessages>, permit: SendPermit) -> Vec<(String, Value)> {
    let server = Server::start(Behaviour::Answer(answer(200, "", r#"{"messages":[{"id":"w"}]}"#))).await;
    let builder = config().graph_url(server.url()).connect_timeout(Duration::from_millis(300));
    let builder = match marketing {
        Some(marketing) => builder.marketing_messages(marketing),
        None => builder,
    };
    let config = builder.build().expect("a configuration");
    let transport = CloudTransport::with_clock(&config, clock()).expect("a transport");
    transport.send(permit).await;
    let read = |head: &str| head.split(' ').nth(1).expect("a path").to_owned();
    let requests = server.requests();
    let each = requests.iter().map(|it| (read(&it.head), serde_json::from_slice(&it.body).expect("JSON")));
    each.collect()
}

async fn path(marketing: Option<MarketingMessages>, permit: SendPermit) -> String {
    let requests = sent(marketing, permit).await;
    assert_eq!(requests.len(), 1, "one permit, one request");
    let prefix = format!("/v26.0/{NUMBER}/");
    requests[0].0.strip_prefix(prefix.as_str()).expect("the number's path").to_owned()
}

#[tokio::test]
async fn marketing_templates_take_the_route_that_was_configured() {
    let sale = || to_phone(template("sale", Category::Marketing));
    let named = || ["sale".parse().expect("a name")];
    assert_eq!(path(None, sale()).await, "messages");
    for (marketing, route) in [
        (MarketingMessages::all(), "marketing_messages"),
        (MarketingMessages::only(named()), "marketing_messages"),
        (MarketingMessages::only(["other".parse().expect("a name")]), "messages"),
        (MarketingMessages::except(named()), "messages"),
        (MarketingMessages::except(["other".parse().expect("a name")]), "marketing_messages"),
    ] {
        assert_eq!(path(Some(marketing.clone()), sale()).await, route, "{marketing:?}");
        // Nothing but a marketing template without a quote may go there (131055, 134100).
        let utility = to_phone(template("sale", Category::Utility));
        let text = to_phone(Content::text("sale").expect("a text"));
        for other in [utility, text, quoted(sale())] {
            assert_eq!(path(Some(marketing.clone()), other).await, "messages");
        }
    }
}

#[tokio::test]
async fn settings_of_the_marketing_endpoint_are_written_there_only() {
    let settings =
        || MarketingMessages::all().with_policy(ProductPolicy::Strict).with_activity_sharing(false);
    let requests = sent(Some(settings()), to_phone(template("sale", Category::Marketing))).await;
    let body = &requests[0].1;
    assert_eq!(
        (&body["product_policy"], &body["message_activity_sharing"]),
        (&json!("STRICT"), &json!(false))
    );
    let other = sent(Some(settings()), to_phone(template("notice", Category::Utility))).await;
    assert!(other[0].1.get("product_policy").is_none(), "{}", other[0].1);
    let fallback = MarketingMessages::all().with_policy(ProductPolicy::CloudApiFallback);
    let plain = sent(Some(fallback), to_phone(template("sale", Category::Marketing))).await;
    assert_eq!(plain[0].1["product_policy"], "CLOUD_API_FALLBACK");
    assert!(plain[0].1.get("message_activity_sharing").is_none());

    let Some(data) = meta_data() else { return };
    let schema = std::fs::read_to_string(data.join("send-message.schema.json")).expect("the schema");
    let schema: Value = serde_json::from_str(&schema).expect("JSON");
    let payload = json!({ "$ref": "#/$defs/MarketingMessageRequestPayload", "$defs": schema["$defs"] });
    let contract = jsonschema::validator_for(&payload).expect("a schema");
    assert!(contract.is_valid(body), "{body:#}");
    assert!(contract.is_valid(&plain[0].1), "{:#}", plain[0].1);
}

#[tokio::test]
async fn a_refusal_that_names_the_other_route_is_not_answered_with_a_second_request() {
    for code in [131_055, 131_061, 131_063, 134_100, 134_102] {
        let status = if code == 134_102 { 500 } else { 400 };
        let error = super::support::graph_error(code);
        let server = Server::start(Behaviour::Answer(answer(status, "", &error))).await;
        let config = config().graph_url(server.url()).marketing_messages(MarketingMessages::all()).build();
        let transport = CloudTransport::with_clock(&config.expect("a configuration"), clock()).expect("one");
        let outcome = transport.send(to_phone(template("sale", Category::Marketing))).await;
        match outcome {
            SendOutcome::Rejected { failure, .. } => assert_eq!(failure.code, code),
            // A server error proves nothing, whatever its body says.
            SendOutcome::Ambiguous { .. } => assert_eq!(code, 134_102),
            other => panic!("{code}: {other:?}"),
        }
        assert_eq!(server.requests().len(), 1, "{code}");
    }
}

#[tokio::test]
async fn a_one_time_code_to_a_user_id_is_refused_without_a_request() {
    let bsuid: Bsuid = "US.13491208655302741918".parse().expect("a user id");
    let server = Server::start(Behaviour::Answer(answer(200, "", "{}"))).await;
    let transport = server.transport();
    let code = || template("code", Category::Authentication);
    match transport.send(permit_to(bsuid.clone().into(), code(), 1)).await {
        SendOutcome::Rejected { failure, retry_after: None } => {
            assert_eq!((failure.code, failure.class), (131_062, RejectClass::Request));
        }
        other => panic!("{other:?}"),
    }
    assert!(server.requests().is_empty());
    assert!(!transport.capabilities().codes_to_user_ids, "so that the rules leave it out before it begins");
    let both = Recipient::new(Some(phone()), Some(bsuid.clone())).expect("two addresses");
    transport.send(permit_to(both, code(), 2)).await;
    transport.send(permit_to(bsuid.into(), template("notice", Category::Utility), 3)).await;
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_reaction_that_quotes_is_refused_without_a_request() {
    let server = Server::start(Behaviour::Answer(answer(200, "", "{}"))).await;
    let reaction = Reaction::remove("wamid.HBgL".parse().expect("an id"));
    let outcome = server.transport().send(quoted(to_phone(reaction.into()))).await;
    assert!(matches!(outcome, SendOutcome::Rejected { .. }), "{outcome:?}");
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn every_kind_of_content_is_announced() {
    let server = Server::start(Behaviour::Silent).await;
    let can = server.transport().capabilities();
    assert!(ContentKind::ALL.iter().all(|kind| can.content.has(*kind)));
    assert!(can.quotes);
}
