//! The texts of a template's components, for filling placeholders of a campaign.
//!
//! Names of placeholders, codes of currencies and places on a button are not texts.

use super::{CarouselCard, Component, Currencied, HeaderMedia, Parameter, TemplateContent};
use crate::model::content::map_value;
use crate::model::content::texts::{Fill, Texts, texts};

texts!(TemplateContent { components } keep { name, language, category });
texts!(CarouselCard { components } keep { card_index });
texts!(HeaderMedia { source, filename });
texts!(Currencied { fallback_value } keep { code, amount_1000 });

impl Texts for Component {
    fn map_texts<E>(&self, fill: &mut Fill<'_, E>) -> Result<Self, E> {
        Ok(match self {
            Self::Header { parameters } => Self::Header { parameters: parameters.map_texts(fill)? },
            Self::Body { parameters } => Self::Body { parameters: parameters.map_texts(fill)? },
            Self::Button { sub_type, index, parameters } => {
                Self::Button { sub_type: *sub_type, index: *index, parameters: parameters.map_texts(fill)? }
            }
            Self::Carousel { cards } => Self::Carousel { cards: cards.map_texts(fill)? },
            Self::LimitedTimeOffer { expiration_time_ms } => {
                Self::LimitedTimeOffer { expiration_time_ms: *expiration_time_ms }
            }
        })
    }
}

impl Texts for Parameter {
    fn map_texts<E>(&self, fill: &mut Fill<'_, E>) -> Result<Self, E> {
        Ok(match self {
            Self::Text { text, name } => Self::Text { text: fill(text)?, name: name.clone() },
            Self::Currency(amount) => Self::Currency(amount.map_texts(fill)?),
            Self::DateTime { fallback_value } => Self::DateTime { fallback_value: fill(fallback_value)? },
            Self::Image(media) => Self::Image(media.map_texts(fill)?),
            Self::Video(media) => Self::Video(media.map_texts(fill)?),
            Self::Document(media) => Self::Document(media.map_texts(fill)?),
            Self::Location { latitude, longitude, name, address } => Self::Location {
                latitude: latitude.clone(),
                longitude: longitude.clone(),
                name: fill(name)?,
                address: fill(address)?,
            },
            Self::Payload { payload } => Self::Payload { payload: fill(payload)? },
            Self::CouponCode { code } => Self::CouponCode { code: fill(code)? },
            Self::Action { action } => Self::Action { action: map_value(action, fill)? },
            Self::Product { catalog_id, product_retailer_id } => Self::Product {
                catalog_id: fill(catalog_id)?,
                product_retailer_id: fill(product_retailer_id)?,
            },
        })
    }
}
