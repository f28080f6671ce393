//! What was spent: totals, contacts, budgets, trends. A few rows each, never the messages of a tenant.

use std::collections::BTreeMap;

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection};
use wa_core::model::{BudgetOf, BudgetUse, ContactId, Currency, Recipient, TenantId};
use wa_core::port::store::{ContactSpend, Cost, CostOf, TrendPoint, TrendQuery};
use wa_core::rules::cost::{self, CostCounter};
use wa_core::rules::rollup;

use super::audience::contacts;
use super::codec::{at, get, id, opt_id, parsed, recipient, ts};
use super::error::Fallible;
use super::message::{ATTEMPT_COLUMNS, attempt, pattern};
use super::prices::Books;
use super::reports::read_counters;
use crate::common::booked::budget_key;
use crate::common::spend::{Sent, Spending, points};

const BETWEEN: &str = "SELECT c.counter, sum(c.n)::bigint FROM ( \
     SELECT counter, n FROM rollup WHERE tenant = $1 AND slot >= $2 AND slot < $3 \
     UNION ALL SELECT counter, n FROM rollup_delta WHERE tenant = $1 AND slot >= $2 AND slot < $3) c \
     GROUP BY c.counter";
const TREND: &str = "SELECT c.slot, c.counter, sum(c.n)::bigint FROM ( \
     SELECT slot, counter, n FROM rollup \
     WHERE tenant = $1 AND slot >= $2 AND slot < $3 AND ($4::uuid IS NULL OR session = $4) \
     UNION ALL SELECT slot, counter, n FROM rollup_delta \
     WHERE tenant = $1 AND slot >= $2 AND slot < $3 AND ($4::uuid IS NULL OR session = $4)) c \
     GROUP BY c.slot, c.counter";
/// From the few attempts to a recipient to their messages.
const OF_RECIPIENT: &str = "FROM attempt a \
     CROSS JOIN LATERAL (SELECT x.id, x.campaign, x.phone, x.bsuid FROM message x \
         WHERE x.tenant = a.tenant AND x.id = a.message LIMIT 1) m \
     LEFT JOIN LATERAL (SELECT * FROM result x \
         WHERE x.tenant = a.tenant AND x.message = a.message AND x.n = a.n LIMIT 1) r ON true \
     WHERE a.tenant = $1 AND a.recipient = $2";
const BUDGET_USE: &str = "SELECT currency, committed, open FROM budget_use WHERE tenant = $1 AND of = $2 \
     AND (committed <> 0 OR open <> 0)";

pub(super) async fn cost(conn: &mut PgConnection, tenant: TenantId, of: &CostOf) -> Fallible<Cost> {
    let counters: Vec<(String, i64)> = match *of {
        CostOf::Everything => read_counters(conn, tenant, None).await?,
        CostOf::Campaign(campaign) => read_counters(conn, tenant, Some(campaign)).await?,
        CostOf::Between { from, to } => {
            sqlx::query(BETWEEN)
                .bind(tenant.as_uuid())
                .bind(ts(rollup::slot(from)))
                .bind(ts(rollup::slot(to)))
                .try_map(|row: PgRow| Ok((get(&row, 0)?, get(&row, 1)?)))
                .fetch_all(conn)
                .await?
        }
        CostOf::Contact(contact) => {
            let spend = of_contact(conn, tenant, contact).await?;
            return Ok(spend.map(|spend| spend.cost).unwrap_or_default());
        }
        // A part that this version does not know has no attempts.
        _ => Vec::new(),
    };
    Ok(cost::total(counters.into_iter().filter_map(|(key, n)| Some((CostCounter::from_key(&key)?, n)))))
}

pub(super) async fn of_contact(
    conn: &mut PgConnection,
    tenant: TenantId,
    contact: ContactId,
) -> Fallible<Option<ContactSpend>> {
    let Some(contact) = contacts::by_id(conn, tenant, contact).await? else { return Ok(None) };
    let phone = contact.recipient.phone().map(Recipient::from);
    let bsuid = contact.recipient.bsuid().cloned().map(Recipient::from);
    let (mut spending, mut books) = (Spending::default(), Books::default());
    for key in phone.into_iter().chain(bsuid).map(|recipient| recipient.key()) {
        for sent in sent_to(conn, tenant, key.cast_signed()).await? {
            let booking = books.booking(conn, &sent.recipient, &sent.attempt).await?;
            spending.add(sent, booking.as_ref());
        }
    }
    let content = match spending.last() {
        Some(sent) => pattern(conn, tenant, sent.campaign, sent.message, sent.attempt.content).await?,
        None => None,
    };
    Ok(Some(spending.finish(content)))
}

/// The attempts to a recipient.
async fn sent_to(conn: &mut PgConnection, tenant: TenantId, recipient_key: i64) -> Fallible<Vec<Sent>> {
    let sql = format!("SELECT {ATTEMPT_COLUMNS}, m.id, m.campaign, m.phone, m.bsuid {OF_RECIPIENT}");
    let sent = sqlx::query(AssertSqlSafe(sql))
        .bind(tenant.as_uuid())
        .bind(recipient_key)
        .try_map(|row: PgRow| {
            Ok(Sent {
                attempt: attempt(&row)?,
                message: id(&row, 33)?,
                campaign: opt_id(&row, 34)?,
                recipient: recipient(&row, 35)?,
            })
        })
        .fetch_all(conn)
        .await?;
    Ok(sent)
}

pub(super) async fn budget_use(
    conn: &mut PgConnection,
    tenant: TenantId,
    of: BudgetOf,
) -> Fallible<BTreeMap<Currency, BudgetUse>> {
    let used: Vec<(Currency, BudgetUse)> = sqlx::query(BUDGET_USE)
        .bind(tenant.as_uuid())
        .bind(budget_key(of))
        .try_map(|row: PgRow| {
            Ok((parsed(&row, 0)?, BudgetUse { committed: get(&row, 1)?, open: get(&row, 2)? }))
        })
        .fetch_all(conn)
        .await?;
    Ok(used.into_iter().collect())
}

pub(super) async fn trend(
    conn: &mut PgConnection,
    tenant: TenantId,
    ask: &TrendQuery,
) -> Fallible<Vec<TrendPoint>> {
    let TrendQuery { from, to, by, session } = ask;
    let rows = sqlx::query(TREND)
        .bind(tenant.as_uuid())
        .bind(ts(rollup::slot(*from)))
        .bind(ts(rollup::slot(*to)))
        .bind(session.map(|session| session.as_uuid()))
        .try_map(|row: PgRow| Ok((at(&row, 0)?, get(&row, 1)?, get(&row, 2)?)))
        .fetch_all(conn)
        .await?;
    Ok(points(rows, *by))
}
