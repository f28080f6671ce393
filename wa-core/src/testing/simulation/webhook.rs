//! The provider's callbacks: one line of words for each event.

use chrono::{DateTime, Utc};

use crate::model::{
    Fact, FailureCode, InboundBody, InboundEvent, InboundMessage, NumberId, Phone, RejectClass, StatusUpdate,
    from_micros, micros,
};
use crate::port::{Challenge, ReceivedWebhook, WebhookRefusal, WebhookSource};

/// What the provider says about a message.
#[derive(Debug, Clone)]
pub(super) struct Status {
    pub(super) tag: Option<String>,
    pub(super) id: String,
    pub(super) fact: Fact,
    pub(super) number: NumberId,
    pub(super) at: DateTime<Utc>,
    pub(super) failure: Option<FailureCode>,
}

/// What a user wrote, and when.
#[derive(Debug, Clone)]
pub(super) struct UserMessage {
    pub(super) number: NumberId,
    pub(super) phone: Phone,
    pub(super) at: DateTime<Utc>,
    pub(super) id: String,
    /// One word.
    pub(super) text: String,
}

impl Status {
    pub(super) fn line(&self) -> String {
        let Self { tag, id, fact, number, at, failure } = self;
        let tag = tag.as_deref().unwrap_or("-");
        let (code, class) = failure.as_ref().map_or((0, "-"), |it| (it.code, it.class.as_str()));
        format!("status {tag} {id} {} {number} {} {code} {class}", fact.bit(), micros(*at))
    }

    fn read(words: &[&str]) -> Option<Self> {
        let [tag, id, bit, number, at, code, class] = words else { return None };
        let failure = RejectClass::from_name(class).map(|class| FailureCode {
            code: code.parse().unwrap_or_default(),
            class,
            title: "failed".to_owned(),
            details: None,
        });
        Some(Self {
            tag: (*tag != "-").then(|| (*tag).to_owned()),
            id: (*id).to_owned(),
            fact: Fact::ALL.into_iter().find(|fact| fact.bit().to_string() == *bit)?,
            number: number.parse().ok()?,
            at: from_micros(at.parse().ok()?),
            failure,
        })
    }
}

impl UserMessage {
    pub(super) fn line(&self) -> String {
        let Self { number, phone, at, id, text } = self;
        format!("message {id} {} {number} {} {text}", phone.digits(), micros(*at))
    }

    fn read(words: &[&str]) -> Option<Self> {
        let [id, phone, number, at, text] = words else { return None };
        Some(Self {
            id: (*id).to_owned(),
            phone: Phone::from_digits(phone).ok()?,
            number: number.parse().ok()?,
            at: from_micros(at.parse().ok()?),
            text: (*text).to_owned(),
        })
    }
}

/// Reads the provider's callbacks.
#[derive(Debug)]
pub(super) struct Letters;

impl WebhookSource for Letters {
    fn challenge(&self, _: &str) -> Result<Challenge, WebhookRefusal> {
        Err(WebhookRefusal::WrongChallenge)
    }

    fn verify(&self, _: &ReceivedWebhook<'_>) -> Result<(), WebhookRefusal> {
        Ok(())
    }

    fn parse(&self, body: &[u8], _: DateTime<Utc>) -> Vec<InboundEvent> {
        let text = String::from_utf8_lossy(body);
        text.lines().map(event).collect()
    }
}

fn event(line: &str) -> InboundEvent {
    let words: Vec<&str> = line.split(' ').collect();
    let known = match words.split_first() {
        Some((&"status", rest)) => Status::read(rest).map(|status| {
            let Status { tag, id, fact, number, at, failure } = status;
            InboundEvent::Status(StatusUpdate {
                echo: tag,
                failure,
                ..StatusUpdate::new(number, id, fact, at)
            })
        }),
        Some((&"message", rest)) => UserMessage::read(rest).map(|message| {
            let UserMessage { number, phone, at, id, text } = message;
            InboundEvent::Message(InboundMessage::new(number, id, phone, at, InboundBody::text(text)))
        }),
        Some(_) | None => None,
    };
    known.unwrap_or_else(|| InboundEvent::Unknown { field: line.to_owned() })
}
