//! The engine under tokio, in real time.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use wa_core::memory::MemoryStore;
use wa_core::model::{Category, Content, MessageState, Phone, SessionReport, TemplateContent};
use wa_core::port::{
    Acknowledge, Capabilities, SendOutcome, SendPermit, SessionRef, SystemClock, Transport, TransportError,
};
use wa_core::service::{EngineConfig, Kit, Message, Number};
use wa_core::testing::ScriptedTransport;

/// Sends, and is silent about its numbers.
#[derive(Debug)]
struct Silent(ScriptedTransport);

#[async_trait]
impl Transport for Silent {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    async fn send(&self, permit: SendPermit) -> SendOutcome {
        self.0.send(permit).await
    }

    fn advice(&self, code: i64) -> Option<&'static str> {
        self.0.advice(code)
    }

    async fn session(&self, _: &SessionRef) -> Result<SessionReport, TransportError> {
        std::future::pending().await
    }

    async fn acknowledge(&self, session: &SessionRef, read: &Acknowledge) -> Result<(), TransportError> {
        self.0.acknowledge(session, read).await
    }
}

#[tokio::test]
async fn a_transport_that_never_answers_about_its_number_does_not_keep_it_from_sending() {
    let transport = Arc::new(Silent(ScriptedTransport::new(Arc::new(SystemClock))));
    let config = EngineConfig { request_timeout: Duration::from_secs(1), ..EngineConfig::default() };
    let kit = Kit::builder(Arc::new(MemoryStore::new(Arc::new(SystemClock))))
        .transport("cloud", transport)
        .engine(config)
        .build()
        .await
        .expect("a kit");
    let tenant = kit.tenants().ensure("acme").await.expect("a tenant");
    let session = tenant.sessions().add(&Number::cloud("100")).await.expect("a session").id;
    let mut events = kit.events("test").await.expect("events");
    let engine = kit.start();
    let phone = Phone::try_from(4_915_112_345_678).expect("a phone");
    let (name, language) = ("code".parse().expect("a name"), "en".parse().expect("a language"));
    let code = TemplateContent::with_body(name, language, Category::Authentication, ["42".to_owned()]);
    let message = Message::new(session, phone, Content::Template(code.expect("a template")));
    let id = tenant.messages().send(message).await.expect("a receipt").id;
    let accepted = async {
        while tenant.messages().get(id).await.expect("a message").state != MessageState::Accepted {
            events.next().await.expect("an event");
        }
    };
    tokio::time::timeout(Duration::from_secs(20), accepted).await.expect("it is sent in the end");
    engine.stop(Duration::from_secs(2)).await;
}
