//! A tenant's numbers as its records give them, held against those that are kept.
//!
//! Invariant: what agrees is forgotten at once, so what is left at the end is what does not hold. Records
//! pass by one at a time; in memory are the numbers of one tenant, and what one user wrote to one session.
//! What cannot be read as a record is passed over, and so is missed in the numbers.

use std::collections::BTreeMap;
use std::fmt::{Display, Formatter};

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use wa_core::model::{
    BudgetOf, CampaignId, ContactId, Finding, Invariant, Period, SessionId, TenantId, micros,
};
use wa_core::port::store::{Record, RecordKind};
use wa_core::rules::window::Chain;

use super::archive::derive::{Books, Derived, Fed, stored};
use super::archive::export::{self, Digests, Query, SOURCES, Source};
use super::archive::{Kind, Misfit, Row, bytes, typed};
use super::booked::{Booked, Change, budget_key};
use super::changes::{Delta, Written};

/// A tenant's messages with their attempts.
pub(crate) fn messages() -> Option<&'static Source> {
    SOURCES.iter().find(|source| source.kind == RecordKind::Message)
}

use Kind::{At, Bytes, Flag, Id, Int, Text};

/// What users wrote, by session and contact, latest first, and the window that is kept of each pair.
/// `{window}` stands for the table.
pub(crate) const WRITTEN: Query = Query {
    sql: "SELECT session, contact, at, echo, opens, referral IS NOT NULL, NULL, NULL, NULL, NULL \
         FROM inbound WHERE tenant = {t} \
         UNION ALL SELECT session, contact, NULL, NULL, NULL, NULL, last_user_message_at, opened_at, \
         user_messages, referral_at FROM {window} WHERE tenant = {t} ORDER BY 1, 2, 3 DESC",
    columns: &[
        ("session", Id),
        ("contact", Id),
        ("at", At),
        ("echo", Flag),
        ("opens", Flag),
        ("referred", Flag),
        ("last_user_message_at", At),
        ("opened_at", At),
        ("user_messages", Int),
        ("referral_at", At),
    ],
};

/// A table of numbers, and how its rows are read. `{none}` stands for the campaign that is none.
pub(crate) struct Kept {
    pub(crate) query: Query,
    numbers: fn(Row) -> Result<Counted, Misfit>,
}

/// Numbers by what they count.
type Counted = Vec<(Number, i64)>;

/// The tables of numbers.
pub(crate) const KEPT: &[Kept] = &[
    Kept {
        query: Query {
            sql: "SELECT nullif(campaign, {none}), counter, CAST(sum(n) AS BIGINT) FROM \
                 (SELECT campaign, counter, n FROM campaign_count WHERE tenant = {t} \
                 UNION ALL SELECT campaign, counter, n FROM delta WHERE tenant = {t}) u \
                 GROUP BY campaign, counter",
            columns: &[("campaign", Id), ("counter", Text), ("n", Int)],
        },
        numbers: |row| one(row, |it: CountRow| (Number::Count(it.campaign, it.counter), it.n)),
    },
    Kept {
        query: Query {
            sql: "SELECT campaign, session, remaining FROM feed WHERE tenant = {t} AND cancelled_at IS NULL",
            columns: &[("campaign", Id), ("session", Id), ("n", Int)],
        },
        numbers: |row| one(row, |it: FeedRow| (Number::Waiting(it.campaign, it.session), it.n)),
    },
    Kept {
        query: Query {
            sql: "SELECT period, used FROM quota_usage WHERE tenant = {t}",
            columns: &[("month", Text), ("n", Int)],
        },
        numbers: |row| one(row, |it: MonthRow| (Number::Quota(it.month), it.n)),
    },
    Kept {
        query: Query {
            sql: "SELECT of, currency, committed, open, last_begun_at FROM budget_use WHERE tenant = {t}",
            columns: &[
                ("of", Bytes),
                ("currency", Text),
                ("committed", Int),
                ("open", Int),
                ("begun_at", At),
            ],
        },
        numbers: |row| {
            let BudgetRow { of, currency, committed, open, begun_at } = read(row)?;
            let of = bytes(&of).ok_or(Misfit)?;
            Ok(budget(&of, &currency, Change { committed, open, begun_at }).into())
        },
    },
    Kept {
        query: Query {
            sql: "SELECT u.session, u.month, u.used FROM session s JOIN service_usage u ON u.session = s.id \
                 WHERE s.tenant = {t}",
            columns: &[("session", Id), ("month", Text), ("n", Int)],
        },
        numbers: |row| one(row, |it: FreeRow| (Number::Free(it.session, it.month), it.n)),
    },
    Kept {
        query: Query {
            sql: "SELECT u.session, u.day, u.used FROM session s JOIN warm_up_usage u ON u.session = s.id \
                 WHERE s.tenant = {t}",
            columns: &[("session", Id), ("day", Int), ("n", Int)],
        },
        numbers: |row| one(row, |it: DayRow| (Number::WarmUp(it.session, it.day), it.n)),
    },
    Kept {
        query: Query {
            sql: "SELECT slot, session, counter, CAST(sum(n) AS BIGINT) FROM \
                 (SELECT slot, session, counter, n FROM rollup WHERE tenant = {t} \
                 UNION ALL SELECT slot, session, counter, n FROM rollup_delta WHERE tenant = {t}) u \
                 GROUP BY slot, session, counter",
            columns: &[("slot", At), ("session", Id), ("counter", Text), ("n", Int)],
        },
        numbers: |row| one(row, |it: SlotRow| (Number::Slot(it.slot, it.session, it.counter), it.n)),
    },
];

#[derive(Deserialize)]
struct CountRow {
    campaign: Option<CampaignId>,
    counter: String,
    n: i64,
}

#[derive(Deserialize)]
struct FeedRow {
    campaign: CampaignId,
    session: SessionId,
    n: i64,
}

#[derive(Deserialize)]
struct MonthRow {
    month: String,
    n: i64,
}

#[derive(Deserialize)]
struct BudgetRow {
    of: String,
    currency: String,
    committed: i64,
    open: i64,
    begun_at: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
struct FreeRow {
    session: SessionId,
    month: String,
    n: i64,
}

#[derive(Deserialize)]
struct DayRow {
    session: SessionId,
    day: i64,
    n: i64,
}

#[derive(Deserialize)]
struct SlotRow {
    slot: DateTime<Utc>,
    session: SessionId,
    counter: String,
    n: i64,
}

#[derive(Deserialize)]
struct WrittenRow {
    session: SessionId,
    contact: ContactId,
    at: Option<DateTime<Utc>>,
    #[serde(default)]
    echo: bool,
    #[serde(default)]
    opens: bool,
    #[serde(default)]
    referred: bool,
    last_user_message_at: Option<DateTime<Utc>>,
    opened_at: Option<DateTime<Utc>>,
    user_messages: Option<u64>,
    referral_at: Option<DateTime<Utc>>,
}

fn read<T: DeserializeOwned>(row: Row) -> Result<T, Misfit> {
    typed(row.into())
}

fn one<T: DeserializeOwned>(row: Row, number: impl FnOnce(T) -> (Number, i64)) -> Result<Counted, Misfit> {
    Ok(vec![number(read(row)?)])
}

/// The numbers of a budget, by its key.
fn budget(of: &[u8], currency: &str, change: Change) -> [(Number, i64); 3] {
    let Change { committed, open, begun_at } = change;
    let part = |part| Number::Budget(of.to_owned(), currency.to_owned(), part);
    [
        (part("committed"), committed),
        (part("open"), open),
        (part("microsecond of the last begin"), begun_at.map_or(0, micros)),
    ]
}

/// What a number counts.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Number {
    Count(Option<CampaignId>, String),
    /// What waits in a feed.
    Waiting(CampaignId, SessionId),
    Quota(String),
    /// By its key.
    Budget(Vec<u8>, String, &'static str),
    /// Service messages of a month, of which some are free.
    Free(SessionId, String),
    WarmUp(SessionId, i64),
    Slot(DateTime<Utc>, SessionId, String),
}

impl Number {
    const fn invariant(&self) -> Invariant {
        match self {
            Self::Count(..) | Self::Waiting(..) => Invariant::Counts,
            Self::Quota(..) => Invariant::Quota,
            Self::Budget(..) => Invariant::Budgets,
            Self::Free(..) | Self::WarmUp(..) | Self::Slot(..) => Invariant::Recount,
        }
    }
}

impl Display for Number {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Count(Some(campaign), counter) => write!(f, "{counter} of campaign {campaign}"),
            Self::Count(None, counter) => write!(f, "{counter} of the tenant"),
            Self::Waiting(campaign, session) => {
                write!(f, "what waits of campaign {campaign} for session {session}")
            }
            Self::Quota(month) => write!(f, "the quota of {month}"),
            Self::Budget(of, currency, part) => {
                write!(f, "{part} in {currency} of the budget of ")?;
                match (of.is_empty(), uuid::Uuid::from_slice(of)) {
                    (true, _) => f.write_str("the tenant"),
                    (false, Ok(campaign)) => write!(f, "campaign {campaign}"),
                    (false, Err(_)) => f.write_str(&String::from_utf8_lossy(of)),
                }
            }
            Self::Free(session, month) => write!(f, "service messages of session {session} in {month}"),
            Self::WarmUp(session, day) => write!(f, "the warm-up of session {session} on day {day}"),
            Self::Slot(slot, session, counter) => write!(f, "{counter} of session {session} at {slot}"),
        }
    }
}

/// Counts the records of a tenant anew.
pub(crate) struct Recount {
    tenant: TenantId,
    books: Books,
    digests: Digests,
    derived: Derived,
    pair: Option<Pair>,
    windows: Vec<String>,
}

/// What a user wrote to a session that opens windows, latest first, and the window that is kept.
struct Pair {
    key: (SessionId, ContactId),
    wrote_at: Vec<DateTime<Utc>>,
    referral_at: Option<DateTime<Utc>>,
    kept: Option<(Chain, Option<DateTime<Utc>>)>,
}

impl Recount {
    /// Of a tenant with these versions of prices: key, text, and whether attempts were begun under them.
    pub(crate) fn new(tenant: TenantId, books: Vec<(i64, String, bool)>) -> Result<Self, Misfit> {
        let texts = books.iter().map(|(key, body, _)| (*key, body.clone())).collect();
        Ok(Self {
            tenant,
            books: Books::new(texts)?,
            digests: export::prices(books)?.0,
            derived: Derived::default(),
            pair: None,
            windows: Vec::new(),
        })
    }

    /// Counts a row of [`messages`].
    pub(crate) fn message(&mut self, row: Row) {
        let record = export::record(RecordKind::Message, row, &self.digests);
        let Ok(Record::Message(it)) = record else { return };
        if let Some(stored) = stored(self.tenant, &it) {
            // Prices that are not there are missed in the costs.
            let _ = self.derived.message(&it, &stored, &self.books);
        }
    }

    /// Counts a row of [`WRITTEN`].
    pub(crate) fn written(&mut self, row: Row) -> Result<(), Misfit> {
        let it: WrittenRow = read(row)?;
        let key = (it.session, it.contact);
        if self.pair.as_ref().is_none_or(|pair| pair.key != key) {
            self.close_pair();
        }
        let fresh = || Pair { key, wrote_at: Vec::new(), referral_at: None, kept: None };
        let pair = self.pair.get_or_insert_with(fresh);
        if let Some(at) = it.at {
            if !it.echo {
                self.derived.changes.inbound(self.tenant, it.session, at);
            }
            if it.opens {
                pair.wrote_at.push(at);
                pair.referral_at = pair.referral_at.max(it.referred.then_some(at));
            }
        }
        if let (Some(last_user_message_at), Some(opened_at), Some(user_messages)) =
            (it.last_user_message_at, it.opened_at, it.user_messages)
        {
            pair.kept = Some((Chain { opened_at, last_user_message_at, user_messages }, it.referral_at));
        }
        Ok(())
    }

    fn close_pair(&mut self) {
        let Some(Pair { key: (session, contact), wrote_at, referral_at, kept }) = self.pair.take() else {
            return;
        };
        if Chain::of(wrote_at).map(|chain| (chain, referral_at)) != kept {
            self.windows.push(format!(
                "the window of contact {contact} and session {session} is not what was written"
            ));
        }
    }

    /// The numbers that follow, to be held against those that are kept.
    pub(crate) fn numbers(mut self) -> Numbers {
        self.close_pair();
        let Derived { changes, quota, warm_up, feeds, pairs: _ } = self.derived;
        let Written { deltas, booked, events: _, doubted: _, resolved: _, looks: _ } = changes.finish();
        let Booked { budgets, services, rollups } = booked;
        let mut numbers = Counted::new();
        numbers.extend(
            deltas
                .into_iter()
                .map(|Delta { tenant: _, campaign, counter, n }| (Number::Count(campaign, counter.key()), n)),
        );
        numbers.extend(feeds.into_iter().map(|((campaign, session), Fed { passed: _, waiting })| {
            (Number::Waiting(campaign, session), waiting)
        }));
        numbers
            .extend(quota.into_iter().map(|(month, n): (Period, i64)| (Number::Quota(month.to_string()), n)));
        numbers.extend(budgets.into_iter().flat_map(|((_, of, currency), change): ((_, BudgetOf, _), _)| {
            budget(&budget_key(of), currency.as_str(), change)
        }));
        numbers.extend(
            services
                .into_iter()
                .map(|((_, session, month), n)| (Number::Free(session, month.to_string()), n)),
        );
        numbers.extend(
            warm_up.into_iter().map(|((session, day), n)| (Number::WarmUp(session, i64::from(day)), n)),
        );
        numbers.extend(
            rollups
                .into_iter()
                .map(|((_, slot, session, count), n)| (Number::Slot(slot, session, count.key()), n)),
        );
        let follows = numbers.into_iter().filter(|(_, n)| *n != 0).map(|(number, n)| (number, (n, 0)));
        Numbers { tenant: self.tenant, differ: follows.collect(), windows: self.windows }
    }
}

/// Numbers that follow and were not kept so far.
pub(crate) struct Numbers {
    tenant: TenantId,
    /// What follows, and what is kept.
    differ: BTreeMap<Number, (i64, i64)>,
    windows: Vec<String>,
}

impl Numbers {
    /// Holds a row of one of [`KEPT`] against them.
    pub(crate) fn kept(&mut self, table: &Kept, row: Row) -> Result<(), Misfit> {
        for (number, n) in (table.numbers)(row)? {
            let follows = self.differ.remove(&number).map_or(0, |(follows, _)| follows);
            if follows != n {
                self.differ.insert(number, (follows, n));
            }
        }
        Ok(())
    }

    /// What does not hold.
    pub(crate) fn findings(self) -> impl Iterator<Item = Finding> {
        let Self { tenant, differ, windows } = self;
        let off = differ.into_iter().map(|(number, (follows, kept))| {
            (number.invariant(), format!("{number} is {kept}, and {follows} follows"))
        });
        let windows = windows.into_iter().map(|line| (Invariant::Recount, line));
        off.chain(windows).map(move |(invariant, line)| Finding {
            invariant,
            tenant: Some(tenant),
            message: None,
            line,
        })
    }
}
