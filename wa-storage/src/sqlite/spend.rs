//! What was spent: totals, contacts, budgets, trends. A few rows each, never the messages of a tenant.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use wa_core::model::{BudgetOf, BudgetUse, ContactId, Currency, Recipient, TenantId, micros};
use wa_core::port::store::{ContactSpend, Cost, CostOf, TrendPoint, TrendQuery};
use wa_core::rules::cost::{self, CostCounter};
use wa_core::rules::rollup;

use super::audience::contacts;
use super::codec::{at, id, opt_id, parsed, recipient};
use super::error::Fallible;
use super::message::{attempt, attempt_columns, pattern};
use super::prices::Books;
use super::reports::read_counters;
use crate::common::booked::budget_key;
use crate::common::spend::{Sent, Spending, points};

pub(super) const BETWEEN: &str = "SELECT counter, sum(n) FROM ( \
     SELECT counter, n FROM rollup WHERE tenant = ?1 AND slot >= ?2 AND slot < ?3 \
     UNION ALL SELECT counter, n FROM rollup_delta WHERE tenant = ?1 AND slot >= ?2 AND slot < ?3) \
     GROUP BY counter";
pub(super) const TREND: &str = "SELECT slot, counter, sum(n) FROM ( \
     SELECT slot, counter, n FROM rollup \
     WHERE tenant = ?1 AND slot >= ?2 AND slot < ?3 AND (?4 IS NULL OR session = ?4) \
     UNION ALL SELECT slot, counter, n FROM rollup_delta \
     WHERE tenant = ?1 AND slot >= ?2 AND slot < ?3 AND (?4 IS NULL OR session = ?4)) \
     GROUP BY slot, counter";
/// From the few attempts to a recipient to their messages; without statistics the planner would go through
/// all messages of the tenant.
pub(super) const OF_RECIPIENT: &str = concat!(
    "SELECT ",
    attempt_columns!(),
    ", m.id, m.campaign, m.phone, m.bsuid \
     FROM attempt a INDEXED BY attempt_by_recipient CROSS JOIN message m ON m.tenant = a.tenant AND m.id = a.message \
     LEFT JOIN result r ON r.tenant = a.tenant AND r.message = a.message AND r.n = a.n \
     WHERE a.tenant = ?1 AND a.recipient = ?2"
);
pub(super) const BUDGET_USE: &str = "SELECT currency, committed, open FROM budget_use WHERE tenant = ?1 AND of = ?2 \
     AND (committed <> 0 OR open <> 0)";

pub(super) fn cost(conn: &Connection, tenant: TenantId, of: &CostOf) -> Fallible<Cost> {
    let counters = match *of {
        CostOf::Everything => read_counters(conn, tenant, None)?,
        CostOf::Campaign(campaign) => read_counters(conn, tenant, Some(campaign))?,
        CostOf::Between { from, to } => {
            let (from, to) = (micros(rollup::slot(from)), micros(rollup::slot(to)));
            let mut statement = conn.prepare_cached(BETWEEN)?;
            let rows = statement
                .query_map(params![tenant.as_bytes(), from, to], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect::<rusqlite::Result<_>>()?
        }
        CostOf::Contact(contact) => {
            return Ok(of_contact(conn, tenant, contact)?.map(|spend| spend.cost).unwrap_or_default());
        }
        // A part that this version does not know has no attempts.
        _ => Vec::new(),
    };
    Ok(cost::total(counters.into_iter().filter_map(|(key, n)| Some((CostCounter::from_key(&key)?, n)))))
}

pub(super) fn of_contact(
    conn: &Connection,
    tenant: TenantId,
    contact: ContactId,
) -> Fallible<Option<ContactSpend>> {
    let Some(contact) = contacts::by_id(conn, tenant, contact)? else { return Ok(None) };
    let phone = contact.recipient.phone().map(Recipient::from);
    let bsuid = contact.recipient.bsuid().cloned().map(Recipient::from);
    let (mut spending, mut books) = (Spending::default(), Books::default());
    for key in phone.into_iter().chain(bsuid).map(|recipient| recipient.key()) {
        let mut statement = conn.prepare_cached(OF_RECIPIENT)?;
        let sent = statement.query_map(params![tenant.as_bytes(), key.cast_signed()], |row| {
            Ok(Sent {
                attempt: attempt(row)?,
                message: id(row, 33)?,
                campaign: opt_id(row, 34)?,
                recipient: recipient(row, 35)?,
            })
        })?;
        for sent in sent {
            let sent = sent?;
            let booking = books.booking(conn, &sent.recipient, &sent.attempt)?;
            spending.add(sent, booking.as_ref());
        }
    }
    let content = match spending.last() {
        Some(sent) => pattern(conn, tenant, sent.campaign, sent.message, sent.attempt.content)?,
        None => None,
    };
    Ok(Some(spending.finish(content)))
}

pub(super) fn budget_use(
    conn: &Connection,
    tenant: TenantId,
    of: BudgetOf,
) -> Fallible<BTreeMap<Currency, BudgetUse>> {
    let mut statement = conn.prepare_cached(BUDGET_USE)?;
    let rows = statement.query_map(params![tenant.as_bytes(), budget_key(of)], |row| {
        Ok((parsed(row, 0)?, BudgetUse { committed: row.get(1)?, open: row.get(2)? }))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn trend(conn: &Connection, tenant: TenantId, ask: &TrendQuery) -> Fallible<Vec<TrendPoint>> {
    let TrendQuery { from, to, by, session } = ask;
    let (from, to) = (micros(rollup::slot(*from)), micros(rollup::slot(*to)));
    let session = session.as_ref().map(|id| id.as_bytes().as_slice());
    let mut statement = conn.prepare_cached(TREND)?;
    let rows = statement.query_map(params![tenant.as_bytes(), from, to, session], |row| {
        Ok((at(row, 0)?, row.get(1)?, row.get(2)?))
    })?;
    Ok(points(rows.collect::<rusqlite::Result<_>>()?, *by))
}
