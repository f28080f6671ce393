//! Which record is which, what it adds that others can name, and what it names itself.

use super::record::{Record, RecordKind};
use crate::model::{CampaignId, ContactId, Fingerprint, ImportId, ListName, ScheduleId, SessionId};

/// Something that a record adds or names.
///
/// Exhaustive on purpose: a store must be able to say of each whether it is there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    /// Prices.
    Prices(Fingerprint),
    /// A session.
    Session(SessionId),
    /// A contact, also by the id of one that was merged into it.
    Contact(ContactId),
    /// A list.
    List(ListName),
    /// An import.
    Import(ImportId),
    /// A campaign.
    Campaign(CampaignId),
    /// A schedule.
    Schedule(ScheduleId),
}

impl Reference {
    /// The kind of the record that adds it.
    #[must_use]
    pub const fn kind(&self) -> RecordKind {
        match self {
            Self::Prices(_) => RecordKind::Prices,
            Self::Session(_) => RecordKind::Session,
            Self::Contact(_) => RecordKind::Contact,
            Self::List(_) => RecordKind::List,
            Self::Import(_) => RecordKind::Import,
            Self::Campaign(_) => RecordKind::Campaign,
            Self::Schedule(_) => RecordKind::Schedule,
        }
    }
}

impl Record {
    /// What it adds that later records can name.
    #[must_use]
    pub fn adds(&self) -> Vec<Reference> {
        match self {
            Self::Prices(it) => vec![Reference::Prices(it.id)],
            Self::Session(it) => vec![Reference::Session(it.id)],
            Self::Contact(it) => {
                std::iter::once(it.id).chain(it.aliases.iter().copied()).map(Reference::Contact).collect()
            }
            Self::List(it) => vec![Reference::List(it.name.clone())],
            Self::Import(it) => vec![Reference::Import(it.id)],
            Self::Campaign(it) => vec![Reference::Campaign(it.id)],
            Self::Schedule(it) => vec![Reference::Schedule(it.id)],
            Self::Tenant(_)
            | Self::Template(_)
            | Self::Suppressed(_)
            | Self::Member(_)
            | Self::ImportLine(_)
            | Self::ImportPhone(_)
            | Self::Run(_)
            | Self::Message(_)
            | Self::Inbound(_)
            | Self::EntryPoint(_)
            | Self::Conversation(_)
            | Self::Notice(_) => Vec::new(),
        }
    }

    /// What it names; all of it must have come before.
    #[must_use]
    pub fn names(&self) -> Vec<Reference> {
        match self {
            Self::Member(it) => vec![Reference::List(it.list.clone()), Reference::Contact(it.contact)],
            Self::Import(it) => vec![Reference::List(it.list.clone())],
            Self::ImportLine(it) => vec![Reference::Import(it.import)],
            Self::ImportPhone(it) => vec![Reference::Import(it.import)],
            Self::Campaign(it) => it.sessions.iter().copied().map(Reference::Session).collect(),
            Self::Schedule(it) => it.spec.sessions.iter().copied().map(Reference::Session).collect(),
            Self::Run(it) => vec![Reference::Schedule(it.schedule), Reference::Campaign(it.campaign)],
            Self::Message(it) => {
                let mut named = vec![Reference::Session(it.session)];
                named.extend(it.campaign.map(Reference::Campaign));
                named.extend(it.contact.map(Reference::Contact));
                for attempt in &it.attempts {
                    named.push(Reference::Session(attempt.session));
                    named.extend(attempt.book.map(Reference::Prices));
                }
                named
            }
            Self::Inbound(it) => vec![Reference::Session(it.session), Reference::Contact(it.contact)],
            Self::EntryPoint(it) => vec![Reference::Session(it.session), Reference::Contact(it.contact)],
            Self::Conversation(it) => vec![Reference::Session(it.session), Reference::Contact(it.contact)],
            Self::Prices(_)
            | Self::Tenant(_)
            | Self::Session(_)
            | Self::Template(_)
            | Self::Suppressed(_)
            | Self::Contact(_)
            | Self::List(_)
            | Self::Notice(_) => Vec::new(),
        }
    }

    /// Where it stands among the records of its tenant: they rise strictly.
    #[must_use]
    pub fn place(&self) -> (RecordKind, Vec<u8>) {
        let mut key = Vec::new();
        match self {
            Self::Prices(it) => key.extend_from_slice(it.id.as_bytes()),
            Self::Tenant(_) => {}
            Self::Session(it) => key.extend_from_slice(it.id.as_bytes()),
            Self::Template(it) => {
                let template = &it.record.key;
                let parts = [
                    template.transport.as_str(),
                    &template.account,
                    template.name.as_str(),
                    template.language.as_str(),
                ];
                for part in parts {
                    // Ends a part, so that a longer one comes later.
                    key.extend_from_slice(part.as_bytes());
                    key.push(0);
                }
            }
            Self::Suppressed(it) => key.extend_from_slice(it.address.as_bytes()),
            Self::Contact(it) => key.extend_from_slice(it.id.as_bytes()),
            Self::List(it) => key.extend_from_slice(it.name.as_str().as_bytes()),
            Self::Member(it) => {
                key.extend_from_slice(it.list.as_str().as_bytes());
                key.push(0);
                key.extend_from_slice(&it.seq.to_be_bytes());
            }
            Self::Import(it) => key.extend_from_slice(it.id.as_bytes()),
            Self::ImportLine(it) => {
                key.extend_from_slice(it.import.as_bytes());
                key.extend_from_slice(&it.line.to_be_bytes());
            }
            Self::ImportPhone(it) => {
                key.extend_from_slice(it.import.as_bytes());
                key.extend_from_slice(&it.phone.as_u64().to_be_bytes());
            }
            Self::Campaign(it) => key.extend_from_slice(it.id.as_bytes()),
            Self::Schedule(it) => key.extend_from_slice(it.id.as_bytes()),
            Self::Run(it) => {
                key.extend_from_slice(it.schedule.as_bytes());
                key.extend_from_slice(&it.number.to_be_bytes());
            }
            Self::Message(it) => key.extend_from_slice(it.id.as_bytes()),
            Self::Inbound(it) => key.extend_from_slice(&it.position.to_be_bytes()),
            Self::EntryPoint(it) => {
                key.extend_from_slice(it.session.as_bytes());
                key.extend_from_slice(it.contact.as_bytes());
            }
            Self::Conversation(it) => {
                key.extend_from_slice(it.session.as_bytes());
                key.extend_from_slice(it.contact.as_bytes());
            }
            Self::Notice(it) => key.extend_from_slice(it.body.id.as_bytes()),
        }
        (self.kind(), key)
    }
}
