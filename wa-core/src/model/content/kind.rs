//! The kinds of content, and sets of them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::message::names;

/// What kind of message some content is, each kind of interactive message by itself.
///
/// Its name is Meta's `type`, of an interactive message that of the interactive object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ContentKind {
    /// Plain text.
    Text,
    /// An approved template.
    Template,
    /// An image.
    Image,
    /// A video.
    Video,
    /// An audio file or voice message.
    Audio,
    /// A document.
    Document,
    /// A sticker.
    Sticker,
    /// A place.
    Location,
    /// Contact cards.
    Contacts,
    /// A reaction to a message.
    Reaction,
    /// Buttons that reply.
    Button,
    /// A menu.
    List,
    /// A button that opens a page.
    CtaUrl,
    /// A flow.
    Flow,
    /// A request for the user's location.
    #[serde(rename = "location_request_message")]
    LocationRequest,
    /// A request for an address.
    #[serde(rename = "address_message")]
    Address,
    /// Cards side by side.
    Carousel,
    /// One product.
    Product,
    /// Several products.
    ProductList,
    /// The catalogue.
    #[serde(rename = "catalog_message")]
    Catalog,
    /// A request for leave to call.
    #[serde(rename = "call_permission_request")]
    CallPermission,
    /// A button that calls.
    VoiceCall,
    /// An order to pay.
    OrderDetails,
    /// What became of an order.
    OrderStatus,
    /// A request for the user's phone number.
    #[serde(rename = "request_contact_info")]
    ContactInfo,
}

names!(ContentKind {
    Text = "text",
    Template = "template",
    Image = "image",
    Video = "video",
    Audio = "audio",
    Document = "document",
    Sticker = "sticker",
    Location = "location",
    Contacts = "contacts",
    Reaction = "reaction",
    Button = "button",
    List = "list",
    CtaUrl = "cta_url",
    Flow = "flow",
    LocationRequest = "location_request_message",
    Address = "address_message",
    Carousel = "carousel",
    Product = "product",
    ProductList = "product_list",
    Catalog = "catalog_message",
    CallPermission = "call_permission_request",
    VoiceCall = "voice_call",
    OrderDetails = "order_details",
    OrderStatus = "order_status",
    ContactInfo = "request_contact_info",
});

/// A set of kinds of content.
///
/// ```
/// use wa_core::model::{ContentKind, ContentKinds};
/// let some = ContentKinds::of(&[ContentKind::Text, ContentKind::Image]);
/// assert!(some.has(ContentKind::Image) && !some.has(ContentKind::Flow));
/// assert!(ContentKinds::ALL.without(ContentKind::Flow).has(ContentKind::List));
/// assert_eq!(some.iter().count(), 2);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentKinds(u32);

impl ContentKinds {
    /// Every kind that this version knows.
    pub const ALL: Self = Self::of(ContentKind::ALL);
    /// No kind.
    pub const NONE: Self = Self(0);

    /// These kinds.
    #[must_use]
    pub const fn of(kinds: &[ContentKind]) -> Self {
        let mut set = Self::NONE;
        let mut rest = kinds;
        while let [first, others @ ..] = rest {
            set = set.with(*first);
            rest = others;
        }
        set
    }

    /// These and one more.
    #[must_use]
    pub const fn with(self, kind: ContentKind) -> Self {
        Self(self.0 | Self::bit(kind))
    }

    /// These but one.
    #[must_use]
    pub const fn without(self, kind: ContentKind) -> Self {
        Self(self.0 & !Self::bit(kind))
    }

    /// Whether a kind is one of them.
    #[must_use]
    pub const fn has(self, kind: ContentKind) -> bool {
        self.0 & Self::bit(kind) != 0
    }

    /// Its kinds, in the order of [`ContentKind::ALL`].
    pub fn iter(self) -> impl Iterator<Item = ContentKind> {
        ContentKind::ALL.iter().copied().filter(move |kind| self.has(*kind))
    }

    const fn bit(kind: ContentKind) -> u32 {
        let place = match kind {
            ContentKind::Text => 0,
            ContentKind::Template => 1,
            ContentKind::Image => 2,
            ContentKind::Video => 3,
            ContentKind::Audio => 4,
            ContentKind::Document => 5,
            ContentKind::Sticker => 6,
            ContentKind::Location => 7,
            ContentKind::Contacts => 8,
            ContentKind::Reaction => 9,
            ContentKind::Button => 10,
            ContentKind::List => 11,
            ContentKind::CtaUrl => 12,
            ContentKind::Flow => 13,
            ContentKind::LocationRequest => 14,
            ContentKind::Address => 15,
            ContentKind::Carousel => 16,
            ContentKind::Product => 17,
            ContentKind::ProductList => 18,
            ContentKind::Catalog => 19,
            ContentKind::CallPermission => 20,
            ContentKind::VoiceCall => 21,
            ContentKind::OrderDetails => 22,
            ContentKind::OrderStatus => 23,
            ContentKind::ContactInfo => 24,
        };
        1 << place
    }
}

impl fmt::Debug for ContentKinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(ContentKind::as_str)).finish()
    }
}

impl fmt::Display for ContentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_place_of_its_own() {
        for kind in ContentKind::ALL {
            let alone = ContentKinds::of(&[*kind]);
            assert_eq!(alone.iter().collect::<Vec<_>>(), [*kind]);
            assert!(!ContentKinds::ALL.without(*kind).has(*kind));
            assert_eq!(serde_json::to_value(kind).expect("JSON"), kind.as_str());
        }
        assert_eq!(ContentKinds::ALL.iter().count(), ContentKind::ALL.len());
    }
}
