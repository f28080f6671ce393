//! Records as rows of the tables.
//!
//! Invariant: a table gets every column that holds a fact, and no row of it depends on another chunk. `{v}`
//! stands for the value of a column, `{t}` for the tenant, `{none}` for the campaign that is none.

use chrono::{DateTime, Utc};
use serde_json::Value;
use wa_core::model::{Fingerprint, MessageId, Recipient, TenantId};
use wa_core::port::store::{
    ArchivedInbound, ArchivedMessage, ArchivedSession, Direction, Record, StoredInbound,
};
use wa_core::rules::conversation::asks;

use super::derive::{Books, Derived, stored};
use super::{Kind, Misfit, Row, json};
use crate::common::audience::mint;
use crate::common::{lane_rank, provider_hash};

/// A table and what of a row goes into which column.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    /// Whether its rows name the tenant in `SQLite` too.
    #[cfg(feature = "sqlite")]
    pub(crate) is_tenants: bool,
    pub(crate) columns: &'static [Column],
}

/// A column: its name, where its value stands in a row, what it holds, and what is made of the value.
pub(crate) type Column = (&'static str, &'static str, Kind, &'static str);

use Kind::{At, Bytes, Flag, Id, Int, Json, Text};

const LIST: &str = "(SELECT l.id FROM list l WHERE l.tenant = {t} AND l.name = {v})";
const IMPORT: &str = "(SELECT i.place FROM import i WHERE i.tenant = {t} AND i.id = {v})";

macro_rules! tables {
    ($($name:ident $table:literal $is_tenants:literal {
        $($column:literal $path:literal $kind:ident $($expression:expr)?;)*
    })*) => {
        $(pub(crate) const $name: Table = Table {
            name: $table,
            #[cfg(feature = "sqlite")]
            is_tenants: $is_tenants,
            columns: &[$(($column, $path, $kind, tables!(@ $($expression)?))),*],
        };)*

        /// Every table that an import fills row by row.
        #[cfg(test)]
        pub(crate) const TABLES: &[&Table] = &[$(&$name),*];
    };
    (@) => { "{v}" };
    (@ $expression:expr) => { $expression };
}

tables! {
    PRICE_BOOK "price_book" true { "body" "body" Text; }
    SESSION "session" true {
        "id" "id" Id;
        "transport" "transport" Text;
        "number" "number" Text;
        "portfolio" "portfolio" Text;
        "account" "account" Text;
        "phone" "phone" Int;
        "state" "state" Text;
        "throughput" "throughput" Int;
        "tier" "tier" Int;
        "quality" "quality" Text;
        "created_at" "created_at" At;
        "checked_at" "checked_at" At;
        "settings" "settings" Json;
    }
    SESSION_LEASE "session_lease" false { "session" "id" Id; "created_at" "created_at" At; }
    SESSION_NEWS "session_news" false { "session" "session" Id; "topic" "topic" Text; "at" "at" At; }
    LISTENED "listened" false {
        "session" "id" Id;
        "upto" "listened.upto" At;
        "silent" "listened.silent" Int;
        "deaf" "listened.deaf" Flag;
    }
    BREAKER "breaker" true {
        "session" "session" Id;
        "template" "template" Text "coalesce({v}, '')";
        "language" "language" Text "coalesce({v}, '')";
        "reason" "reason" Text;
        "code" "code" Int;
        "until" "until" At;
        "since" "since" At;
    }
    TEMPLATE "template" true {
        "transport" "key.transport" Text;
        "account" "key.account" Text;
        "name" "key.name" Text;
        "language" "key.language" Text;
        "record" "record" Json;
    }
    SUPPRESSED "suppressed" true { "address" "address" Text; "at" "at" At; }
    CONTACT "contact" true {
        "id" "id" Id;
        "phone" "phone" Int;
        "bsuid" "bsuid" Text;
        "attributes" "attributes" Json;
        "consent" "consent" Text;
        "consent_at" "consent_at" At;
        "consent_source" "consent_source" Text;
        "created_at" "created_at" At;
        "profile_name" "profile_name" Json;
        "username" "username" Json;
        "consent_record" "consent_record" Json;
    }
    CONTACT_ALIAS "contact_alias" true { "alias" "alias" Id; "contact" "contact" Id; }
    FORMER_ADDRESS "former_address" true { "recipient" "recipient" Int; "contact" "contact" Id; "until" "until" At; }
    LIST_OF "list" true { "name" "name" Text; }
    LIST_MEMBER "list_member" false { "list" "list" Text LIST; "contact" "contact" Id; "seq" "seq" Int; }
    IMPORT_INTO "import" true {
        "id" "id" Id;
        "list" "list" Text LIST;
        "source" "source" Bytes;
        "records" "records" Int;
        "added" "added" Int;
        "duplicates" "duplicates" Int;
        "invalid" "invalid" Int;
        "finished" "finished" Flag;
    }
    IMPORT_LINE "import_line" false {
        "import" "import" Id IMPORT;
        "line" "line" Int;
        "outcome" "outcome" Text;
        "problem" "problem" Json;
    }
    IMPORT_PHONE "import_phone" false { "import" "import" Id IMPORT; "phone" "phone" Int; }
    CAMPAIGN "campaign" true {
        "id" "id" Id;
        "name" "name" Text;
        "content" "content" Json;
        "list_name" "list" Text;
        "sessions" "sessions" Json;
        "lane" "lane" Text;
        "valid_until" "valid_until" At;
        "start_at" "start_at" At;
        "rate" "rate" Int;
        "definition" "definition" Bytes;
        "state" "state" Text;
        "created_at" "created_at" At;
        "launched_at" "launched_at" At;
        "completed_at" "completed_at" At;
        "minted_ms" "minted_ms" Int;
        "list" "launched_list" Text LIST;
        "bound" "bound" Int;
        "cursor" "cursor" Int;
        "audience" "audience" Int;
        "frozen" "frozen" Flag;
        "fallback" "fallback" Json;
        "budget" "budget" Int;
        "budget_currency" "budget_currency" Text;
        "paused_for" "paused_for" Text;
        "in_doubt" "in_doubt" Json;
    }
    FEED "feed" true {
        "campaign" "id" Id;
        "place" "place" Int;
        "session" "session" Id;
        "first_id" "first" Id;
        "last_id" "last" Id;
        "after_id" "first" Id;
    }
    CAMPAIGN_METER "campaign_meter" true { "campaign" "id" Id; "meter" "meter" Json; }
    SCHEDULE "schedule" true {
        "id" "id" Id;
        "name" "name" Text;
        "spec" "spec" Json;
        "state" "state" Text;
        "next_number" "next_number" Int;
        "next_civil" "next_civil" Text;
        "next_at" "next_at" At;
        "runs" "runs" Int;
        "skipped" "skipped" Int;
        "created_at" "created_at" At;
    }
    SCHEDULE_RUN "schedule_run" true {
        "schedule" "schedule" Id;
        "number" "number" Int;
        "civil" "civil" Text;
        "due_at" "due_at" At;
        "campaign" "campaign" Id;
        "made_at" "made_at" At;
    }
    MESSAGE "message" true {
        "id" "id" Id;
        "campaign" "campaign" Id;
        "contact" "contact" Id;
        "phone" "phone" Int;
        "bsuid" "bsuid" Text;
        "params" "values" Json;
    }
    SINGLE "single" true {
        "message" "id" Id;
        "session" "session" Id;
        "lane" "single.lane" Text;
        "content" "single.content" Json;
        "reply_to" "single.reply_to" Text;
        "valid_until" "single.valid_until" At;
        "key" "single.key" Text;
        "fingerprint" "fingerprint" Bytes;
        "fallback" "single.fallback" Json;
        "in_doubt" "single.in_doubt" Json;
    }
    DUE "due" true {
        "message" "id" Id;
        "session" "session" Id;
        "lane" "lane_rank" Int;
        "due_at" "due.at" At;
        "n" "next_n" Int;
        "campaign" "campaign" Id;
        "why" "due.why" Text;
    }
    CLOSED "closed" true { "message" "id" Id; "reason" "closed" Text; "at" "now" At; }
    DOUBT "doubt" true {
        "message" "id" Id;
        "session" "last_session" Id;
        "look_at" "doubt.look_at" At;
        "given_up_at" "doubt.given_up_at" At;
    }
    REDRIVEN "redriven" true { "message" "id" Id; "attempts" "redriven" Int; }
    ATTEMPT "attempt" true {
        "message" "message" Id;
        "n" "n" Int;
        "session" "session" Id;
        "epoch" "epoch" Int;
        "incarnation" "incarnation" Id;
        "batch" "batch" Id;
        "begun_at" "begun_at" At;
        "end_by" "end_by" At;
        "recipient" "recipient" Int;
        "tier_slot" "tier_slot" Flag;
        "category" "category" Text;
        "price" "price" Int;
        "reserve" "reserve" Int;
        "currency" "currency" Text;
        "fallback" "fallback" Flag;
        "warm_up_day" "warm_up_day" Int;
        "price_reason" "price_reason" Text;
        "counts_as_service" "counts_as_service" Flag;
        "month" "month" Text;
        "book" "book_key" Int;
    }
    OPEN_ATTEMPT "open_attempt" true {
        "session" "session" Id;
        "end_by" "end_by" At;
        "message" "message" Id;
        "n" "n" Int;
        "epoch" "epoch" Int;
    }
    RESULT "result" true {
        "message" "message" Id;
        "n" "n" Int;
        "facts" "facts" Int;
        "not_sent_at" "result.not_sent_at" At;
        "rejected_at" "result.rejected_at" At;
        "accepted_at" "result.accepted_at" At;
        "in_doubt_at" "result.in_doubt_at" At;
        "sent_at" "result.sent_at" At;
        "delivered_at" "result.delivered_at" At;
        "read_at" "result.read_at" At;
        "played_at" "result.played_at" At;
        "failed_at" "result.failed_at" At;
        "released_at" "result.released_at" At;
        "code" "result.code" Int;
        "class" "result.class" Text;
        "title" "result.title" Text;
        "details" "result.details" Text;
        "provider_id" "result.provider_id" Text;
        "provider_hash" "provider_hash" Int;
        "charge" "result.charge" Text;
    }
    OTHER_NAME "other_name" true {
        "provider_hash" "provider_hash" Int;
        "provider_id" "name" Text;
        "message" "message" Id;
        "n" "n" Int;
    }
    SILENT "silent" true { "message" "message" Id; "n" "n" Int; }
    TOUCH "touch" true {
        "recipient" "recipient" Int;
        "at" "begun_at" At;
        "message" "message" Id;
        "n" "n" Int;
        "category" "category" Text;
        "lane" "lane_rank" Int;
    }
    FAILURE "failure" true {
        "message" "message" Id;
        "campaign" "campaign" Id "coalesce({v}, {none})";
        "session" "session" Id;
        "code" "code" Int;
        "class" "class" Text;
        "critical" "critical" Flag;
        "at" "at" At;
    }
    INBOUND "inbound" true {
        "position" "position" Int;
        "session" "session" Id;
        "contact" "contact" Id;
        "echo" "echo" Flag;
        "phone" "phone" Int;
        "bsuid" "bsuid" Text;
        "provider_id" "provider_id" Text;
        "at" "at" At;
        "opens" "opens" Flag;
        "asks" "asks" Flag;
        "body" "body" Json;
        "context" "context" Json;
        "referral" "referral" Json;
        "chat" "chat" Text;
        "target" "target" Text;
    }
    ENTRY_POINT "entry_point" true { "session" "session" Id; "contact" "contact" Id; "until" "until" At; }
    CONVERSATION "conversation" true {
        "session" "session" Id;
        "contact" "contact" Id;
        "state" "state" Text;
        "assigned" "assigned" Text;
        "unread" "unread" Int;
        "started_at" "started_at" At;
        "last_message_at" "last_message_at" At;
        "first_inbound_at" "first_inbound_at" At;
        "closed_at" "closed_at" At;
    }
    NOTICE "notice" true { "id" "id" Id; "body" "body" Json; }
}

/// Rows on their way into their tables.
pub(crate) type Rows = Vec<(&'static Table, Row)>;

/// What records of one tenant become.
pub(crate) struct Parts<'a> {
    pub(crate) tenant: TenantId,
    pub(crate) now: DateTime<Utc>,
    pub(crate) books: &'a Books,
    /// The lanes of campaigns that messages belong to.
    pub(crate) lanes: &'a std::collections::HashMap<wa_core::model::CampaignId, wa_core::model::Lane>,
    pub(crate) rows: Rows,
    pub(crate) derived: Derived,
}

impl Parts<'_> {
    /// Takes a record that is not the tenant, one of its sessions or prices: these come by themselves.
    pub(crate) fn take(&mut self, record: &Record) -> Result<(), Misfit> {
        let mut row = row_of(record)?;
        match record {
            Record::Prices(_) | Record::Tenant(_) | Record::Session(_) => return Err(Misfit),
            Record::Template(it) => {
                row.insert("key".to_owned(), json(&it.record.key)?);
                self.rows.push((&TEMPLATE, row));
            }
            Record::Suppressed(_) => self.rows.push((&SUPPRESSED, row)),
            Record::Contact(it) => {
                for alias in &it.aliases {
                    self.rows.push((
                        &CONTACT_ALIAS,
                        fields([("alias", json(alias)?), ("contact", json(&it.id)?)]),
                    ));
                }
                for former in &it.former {
                    let mut row = object(json(former)?)?;
                    row.insert("contact".to_owned(), json(&it.id)?);
                    self.rows.push((&FORMER_ADDRESS, row));
                }
                self.rows.push((&CONTACT, row));
            }
            Record::List(_) => self.rows.push((&LIST_OF, row)),
            Record::Member(_) => self.rows.push((&LIST_MEMBER, row)),
            Record::Import(_) => self.rows.push((&IMPORT_INTO, row)),
            Record::ImportLine(_) => self.rows.push((&IMPORT_LINE, row)),
            Record::ImportPhone(_) => self.rows.push((&IMPORT_PHONE, row)),
            Record::Campaign(it) => {
                if let Some(minted_ms) = it.minted_ms {
                    for (place, session) in (0_u16..).zip(&it.sessions) {
                        let mint = mint(minted_ms, place);
                        let feed = fields([
                            ("id", json(&it.id)?),
                            ("place", place.into()),
                            ("session", json(session)?),
                            ("first", json(&mint.first())?),
                            ("last", json(&mint.last())?),
                        ]);
                        self.rows.push((&FEED, feed));
                    }
                    row.insert("launched_list".to_owned(), json(&it.list)?);
                }
                if it.meter.is_some() {
                    self.rows.push((&CAMPAIGN_METER, row.clone()));
                }
                self.rows.push((&CAMPAIGN, row));
            }
            Record::Schedule(_) => self.rows.push((&SCHEDULE, row)),
            Record::Run(_) => self.rows.push((&SCHEDULE_RUN, row)),
            Record::Message(it) => self.message(it, row)?,
            Record::Inbound(it) => self.inbound(it, row)?,
            Record::EntryPoint(_) => self.rows.push((&ENTRY_POINT, row)),
            Record::Conversation(_) => self.rows.push((&CONVERSATION, row)),
            Record::Notice(it) => {
                row.insert("id".to_owned(), json(&it.body.id)?);
                self.rows.push((&NOTICE, row));
            }
            // A kind of a later version is refused before it gets here.
            _ => return Err(Misfit),
        }
        Ok(())
    }

    fn message(&mut self, it: &ArchivedMessage, mut row: Row) -> Result<(), Misfit> {
        let recipient = it.recipient().ok_or(Misfit)?;
        let lane = match (&it.single, it.campaign) {
            (Some(single), _) => single.lane,
            (None, Some(campaign)) => self.lanes.get(&campaign).copied().ok_or(Misfit)?,
            (None, None) => return Err(Misfit),
        };
        let last_session = it.attempts.last().map_or(it.session, |attempt| attempt.session);
        let next_n = it.attempts.last().map_or(1, |attempt| attempt.n.saturating_add(1));
        row.remove("attempts");
        row.extend(fields([
            ("lane_rank", lane_rank(lane).into()),
            ("next_n", next_n.into()),
            ("last_session", json(&last_session)?),
            ("now", json(&self.now)?),
        ]));
        if let Some(single) = &it.single {
            // As the stores digest a new message.
            let digest = Fingerprint::of_json(&(
                it.session,
                &recipient,
                &single.content,
                &single.reply_to,
                &single.fallback,
                single.lane,
                single.in_doubt,
            ));
            let bytes = digest.ok_or(Misfit)?;
            row.insert("fingerprint".to_owned(), super::digits(bytes.as_bytes()).into());
            self.rows.push((&SINGLE, row.clone()));
        }
        let beside = [
            (&DUE, it.due.is_some()),
            (&CLOSED, it.closed.is_some()),
            (&DOUBT, it.doubt.is_some()),
            (&REDRIVEN, it.redriven.is_some()),
        ];
        for (table, is_there) in beside {
            if is_there {
                self.rows.push((table, row.clone()));
            }
        }
        self.attempts(it, &recipient, lane_rank(lane))?;
        let stored = stored(self.tenant, it).ok_or(Misfit)?;
        if let Some(failure) = self.derived.message(it, &stored, self.books)? {
            let mut row = fields([
                ("message", json(&it.id)?),
                ("session", json(&last_session)?),
                ("critical", failure.critical.into()),
                ("at", json(&failure.at)?),
            ]);
            let optional = [
                ("campaign", json(&it.campaign)?),
                ("code", json(&failure.code)?),
                ("class", json(&failure.class)?),
            ];
            row.extend(fields(optional));
            self.rows.push((&FAILURE, row));
        }
        self.rows.push((&MESSAGE, row));
        Ok(())
    }

    fn attempts(&mut self, it: &ArchivedMessage, recipient: &Recipient, lane: i64) -> Result<(), Misfit> {
        for attempt in &it.attempts {
            let mut row = object(json(attempt)?)?;
            row.extend(fields([
                ("message", json(&it.id)?),
                ("recipient", recipient.key().cast_signed().into()),
                ("lane_rank", lane.into()),
                // Of no life of this store: nothing of it is sent again by itself.
                ("incarnation", json(&uuid::Uuid::nil())?),
            ]));
            if let Some(book) = attempt.book {
                row.insert("book_key".to_owned(), self.books.key(book).ok_or(Misfit)?.into());
            }
            let facts = attempt.result.as_ref().map(|result| result.facts());
            for name in &attempt.other_ids {
                self.rows.push((&OTHER_NAME, other_name(it.id, attempt.n, name)?));
            }
            if attempt.silent {
                self.rows.push((&SILENT, row.clone()));
            }
            if attempt.category != wa_core::model::RateCategory::Service
                && facts.as_ref().is_none_or(|facts| !facts.has(wa_core::model::Fact::Released))
            {
                self.rows.push((&TOUCH, row.clone()));
            }
            match facts {
                Some(facts) => {
                    row.insert("facts".to_owned(), facts.mask().into());
                    let hash = facts.provider_id.as_deref().map(provider_hash);
                    row.extend(hash.map(|hash| ("provider_hash".to_owned(), hash.into())));
                    self.rows.push((&RESULT, row.clone()));
                }
                None => self.rows.push((&OPEN_ATTEMPT, row.clone())),
            }
            self.rows.push((&ATTEMPT, row));
        }
        Ok(())
    }

    fn inbound(&mut self, it: &ArchivedInbound, mut row: Row) -> Result<(), Misfit> {
        let heard = heard(it).ok_or(Misfit)?;
        let asked = heard.group.is_none() && asks(heard.kind());
        row.extend(fields([("opens", heard.opens_window().into()), ("asks", asked.into())]));
        row.extend(heard.target().map(|target| ("target".to_owned(), Value::from(target))));
        self.rows.push((&INBOUND, row));
        self.derived.inbound(self.tenant, &heard);
        Ok(())
    }
}

/// The rows of a session, but for its lease.
pub(crate) fn session(it: &ArchivedSession) -> Result<Rows, Misfit> {
    let row = object(json(it)?)?;
    let mut rows: Rows = Vec::new();
    for (table, children) in [(&SESSION_NEWS, json(&it.news)?), (&BREAKER, json(&it.breakers)?)] {
        for child in children.as_array().into_iter().flatten() {
            let mut child = object(child.clone())?;
            child.insert("session".to_owned(), json(&it.id)?);
            rows.push((table, child));
        }
    }
    if it.listened.is_some() {
        rows.push((&LISTENED, row.clone()));
    }
    // A session that has a lease can be owned.
    rows.push((&SESSION_LEASE, row.clone()));
    rows.insert(0, (&SESSION, row));
    Ok(rows)
}

fn other_name(message: MessageId, n: u16, name: &str) -> Result<Row, Misfit> {
    Ok(fields([
        ("provider_hash", provider_hash(name).into()),
        ("name", name.into()),
        ("message", json(&message)?),
        ("n", n.into()),
    ]))
}

fn heard(it: &ArchivedInbound) -> Option<StoredInbound> {
    Some(StoredInbound {
        position: it.position,
        session: it.session,
        contact: it.contact,
        direction: if it.echo { Direction::Echo } else { Direction::Inbound },
        from: Recipient::new(it.phone, it.bsuid.clone()).ok()?,
        provider_id: it.provider_id.clone(),
        at: it.at,
        body: it.body.clone(),
        context: it.context.clone(),
        referral: it.referral.clone(),
        group: it.chat.clone(),
        edited: None,
        revoked_at: None,
        reactions: Vec::new(),
    })
}

fn row_of(record: &Record) -> Result<Row, Misfit> {
    object(json(record)?)
}

fn object(value: Value) -> Result<Row, Misfit> {
    match value {
        Value::Object(row) => Ok(row),
        _ => Err(Misfit),
    }
}

fn fields<const N: usize>(fields: [(&str, Value); N]) -> Row {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
