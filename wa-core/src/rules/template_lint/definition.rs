//! A template as it is submitted, right or wrong.
//!
//! Reads the JSON that `POST /{waba}/message_templates` takes, so that what is looked at is what is
//! sent. Component and button types that this version does not know are kept as `Other`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::model::Category;

/// A template as it is submitted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TemplateDefinition {
    /// Its name.
    pub name: String,
    /// Its language, such as `en_US`.
    pub language: String,
    /// Its category.
    #[serde(deserialize_with = "category")]
    pub category: Category,
    /// How its placeholders are written.
    #[serde(default)]
    pub parameter_format: ParameterFormat,
    /// Its components.
    #[serde(default)]
    pub components: Vec<ComponentDefinition>,
}

/// How placeholders are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum ParameterFormat {
    /// `{{1}}`, `{{2}}` …
    #[default]
    #[serde(rename = "POSITIONAL", alias = "positional")]
    Positional,
    /// `{{first_name}}` …
    #[serde(rename = "NAMED", alias = "named")]
    Named,
}

/// A component of a template.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type")]
pub enum ComponentDefinition {
    /// What stands above the body.
    #[serde(rename = "HEADER", alias = "header")]
    Header {
        /// What it is.
        format: HeaderFormat,
        /// Its text, if it is one.
        #[serde(default)]
        text: Option<String>,
        /// Values for its placeholder, or its medium.
        #[serde(default)]
        example: Examples,
    },
    /// The text.
    #[serde(rename = "BODY", alias = "body")]
    Body {
        /// The text; absent for one-time codes.
        #[serde(default)]
        text: Option<String>,
        /// Values for its placeholders.
        #[serde(default)]
        example: Examples,
    },
    /// What stands below the body.
    #[serde(rename = "FOOTER", alias = "footer")]
    Footer {
        /// The text; absent for one-time codes.
        #[serde(default)]
        text: Option<String>,
    },
    /// The buttons.
    #[serde(rename = "BUTTONS", alias = "buttons")]
    Buttons {
        /// In order.
        buttons: Vec<ButtonDefinition>,
    },
    /// Cards side by side.
    #[serde(rename = "CAROUSEL", alias = "carousel")]
    Carousel {
        /// In order.
        cards: Vec<CardDefinition>,
    },
    /// One that this version does not know.
    #[serde(other)]
    Other,
}

/// A card of a carousel.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CardDefinition {
    /// Header, body and buttons.
    #[serde(default)]
    pub components: Vec<ComponentDefinition>,
}

/// What a header is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum HeaderFormat {
    /// A text.
    #[serde(rename = "TEXT", alias = "text")]
    Text,
    /// An image.
    #[serde(rename = "IMAGE", alias = "image")]
    Image,
    /// A video.
    #[serde(rename = "VIDEO", alias = "video")]
    Video,
    /// A moving picture; for the marketing endpoint.
    #[serde(rename = "GIF", alias = "gif")]
    Gif,
    /// A document.
    #[serde(rename = "DOCUMENT", alias = "document")]
    Document,
    /// A place.
    #[serde(rename = "LOCATION", alias = "location")]
    Location,
    /// A product.
    #[serde(rename = "PRODUCT", alias = "product")]
    Product,
    /// One that this version does not know.
    #[serde(other)]
    Other,
}

/// A button of a template.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type")]
pub enum ButtonDefinition {
    /// Sends its label back.
    #[serde(rename = "QUICK_REPLY", alias = "quick_reply")]
    QuickReply {
        /// Its label.
        text: String,
    },
    /// Opens a page.
    #[serde(rename = "URL", alias = "url")]
    Url {
        /// Its label.
        text: String,
        /// The page; may end in one placeholder.
        url: String,
        /// A value for the placeholder.
        #[serde(default, deserialize_with = "one_or_many")]
        example: Vec<String>,
    },
    /// Calls a number.
    #[serde(rename = "PHONE_NUMBER", alias = "phone_number")]
    PhoneNumber {
        /// Its label.
        text: String,
        /// The number.
        phone_number: String,
    },
    /// Copies a code.
    #[serde(rename = "COPY_CODE", alias = "copy_code")]
    CopyCode {
        /// A code.
        #[serde(default, deserialize_with = "one_or_many")]
        example: Vec<String>,
    },
    /// Passes a one-time code on.
    #[serde(rename = "OTP", alias = "otp")]
    Otp {
        /// Its label, if it is not the provider's.
        #[serde(default)]
        text: Option<String>,
    },
    /// Starts a flow.
    #[serde(rename = "FLOW", alias = "flow")]
    Flow {
        /// Its label.
        text: String,
    },
    /// One that this version does not know.
    #[serde(other)]
    Other,
}

/// Example values of a component.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "RawExamples")]
pub struct Examples {
    /// For numbered placeholders, in order.
    pub positional: Vec<String>,
    /// For named placeholders, by name.
    pub named: BTreeMap<String, String>,
    /// Handles of uploaded media.
    pub handles: Vec<String>,
}

#[derive(Deserialize)]
struct RawExamples {
    #[serde(default)]
    header_text: Vec<String>,
    #[serde(default)]
    body_text: Vec<RowOrValue>,
    #[serde(default, alias = "body_text_named_params")]
    header_text_named_params: Vec<NamedExample>,
    #[serde(default)]
    header_handle: Vec<String>,
}

/// Meta's pages show example values both in a row of their own and side by side.
#[derive(Deserialize)]
#[serde(untagged)]
enum RowOrValue {
    Row(Vec<String>),
    Value(String),
}

#[derive(Deserialize)]
struct NamedExample {
    param_name: String,
    example: String,
}

impl From<RawExamples> for Examples {
    fn from(raw: RawExamples) -> Self {
        let RawExamples { header_text, body_text, header_text_named_params, header_handle } = raw;
        let mut positional = header_text;
        for example in body_text {
            match example {
                // Of several rows of values the first is enough.
                RowOrValue::Row(values) if positional.is_empty() => positional = values,
                RowOrValue::Row(_) => {}
                RowOrValue::Value(value) => positional.push(value),
            }
        }
        let named = header_text_named_params.into_iter();
        let named = named.map(|NamedExample { param_name, example }| {
            let name = param_name.trim_start_matches("{{").trim_end_matches("}}").trim().to_owned();
            (name, example)
        });
        Self { positional, named: named.collect(), handles: header_handle }
    }
}

impl ButtonDefinition {
    pub(super) const fn is_otp(&self) -> bool {
        matches!(self, Self::Otp { .. })
    }
}

fn one_or_many<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    Ok(match RowOrValue::deserialize(from)? {
        RowOrValue::Row(values) => values,
        RowOrValue::Value(value) => vec![value],
    })
}

/// The category in whatever case it is written.
fn category<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Category, D::Error> {
    let name = String::deserialize(from)?;
    Category::from_name(&name.to_ascii_lowercase())
        .ok_or_else(|| serde::de::Error::custom("a category is MARKETING, UTILITY or AUTHENTICATION"))
}
