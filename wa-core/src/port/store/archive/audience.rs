//! Contacts, lists and what was imported into them, as records.

use chrono::{DateTime, Utc};

use super::record::record;
use crate::model::{
    Bsuid, Consent, ConsentRecord, ConsentSource, ContactAttributes, ContactId, Fingerprint, ImportId,
    LineOutcome, LineProblem, ListName, Phone, Seen,
};

record! {
    /// A contact.
    ArchivedContact {
        /// Its id.
        id: ContactId,
        /// Its attributes.
        attributes: ContactAttributes,
        /// Whether it may be written to.
        consent: Consent,
        /// When it was made.
        created_at: DateTime<Utc>,
        /// Ids of contacts that were merged into it, in order.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        aliases: Vec<ContactId>,
        /// Addresses that it had, in order.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        former: Vec<ArchivedAddress>,
        ;
        /// Its phone.
        phone: Phone,
        /// Its business-scoped user id.
        bsuid: Bsuid,
        /// When the consent changed last.
        consent_at: DateTime<Utc>,
        /// What changed it.
        consent_source: ConsentSource,
        /// The name that it shows.
        profile_name: Seen,
        /// Its user name.
        username: Seen,
        /// What was heard about its consent; missing when nothing was.
        consent_record: ConsentRecord,
    }
}

record! {
    /// An address that a contact had.
    ArchivedAddress {
        /// The address as attempts count it: [`Recipient::key`](crate::model::Recipient::key) as a signed number.
        recipient: i64,
        /// Until when.
        until: DateTime<Utc>,
    }
}

record! {
    /// A list.
    ArchivedList {
        /// Its name.
        name: ListName,
    }
}

record! {
    /// A member of a list.
    ArchivedMember {
        /// The list.
        list: ListName,
        /// The number that it got when it joined, from 1.
        seq: u64,
        /// The contact.
        contact: ContactId,
    }
}

record! {
    /// An import into a list.
    ArchivedImport {
        /// Its id.
        id: ImportId,
        /// The list.
        list: ListName,
        /// The digest of its source.
        #[serde(with = "super::record::hex_form")]
        source: Fingerprint,
        /// Rows that were taken in.
        records: u64,
        /// Of these: added to the list.
        added: u64,
        /// Of these: duplicates of earlier ones.
        duplicates: u64,
        /// Of these: not valid.
        invalid: u64,
        /// Whether it came to its end.
        finished: bool,
    }
}

record! {
    /// A line of an import that was reported.
    ArchivedImportLine {
        /// The import.
        import: ImportId,
        /// The line.
        line: u64,
        /// What became of it.
        outcome: LineOutcome,
        ;
        /// What is wrong with it.
        problem: LineProblem,
    }
}

record! {
    /// A phone that an unfinished import has brought, so that a duplicate is found in a later chunk.
    ArchivedImportPhone {
        /// The import.
        import: ImportId,
        /// The phone.
        phone: Phone,
    }
}
