//! What one tenant is, as records that every store can give and take.
//!
//! Invariant: a record holds what was said or decided, never what follows from it: counts, usage,
//! roll-ups, windows and failure lists are made anew by whoever takes it. Records come in the order of
//! [`RecordKind`], those of one kind in the order of their keys, and name only what came before.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use super::audience::{
    ArchivedAddress, ArchivedContact, ArchivedImport, ArchivedImportLine, ArchivedImportPhone, ArchivedList,
    ArchivedMember,
};
pub use super::message::{
    ArchivedAttempt, ArchivedDoubt, ArchivedDue, ArchivedMessage, ArchivedResult, ArchivedSingle,
};
use crate::model::{
    Agent, BreakerReason, Bsuid, CampaignContent, CampaignId, CampaignName, CampaignState, CivilDateTime,
    ContactId, ConversationState, Currency, Entitlement, Fingerprint, HoldReason, InDoubtPolicy, InboundBody,
    InboundContext, Lane, LanguageCode, ListName, NumberId, Phone, PriceBook, Quality, Referral, ScheduleId,
    ScheduleName, ScheduleSpec, ScheduleState, SessionId, SessionSettings, SessionState, TemplateName,
    TemplateRecord, TenantSettings, Throughput, TransportName,
};
use crate::port::Notice;
use crate::rules::alert::Meter;
use crate::rules::effects::Topic;

/// Declares a record: what is always there, then what may be missing. `Debug` shows the name only, because
/// nearly all of them hold personal data.
macro_rules! record {
    (
        $(#[$doc:meta])* $name:ident {
            $($(#[$meta:meta])* $field:ident: $type:ty,)*
            $(; $($(#[$opt_meta:meta])* $opt:ident: $opt_type:ty,)*)?
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$meta])* pub $field: $type,)*
            $($($(#[$opt_meta])*
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub $opt: Option<$opt_type>,)*)?
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}
pub(super) use record;

/// One record of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Record {
    /// Prices that attempts were begun under.
    Prices(ArchivedPrices),
    /// The tenant itself.
    Tenant(Box<ArchivedTenant>),
    /// A session.
    Session(Box<ArchivedSession>),
    /// A template as its provider spoke of it.
    Template(Box<ArchivedTemplate>),
    /// An address that is never written to.
    Suppressed(ArchivedSuppressed),
    /// A contact.
    Contact(Box<ArchivedContact>),
    /// A list.
    List(ArchivedList),
    /// A member of a list.
    Member(ArchivedMember),
    /// An import into a list.
    Import(ArchivedImport),
    /// A line of an import that was reported.
    ImportLine(ArchivedImportLine),
    /// A phone that an unfinished import has brought.
    ImportPhone(ArchivedImportPhone),
    /// A campaign.
    Campaign(Box<ArchivedCampaign>),
    /// A schedule.
    Schedule(Box<ArchivedSchedule>),
    /// A run of a schedule.
    Run(ArchivedRun),
    /// A message with its attempts.
    Message(Box<ArchivedMessage>),
    /// What a user wrote, or a person typed on the business's own phone.
    Inbound(Box<ArchivedInbound>),
    /// The end of a free entry point that a webhook named.
    EntryPoint(ArchivedEntryPoint),
    /// A conversation.
    Conversation(ArchivedConversation),
    /// A notice.
    Notice(Box<ArchivedNotice>),
}

/// The kinds of records, in the order in which they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RecordKind {
    /// [`Record::Prices`].
    Prices,
    /// [`Record::Tenant`].
    Tenant,
    /// [`Record::Session`].
    Session,
    /// [`Record::Template`].
    Template,
    /// [`Record::Suppressed`].
    Suppressed,
    /// [`Record::Contact`].
    Contact,
    /// [`Record::List`].
    List,
    /// [`Record::Member`].
    Member,
    /// [`Record::Import`].
    Import,
    /// [`Record::ImportLine`].
    ImportLine,
    /// [`Record::ImportPhone`].
    ImportPhone,
    /// [`Record::Campaign`].
    Campaign,
    /// [`Record::Schedule`].
    Schedule,
    /// [`Record::Run`].
    Run,
    /// [`Record::Message`].
    Message,
    /// [`Record::Inbound`].
    Inbound,
    /// [`Record::EntryPoint`].
    EntryPoint,
    /// [`Record::Conversation`].
    Conversation,
    /// [`Record::Notice`].
    Notice,
}

impl RecordKind {
    /// Every kind, in order.
    pub const ALL: [Self; 19] = [
        Self::Prices,
        Self::Tenant,
        Self::Session,
        Self::Template,
        Self::Suppressed,
        Self::Contact,
        Self::List,
        Self::Member,
        Self::Import,
        Self::ImportLine,
        Self::ImportPhone,
        Self::Campaign,
        Self::Schedule,
        Self::Run,
        Self::Message,
        Self::Inbound,
        Self::EntryPoint,
        Self::Conversation,
        Self::Notice,
    ];

    /// Its name, as it stands in a file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Prices => "prices",
            Self::Tenant => "tenant",
            Self::Session => "session",
            Self::Template => "template",
            Self::Suppressed => "suppressed",
            Self::Contact => "contact",
            Self::List => "list",
            Self::Member => "member",
            Self::Import => "import",
            Self::ImportLine => "import_line",
            Self::ImportPhone => "import_phone",
            Self::Campaign => "campaign",
            Self::Schedule => "schedule",
            Self::Run => "run",
            Self::Message => "message",
            Self::Inbound => "inbound",
            Self::EntryPoint => "entry_point",
            Self::Conversation => "conversation",
            Self::Notice => "notice",
        }
    }
}

impl Record {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> RecordKind {
        match self {
            Self::Prices(_) => RecordKind::Prices,
            Self::Tenant(_) => RecordKind::Tenant,
            Self::Session(_) => RecordKind::Session,
            Self::Template(_) => RecordKind::Template,
            Self::Suppressed(_) => RecordKind::Suppressed,
            Self::Contact(_) => RecordKind::Contact,
            Self::List(_) => RecordKind::List,
            Self::Member(_) => RecordKind::Member,
            Self::Import(_) => RecordKind::Import,
            Self::ImportLine(_) => RecordKind::ImportLine,
            Self::ImportPhone(_) => RecordKind::ImportPhone,
            Self::Campaign(_) => RecordKind::Campaign,
            Self::Schedule(_) => RecordKind::Schedule,
            Self::Run(_) => RecordKind::Run,
            Self::Message(_) => RecordKind::Message,
            Self::Inbound(_) => RecordKind::Inbound,
            Self::EntryPoint(_) => RecordKind::EntryPoint,
            Self::Conversation(_) => RecordKind::Conversation,
            Self::Notice(_) => RecordKind::Notice,
        }
    }
}

record! {
    /// Prices that attempts were begun under.
    ArchivedPrices {
        /// The SHA-256 of their JSON form, by which attempts name them.
        #[serde(with = "hex_form")]
        id: Fingerprint,
        /// The prices.
        book: PriceBook,
    }
}

record! {
    /// A tenant; its id and name stand in the head.
    ArchivedTenant {
        /// When it was created.
        created_at: DateTime<Utc>,
        /// Its settings.
        #[serde(default)]
        settings: TenantSettings,
        /// What its plan allows.
        #[serde(default = "Entitlement::unlimited")]
        entitlement: Entitlement,
    }
}

record! {
    /// A session.
    ArchivedSession {
        /// Its id.
        id: SessionId,
        /// Which transport sends for it.
        transport: TransportName,
        /// The provider's id of the number.
        number: NumberId,
        /// The provider's id of the account whose limits it shares.
        portfolio: String,
        /// Its state.
        state: SessionState,
        /// Messages a second.
        throughput: Throughput,
        /// The provider's rating.
        quality: Quality,
        /// When it was added.
        created_at: DateTime<Utc>,
        /// What the tenant set for it.
        #[serde(default)]
        settings: SessionSettings,
        /// The latest news on each topic, by their names.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        news: Vec<ArchivedNews>,
        /// What stops it or a template of it: the whole number first, then by template and language.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        breakers: Vec<ArchivedBreaker>,
        ;
        /// The provider's id of the account that it belongs to.
        account: String,
        /// The number as people dial it.
        phone: Phone,
        /// How many people it may write to outside windows in a day; missing for no limit.
        tier: u32,
        /// When the provider last answered about it.
        checked_at: DateTime<Utc>,
        /// How far its attempts were listened to.
        listened: ArchivedListened,
    }
}

record! {
    /// The latest instant of news on a topic.
    ArchivedNews {
        /// The topic.
        topic: Topic,
        /// When.
        at: DateTime<Utc>,
    }
}

record! {
    /// A breaker of a session, or of one template of it.
    ArchivedBreaker {
        /// Why it is open.
        reason: BreakerReason,
        /// The provider's code.
        code: i64,
        /// Since when.
        since: DateTime<Utc>,
        ;
        /// The template; missing for the whole session.
        template: TemplateName,
        /// The template's language.
        language: LanguageCode,
        /// Until when; missing when somebody must reset it.
        until: DateTime<Utc>,
    }
}

record! {
    /// How far a session's attempts were listened to, and what was heard.
    ArchivedListened {
        /// Up to attempts of this instant.
        upto: DateTime<Utc>,
        /// How many in a row were silent.
        silent: u32,
        /// Whether it was told to be deaf.
        deaf: bool,
    }
}

record! {
    /// A template as its provider spoke of it.
    ArchivedTemplate {
        /// What is known of it.
        record: TemplateRecord,
    }
}

record! {
    /// An address that is never written to.
    ArchivedSuppressed {
        /// A phone as `+` and its digits, or a business-scoped user id.
        address: String,
        /// Since when.
        at: DateTime<Utc>,
    }
}

record! {
    /// A campaign.
    ArchivedCampaign {
        /// Its id.
        id: CampaignId,
        /// Its name.
        name: CampaignName,
        /// What it says.
        content: CampaignContent,
        /// The list that it goes to.
        list: ListName,
        /// The sessions that send it, in order.
        sessions: Vec<SessionId>,
        /// Its lane.
        lane: Lane,
        /// The digest of its definition.
        #[serde(with = "hex_form")]
        definition: Fingerprint,
        /// Its state.
        state: CampaignState,
        /// When it was created.
        created_at: DateTime<Utc>,
        /// The number of the last member that belongs to it.
        bound: u64,
        /// The number of the last member that is frozen.
        cursor: u64,
        /// How many messages it has so far.
        audience: u64,
        /// Whether its whole audience is frozen.
        frozen: bool,
        ;
        /// The fallback outside windows.
        fallback: CampaignContent,
        /// Until when its messages are of use.
        valid_until: DateTime<Utc>,
        /// When it starts.
        start_at: DateTime<Utc>,
        /// Messages a second at most.
        rate: u32,
        /// Its budget, in micros.
        budget: i64,
        /// The budget's currency.
        budget_currency: Currency,
        /// What becomes of its messages in doubt.
        in_doubt: InDoubtPolicy,
        /// Why it is paused.
        paused_for: HoldReason,
        /// When its launch began.
        launched_at: DateTime<Utc>,
        /// When it had nothing left to begin.
        completed_at: DateTime<Utc>,
        /// The millisecond in the ids of its messages.
        minted_ms: i64,
        /// What is remembered of its failures.
        meter: Meter,
    }
}

record! {
    /// A schedule.
    ArchivedSchedule {
        /// Its id.
        id: ScheduleId,
        /// Its name.
        name: ScheduleName,
        /// What it does.
        spec: ScheduleSpec,
        /// Its state.
        state: ScheduleState,
        /// How many slots became campaigns.
        runs: u64,
        /// How many were skipped.
        skipped: u64,
        /// When it was created.
        created_at: DateTime<Utc>,
        ;
        /// The number of its next slot.
        next_number: u64,
        /// The civil time of its next slot.
        next_civil: CivilDateTime,
        /// The instant of its next slot.
        next_at: DateTime<Utc>,
    }
}

record! {
    /// A run of a schedule.
    ArchivedRun {
        /// The schedule.
        schedule: ScheduleId,
        /// The number of the slot.
        number: u64,
        /// The civil time of the slot.
        civil: CivilDateTime,
        /// The instant of the slot.
        due_at: DateTime<Utc>,
        /// The campaign that it became.
        campaign: CampaignId,
        /// When it was made.
        made_at: DateTime<Utc>,
    }
}

record! {
    /// What a user wrote, or a person typed on the business's own phone.
    ArchivedInbound {
        /// Its position among those of the tenant.
        position: u64,
        /// The session that got it, or that it was sent from.
        session: SessionId,
        /// Who wrote it, or whom it went to.
        contact: ContactId,
        /// Whether it was typed on the business's own phone.
        echo: bool,
        /// The provider's message id.
        provider_id: String,
        /// When it was written.
        at: DateTime<Utc>,
        /// What it holds.
        body: InboundBody,
        ;
        /// The user's phone in it.
        phone: Phone,
        /// The user's business-scoped id in it.
        bsuid: Bsuid,
        /// What it refers to.
        context: InboundContext,
        /// The advertisement that brought the user.
        referral: Referral,
        /// The group that it was written in.
        chat: String,
    }
}

record! {
    /// The end of a free entry point that a webhook named.
    ArchivedEntryPoint {
        /// The session.
        session: SessionId,
        /// The contact.
        contact: ContactId,
        /// Until when.
        until: DateTime<Utc>,
    }
}

record! {
    /// A conversation.
    ArchivedConversation {
        /// The session.
        session: SessionId,
        /// The contact.
        contact: ContactId,
        /// Whether somebody has to look after it.
        state: ConversationState,
        /// The user's messages since it was read.
        unread: u64,
        /// When it began.
        started_at: DateTime<Utc>,
        /// Its latest message.
        last_message_at: DateTime<Utc>,
        ;
        /// Who looks after it.
        assigned: Agent,
        /// The user's first message of the round.
        first_inbound_at: DateTime<Utc>,
        /// When it was closed.
        closed_at: DateTime<Utc>,
    }
}

record! {
    /// A notice.
    ArchivedNotice {
        /// What it says.
        body: Notice,
    }
}

/// A digest as 64 hexadecimal digits.
pub(super) mod hex_form {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::model::Fingerprint;

    pub(in super::super) fn serialize<S: Serializer>(value: &Fingerprint, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hex::encode(value.as_bytes()))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Fingerprint, D::Error> {
        let text = String::deserialize(from)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(&text, &mut bytes)
            .map_err(|_| D::Error::custom("64 hexadecimal digits are expected"))?;
        Ok(Fingerprint::from_bytes(bytes))
    }
}

/// The same, where there may be none.
pub(super) mod opt_hex_form {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::model::Fingerprint;

    pub(in super::super) fn serialize<S: Serializer>(
        value: &Option<Fingerprint>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => super::hex_form::serialize(value, to),
            None => to.serialize_none(),
        }
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Fingerprint>, D::Error> {
        #[derive(Deserialize)]
        struct Digits(#[serde(with = "super::hex_form")] Fingerprint);
        Ok(Option::<Digits>::deserialize(from)?.map(|Digits(value)| value))
    }
}
