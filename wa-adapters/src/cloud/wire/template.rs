//! The `template` object.

use serde::Serialize;
use serde_json::Value;
use wa_core::model::{ButtonType, CarouselCard, Component, HeaderMedia, Parameter, TemplateContent};

use super::Unsendable;
use super::media::MediaBody;

#[derive(Debug, Serialize)]
pub(super) struct TemplateBody<'a> {
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

pub(super) fn template(filled: &TemplateContent) -> Result<TemplateBody<'_>, Unsendable> {
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
    MediaBody::named(&header.source, filename)
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
