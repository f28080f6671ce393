//! What every store does alike with contacts and launches: what a contact learns, what two contacts are
//! together, which message a member of a launch gets.
//!
//! Invariant: a launch's k-th member goes to session k mod n, with an id that the size of the chunks does
//! not change.

use chrono::{DateTime, Utc};
use wa_core::model::{
    Campaign, Consent, Contact, ContactAttributes, ContactId, IdMint, MessageId, MessageState, Phone,
    Recipient, SkipReason, TenantId, from_micros, values_of,
};
use wa_core::port::store::LaunchChunk;
use wa_core::rules::tally::Standing;

use super::changes::Changes;

/// A contact of which nothing else is known yet.
pub(crate) fn new_contact(
    id: ContactId,
    recipient: Recipient,
    attributes: ContactAttributes,
    now: DateTime<Utc>,
) -> Contact {
    Contact {
        id,
        recipient,
        attributes,
        profile_name: None,
        username: None,
        consent: Consent::Allowed,
        consent_at: None,
        consent_source: None,
        created_at: now,
    }
}

/// A contact with the addresses that it had not and with new attributes, which win. Whether a
/// business-scoped user id belongs to nobody yet, the caller knows.
pub(crate) fn learned(
    known: &Contact,
    who: &Recipient,
    takes_bsuid: bool,
    attributes: &ContactAttributes,
) -> Contact {
    let mut contact = known.clone();
    // Whoever is found by phone was looked for by it first, so a missing phone belongs to nobody.
    let phone = known.recipient.phone().or(who.phone());
    let new = who.bsuid().filter(|_| takes_bsuid);
    if let Ok(recipient) = Recipient::new(phone, known.recipient.bsuid().or(new).cloned()) {
        contact.recipient = recipient;
    }
    contact.attributes.extend(attributes.iter().map(|(name, value)| (name.clone(), value.clone())));
    contact
}

/// What two contacts are together.
pub(crate) fn one_of(stays: Contact, goes: Contact) -> Contact {
    let phone = stays.recipient.phone().or(goes.recipient.phone());
    let bsuid = stays.recipient.bsuid().or(goes.recipient.bsuid()).cloned();
    let is_older = (stays.created_at, stays.id) <= (goes.created_at, goes.id);
    let (mut attributes, newer) =
        if is_older { (stays.attributes, goes.attributes) } else { (goes.attributes, stays.attributes) };
    attributes.extend(newer);
    Contact {
        id: stays.id,
        recipient: Recipient::new(phone, bsuid).unwrap_or(stays.recipient),
        attributes,
        profile_name: stays.profile_name.max(goes.profile_name),
        username: stays.username.max(goes.username),
        consent: stays.consent,
        consent_at: stays.consent_at,
        consent_source: stays.consent_source,
        created_at: stays.created_at.min(goes.created_at),
    }
}

/// The numbers under which attempts to these addresses are counted.
pub(crate) fn keys(who: &Recipient) -> Vec<i64> {
    let phone = who.phone().map(|phone: Phone| Recipient::from(phone).key());
    let bsuid = who.bsuid().map(|bsuid| Recipient::from(bsuid.clone()).key());
    phone.into_iter().chain(bsuid).map(u64::cast_signed).collect()
}

/// The mint of a campaign's session at a place.
pub(crate) fn mint(minted_ms: i64, place: u16) -> IdMint {
    IdMint::new(from_micros(minted_ms.saturating_mul(1_000)), place)
}

/// Gives the members of a launch their messages, in order.
pub(crate) struct Freezer {
    chunk: LaunchChunk,
    minted_ms: i64,
    sessions: u64,
    columns: Vec<String>,
    /// How many messages the launch has so far.
    pub(crate) audience: u64,
    /// How many messages more wait, by the place of their session.
    pub(crate) waiting: Vec<i64>,
    pending: u64,
    incomplete: u64,
}

/// A member's message.
pub(crate) struct Frozen {
    pub(crate) id: MessageId,
    pub(crate) values: Vec<String>,
    /// Whether there is a value for every placeholder.
    pub(crate) is_complete: bool,
}

impl Freezer {
    /// Goes on where a launch is.
    pub(crate) fn new(campaign: &Campaign, minted_ms: i64, audience: u64, chunk: LaunchChunk) -> Self {
        Self {
            chunk,
            minted_ms,
            sessions: u64::try_from(campaign.sessions.len()).unwrap_or(u64::MAX).max(1),
            columns: campaign.columns(),
            audience,
            waiting: vec![0; campaign.sessions.len()],
            pending: 0,
            incomplete: 0,
        }
    }

    /// The next member's message; `None` when the campaign has more than ids can tell apart.
    pub(crate) fn freeze(&mut self, attributes: &ContactAttributes) -> Option<Frozen> {
        let place = u16::try_from(self.audience % self.sessions).unwrap_or(u16::MAX);
        // Ordinals start at 1: the first id of the range is where an untouched feed stands.
        let ordinal = u32::try_from(self.audience / self.sessions + 1).ok()?;
        let id = mint(self.minted_ms, place).message(ordinal, self.chunk.chance(self.audience));
        let (values, is_complete) = values_of(&self.columns, attributes);
        if is_complete {
            self.pending += 1;
            if let Some(waiting) = self.waiting.get_mut(usize::from(place)) {
                *waiting += 1;
            }
        } else {
            self.incomplete += 1;
        }
        self.audience += 1;
        Some(Frozen { id, values, is_complete })
    }

    /// Counts what was frozen.
    pub(crate) fn count(&self, changes: &mut Changes, tenant: TenantId, campaign: &Campaign) {
        let waits = Standing::new(MessageState::Pending, None, &[]);
        changes.standings(tenant, campaign.id, None, &waits, self.pending);
        let skipped = Standing::new(MessageState::Skipped, Some(SkipReason::MissingParameter), &[]);
        changes.standings(tenant, campaign.id, None, &skipped, self.incomplete);
    }
}
