//! Bodies as they leave, against Meta's contract.
//!
//! The contract is Meta's published one as corrected by its own pages, so it is not fully another's.

use std::collections::BTreeMap;
use std::fs;

use jsonschema::Validator;
use serde_json::{Value, json};
use wa_core::model::{
    ButtonType, Category, Component, Content, ContentKind, Currencied, HeaderMedia, MediaRef, Parameter,
    TemplateContent,
};
use wa_core::port::{Acknowledge, SendOutcome, Transport, Typing};
use wa_core::testing::quoting;

mod examples;
mod mutations;

use mutations::MUTATIONS;

use super::generate::{Generator, OPTIONAL, SHAPES};
use super::support::{Behaviour, NUMBER, Server, TOKEN, answer, meta_data, permit_to, phone, session, tag};

const MESSAGES: usize = 10_000;

/// The schema of a whole body, and that of one template component (cards of a carousel hold them).
struct Contract {
    body: Validator,
    component: Validator,
}

impl Contract {
    fn read() -> Option<Self> {
        let text = fs::read_to_string(meta_data()?.join("send-message.schema.json")).expect("the schema");
        let schema: Value = serde_json::from_str(&text).expect("JSON");
        let component = json!({ "$ref": "#/$defs/TemplateComponent", "$defs": schema["$defs"] });
        let compile = |schema| jsonschema::validator_for(schema).expect("a schema");
        Some(Self { body: compile(&schema), component: compile(&component) })
    }

    fn takes(&self, body: &Value) -> bool {
        self.body.is_valid(body)
            && components_of_cards(body).all(|component| self.component.is_valid(component))
    }
}

fn components(body: &Value) -> impl Iterator<Item = &Value> {
    body["template"]["components"].as_array().into_iter().flatten()
}

fn components_of_cards(body: &Value) -> impl Iterator<Item = &Value> {
    let cards = components(body).filter_map(|component| component["cards"].as_array()).flatten();
    cards.filter_map(|card| card["components"].as_array()).flatten()
}

/// Sends this many generated messages to a server, and gives back what arrived there.
async fn bodies_on_the_wire(generator: &mut Generator, count: usize) -> Vec<Value> {
    let server =
        Server::start(Behaviour::Answer(answer(200, "", r#"{"messages":[{"id":"wamid.1"}]}"#))).await;
    let transport = server.transport();
    for message in 0..count {
        let (recipient, content, reply_to) = generator.message();
        let permit = permit_to(recipient, content, u128::try_from(message).expect("small"));
        let permit = match reply_to {
            Some(quoted) => quoting(permit, quoted),
            None => permit,
        };
        let outcome = transport.send(permit).await;
        assert_eq!(outcome, SendOutcome::Accepted { provider_id: "wamid.1".to_owned() }, "message {message}");
    }
    let requests = server.requests();
    assert_eq!(requests.len(), count, "one request for each permit");
    requests.iter().map(|request| serde_json::from_slice(&request.body).expect("JSON")).collect()
}

#[tokio::test]
async fn generated_messages_keep_metas_contract_and_mutated_ones_break_it() {
    let Some(contract) = Contract::read() else { return };
    let mut generator = Generator::new(2_026);
    let bodies = bodies_on_the_wire(&mut generator, MESSAGES).await;
    for (message, body) in bodies.iter().enumerate() {
        let problems: Vec<_> = contract.body.iter_errors(body).map(|error| error.to_string()).collect();
        assert!(contract.takes(body), "message {message}: {problems:?}\n{body:#}");
        let (_, tag) = tag(u128::try_from(message).expect("small"));
        assert_eq!(body["biz_opaque_callback_data"], json!(tag.as_str()), "the tag leaves unchanged");
        assert!(body["to"].is_string() != body["recipient"].is_string(), "one address, not two: {body}");
    }
    println!("{} generated messages validate against send-message.schema.json", bodies.len());
    let missing: Vec<_> = SHAPES.iter().filter(|shape| !generator.drawn.contains_key(**shape)).collect();
    assert!(missing.is_empty(), "never drawn: {missing:?}");
    assert_eq!(generator.drawn.len(), SHAPES.len(), "a shape without a place in the list");
    println!(
        "{} shapes drawn, the rarest {} times",
        SHAPES.len(),
        generator.drawn.values().min().expect("some")
    );

    let kinds: Vec<_> = generator.kinds.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    println!("{} kinds: {}", kinds.len(), kinds.join(", "));
    assert_eq!(generator.kinds.len(), ContentKind::ALL.len(), "a kind was never drawn");
    let lopsided: Vec<_> = generator.optional.iter().filter(|(_, counts)| counts.contains(&0)).collect();
    assert!(lopsided.is_empty(), "never absent or never present: {lopsided:?}");
    assert_eq!(generator.optional.len(), OPTIONAL, "{:?}", generator.optional.keys());
    let rarest = generator.optional.values().flatten().min().expect("some");
    println!("{OPTIONAL} optional fields, each both present and absent, at least {rarest} times each way");

    let mut rejected: BTreeMap<&str, u32> = BTreeMap::new();
    for body in &bodies {
        for (name, mutate) in MUTATIONS {
            let mut mutant = body.clone();
            if mutate(&mut mutant).is_some() {
                assert!(!contract.takes(&mutant), "{name} is taken: {mutant:#}");
                *rejected.entry(name).or_default() += 1;
            }
        }
    }
    for (name, _) in MUTATIONS {
        let count = rejected.get(name).copied().unwrap_or(0);
        println!("{count:>6} rejected: {name}");
        assert!(count > 0, "{name} never applied");
    }
    println!("{} mutated bodies of {} kinds rejected", rejected.values().sum::<u32>(), MUTATIONS.len());
}

#[tokio::test]
async fn a_template_is_written_like_metas_own_example() {
    let Some(data) = meta_data() else { return };
    let example = |name: &str| -> Value {
        let path = data.join("requests/facebook-openapi").join(name);
        serde_json::from_str(&fs::read_to_string(path).expect("an example")).expect("JSON")
    };
    let mut expected = example("send_message_template_interactive.json")["template"].clone();
    // Placeholders of the example that are no values; and only the fallback of a date is supported.
    expected["name"] = json!("order");
    expected["language"]["code"] = json!("en_US");
    expected["components"][1]["parameters"][2]["date_time"] = json!({"fallback_value": "February 25, 1977"});

    let quick_reply = |index, payload: &str| Component::Button {
        sub_type: ButtonType::QuickReply,
        index,
        parameters: vec![Parameter::Payload { payload: payload.to_owned() }],
    };
    let image = HeaderMedia { source: MediaRef::Link("https://the-image-url".to_owned()), filename: None };
    let amount = Currencied {
        fallback_value: "$100.99".to_owned(),
        code: "USD".parse().expect("a currency"),
        amount_1000: 100_990,
    };
    let body = vec![
        Parameter::Text { text: "text-string".to_owned(), name: None },
        Parameter::Currency(amount),
        Parameter::DateTime { fallback_value: "February 25, 1977".to_owned() },
    ];
    let components = vec![
        Component::Header { parameters: vec![Parameter::Image(image)] },
        Component::Body { parameters: body },
        quick_reply(0, "aGlzIHRoaXMgaXMgY29v"),
        quick_reply(1, "9rwnB8RbYmPF5t2Mn09x4h"),
    ];
    assert_eq!(written(components, "order").await, expected);

    let mut expected = example("send_flow_template_message.json")["template"].clone();
    expected["name"] = json!("flow");
    let action = expected["components"][0]["parameters"][0]["action"].clone();
    let parameters = vec![Parameter::Action { action }];
    let button = Component::Button { sub_type: ButtonType::Flow, index: 0, parameters };
    assert_eq!(written(vec![button], "flow").await, expected);
}

async fn written(components: Vec<Component>, name: &str) -> Value {
    let template = TemplateContent {
        name: name.parse().expect("a name"),
        language: "en_US".parse().expect("a language"),
        category: Category::Utility,
        components,
    };
    let server = Server::start(Behaviour::Answer(answer(200, "", "{}"))).await;
    server.transport().send(permit_to(phone().into(), Content::Template(template), 1)).await;
    let requests = server.requests();
    let body: Value = serde_json::from_slice(&requests[0].body).expect("JSON");
    body["template"].clone()
}

#[tokio::test]
async fn a_send_carries_its_token_in_a_header_only() {
    let server = Server::start(Behaviour::Answer(answer(200, "", "{}"))).await;
    server.transport().send(permit_to(phone().into(), Content::text("hi").expect("a text"), 1)).await;
    let requests = server.requests();
    let head = &requests[0].head;
    assert!(head.starts_with(&format!("post /v26.0/{NUMBER}/messages http/1.1\r\n")), "{head}");
    assert!(
        head.contains(&format!("\r\nauthorization: bearer {}\r\n", TOKEN.to_ascii_lowercase())),
        "{head}"
    );
    assert!(head.contains("\r\ncontent-type: application/json\r\n"), "{head}");
    let body: Value = serde_json::from_slice(&requests[0].body).expect("JSON");
    assert_eq!(
        body,
        json!({
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": "15550000001",
            "biz_opaque_callback_data": tag(1).1.as_str(),
            "type": "text",
            "text": { "body": "hi", "preview_url": false },
        })
    );
}

#[tokio::test]
async fn a_read_receipt_is_written_like_metas_own_example() {
    let server = Server::start(Behaviour::Answer(answer(200, "", r#"{"success":true}"#))).await;
    let transport = server.transport();
    let id = "wamid.HBgLMTY1MDM4Nzk0MzkVAgASGBQzQUYzMjEzNDM2RTZGQ0MzMDJBRgA=".to_owned();
    for typing in [Typing::Shown, Typing::Hidden] {
        let read = Acknowledge { provider_id: id.clone(), typing };
        transport.acknowledge(&session(NUMBER), &read).await.expect("taken");
    }
    let bodies: Vec<Value> = server
        .requests()
        .iter()
        .map(|request| serde_json::from_slice(&request.body).expect("JSON"))
        .collect();
    let plain = json!({"messaging_product": "whatsapp", "status": "read", "message_id": id});
    assert_eq!(bodies[1], plain);
    let Some(data) = meta_data() else { return };
    let example = data.join("requests/facebook-openapi/send_typing_indicator_and_read_receipt.json");
    let example: Value =
        serde_json::from_str(&fs::read_to_string(example).expect("an example")).expect("JSON");
    assert_eq!(bodies[0], example);
    let contract = Contract::read().expect("the schema");
    assert!(bodies.iter().all(|body| contract.takes(body)));
}
