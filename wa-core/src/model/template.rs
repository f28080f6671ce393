//! Template messages: name, language, category and the components that fill it.
//!
//! Source: Meta, Template messages and the Business Messaging `OpenAPI` v23.0, read December 2025.
//! Whether a template exists and how many parameters it takes is the provider's to say (132000,
//! 132001); here only the shape is checked.

mod texts;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::content::{Category, MediaRef, is_degrees};
use super::money::Currency;

/// An approved template, filled for one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateContent {
    /// The template's name.
    pub name: TemplateName,
    /// The language in which it was approved.
    pub language: LanguageCode,
    /// The category in which it was approved; decides price, limits and consent.
    pub category: Category,
    /// What fills its placeholders; empty for a template without any.
    pub components: Vec<Component>,
}

/// A template name: 1 to 512 lower-case letters, digits and underscores.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TemplateName(String);

/// A template language such as `en_US`, `de` or `zh_CN`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LanguageCode(String);

/// Why something is not a template message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// The name has other characters or a wrong length.
    #[error("a template name has 1 to 512 lower-case letters, digits and underscores")]
    Name,
    /// The language is not a code.
    #[error("a template language looks like en_US or de")]
    Language,
    /// The category cannot be a template's.
    #[error("a template is marketing, utility or authentication")]
    Category,
    /// A parameter is empty or too long; the provider would refuse the message.
    #[error("template parameter {position} is {problem}")]
    Parameter {
        /// One-based place among all parameters.
        position: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A carousel has no cards or more than ten.
    #[error("a carousel has 1 to 10 cards")]
    Cards,
}

/// One component of a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Component {
    /// The header: one text, one medium or a location.
    Header {
        /// Usually exactly one.
        parameters: Vec<Parameter>,
    },
    /// The body's placeholders, in order or by name.
    Body {
        /// One per placeholder.
        parameters: Vec<Parameter>,
    },
    /// One button, by its place.
    Button {
        /// What kind of button.
        sub_type: ButtonType,
        /// Zero-based place among the buttons, 0 to 9.
        index: u8,
        /// What the button carries.
        parameters: Vec<Parameter>,
    },
    /// A media card carousel.
    Carousel {
        /// 1 to 10 cards.
        cards: Vec<CarouselCard>,
    },
    /// The expiry of a limited-time offer.
    LimitedTimeOffer {
        /// When the offer ends, in milliseconds since the Unix epoch.
        expiration_time_ms: i64,
    },
}

/// One card of a carousel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarouselCard {
    /// Zero-based place, 0 to 9.
    pub card_index: u8,
    /// Header, body and buttons of the card.
    pub components: Vec<Component>,
}

/// The kinds of template buttons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ButtonType {
    /// Sends a payload back.
    QuickReply,
    /// Opens a link; the parameter is its last part.
    Url,
    /// Copies a code.
    CopyCode,
    /// Starts a flow.
    Flow,
    /// Opens the catalogue.
    Catalog,
    /// Opens a multi-product message.
    Mpm,
    /// Opens an order.
    OrderDetails,
    /// Starts a call.
    VoiceCall,
}

/// A medium in a header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderMedia {
    /// Where it comes from.
    pub source: MediaRef,
    /// The file name shown for a document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
}

/// An amount as a template shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Currencied {
    /// Shown when the client cannot format the amount.
    pub fallback_value: String,
    /// The currency.
    pub code: Currency,
    /// The amount times 1,000.
    pub amount_1000: i64,
}

/// One parameter of a component.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Parameter {
    /// A text; `name` for templates with named placeholders.
    Text {
        /// The value.
        text: String,
        /// The placeholder's name, if the template names its placeholders.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    /// An amount of money.
    Currency(Currencied),
    /// A date, already written out.
    DateTime {
        /// What is shown.
        fallback_value: String,
    },
    /// An image header.
    Image(HeaderMedia),
    /// A video header.
    Video(HeaderMedia),
    /// A document header.
    Document(HeaderMedia),
    /// A location header.
    Location {
        /// Decimal degrees, kept as written.
        latitude: String,
        /// Decimal degrees, kept as written.
        longitude: String,
        /// Name of the place.
        name: String,
        /// Address of the place.
        address: String,
    },
    /// What a quick reply sends back.
    Payload {
        /// The payload.
        payload: String,
    },
    /// The code of a copy-code button.
    CouponCode {
        /// At most 15 characters.
        code: String,
    },
    /// What a flow, catalogue or multi-product button needs, as JSON.
    Action {
        /// The `action` object.
        action: serde_json::Value,
    },
    /// A product of the connected catalogue.
    Product {
        /// The catalogue.
        catalog_id: String,
        /// The product in it.
        product_retailer_id: String,
    },
}

impl TemplateContent {
    /// Makes a template message whose body takes these texts in order.
    ///
    /// # Errors
    /// When the category cannot be a template's or a parameter is blank or over 1,024 characters.
    pub fn with_body(
        name: TemplateName,
        language: LanguageCode,
        category: Category,
        texts: impl IntoIterator<Item = String>,
    ) -> Result<Self, TemplateError> {
        let parameters: Vec<_> = texts.into_iter().map(|text| Parameter::Text { text, name: None }).collect();
        let components =
            if parameters.is_empty() { Vec::new() } else { vec![Component::Body { parameters }] };
        let content = Self { name, language, category, components };
        content.validate()?;
        Ok(content)
    }

    /// Checks what the provider is documented to refuse.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn validate(&self) -> Result<(), TemplateError> {
        if self.category == Category::Service {
            return Err(TemplateError::Category);
        }
        let mut position = 0;
        validate_components(&self.components, &mut position)
    }
}

fn validate_components(components: &[Component], position: &mut usize) -> Result<(), TemplateError> {
    for component in components {
        match component {
            Component::Header { parameters }
            | Component::Body { parameters }
            | Component::Button { parameters, .. } => {
                for parameter in parameters {
                    *position += 1;
                    if let Some(problem) = parameter.problem() {
                        return Err(TemplateError::Parameter { position: *position, problem });
                    }
                }
            }
            Component::Carousel { cards } => {
                if cards.is_empty() || cards.len() > 10 {
                    return Err(TemplateError::Cards);
                }
                for card in cards {
                    validate_components(&card.components, position)?;
                }
            }
            Component::LimitedTimeOffer { .. } => {}
        }
    }
    Ok(())
}

impl Parameter {
    /// What the provider would refuse about this parameter.
    fn problem(&self) -> Option<&'static str> {
        match self {
            Self::Text { text, .. } => text_problem(text, 1_024),
            Self::Currency(value) => text_problem(&value.fallback_value, 1_024),
            Self::DateTime { fallback_value } => text_problem(fallback_value, 1_024),
            Self::Image(media) | Self::Video(media) | Self::Document(media) => media.problem(),
            Self::Location { latitude, longitude, .. } => {
                if is_degrees(latitude, 90) && is_degrees(longitude, 180) {
                    None
                } else {
                    Some("not a place on earth")
                }
            }
            Self::Payload { payload } => text_problem(payload, 2_000),
            Self::CouponCode { code } => text_problem(code, 15),
            Self::Action { action } => (!action.is_object()).then_some("not a JSON object"),
            Self::Product { catalog_id, product_retailer_id } => {
                text_problem(catalog_id, 1_024).or_else(|| text_problem(product_retailer_id, 1_024))
            }
        }
    }
}

impl HeaderMedia {
    fn problem(&self) -> Option<&'static str> {
        match &self.source {
            MediaRef::Id(id) => text_problem(id, 1_024),
            MediaRef::Link(link) if link.starts_with("https://") || link.starts_with("http://") => {
                text_problem(link, 2_048)
            }
            MediaRef::Link(_) => Some("not an http or https link"),
        }
    }
}

fn text_problem(text: &str, most: usize) -> Option<&'static str> {
    if text.trim().is_empty() {
        return Some("empty");
    }
    (text.chars().count() > most).then_some("too long")
}

impl fmt::Debug for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Text { text, .. } => return write!(f, "Text(len={})", text.chars().count()),
            Self::Currency(_) => "Currency",
            Self::DateTime { .. } => "DateTime",
            Self::Image(_) => "Image",
            Self::Video(_) => "Video",
            Self::Document(_) => "Document",
            Self::Location { .. } => "Location",
            Self::Payload { .. } => "Payload",
            Self::CouponCode { .. } => "CouponCode",
            Self::Action { .. } => "Action",
            Self::Product { .. } => "Product",
        };
        f.write_str(kind)
    }
}

impl FromStr for TemplateName {
    type Err = TemplateError;
    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let fits = (1..=512).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if fits { Ok(Self(text.to_owned())) } else { Err(TemplateError::Name) }
    }
}

impl FromStr for LanguageCode {
    type Err = TemplateError;
    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let mut parts = text.split('_');
        let language = parts.next().unwrap_or("");
        let language_fits =
            (2..=3).contains(&language.len()) && language.bytes().all(|b| b.is_ascii_lowercase());
        let rest_fits = parts
            .all(|part| (2..=4).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()));
        if language_fits && rest_fits { Ok(Self(text.to_owned())) } else { Err(TemplateError::Language) }
    }
}

macro_rules! string_value {
    ($name:ident) => {
        impl $name {
            /// The text inside.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = TemplateError;
            fn try_from(text: String) -> Result<Self, TemplateError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }
    };
}

string_value!(TemplateName);
string_value!(LanguageCode);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_languages_are_checked() {
        assert!("order_update_2".parse::<TemplateName>().is_ok());
        for bad in ["", "Order", "a b", "ä"] {
            assert_eq!(bad.parse::<TemplateName>(), Err(TemplateError::Name), "{bad}");
        }
        for good in ["de", "en_US", "zh_CN", "fil"] {
            assert!(good.parse::<LanguageCode>().is_ok(), "{good}");
        }
        for bad in ["", "E", "english", "en-US", "en_"] {
            assert_eq!(bad.parse::<LanguageCode>(), Err(TemplateError::Language), "{bad}");
        }
    }

    #[test]
    fn a_blank_parameter_is_named_by_its_place() {
        let made = TemplateContent::with_body(
            "hello".parse().expect("a name"),
            "en_US".parse().expect("a language"),
            Category::Marketing,
            ["Ada".to_owned(), " ".to_owned()],
        );
        assert_eq!(made, Err(TemplateError::Parameter { position: 2, problem: "empty" }));
    }
}
