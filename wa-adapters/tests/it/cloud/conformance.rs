//! The adapter keeps every clause of the Transport and `WebhookSource` contracts.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use wa_adapters::cloud::{CloudTransport, CloudWebhooks};
use wa_core::model::{Content, RejectClass};
use wa_core::port::{Clock, SessionRef, Transport, WebhookSource};
use wa_core::testing::transport_suite::{ProviderAnswer, Refusal, TransportFixture};
use wa_core::testing::webhook_suite::{Sample, WebhookFixture};

use super::support::{APP_SECRET, NUMBER, config, graph_error, session, signature};

struct Cloud;

impl TransportFixture for Cloud {
    fn transport(&self, origin: &str, clock: Arc<dyn Clock>) -> Arc<dyn Transport> {
        let config = config().graph_url(origin).connect_timeout(Duration::from_secs(1)).build();
        let transport = CloudTransport::with_clock(&config.expect("a configuration"), clock);
        Arc::new(transport.expect("a transport"))
    }

    fn session(&self) -> SessionRef {
        session(NUMBER)
    }

    fn content(&self) -> Content {
        Content::text("hello").expect("a text")
    }

    fn accepted(&self, n: u32) -> (ProviderAnswer, String) {
        let id = format!("wamid.HBgLMTU1NTAwMDAwMDE{n}");
        let body = json!({
            "messaging_product": "whatsapp",
            "contacts": [{"input": "15550000001", "wa_id": "15550000001"}],
            "messages": [{"id": id}],
        });
        (ProviderAnswer { status: 200, body: body.to_string() }, id)
    }

    fn refusals(&self) -> Vec<Refusal> {
        [
            (400, 131_047, RejectClass::WindowClosed),
            (401, 190, RejectClass::Credential),
            (429, 130_429, RejectClass::Throttled),
            (400, 131_056, RejectClass::PairThrottled),
            (404, 132_001, RejectClass::Template),
        ]
        .map(|(status, code, class)| Refusal { answer: error(status, code), class })
        .into()
    }

    fn unproven(&self) -> Vec<ProviderAnswer> {
        // Codes for faults of Meta's own, a code that nobody knows, and a time-out of Meta's.
        let mut answers: Vec<_> = [(400, 131_000), (500, 131_016), (503, 2), (400, 999_999), (408, 131_047)]
            .map(|(status, code)| error(status, code))
            .into();
        answers.push(ProviderAnswer { status: 500, ..self.accepted(1).0 });
        answers
    }
}

fn error(status: u16, code: i64) -> ProviderAnswer {
    ProviderAnswer { status, body: graph_error(code) }
}

wa_core::transport_conformance!(Cloud);

/// How events lie in a body: Meta does all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// All in one list.
    OneList,
    /// One change for each, in one entry.
    OneEntry,
    /// One entry for each.
    Entries,
}

struct CloudHooks(Layout, Kind);

/// Which events are the good ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Statuses,
    Messages,
}

impl Kind {
    const fn list(self) -> &'static str {
        match self {
            Self::Statuses => "statuses",
            Self::Messages => "messages",
        }
    }

    fn item(self, sample: Sample) -> Value {
        let good = |n: u32| match self {
            Self::Statuses => json!({
                "id": format!("wamid.{n}"), "status": "delivered", "timestamp": "1750269342",
                "recipient_id": "15550000001", "biz_opaque_callback_data": "wa1:x",
                "pricing": {"billable": true, "pricing_model": "PMP", "category": "utility", "type": "regular"},
            }),
            Self::Messages => json!({
                "id": format!("wamid.{n}"), "from": "15550000001", "timestamp": "1750269342",
                "type": "text", "text": {"body": format!("hello {n}")},
            }),
        };
        match sample {
            Sample::Good(n) => good(n),
            Sample::GoodWithAnUnknownField(n) => {
                let mut item = good(n);
                set(&mut item, "colour", json!({"of": ["the", "year"]}));
                item
            }
            Sample::Bad => {
                let mut item = good(0);
                set(&mut item, "id", json!({"no": "text"}));
                item
            }
            Sample::Unknown => match self {
                Self::Statuses => json!({"id": "wamid.1", "status": "framed", "timestamp": "1750269342"}),
                // A message of a kind that is new is a message all the same; one without a kind is not.
                Self::Messages => json!({"id": "wamid.1", "from": "15550000001", "timestamp": "1750269342"}),
            },
        }
    }
}

fn set(object: &mut Value, field: &str, value: Value) {
    object.as_object_mut().expect("an object").insert(field.to_owned(), value);
}

impl WebhookFixture for CloudHooks {
    fn source(&self) -> Arc<dyn WebhookSource> {
        Arc::new(CloudWebhooks::new(&config().build().expect("a configuration")))
    }

    fn sign(&self, body: &[u8]) -> Vec<(String, Vec<u8>)> {
        vec![("X-Hub-Signature-256".to_owned(), signature(APP_SECRET, body).into_bytes())]
    }

    fn body(&self, samples: &[Sample]) -> Vec<u8> {
        let items: Vec<Value> = samples.iter().map(|sample| self.1.item(*sample)).collect();
        let change = |items: &[Value]| {
            let mut value = json!({
                "messaging_product": "whatsapp",
                "metadata": {"display_phone_number": "15550783881", "phone_number_id": NUMBER},
            });
            set(&mut value, self.1.list(), json!(items));
            json!({"field": "messages", "value": value})
        };
        let entry = |changes: Value| json!({"id": "102290129340398", "changes": changes});
        let entries: Value = match self.0 {
            Layout::OneList => json!([entry(json!([change(&items)]))]),
            Layout::OneEntry => json!([entry(items.chunks(1).map(change).collect())]),
            Layout::Entries => items.chunks(1).map(|one| entry(json!([change(one)]))).collect(),
        };
        json!({"object": "whatsapp_business_account", "entry": entries}).to_string().into_bytes()
    }
}

mod statuses_in_one_list {
    use super::{CloudHooks, Kind, Layout};

    wa_core::webhook_conformance!(CloudHooks(Layout::OneList, Kind::Statuses));
}

mod statuses_in_one_entry {
    use super::{CloudHooks, Kind, Layout};

    wa_core::webhook_conformance!(CloudHooks(Layout::OneEntry, Kind::Statuses));
}

mod messages_in_one_list {
    use super::{CloudHooks, Kind, Layout};

    wa_core::webhook_conformance!(CloudHooks(Layout::OneList, Kind::Messages));
}

mod messages_in_entries_of_their_own {
    use super::{CloudHooks, Kind, Layout};

    wa_core::webhook_conformance!(CloudHooks(Layout::Entries, Kind::Messages));
}
