//! Cards side by side.
//!
//! Source: Meta, Interactive media carousel and Interactive product carousel messages, October 2025;
//! quick replies on cards as BSPs document them since then (360dialog, Interactive media carousel).

use serde::{Deserialize, Serialize};

use super::choice::{ReplyButton, UrlButton, check_buttons};
use super::commerce::Product;
use super::header::Header;
use crate::model::content::check::{Checked, Flaw, Place, hidden};
use crate::model::content::texts::{Fill, Texts, texts};

/// Two to ten cards, all of one make.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cards {
    /// A picture or film each, and a button that opens a page.
    Links(Vec<LinkCard>),
    /// A picture or film each, and one to three buttons that reply, as many on each card.
    Replies(Vec<ReplyCard>),
    /// Products of one catalogue.
    Products(Vec<Product>),
}

/// A card with a button that opens a page.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkCard {
    /// An image or a video; the same of the two on each card.
    pub header: Header,
    /// 1 to 160 characters with at most two line breaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The button.
    pub button: UrlButton,
}

/// A card with buttons that reply.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyCard {
    /// An image or a video; the same of the two on each card.
    pub header: Header,
    /// 1 to 160 characters with at most two line breaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The buttons.
    pub buttons: Vec<ReplyButton>,
}

impl Cards {
    pub(super) fn check(&self, at: &Place<'_>) -> Checked {
        match self {
            Self::Links(cards) => {
                at.field("cards").count(cards.len(), 2, 10)?;
                check_headers(cards.iter().map(|card| &card.header), at)?;
                for (index, LinkCard { header: _, body, button }) in cards.iter().enumerate() {
                    let at = at.item("cards", index);
                    check_body(body.as_ref(), &at)?;
                    button.check(&at.field("action"))?;
                }
                Ok(())
            }
            Self::Replies(cards) => {
                at.field("cards").count(cards.len(), 2, 10)?;
                check_headers(cards.iter().map(|card| &card.header), at)?;
                let each = cards.first().map_or(0, |card| card.buttons.len());
                for (index, ReplyCard { header: _, body, buttons }) in cards.iter().enumerate() {
                    let at = at.item("cards", index);
                    check_body(body.as_ref(), &at)?;
                    at.field("buttons").count(buttons.len(), 1, 3)?;
                    at.field("buttons").must(buttons.len() == each, Flaw::Form("as many on each card"))?;
                    check_buttons(buttons, &at)?;
                }
                Ok(())
            }
            Self::Products(cards) => {
                at.field("cards").count(cards.len(), 2, 10)?;
                let catalog = cards.first().map(|card| &card.catalog_id);
                for (index, card) in cards.iter().enumerate() {
                    let at = at.item("cards", index);
                    let at = at.field("action");
                    card.check(&at)?;
                    let is_same = Some(&card.catalog_id) == catalog;
                    at.field("catalog_id").must(is_same, Flaw::Form("the same on each card"))?;
                }
                Ok(())
            }
        }
    }
}

fn check_headers<'a>(headers: impl Iterator<Item = &'a Header>, at: &Place<'_>) -> Checked {
    let mut videos = None;
    for (index, header) in headers.enumerate() {
        let at = at.item("cards", index);
        let at = at.field("header");
        let is_video = match header {
            Header::Image { .. } => false,
            Header::Video { .. } => true,
            Header::Text { .. } | Header::Document { .. } => return Err(at.wrong(Flaw::NotPossible)),
        };
        header.check(&at)?;
        let is_same = *videos.get_or_insert(is_video) == is_video;
        at.must(is_same, Flaw::Form("images only or videos only"))?;
    }
    Ok(())
}

fn check_body(body: Option<&String>, at: &Place<'_>) -> Checked {
    let at = at.field("body");
    at.optional(body, 160)?;
    let breaks = body.map_or(0, |body| body.matches('\n').count());
    at.must(breaks <= 2, Flaw::Form("of at most two line breaks"))
}

impl Texts for Cards {
    fn map_texts<E>(&self, fill: &mut Fill<'_, E>) -> Result<Self, E> {
        Ok(match self {
            Self::Links(cards) => Self::Links(cards.map_texts(fill)?),
            Self::Replies(cards) => Self::Replies(cards.map_texts(fill)?),
            Self::Products(cards) => Self::Products(cards.map_texts(fill)?),
        })
    }
}

texts!(LinkCard { header, body, button });
texts!(ReplyCard { header, body, buttons });

hidden!(Cards, LinkCard, ReplyCard);
