//! The provider's id of a message, as a caller hands it back.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::value::{is_token, text_value};

/// The provider's id of a message (a *wamid* at Meta): 1 to 512 visible ASCII characters.
///
/// Needed to quote a message or to react to it. A wamid holds the user's phone number in base 64,
/// so `Debug` shows its end only.
///
/// ```
/// use wa_core::model::ProviderMessageId;
/// let id: ProviderMessageId = "wamid.HBgLMTY1MDM4Nzk0MzkVAgASGBQzQUYzMjEzNDM2".parse()?;
/// assert_eq!(format!("{id:?}"), "ProviderMessageId(..NDM2)");
/// assert!("".parse::<ProviderMessageId>().is_err());
/// # Ok::<(), wa_core::model::ValueError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProviderMessageId(String);

text_value!(ProviderMessageId, "a provider's message id", "1 to 512 visible ASCII characters", |text| {
    is_token(text, 512)
});

impl fmt::Debug for ProviderMessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tail = self.0.get(self.0.len().saturating_sub(4)..).unwrap_or("");
        write!(f, "ProviderMessageId(..{tail})")
    }
}
