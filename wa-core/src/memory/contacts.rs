//! One tenant's contacts.
//!
//! Invariant: no phone and no business-scoped user id belongs to two contacts.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::model::{Bsuid, Consent, ConsentSource, Contact, ContactAttributes, ContactId, Phone, Recipient};

/// The contacts, and who has which address.
#[derive(Debug, Clone, Default)]
pub(super) struct Contacts {
    rows: BTreeMap<ContactId, Contact>,
    by_phone: BTreeMap<Phone, ContactId>,
    by_bsuid: BTreeMap<Bsuid, ContactId>,
}

impl Contacts {
    pub(super) fn get(&self, id: ContactId) -> Option<&Contact> {
        self.rows.get(&id)
    }

    /// The contacts behind an id, in order.
    pub(super) fn after(&self, after: Option<ContactId>) -> impl Iterator<Item = &Contact> {
        self.rows.range(super::behind(after)).map(|(_, contact)| contact)
    }

    /// Who has this phone, else who has this business-scoped user id.
    pub(super) fn find(&self, who: &Recipient) -> Option<ContactId> {
        let by_phone = who.phone().and_then(|phone| self.by_phone.get(&phone));
        by_phone.or_else(|| who.bsuid().and_then(|bsuid| self.by_bsuid.get(bsuid))).copied()
    }

    /// Creates the contact of these addresses, or brings it up to date; `fresh` is its id if it is new.
    pub(super) fn upsert(
        &mut self,
        fresh: ContactId,
        who: &Recipient,
        attributes: &ContactAttributes,
        now: DateTime<Utc>,
    ) -> ContactId {
        let id = self.find(who).unwrap_or(fresh);
        let contact = self.rows.entry(id).or_insert_with(|| Contact {
            id,
            recipient: who.clone(),
            attributes: ContactAttributes::new(),
            consent: Consent::Allowed,
            consent_at: None,
            consent_source: None,
            created_at: now,
        });
        contact.attributes.extend(attributes.clone());
        // An address that another contact has stays with it.
        let free_phone = who.phone().filter(|phone| !self.by_phone.contains_key(phone));
        let free_bsuid = who.bsuid().filter(|bsuid| !self.by_bsuid.contains_key(bsuid));
        let phone = contact.recipient.phone().or(free_phone);
        let bsuid = contact.recipient.bsuid().or(free_bsuid).cloned();
        self.by_phone.extend(phone.map(|phone| (phone, id)));
        self.by_bsuid.extend(bsuid.clone().map(|bsuid| (bsuid, id)));
        if let Ok(recipient) = Recipient::new(phone, bsuid) {
            contact.recipient = recipient;
        }
        id
    }

    /// Sets a consent; whether that changed anything.
    pub(super) fn set_consent(
        &mut self,
        id: ContactId,
        consent: Consent,
        source: ConsentSource,
        now: DateTime<Utc>,
    ) -> bool {
        let Some(contact) = self.rows.get_mut(&id).filter(|contact| contact.consent != consent) else {
            return false;
        };
        contact.consent = consent;
        contact.consent_at = Some(now);
        contact.consent_source = Some(source);
        true
    }
}
