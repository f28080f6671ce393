//! Whom safe mode lets through.

use std::collections::BTreeSet;

use crate::model::Recipient;

/// Whether one of a recipient's addresses is on an allow-list.
#[must_use]
pub fn is_allowed(allowed: &BTreeSet<Recipient>, recipient: &Recipient) -> bool {
    allowed.iter().any(|it| shares_address(it, recipient))
}

/// Whether two recipients have an address in common.
#[must_use]
pub fn shares_address(one: &Recipient, other: &Recipient) -> bool {
    let same_phone = one.phone().is_some() && one.phone() == other.phone();
    let same_user = one.bsuid().is_some() && one.bsuid() == other.bsuid();
    same_phone || same_user
}
