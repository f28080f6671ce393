//! Addresses: what a change makes of a contact's, and whose an address is.

use std::collections::BTreeSet;

use crate::model::{Recipient, UserChangeKind};

/// The addresses of a contact after a change; `None` when nothing would be left.
///
/// A new number comes with a new business-scoped user id, so without one in the event the former id is
/// given up; a new id says nothing about the number.
///
/// Source: Meta, Business-scoped user ids, read May 2026.
#[must_use]
pub fn moved(kind: UserChangeKind, before: &Recipient, new: &Recipient) -> Option<Recipient> {
    let phone = new.phone().or(before.phone());
    let bsuid = match kind {
        UserChangeKind::Number if new.phone().is_some() && new.phone() != before.phone() => new.bsuid(),
        UserChangeKind::Number | UserChangeKind::UserId => new.bsuid().or(before.bsuid()),
    };
    Recipient::new(phone, bsuid.cloned()).ok()
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Bsuid, Phone};

    fn who(phone: Option<&str>, bsuid: Option<&str>) -> Recipient {
        let phone = phone.map(|digits| Phone::from_digits(digits).expect("a phone"));
        let bsuid = bsuid.map(|text| text.parse::<Bsuid>().expect("a user id"));
        Recipient::new(phone, bsuid).expect("an address")
    }

    #[test]
    fn a_new_number_takes_the_former_id_away_and_a_new_id_leaves_the_number() {
        let before = who(Some("4915112345678"), Some("DE.1"));
        let number = who(Some("4915112345679"), None);
        assert_eq!(moved(UserChangeKind::Number, &before, &number), Some(number.clone()));
        let both = who(Some("4915112345679"), Some("DE.2"));
        assert_eq!(moved(UserChangeKind::Number, &before, &both), Some(both));
        let id = who(None, Some("DE.2"));
        let expected = who(Some("4915112345678"), Some("DE.2"));
        assert_eq!(moved(UserChangeKind::UserId, &before, &id), Some(expected));
        let same = who(Some("4915112345678"), None);
        assert_eq!(moved(UserChangeKind::Number, &before, &same), Some(before.clone()));
    }
}
