//! Bodies of `POST /messages`, and of its answers.
//!
//! Source: Meta's Business Messaging `OpenAPI` v23.0 with the corrections that its own pages make
//! necessary; Typing indicators and Business-scoped user ids, read May 2026. Limits are the model's,
//! existence of templates is Meta's to judge: nothing is checked here.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use wa_core::model::{
    ButtonType, CarouselCard, Component, Content, FailureDetails, HeaderMedia, MediaRef, Parameter,
    TemplateContent,
};
use wa_core::port::{Acknowledge, SendPermit, Typing};

use super::error::details;

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
    biz_opaque_callback_data: &'a str,
    #[serde(flatten)]
    content: ContentBody<'a>,
}

/// `type` and the object that it names.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ContentBody<'a> {
    Text { text: TextBody<'a> },
    Template { template: TemplateBody<'a> },
}

#[derive(Debug, Serialize)]
struct TextBody<'a> {
    body: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    preview_url: bool,
}

#[derive(Debug, Serialize)]
struct TemplateBody<'a> {
    name: &'a str,
    language: LanguageBody<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    components: Vec<ComponentBody<'a>>,
}

#[derive(Debug, Serialize)]
struct LanguageBody<'a> {
    code: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ComponentBody<'a> {
    Header {
        #[serde(skip_serializing_if = "Vec::is_empty")]
        parameters: Vec<ParameterBody<'a>>,
    },
    Body {
        #[serde(skip_serializing_if = "Vec::is_empty")]
        parameters: Vec<ParameterBody<'a>>,
    },
    Button {
        sub_type: &'static str,
        // Meta's own examples mix strings and integers; its written rule is a string.
        index: String,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        parameters: Vec<ParameterBody<'a>>,
    },
    Carousel {
        cards: Vec<CardBody<'a>>,
    },
    LimitedTimeOffer {
        parameters: [ParameterBody<'a>; 1],
    },
}

#[derive(Debug, Serialize)]
struct CardBody<'a> {
    card_index: u8,
    components: Vec<ComponentBody<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ParameterBody<'a> {
    Text {
        text: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        parameter_name: Option<&'a str>,
    },
    Currency {
        currency: CurrencyBody<'a>,
    },
    DateTime {
        date_time: DateTimeBody<'a>,
    },
    Image {
        image: MediaBody<'a>,
    },
    Video {
        video: MediaBody<'a>,
    },
    Document {
        document: MediaBody<'a>,
    },
    Location {
        location: LocationBody<'a>,
    },
    Payload {
        payload: &'a str,
    },
    CouponCode {
        coupon_code: &'a str,
    },
    Action {
        action: &'a Value,
    },
    Product {
        product: ProductBody<'a>,
    },
    LimitedTimeOffer {
        limited_time_offer: OfferBody,
    },
}

#[derive(Debug, Serialize)]
struct CurrencyBody<'a> {
    fallback_value: &'a str,
    code: &'a str,
    amount_1000: i64,
}

#[derive(Debug, Serialize)]
struct DateTimeBody<'a> {
    fallback_value: &'a str,
}

#[derive(Debug, Serialize)]
struct MediaBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filename: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct LocationBody<'a> {
    latitude: &'a str,
    longitude: &'a str,
    name: &'a str,
    address: &'a str,
}

#[derive(Debug, Serialize)]
struct ProductBody<'a> {
    product_retailer_id: &'a str,
    catalog_id: &'a str,
}

#[derive(Debug, Serialize)]
struct OfferBody {
    expiration_time_ms: i64,
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
    pub(super) fn of(permit: &'a SendPermit) -> Result<Self, Unsendable> {
        let recipient = permit.recipient();
        let phone = recipient.phone();
        Ok(Self {
            messaging_product: "whatsapp",
            recipient_type: "individual",
            to: phone.map(|phone| phone.digits()),
            // Only one of the two is sent: the phone reaches the person whatever became of the id.
            recipient: if phone.is_some() { None } else { recipient.bsuid().map(|bsuid| bsuid.as_str()) },
            biz_opaque_callback_data: permit.tag().as_str(),
            content: content(permit.content())?,
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
    match content {
        Content::Text(text) => {
            Ok(ContentBody::Text { text: TextBody { body: text.body(), preview_url: text.preview_url() } })
        }
        Content::Template(filled) => Ok(ContentBody::Template { template: template(filled)? }),
        // The enum may grow in its own crate; what is not known here is never sent in part.
        _ => Err(Unsendable("this kind of message")),
    }
}

fn template(filled: &TemplateContent) -> Result<TemplateBody<'_>, Unsendable> {
    let TemplateContent { name, language, category: _, components } = filled;
    Ok(TemplateBody {
        name: name.as_str(),
        language: LanguageBody { code: language.as_str() },
        components: each(components, component)?,
    })
}

fn component(component: &Component) -> Result<ComponentBody<'_>, Unsendable> {
    Ok(match component {
        Component::Header { parameters } => {
            ComponentBody::Header { parameters: each(parameters, parameter)? }
        }
        Component::Body { parameters } => ComponentBody::Body { parameters: each(parameters, parameter)? },
        Component::Button { sub_type, index, parameters } => ComponentBody::Button {
            sub_type: button_type(*sub_type)?,
            index: index.to_string(),
            parameters: each(parameters, parameter)?,
        },
        Component::Carousel { cards } => ComponentBody::Carousel { cards: each(cards, card)? },
        Component::LimitedTimeOffer { expiration_time_ms } => ComponentBody::LimitedTimeOffer {
            parameters: [ParameterBody::LimitedTimeOffer {
                limited_time_offer: OfferBody { expiration_time_ms: *expiration_time_ms },
            }],
        },
        _ => return Err(Unsendable("this kind of template component")),
    })
}

fn card(card: &CarouselCard) -> Result<CardBody<'_>, Unsendable> {
    let CarouselCard { card_index, components } = card;
    Ok(CardBody { card_index: *card_index, components: each(components, component)? })
}

fn button_type(button: ButtonType) -> Result<&'static str, Unsendable> {
    Ok(match button {
        ButtonType::QuickReply => "quick_reply",
        ButtonType::Url => "url",
        ButtonType::CopyCode => "copy_code",
        ButtonType::Flow => "flow",
        ButtonType::Catalog => "catalog",
        ButtonType::Mpm => "mpm",
        ButtonType::OrderDetails => "order_details",
        ButtonType::VoiceCall => "voice_call",
        _ => return Err(Unsendable("this kind of template button")),
    })
}

fn parameter(parameter: &Parameter) -> Result<ParameterBody<'_>, Unsendable> {
    Ok(match parameter {
        Parameter::Text { text, name } => ParameterBody::Text { text, parameter_name: name.as_deref() },
        Parameter::Currency(amount) => ParameterBody::Currency {
            currency: CurrencyBody {
                fallback_value: &amount.fallback_value,
                code: amount.code.as_str(),
                amount_1000: amount.amount_1000,
            },
        },
        Parameter::DateTime { fallback_value } => {
            ParameterBody::DateTime { date_time: DateTimeBody { fallback_value } }
        }
        // Only a document shows a file name.
        Parameter::Image(header) => ParameterBody::Image { image: media(header, None) },
        Parameter::Video(header) => ParameterBody::Video { video: media(header, None) },
        Parameter::Document(header) => {
            ParameterBody::Document { document: media(header, header.filename.as_deref()) }
        }
        Parameter::Location { latitude, longitude, name, address } => ParameterBody::Location {
            location: LocationBody {
                latitude: degrees(latitude),
                longitude: degrees(longitude),
                name,
                address,
            },
        },
        Parameter::Payload { payload } => ParameterBody::Payload { payload },
        Parameter::CouponCode { code } => ParameterBody::CouponCode { coupon_code: code },
        Parameter::Action { action } => ParameterBody::Action { action },
        Parameter::Product { catalog_id, product_retailer_id } => {
            ParameterBody::Product { product: ProductBody { product_retailer_id, catalog_id } }
        }
        _ => return Err(Unsendable("this kind of template parameter")),
    })
}

fn media<'a>(header: &'a HeaderMedia, filename: Option<&'a str>) -> MediaBody<'a> {
    let (id, link) = match &header.source {
        MediaRef::Id(id) => (Some(id.as_str()), None),
        MediaRef::Link(link) => (None, Some(link.as_str())),
    };
    MediaBody { id, link, filename }
}

/// Degrees as Meta's contract writes them: no plus sign.
fn degrees(text: &str) -> &str {
    text.strip_prefix('+').unwrap_or(text)
}

fn each<'a, T, B>(
    items: &'a [T],
    translate: fn(&'a T) -> Result<B, Unsendable>,
) -> Result<Vec<B>, Unsendable> {
    items.iter().map(translate).collect()
}
