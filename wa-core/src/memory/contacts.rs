//! One tenant's contacts.
//!
//! Invariant: no phone and no business-scoped user id belongs to two contacts. The id of a contact
//! that was merged into another one is an alias of that one, never of an alias.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::flaws::flawed;
use crate::model::{
    Bsuid, Consent, ConsentRecord, ConsentSource, Contact, ContactAttributes, ContactId, Phone, Recipient,
    Seen,
};
use crate::port::store::{ArchivedAddress, ArchivedContact};
use crate::rules::consent::{self, ConsentNews};

/// The contacts, and who has which address.
#[derive(Debug, Clone, Default)]
pub(super) struct Contacts {
    rows: BTreeMap<ContactId, Contact>,
    by_phone: BTreeMap<Phone, ContactId>,
    by_bsuid: BTreeMap<Bsuid, ContactId>,
    aliases: BTreeMap<ContactId, ContactId>,
    /// What was heard about each contact's consent.
    records: BTreeMap<ContactId, ConsentRecord>,
    /// Addresses that contacts had, and until when.
    former: Vec<Former>,
    #[cfg(feature = "mutants")]
    pub(super) flaw: Option<crate::testing::Flaw>,
}

#[derive(Debug, Clone, Copy)]
struct Former {
    contact: ContactId,
    key: u64,
    until: DateTime<Utc>,
}

/// The time in which what was sent to an address went to a contact.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reached {
    pub(super) key: u64,
    since: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
}

impl Reached {
    pub(super) fn holds(&self, at: DateTime<Utc>) -> bool {
        self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at < until)
    }
}

/// The numbers under which attempts to these addresses are counted.
fn keys(who: &Recipient) -> Vec<u64> {
    let phone = who.phone().map(|phone| Recipient::from(phone).key());
    let bsuid = who.bsuid().map(|bsuid| Recipient::from(bsuid.clone()).key());
    phone.into_iter().chain(bsuid).collect()
}

impl Contacts {
    pub(super) fn get(&self, id: ContactId) -> Option<&Contact> {
        self.rows.get(&self.resolve(id))
    }

    /// The contact that an id stands for.
    pub(super) fn resolve(&self, id: ContactId) -> ContactId {
        self.aliases.get(&id).copied().unwrap_or(id)
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

    /// Two contacts that these addresses prove to be one: the one that stays, and the other.
    pub(super) fn two_in_one(&self, who: &Recipient) -> Option<(ContactId, ContactId)> {
        let stays = self.get(*self.by_phone.get(&who.phone()?)?)?;
        let goes = self.get(*self.by_bsuid.get(who.bsuid()?)?)?;
        let apart =
            stays.id != goes.id && stays.recipient.bsuid().is_none() && goes.recipient.phone().is_none();
        apart.then_some((stays.id, goes.id))
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
            profile_name: None,
            username: None,
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
        let free_bsuid = flawed!(self, LearnsNoSecondAddress => None, free_bsuid);
        let bsuid = contact.recipient.bsuid().or(free_bsuid).cloned();
        if let Ok(recipient) = Recipient::new(phone, bsuid) {
            self.address(id, recipient);
        }
        id
    }

    /// Notes the names that a person shows.
    pub(super) fn note_names(&mut self, id: ContactId, profile_name: Option<Seen>, username: Option<Seen>) {
        if let Some(contact) = self.rows.get_mut(&id) {
            let known = contact.profile_name.take();
            contact.profile_name =
                flawed!(self, TakesTheLastNameThatCame => profile_name, known.max(profile_name));
            contact.username = contact.username.take().max(username);
        }
    }

    /// Adds what is heard about a contact's consent; the new consent, if that changed it.
    pub(super) fn hear(
        &mut self,
        id: ContactId,
        news: ConsentNews,
        source: ConsentSource,
        now: DateTime<Utc>,
    ) -> Option<Consent> {
        let record = self.records.get(&id).copied().unwrap_or_default();
        let record = consent::hear(record, news);
        self.set_record(id, record, source, now)
    }

    fn set_record(
        &mut self,
        id: ContactId,
        record: ConsentRecord,
        source: ConsentSource,
        now: DateTime<Utc>,
    ) -> Option<Consent> {
        let contact = self.rows.get_mut(&id)?;
        self.records.insert(id, record);
        let consent = consent::effective(&record);
        if contact.consent == consent {
            return None;
        }
        contact.consent = consent;
        contact.consent_at = Some(now);
        contact.consent_source = Some(source);
        Some(consent)
    }

    /// Makes one contact of two; the new consent of the one that stays, if that changed it.
    pub(super) fn merge(&mut self, stays: ContactId, goes: ContactId, now: DateTime<Utc>) -> Option<Consent> {
        let other = self.rows.remove(&goes)?;
        let record = self.records.remove(&goes).unwrap_or_default();
        self.by_phone.retain(|_, owner| *owner != goes);
        self.by_bsuid.retain(|_, owner| *owner != goes);
        for alias in
            self.aliases.values_mut().filter(|it| **it == goes && !flawed!(self, ForgetsAnAliasOfAnAlias))
        {
            *alias = stays;
        }
        self.aliases.insert(goes, stays);
        for former in self.former.iter_mut().filter(|it| it.contact == goes) {
            former.contact = stays;
        }
        let kept = self.rows.get_mut(&stays)?;
        let (mut attributes, newer) = if (kept.created_at, kept.id) > (other.created_at, other.id) {
            (other.attributes, kept.attributes.clone())
        } else {
            (kept.attributes.clone(), other.attributes)
        };
        attributes.extend(newer);
        kept.attributes = attributes;
        kept.profile_name = kept.profile_name.take().max(other.profile_name);
        kept.username = kept.username.take().max(other.username);
        kept.created_at = kept.created_at.min(other.created_at);
        let phone = kept.recipient.phone().or(other.recipient.phone());
        let bsuid = kept.recipient.bsuid().or(other.recipient.bsuid()).cloned();
        if let Ok(recipient) = Recipient::new(phone, bsuid) {
            self.address(stays, recipient);
        }
        let own = self.records.get(&stays).copied().unwrap_or_default();
        self.set_record(stays, consent::joined(own, record), ConsentSource::Merge, now)
    }

    /// Whether one of these addresses was left behind at or after an instant.
    pub(super) fn was_left(&self, who: &Recipient, at: DateTime<Utc>) -> bool {
        let keys = keys(who);
        self.former.iter().any(|it| keys.contains(&it.key) && it.until >= at)
    }

    /// Gives a contact other addresses from an instant on; the former ones are nobody's.
    pub(super) fn move_to(&mut self, id: ContactId, to: Recipient, at: DateTime<Utc>) {
        let Some(from) = self.rows.get(&id).map(|contact| contact.recipient.clone()) else { return };
        let stays = keys(&to);
        for key in keys(&from).into_iter().filter(|key| !stays.contains(key)) {
            self.former.push(Former { contact: id, key, until: at });
        }
        self.by_phone.retain(|_, owner| *owner != id);
        self.by_bsuid.retain(|_, owner| *owner != id);
        self.address(id, to);
    }

    /// Everything, in the order of ids.
    pub(super) fn archived(&self) -> Vec<ArchivedContact> {
        let archived = |it: &Contact| {
            let aliases = self.aliases.iter().filter(|(_, stays)| **stays == it.id).map(|(alias, _)| *alias);
            let former = self.former.iter().filter(|former| former.contact == it.id);
            let former: BTreeSet<_> = former.map(|it| (it.key.cast_signed(), it.until)).collect();
            ArchivedContact {
                id: it.id,
                attributes: it.attributes.clone(),
                consent: it.consent,
                created_at: it.created_at,
                aliases: aliases.collect(),
                former: former
                    .into_iter()
                    .map(|(recipient, until)| ArchivedAddress { recipient, until })
                    .collect(),
                phone: it.recipient.phone(),
                bsuid: it.recipient.bsuid().cloned(),
                consent_at: it.consent_at,
                consent_source: it.consent_source,
                profile_name: it.profile_name.clone(),
                username: it.username.clone(),
                consent_record: self
                    .records
                    .get(&it.id)
                    .copied()
                    .filter(|record| *record != ConsentRecord::default()),
            }
        };
        self.rows.values().map(archived).collect()
    }

    /// Takes over an archived contact.
    pub(super) fn restore(&mut self, it: &ArchivedContact) {
        let Ok(recipient) = Recipient::new(it.phone, it.bsuid.clone()) else { return };
        let contact = Contact {
            id: it.id,
            recipient: recipient.clone(),
            attributes: it.attributes.clone(),
            profile_name: it.profile_name.clone(),
            username: it.username.clone(),
            consent: it.consent,
            consent_at: it.consent_at,
            consent_source: it.consent_source,
            created_at: it.created_at,
        };
        self.rows.insert(it.id, contact);
        self.address(it.id, recipient);
        self.records.extend(it.consent_record.map(|record| (it.id, record)));
        self.aliases.extend(it.aliases.iter().map(|alias| (*alias, it.id)));
        self.former.extend(it.former.iter().map(|former| Former {
            contact: it.id,
            key: former.recipient.cast_unsigned(),
            until: former.until,
        }));
    }

    fn address(&mut self, id: ContactId, who: Recipient) {
        self.by_phone.extend(who.phone().map(|phone| (phone, id)));
        self.by_bsuid.extend(who.bsuid().map(|bsuid| (bsuid.clone(), id)));
        if let Some(contact) = self.rows.get_mut(&id) {
            contact.recipient = who;
        }
    }

    /// Where and when a contact was reached.
    pub(super) fn reached(&self, id: ContactId) -> Vec<Reached> {
        let since = |key: u64| {
            let others = self.former.iter().filter(|it| it.contact != id && it.key == key);
            others.map(|it| it.until).max()
        };
        let present = self.get(id).map(|contact| keys(&contact.recipient)).unwrap_or_default();
        let present = present.into_iter().map(|key| Reached { key, since: since(key), until: None });
        let former = self.former.iter().filter(|it| it.contact == id);
        let former = former.map(|it| Reached { key: it.key, since: None, until: Some(it.until) });
        present.chain(former).collect()
    }
}
