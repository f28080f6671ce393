//! Bodies of `POST /messages`, and of its answers.
//!
//! Source: Meta's Business Messaging `OpenAPI` v23.0 with the corrections that its own pages make
//! necessary; Typing indicators and Business-scoped user ids, read May 2026. Limits are the model's,
//! existence of templates is Meta's to judge: nothing is checked here.

mod contacts;
mod interactive;
mod media;
mod order;
mod template;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use wa_core::model::{Content, FailureDetails, MediaKind};
use wa_core::port::{Acknowledge, SendPermit, Typing};

use contacts::CardBody;
use interactive::InteractiveBody;
use media::{LocationBody, MediaBody};
use template::TemplateBody;

use super::error::details;
use super::marketing::{MarketingMessages, ProductPolicy};

/// What this version of the adapter cannot write; newer content than it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unsendable(pub(super) &'static str);

/// The body of a send.
#[derive(Debug, Serialize)]
pub(super) struct SendBody<'a> {
    messaging_product: &'static str,
    recipient_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<ContextBody<'a>>,
    biz_opaque_callback_data: &'a str,
    #[serde(flatten)]
    content: ContentBody<'a>,
    /// Only at the marketing endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    product_policy: Option<&'static str>,
    /// Only at the marketing endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    message_activity_sharing: Option<bool>,
}

/// The message that is quoted.
#[derive(Debug, Serialize)]
struct ContextBody<'a> {
    message_id: &'a str,
}

/// `type` and the object that it names.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ContentBody<'a> {
    Text { text: TextBody<'a> },
    Template { template: TemplateBody<'a> },
    Image { image: MediaBody<'a> },
    Video { video: MediaBody<'a> },
    Audio { audio: MediaBody<'a> },
    Document { document: MediaBody<'a> },
    Sticker { sticker: MediaBody<'a> },
    Location { location: LocationBody<'a> },
    Contacts { contacts: Vec<CardBody<'a>> },
    Interactive { interactive: InteractiveBody<'a> },
    Reaction { reaction: ReactionBody<'a> },
}

#[derive(Debug, Serialize)]
struct ReactionBody<'a> {
    message_id: &'a str,
    /// Empty to take the reaction back.
    emoji: &'a str,
}

#[derive(Debug, Serialize)]
struct TextBody<'a> {
    body: &'a str,
    preview_url: bool,
}

/// The body of a read receipt.
#[derive(Debug, Serialize)]
pub(super) struct ReadBody<'a> {
    messaging_product: &'static str,
    status: &'static str,
    message_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    typing_indicator: Option<TypingBody>,
}

#[derive(Debug, Serialize)]
struct TypingBody {
    r#type: &'static str,
}

/// What is read of any answer; everything else is left alone.
#[derive(Debug, Default, Deserialize)]
pub(super) struct AnswerBody {
    #[serde(default)]
    messages: Vec<SentBody>,
    error: Option<ErrorBody>,
}

#[derive(Debug, Deserialize)]
struct SentBody {
    #[serde(default)]
    id: String,
}

#[derive(Debug, Deserialize)]
struct ErrorBody {
    code: Option<i64>,
    #[serde(default, rename = "error_data", deserialize_with = "read_details")]
    details: Option<FailureDetails>,
}

fn read_details<'de, D: Deserializer<'de>>(from: D) -> Result<Option<FailureDetails>, D::Error> {
    Ok(Option::<Value>::deserialize(from)?.as_ref().and_then(details))
}

impl<'a> SendBody<'a> {
    /// The body for `/messages`, or for the marketing endpoint if its settings are given.
    pub(super) fn of(
        permit: &'a SendPermit,
        marketing: Option<&MarketingMessages>,
    ) -> Result<Self, Unsendable> {
        if permit.reply_to().is_some() && !permit.content().may_quote() {
            return Err(Unsendable("a reaction that quotes a message"));
        }
        let recipient = permit.recipient();
        let phone = recipient.phone();
        Ok(Self {
            messaging_product: "whatsapp",
            recipient_type: "individual",
            to: phone.map(|phone| phone.digits()),
            // Only one of the two is sent: the phone reaches the person whatever became of the id.
            recipient: if phone.is_some() { None } else { recipient.bsuid().map(|bsuid| bsuid.as_str()) },
            context: permit.reply_to().map(|quoted| ContextBody { message_id: quoted.as_str() }),
            biz_opaque_callback_data: permit.tag().as_str(),
            content: content(permit.content())?,
            product_policy: marketing.and_then(MarketingMessages::policy).map(ProductPolicy::as_str),
            message_activity_sharing: marketing.and_then(MarketingMessages::shares_activity),
        })
    }
}

impl<'a> ReadBody<'a> {
    pub(super) fn of(read: &'a Acknowledge) -> Self {
        Self {
            messaging_product: "whatsapp",
            status: "read",
            message_id: &read.provider_id,
            typing_indicator: match read.typing {
                Typing::Shown => Some(TypingBody { r#type: "text" }),
                Typing::Hidden => None,
            },
        }
    }
}

impl AnswerBody {
    /// The code of a Graph error, if this is one.
    pub(super) fn error_code(&self) -> Option<i64> {
        self.error.as_ref().and_then(|error| error.code)
    }

    /// What Meta says beside the code of a Graph error.
    pub(super) fn error_details(&self) -> Option<FailureDetails> {
        self.error.as_ref().and_then(|error| error.details.clone())
    }

    /// The id of the accepted message, if there is one.
    pub(super) fn into_message_id(self) -> Option<String> {
        self.messages.into_iter().next().map(|sent| sent.id).filter(|id| !id.trim().is_empty())
    }
}

fn content(content: &Content) -> Result<ContentBody<'_>, Unsendable> {
    Ok(match content {
        Content::Text(text) => {
            ContentBody::Text { text: TextBody { body: text.body(), preview_url: text.preview_url() } }
        }
        Content::Template(filled) => ContentBody::Template { template: template::template(filled)? },
        Content::Media(media) => {
            let body = MediaBody::message(media);
            match media.kind() {
                MediaKind::Image => ContentBody::Image { image: body },
                MediaKind::Video => ContentBody::Video { video: body },
                MediaKind::Audio => ContentBody::Audio { audio: body },
                MediaKind::Document => ContentBody::Document { document: body },
                MediaKind::Sticker => ContentBody::Sticker { sticker: body },
            }
        }
        Content::Location(location) => ContentBody::Location { location: LocationBody::of(location) },
        Content::Contacts(cards) => {
            ContentBody::Contacts { contacts: cards.as_slice().iter().map(CardBody::of).collect() }
        }
        Content::Interactive(interactive) => {
            ContentBody::Interactive { interactive: InteractiveBody::of(interactive)? }
        }
        Content::Reaction(reaction) => ContentBody::Reaction {
            reaction: ReactionBody {
                message_id: reaction.message_id(),
                emoji: reaction.emoji().unwrap_or_default(),
            },
        },
        // The enum may grow in its own crate; what is not known here is never sent in part.
        _ => return Err(Unsendable("this kind of message")),
    })
}
