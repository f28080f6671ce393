//! Whether a transport can send some content at all: one check for every kind.

use crate::model::{Category, Content, Recipient, SkipReason};
use crate::port::Capabilities;

/// Whether a message quotes an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quote {
    /// It quotes one.
    Quotes,
    /// It does not.
    Plain,
}

/// Why a message cannot be sent by a transport, whatever the hour; `None` when it can.
///
/// A quote is never dropped silently: where it cannot be shown, the message is not sent.
///
/// ```
/// use wa_core::model::{Content, ContentKind, ContentKinds, Phone, SkipReason};
/// use wa_core::port::Capabilities;
/// use wa_core::rules::sendable::{Quote, unsendable};
/// let text = Content::text("Your table is ready")?;
/// let to = Phone::parse("+4915112345678", None)?.into();
/// assert_eq!(unsendable(&text, &to, Quote::Plain, &Capabilities::ALL), None);
/// let pictures = ContentKinds::of(&[ContentKind::Image]);
/// let pictures = Capabilities { content: pictures, ..Capabilities::ALL };
/// assert_eq!(unsendable(&text, &to, Quote::Plain, &pictures), Some(SkipReason::Unsupported));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn unsendable(
    content: &Content,
    recipient: &Recipient,
    quote: Quote,
    can: &Capabilities,
) -> Option<SkipReason> {
    let quotes_in_vain = quote == Quote::Quotes && !(can.quotes && content.may_quote());
    if !can.content.has(content.kind()) || quotes_in_vain {
        return Some(SkipReason::Unsupported);
    }
    // Source: Meta, error 131062, read May 2026: an authentication template needs a phone number.
    let is_code = content.category() == Category::Authentication;
    (is_code && recipient.phone().is_none() && !can.codes_to_user_ids).then_some(SkipReason::NeedsPhone)
}
