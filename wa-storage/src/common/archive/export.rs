//! One tenant's tables as records: what is read, and what is made of it.
//!
//! Invariant: every query gives its rows in the order of the records, those of a child in the order of its
//! parents; its first column is the parent's key. `{t}` stands for the tenant.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use wa_core::model::{ConsentRecord, Fingerprint, PriceBook};
use wa_core::port::store::{ArchivedPrices, Record, RecordKind};
use wa_core::rules::alert::Meter;

use super::{Kind, Misfit, Row, json, typed};

/// What is read of one kind of records.
pub(crate) struct Source {
    pub(crate) kind: RecordKind,
    pub(crate) root: Query,
    pub(crate) children: &'static [Child],
}

/// A query and what its columns hold.
pub(crate) struct Query {
    pub(crate) sql: &'static str,
    pub(crate) columns: &'static [(&'static str, Kind)],
}

/// Rows that belong to others, in a field of these.
pub(crate) struct Child {
    pub(crate) field: &'static str,
    pub(crate) query: Query,
}

/// What the head of an export says of its tenant.
pub(crate) const NAME: &str = "SELECT name FROM tenant WHERE id = {t}";
/// The life of the store.
pub(crate) const INCARNATION: &str = "SELECT incarnation FROM identity WHERE one = 1";
/// Every version of a tenant's prices, and whether attempts were begun under it.
pub(crate) const BOOKS: &str = "SELECT b.id, b.body, b.id IN (SELECT a.book FROM attempt a WHERE a.tenant = {t} \
     AND a.book IS NOT NULL) FROM price_book b WHERE b.tenant = {t} ORDER BY b.id";

use Kind::{At, Bytes, Flag, Id, Int, Json, Text};

/// Everything but the prices, in the order of the records.
pub(crate) const SOURCES: &[Source] = &[
    Source {
        kind: RecordKind::Tenant,
        root: Query {
            sql: "SELECT created_at, settings, entitlement FROM tenant WHERE id = {t}",
            columns: &[("created_at", At), ("settings", Json), ("entitlement", Json)],
        },
        children: &[],
    },
    Source {
        kind: RecordKind::Session,
        root: Query {
            sql: "SELECT s.id, s.transport, s.number, s.portfolio, s.state, s.throughput, s.quality, s.created_at, \
                 s.settings, s.account, s.phone, s.tier, s.checked_at, l.upto, l.silent, l.deaf \
                 FROM session s LEFT JOIN listened l ON l.session = s.id WHERE s.tenant = {t} ORDER BY s.id",
            columns: &[
                ("id", Id),
                ("transport", Text),
                ("number", Text),
                ("portfolio", Text),
                ("state", Text),
                ("throughput", Int),
                ("quality", Text),
                ("created_at", At),
                ("settings", Json),
                ("account", Text),
                ("phone", Int),
                ("tier", Int),
                ("checked_at", At),
                ("listened.upto", At),
                ("listened.silent", Int),
                ("listened.deaf", Flag),
            ],
        },
        children: &[
            Child {
                field: "news",
                query: Query {
                    sql: "SELECT n.session, n.topic, n.at FROM session s JOIN session_news n ON n.session = s.id \
                         WHERE s.tenant = {t} ORDER BY n.session, n.topic",
                    columns: &[("", Id), ("topic", Text), ("at", At)],
                },
            },
            Child {
                field: "breakers",
                query: Query {
                    sql: "SELECT session, nullif(template, ''), nullif(language, ''), reason, code, until, since \
                         FROM breaker WHERE tenant = {t} ORDER BY session, template, language",
                    columns: &[
                        ("", Id),
                        ("template", Text),
                        ("language", Text),
                        ("reason", Text),
                        ("code", Int),
                        ("until", At),
                        ("since", At),
                    ],
                },
            },
        ],
    },
    Source {
        kind: RecordKind::Template,
        root: Query {
            sql: "SELECT record FROM template WHERE tenant = {t} ORDER BY transport, account, name, language",
            columns: &[("record", Json)],
        },
        children: &[],
    },
    Source {
        kind: RecordKind::Suppressed,
        root: Query {
            sql: "SELECT address, at FROM suppressed WHERE tenant = {t} ORDER BY address",
            columns: &[("address", Text), ("at", At)],
        },
        children: &[],
    },
    Source {
        kind: RecordKind::Contact,
        root: Query {
            sql: "SELECT id, attributes, consent, created_at, phone, bsuid, consent_at, consent_source, \
                 profile_name, username, consent_record FROM contact WHERE tenant = {t} ORDER BY id",
            columns: &[
                ("id", Id),
                ("attributes", Json),
                ("consent", Text),
                ("created_at", At),
                ("phone", Int),
                ("bsuid", Text),
                ("consent_at", At),
                ("consent_source", Text),
                ("profile_name", Json),
                ("username", Json),
                ("consent_record", Json),
            ],
        },
        children: &[
            Child {
                field: "aliases",
                query: Query {
                    sql: "SELECT contact, alias FROM contact_alias WHERE tenant = {t} ORDER BY contact, alias",
                    columns: &[("", Id), ("alias", Id)],
                },
            },
            Child {
                field: "former",
                query: Query {
                    sql: "SELECT contact, recipient, until FROM former_address WHERE tenant = {t} \
                         ORDER BY contact, recipient, until",
                    columns: &[("", Id), ("recipient", Int), ("until", At)],
                },
            },
        ],
    },
    Source {
        kind: RecordKind::List,
        root: Query {
            sql: "SELECT name FROM list WHERE tenant = {t} ORDER BY name",
            columns: &[("name", Text)],
        },
        children: &[],
    },
    Source {
        kind: RecordKind::Member,
        root: Query {
            sql: "SELECT l.name, m.seq, m.contact FROM list l JOIN list_member m ON m.list = l.id \
                 WHERE l.tenant = {t} ORDER BY l.name, m.seq",
            columns: &[("list", Text), ("seq", Int), ("contact", Id)],
        },
        children: &[],
    },
    Source {
        kind: RecordKind::Import,
        root: Query {
            sql: "SELECT i.id, l.name, i.source, i.records, i.added, i.duplicates, i.invalid, i.finished \
                 FROM import i JOIN list l ON l.id = i.list WHERE i.tenant = {t} ORDER BY i.id",
            columns: &[
                ("id", Id),
                ("list", Text),
                ("source", Bytes),
                ("records", Int),
                ("added", Int),
                ("duplicates", Int),
                ("invalid", Int),
                ("finished", Flag),
            ],
        },
        children: &[],
    },
    Source {
        kind: RecordKind::ImportLine,
        root: Query {
            sql: "SELECT i.id, x.line, x.outcome, x.problem FROM import i JOIN import_line x ON x.import = i.place \
                 WHERE i.tenant = {t} ORDER BY i.id, x.line",
            columns: &[("import", Id), ("line", Int), ("outcome", Text), ("problem", Json)],
        },
        children: &[],
    },
    Source {
        kind: RecordKind::ImportPhone,
        root: Query {
            sql: "SELECT i.id, x.phone FROM import i JOIN import_phone x ON x.import = i.place \
                 WHERE i.tenant = {t} AND NOT i.finished ORDER BY i.id, x.phone",
            columns: &[("import", Id), ("phone", Int)],
        },
        children: &[],
    },
    Source {
        kind: RecordKind::Campaign,
        root: Query {
            sql: "SELECT c.id, c.name, c.content, c.list_name, c.sessions, c.lane, c.definition, c.state, \
                 c.created_at, c.bound, c.cursor, c.audience, c.frozen, c.fallback, c.valid_until, c.start_at, \
                 c.rate, c.budget, c.budget_currency, c.in_doubt, c.paused_for, c.launched_at, c.completed_at, \
                 c.minted_ms, m.meter FROM campaign c \
                 LEFT JOIN campaign_meter m ON m.tenant = c.tenant AND m.campaign = c.id \
                 WHERE c.tenant = {t} ORDER BY c.id",
            columns: &[
                ("id", Id),
                ("name", Text),
                ("content", Json),
                ("list", Text),
                ("sessions", Json),
                ("lane", Text),
                ("definition", Bytes),
                ("state", Text),
                ("created_at", At),
                ("bound", Int),
                ("cursor", Int),
                ("audience", Int),
                ("frozen", Flag),
                ("fallback", Json),
                ("valid_until", At),
                ("start_at", At),
                ("rate", Int),
                ("budget", Int),
                ("budget_currency", Text),
                ("in_doubt", Json),
                ("paused_for", Text),
                ("launched_at", At),
                ("completed_at", At),
                ("minted_ms", Int),
                ("meter", Json),
            ],
        },
        children: &[],
    },
    Source {
        kind: RecordKind::Schedule,
        root: Query {
            sql: "SELECT id, name, spec, state, runs, skipped, created_at, next_number, next_civil, next_at \
                 FROM schedule WHERE tenant = {t} ORDER BY id",
            columns: &[
                ("id", Id),
                ("name", Text),
                ("spec", Json),
                ("state", Text),
                ("runs", Int),
                ("skipped", Int),
                ("created_at", At),
                ("next_number", Int),
                ("next_civil", Text),
                ("next_at", At),
            ],
        },
        children: &[],
    },
    Source {
        kind: RecordKind::Run,
        root: Query {
            sql: "SELECT schedule, number, civil, due_at, campaign, made_at FROM schedule_run \
                 WHERE tenant = {t} ORDER BY schedule, number",
            columns: &[
                ("schedule", Id),
                ("number", Int),
                ("civil", Text),
                ("due_at", At),
                ("campaign", Id),
                ("made_at", At),
            ],
        },
        children: &[],
    },
    Source {
        kind: RecordKind::Message,
        root: Query {
            // What a cancelled feed had not passed has no row that says so.
            sql: "SELECT m.id, coalesce(s.session, f.session), \
                 coalesce(f.cancelled_at IS NULL AND f.remaining > 0 AND m.id > f.after_id AND c.message IS NULL, \
                 m.id IS NULL), m.campaign, m.contact, m.phone, m.bsuid, m.params, \
                 coalesce(c.reason, CASE WHEN f.cancelled_at IS NOT NULL AND m.id > f.after_id \
                 AND d.message IS NULL AND NOT EXISTS \
                 (SELECT 1 FROM attempt a WHERE a.tenant = m.tenant AND a.message = m.id) THEN 'cancelled' END), \
                 r.attempts, s.lane, s.content, s.reply_to, s.valid_until, s.key, s.fallback, s.in_doubt, \
                 d.due_at, d.why, q.message IS NOT NULL, q.look_at, q.given_up_at \
                 FROM message m \
                 LEFT JOIN single s ON s.tenant = m.tenant AND s.message = m.id \
                 LEFT JOIN feed f ON f.tenant = m.tenant AND f.campaign = m.campaign \
                 AND f.first_id <= m.id AND f.last_id >= m.id \
                 LEFT JOIN closed c ON c.tenant = m.tenant AND c.message = m.id \
                 LEFT JOIN due d ON d.tenant = m.tenant AND d.message = m.id \
                 LEFT JOIN doubt q ON q.tenant = m.tenant AND q.message = m.id \
                 LEFT JOIN redriven r ON r.tenant = m.tenant AND r.message = m.id \
                 WHERE m.tenant = {t} ORDER BY m.id",
            columns: &[
                ("id", Id),
                ("session", Id),
                ("in_feed", Flag),
                ("campaign", Id),
                ("contact", Id),
                ("phone", Int),
                ("bsuid", Text),
                ("values", Json),
                ("closed", Text),
                ("redriven", Int),
                ("single.lane", Text),
                ("single.content", Json),
                ("single.reply_to", Text),
                ("single.valid_until", At),
                ("single.key", Text),
                ("single.fallback", Json),
                ("single.in_doubt", Json),
                ("due.at", At),
                ("due.why", Text),
                ("doubt!", Flag),
                ("doubt.look_at", At),
                ("doubt.given_up_at", At),
            ],
        },
        children: &[
            Child {
                field: "attempts",
                query: Query {
                    sql: "SELECT a.message, a.n, a.session, a.epoch, a.batch, a.begun_at, a.end_by, a.tier_slot, \
                         a.category, a.price_reason, a.counts_as_service, a.fallback, a.month, \
                         x.message IS NOT NULL, a.price, a.reserve, a.currency, a.book, a.warm_up_day, \
                         r.not_sent_at, r.rejected_at, r.accepted_at, r.in_doubt_at, r.sent_at, r.delivered_at, \
                         r.read_at, r.played_at, r.failed_at, r.released_at, r.code, r.class, r.title, r.details, \
                         r.provider_id, r.charge FROM attempt a \
                         LEFT JOIN result r ON r.tenant = a.tenant AND r.message = a.message AND r.n = a.n \
                         LEFT JOIN silent x ON x.tenant = a.tenant AND x.message = a.message AND x.n = a.n \
                         WHERE a.tenant = {t} ORDER BY a.message, a.n",
                    columns: &[
                        ("", Id),
                        ("n", Int),
                        ("session", Id),
                        ("epoch", Int),
                        ("batch", Id),
                        ("begun_at", At),
                        ("end_by", At),
                        ("tier_slot", Flag),
                        ("category", Text),
                        ("price_reason", Text),
                        ("counts_as_service", Flag),
                        ("fallback", Flag),
                        ("month", Text),
                        ("silent", Flag),
                        ("price", Int),
                        ("reserve", Int),
                        ("currency", Text),
                        ("book", Int),
                        ("warm_up_day", Int),
                        ("result.not_sent_at", At),
                        ("result.rejected_at", At),
                        ("result.accepted_at", At),
                        ("result.in_doubt_at", At),
                        ("result.sent_at", At),
                        ("result.delivered_at", At),
                        ("result.read_at", At),
                        ("result.played_at", At),
                        ("result.failed_at", At),
                        ("result.released_at", At),
                        ("result.code", Int),
                        ("result.class", Text),
                        ("result.title", Text),
                        ("result.details", Text),
                        ("result.provider_id", Text),
                        ("result.charge", Text),
                    ],
                },
            },
            Child {
                field: NAMES,
                query: Query {
                    sql: "SELECT message, n, provider_id FROM other_name WHERE tenant = {t} \
                         ORDER BY message, n, provider_id",
                    columns: &[("", Id), ("n", Int), ("name", Text)],
                },
            },
        ],
    },
    Source {
        kind: RecordKind::Inbound,
        root: Query {
            sql: "SELECT position, session, contact, echo, provider_id, at, body, phone, bsuid, context, referral, \
                 chat FROM inbound WHERE tenant = {t} ORDER BY position",
            columns: &[
                ("position", Int),
                ("session", Id),
                ("contact", Id),
                ("echo", Flag),
                ("provider_id", Text),
                ("at", At),
                ("body", Json),
                ("phone", Int),
                ("bsuid", Text),
                ("context", Json),
                ("referral", Json),
                ("chat", Text),
            ],
        },
        children: &[],
    },
    Source {
        kind: RecordKind::EntryPoint,
        root: Query {
            sql: "SELECT session, contact, until FROM entry_point WHERE tenant = {t} ORDER BY session, contact",
            columns: &[("session", Id), ("contact", Id), ("until", At)],
        },
        children: &[],
    },
    Source {
        kind: RecordKind::Conversation,
        root: Query {
            sql: "SELECT session, contact, state, unread, started_at, last_message_at, assigned, first_inbound_at, \
                 closed_at FROM conversation WHERE tenant = {t} ORDER BY session, contact",
            columns: &[
                ("session", Id),
                ("contact", Id),
                ("state", Text),
                ("unread", Int),
                ("started_at", At),
                ("last_message_at", At),
                ("assigned", Text),
                ("first_inbound_at", At),
                ("closed_at", At),
            ],
        },
        children: &[],
    },
    Source {
        kind: RecordKind::Notice,
        root: Query {
            sql: "SELECT body FROM notice WHERE tenant = {t} ORDER BY id",
            columns: &[("body", Json)],
        },
        children: &[],
    },
];

/// Where further names of attempts stand before each is with its attempt.
const NAMES: &str = "names";

/// The versions of a tenant's prices by their keys here.
#[derive(Debug, Default)]
pub(crate) struct Digests(BTreeMap<i64, Value>);

/// The records of prices; `rows` are key, text, and whether attempts were begun under them.
pub(crate) fn prices(rows: Vec<(i64, String, bool)>) -> Result<(Digests, Vec<Record>), Misfit> {
    let (mut digests, mut used) = (Digests::default(), BTreeSet::new());
    let mut books = BTreeMap::new();
    for (key, body, is_used) in rows {
        let book: PriceBook = serde_json::from_str(&body).map_err(|_| Misfit)?;
        let id = Fingerprint::of_json(&book).ok_or(Misfit)?;
        let record = ArchivedPrices { id, book };
        let digest = json(&record)?.get("id").cloned().ok_or(Misfit)?;
        digests.0.insert(key, digest);
        used.extend(is_used.then_some(id));
        books.insert(id, record);
    }
    let records = books.into_iter().filter(|(id, _)| used.contains(id)).map(|(_, it)| Record::Prices(it));
    Ok((digests, records.collect()))
}

/// The record that a row is, with its children in it.
pub(crate) fn record(kind: RecordKind, mut row: Row, digests: &Digests) -> Result<Record, Misfit> {
    if let Some(Value::Array(aliases)) = row.get_mut("aliases") {
        aliases.iter_mut().for_each(|alias| *alias = alias.get("alias").cloned().unwrap_or_default());
    }
    let names = row.remove(NAMES);
    if let Some(Value::Array(attempts)) = row.get_mut("attempts") {
        for attempt in attempts.iter_mut().filter_map(Value::as_object_mut) {
            if let Some(book) = attempt.get("book").and_then(Value::as_i64) {
                attempt.insert("book".to_owned(), digests.0.get(&book).cloned().ok_or(Misfit)?);
            }
            if let Some(Value::Array(names)) = &names {
                let own = names.iter().filter(|name| name.get("n") == attempt.get("n"));
                let own: Vec<Value> = own.filter_map(|name| name.get("name").cloned()).collect();
                attempt.insert("other_ids".to_owned(), own.into());
            }
        }
    }
    row.insert("kind".to_owned(), kind.as_str().into());
    let mut record: Record = typed(Value::Object(row))?;
    // What is the same as nothing is nothing, whichever way it was stored.
    match &mut record {
        Record::Contact(it) => {
            it.consent_record = it.consent_record.filter(|record| *record != ConsentRecord::default());
        }
        Record::Campaign(it) => it.meter = it.meter.take().filter(|meter| *meter != Meter::default()),
        Record::Message(it) => it.values = it.values.take().filter(|values| !values.is_empty()),
        _ => {}
    }
    Ok(record)
}
