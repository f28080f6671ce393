//! Interactive messages: what the user taps instead of typing.
//!
//! Invariant: an [`Interactive`] that exists has the header, body and footer that its action allows,
//! and each text in it keeps its limit.
//!
//! Source: Meta's page for each kind (Interactive reply buttons, list, call-to-action URL, location
//! request, media carousel, product carousel messages; Flows; Address messages; Call button and call
//! permission request; Payments: order details and order status), read December 2025 and May 2026.

mod carousel;
mod choice;
mod commerce;
mod flow;
mod header;
mod order;
mod request;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use carousel::{Cards, LinkCard, ReplyCard};
pub use choice::{ListMenu, ListRow, ListSection, ReplyButton, UrlButton};
pub use commerce::{Catalog, Product, ProductList, ProductSection};
pub use flow::{Flow, FlowMode, FlowRef, FlowStart};
pub use header::Header;
pub use order::{
    Amount, DescribedAmount, Discount, Goods, Order, OrderDetails, OrderExpiration, OrderItem, OrderStatus,
    OrderStatusUpdate,
};
pub use request::{AddressRequest, SavedAddress, VoiceCall};

use super::ContentKind;
use super::check::{Checked, Flaw, InvalidContent, Place};
use super::texts::{Fill, Texts, texts};

/// A message with something to tap.
///
/// ```
/// use wa_core::model::interactive::{Action, Header, ReplyButton};
/// use wa_core::model::{Content, Interactive};
/// let message = Interactive::builder(Action::Buttons(vec![
///     ReplyButton::new("yes", "Yes"),
///     ReplyButton::new("no", "No"),
/// ]))
/// .header(Header::text("Your table"))
/// .body("Shall we keep it?")
/// .footer("Reply by 6 pm")
/// .build()?;
/// assert_eq!(Content::from(message).kind().as_str(), "button");
/// # Ok::<(), wa_core::model::InvalidContent>(())
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "InteractiveBuilder", into = "InteractiveBuilder")]
pub struct Interactive {
    header: Option<Header>,
    body: Option<String>,
    footer: Option<String>,
    action: Box<Action>,
}

/// Collects the parts of an [`Interactive`]; [`build`](Self::build) checks them.
#[derive(Clone, Serialize, Deserialize)]
#[must_use = "a builder does nothing until it is built"]
pub struct InteractiveBuilder {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    header: Option<Header>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    footer: Option<String>,
    action: Box<Action>,
}

/// What the user can do.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Action {
    /// One to three buttons that reply. Any header; body and footer.
    Buttons(Vec<ReplyButton>),
    /// A menu of up to ten rows. Text header; a body of up to 4,096 characters; footer.
    List(ListMenu),
    /// A button that opens a web page. Any header; body and footer.
    CtaUrl(UrlButton),
    /// A form of several screens. Any header; body and footer.
    Flow(Flow),
    /// Asks for the user's location. Body only.
    LocationRequest,
    /// Asks for a postal address, in countries where that exists. Any header; body and footer.
    Address(AddressRequest),
    /// Two to ten cards side by side. Body only.
    Carousel(Cards),
    /// One product of a catalogue. No header; body and footer if you like.
    Product(Product),
    /// Up to 30 products of a catalogue. Needs a text header and a body; footer.
    ProductList(ProductList),
    /// The whole catalogue. Body and footer.
    Catalog(Catalog),
    /// Asks whether the business may call. A body if you like.
    CallPermission,
    /// A button that calls the business. Text header; body.
    VoiceCall(VoiceCall),
    /// An order to pay. Media header; body and footer.
    OrderDetails(Box<OrderDetails>),
    /// What became of an order. Body and footer.
    OrderStatus(OrderStatusUpdate),
    /// Asks for the user's phone number. Body only.
    ContactInfo,
}

/// Which headers an action allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Headers {
    None,
    Text,
    NeedsText,
    Media,
    Any,
}

/// What may stand around an action.
struct Frame {
    headers: Headers,
    /// Whether it needs a body.
    needs_body: bool,
    /// The most characters of its body.
    body: usize,
    footer: bool,
}

impl Interactive {
    /// The most characters of a body, but for lists.
    pub const MAX_BODY: usize = 1_024;
    /// The most characters of a list's body.
    pub const MAX_LIST_BODY: usize = 4_096;
    /// The most characters of a footer.
    pub const MAX_FOOTER: usize = 60;

    /// Starts with what the user can do.
    pub fn builder(action: Action) -> InteractiveBuilder {
        InteractiveBuilder { header: None, body: None, footer: None, action: Box::new(action) }
    }

    /// What stands above the body.
    #[must_use]
    pub const fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// The text.
    #[must_use]
    pub fn body(&self) -> Option<&str> {
        self.body.as_deref()
    }

    /// What stands below the body.
    #[must_use]
    pub fn footer(&self) -> Option<&str> {
        self.footer.as_deref()
    }

    /// What the user can do.
    #[must_use]
    pub fn action(&self) -> &Action {
        &self.action
    }

    /// The kind of content that it is.
    #[must_use]
    pub fn kind(&self) -> ContentKind {
        self.action.kind()
    }

    pub(super) fn check(&self) -> Checked {
        let Self { header, body, footer, action } = self;
        let frame = action.frame();
        let at = Place::root("header");
        match (header, frame.headers) {
            (None, Headers::None | Headers::Text | Headers::Media | Headers::Any) => {}
            (None, Headers::NeedsText) => return Err(at.wrong(Flaw::Missing)),
            (Some(header), allowed) => {
                let fits = match allowed {
                    Headers::None => false,
                    Headers::Text | Headers::NeedsText => header.is_text(),
                    Headers::Media => !header.is_text(),
                    Headers::Any => true,
                };
                at.must(fits, Flaw::NotPossible)?;
                header.check(&at)?;
            }
        }
        let at = Place::root("body");
        at.must(body.is_some() || !frame.needs_body, Flaw::Missing)?;
        at.optional(body.as_ref(), frame.body)?;
        let at = Place::root("footer");
        at.must(footer.is_none() || frame.footer, Flaw::NotPossible)?;
        at.optional(footer.as_ref(), Self::MAX_FOOTER)?;
        action.check(&Place::root("action"))
    }
}

impl InteractiveBuilder {
    /// What stands above the body.
    pub fn header(mut self, header: Header) -> Self {
        self.header = Some(header);
        self
    }

    /// The text.
    pub fn body(mut self, body: impl Into<String>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// What stands below the body: 1 to 60 characters.
    pub fn footer(mut self, footer: impl Into<String>) -> Self {
        self.footer = Some(footer.into());
        self
    }

    /// Checks everything.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn build(self) -> Result<Interactive, InvalidContent> {
        let Self { header, body, footer, action } = self;
        let interactive = Interactive { header, body, footer, action };
        interactive.check().map(|()| interactive)
    }
}

impl Action {
    const fn kind(&self) -> ContentKind {
        match self {
            Self::Buttons(_) => ContentKind::Button,
            Self::List(_) => ContentKind::List,
            Self::CtaUrl(_) => ContentKind::CtaUrl,
            Self::Flow(_) => ContentKind::Flow,
            Self::LocationRequest => ContentKind::LocationRequest,
            Self::Address(_) => ContentKind::Address,
            Self::Carousel(_) => ContentKind::Carousel,
            Self::Product(_) => ContentKind::Product,
            Self::ProductList(_) => ContentKind::ProductList,
            Self::Catalog(_) => ContentKind::Catalog,
            Self::CallPermission => ContentKind::CallPermission,
            Self::VoiceCall(_) => ContentKind::VoiceCall,
            Self::OrderDetails(_) => ContentKind::OrderDetails,
            Self::OrderStatus(_) => ContentKind::OrderStatus,
            Self::ContactInfo => ContentKind::ContactInfo,
        }
    }

    const fn frame(&self) -> Frame {
        let (headers, needs_body, footer) = match self {
            Self::Buttons(_) | Self::CtaUrl(_) | Self::Flow(_) | Self::Address(_) => {
                (Headers::Any, true, true)
            }
            Self::List(_) => (Headers::Text, true, true),
            Self::LocationRequest | Self::Carousel(_) | Self::ContactInfo => (Headers::None, true, false),
            Self::Product(_) => (Headers::None, false, true),
            Self::ProductList(_) => (Headers::NeedsText, true, true),
            Self::Catalog(_) | Self::OrderStatus(_) => (Headers::None, true, true),
            Self::CallPermission => (Headers::None, false, false),
            Self::VoiceCall(_) => (Headers::Text, true, false),
            Self::OrderDetails(_) => (Headers::Media, true, true),
        };
        let body = match self {
            Self::List(_) => Interactive::MAX_LIST_BODY,
            Self::Buttons(_)
            | Self::CtaUrl(_)
            | Self::Flow(_)
            | Self::LocationRequest
            | Self::Address(_)
            | Self::Carousel(_)
            | Self::Product(_)
            | Self::ProductList(_)
            | Self::Catalog(_)
            | Self::CallPermission
            | Self::VoiceCall(_)
            | Self::OrderDetails(_)
            | Self::OrderStatus(_)
            | Self::ContactInfo => Interactive::MAX_BODY,
        };
        Frame { headers, needs_body, body, footer }
    }

    fn check(&self, at: &Place<'_>) -> Checked {
        match self {
            Self::Buttons(buttons) => {
                at.field("buttons").count(buttons.len(), 1, 3)?;
                choice::check_buttons(buttons, at)
            }
            Self::List(menu) => menu.check(at),
            Self::CtaUrl(button) => button.check(at),
            Self::Flow(flow) => flow.check(at),
            Self::Address(request) => request.check(at),
            Self::Carousel(cards) => cards.check(at),
            Self::Product(product) => product.check(at),
            Self::ProductList(list) => list.check(at),
            Self::Catalog(catalog) => catalog.check(at),
            Self::VoiceCall(call) => call.check(at),
            Self::OrderDetails(order) => order.check(at),
            Self::OrderStatus(status) => status.check(at),
            Self::LocationRequest | Self::CallPermission | Self::ContactInfo => Ok(()),
        }
    }
}

texts!(Interactive { header, body, footer, action });

impl Texts for Action {
    fn map_texts<E>(&self, fill: &mut Fill<'_, E>) -> Result<Self, E> {
        Ok(match self {
            Self::Buttons(buttons) => Self::Buttons(buttons.map_texts(fill)?),
            Self::List(menu) => Self::List(menu.map_texts(fill)?),
            Self::CtaUrl(button) => Self::CtaUrl(button.map_texts(fill)?),
            Self::Flow(flow) => Self::Flow(flow.map_texts(fill)?),
            Self::LocationRequest => Self::LocationRequest,
            Self::Address(request) => Self::Address(request.map_texts(fill)?),
            Self::Carousel(cards) => Self::Carousel(cards.map_texts(fill)?),
            Self::Product(product) => Self::Product(product.map_texts(fill)?),
            Self::ProductList(list) => Self::ProductList(list.map_texts(fill)?),
            Self::Catalog(catalog) => Self::Catalog(catalog.map_texts(fill)?),
            Self::CallPermission => Self::CallPermission,
            Self::VoiceCall(call) => Self::VoiceCall(call.map_texts(fill)?),
            Self::OrderDetails(order) => Self::OrderDetails(order.map_texts(fill)?),
            Self::OrderStatus(status) => Self::OrderStatus(status.map_texts(fill)?),
            Self::ContactInfo => Self::ContactInfo,
        })
    }
}

impl TryFrom<InteractiveBuilder> for Interactive {
    type Error = InvalidContent;
    fn try_from(parts: InteractiveBuilder) -> Result<Self, InvalidContent> {
        parts.build()
    }
}

impl From<Interactive> for InteractiveBuilder {
    fn from(interactive: Interactive) -> Self {
        let Interactive { header, body, footer, action } = interactive;
        Self { header, body, footer, action }
    }
}

impl fmt::Debug for Interactive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Interactive({})", self.kind().as_str())
    }
}

impl fmt::Debug for InteractiveBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InteractiveBuilder({})", self.action.kind().as_str())
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Action({})", self.kind().as_str())
    }
}

#[cfg(test)]
mod tests;
