//! Messages that are put back by hand.

use std::collections::BTreeSet;

use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use uuid::Uuid;
use wa_core::model::{CampaignId, MessageId, SkipReason, TenantId};
use wa_core::port::store::{News, Redrive, RedriveOf, Redriven, RetryMessage, StoreError};
use wa_core::rules::redrive::may_return;

use super::failures;
use crate::common::changes::Changes;
use crate::postgres::codec::{id, uuids};
use crate::postgres::error::{Fallible, Fault};
use crate::postgres::message::{DueRow, Place, load_all, places, put_due};
use crate::postgres::reports::{failed_ids, ids_of_campaign};
use crate::postgres::tx::{Access, Locks, Tx};
use crate::postgres::{PostgresStore, page_size};

const SKIPPED: &str = "SELECT message FROM closed \
     WHERE tenant = $1 AND message > $2 AND reason = $3 ORDER BY message LIMIT $4";
const SKIPPED_OF_CAMPAIGN: &str = "SELECT c.message FROM closed c \
     CROSS JOIN LATERAL (SELECT 1 FROM message x \
         WHERE x.tenant = c.tenant AND x.id = c.message AND x.campaign = $6 LIMIT 1) m \
     WHERE c.tenant = $1 AND c.message > $2 AND c.reason = $3 AND c.message <= $5 \
     ORDER BY c.message LIMIT $4";
const PUT_REDRIVEN: &str = "INSERT INTO redriven (tenant, message, attempts) \
     SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) \
     ON CONFLICT (tenant, message) DO UPDATE SET attempts = excluded.attempts";

pub(super) async fn retry(
    store: &PostgresStore,
    tenant: TenantId,
    message: MessageId,
) -> Result<RetryMessage, StoreError> {
    let locks = Locks::tenant(&store.shared, tenant);
    let mut tx = store.write(Access::Tenant(tenant), locks).await?;
    let outcome = put_back(&mut tx, tenant, &[message]).await;
    let outcome = outcome.map(|outcomes| outcomes.first().copied().unwrap_or(RetryMessage::Missing));
    tx.end_telling(outcome, News::Due).await
}

pub(super) async fn redrive(
    store: &PostgresStore,
    tenant: TenantId,
    ask: &Redrive,
) -> Result<Redriven, StoreError> {
    let locks = Locks::tenant(&store.shared, tenant);
    let mut tx = store.write(Access::Tenant(tenant), locks).await?;
    let redriven = chunk(&mut tx, tenant, ask).await;
    tx.end_telling(redriven, News::Due).await
}

async fn chunk(tx: &mut Tx, tenant: TenantId, ask: &Redrive) -> Fallible<Redriven> {
    let Redrive { of, after, limit } = ask;
    let fitting = match of {
        RedriveOf::Failed(filter) => failed_ids(tx.conn(), tenant, filter, *after, *limit).await?,
        RedriveOf::Skipped { reason, campaign } if may_return(*reason) => {
            skipped(tx.conn(), tenant, *reason, *campaign, *after, *limit).await?
        }
        RedriveOf::Skipped { reason: _, campaign: _ } => Vec::new(),
    };
    let full = i64::try_from(fitting.len()).is_ok_and(|len| len >= page_size(*limit));
    let mut redriven = Redriven { next: fitting.last().copied().filter(|_| full), ..Redriven::default() };
    for outcome in put_back(tx, tenant, &fitting).await? {
        match outcome {
            RetryMessage::Requeued(_) => redriven.requeued += 1,
            RetryMessage::Not(_) | RetryMessage::Missing => redriven.refused += 1,
        }
    }
    Ok(redriven)
}

/// The messages that were skipped for a reason, in order.
async fn skipped(
    conn: &mut PgConnection,
    tenant: TenantId,
    reason: SkipReason,
    campaign: Option<CampaignId>,
    after: Option<MessageId>,
    limit: u32,
) -> Fallible<Vec<MessageId>> {
    let limit = page_size(limit);
    let found = match campaign {
        None => {
            let behind = after.map_or(Uuid::nil(), |after| after.as_uuid());
            sqlx::query(SKIPPED).bind(tenant.as_uuid()).bind(behind).bind(reason.as_str()).bind(limit)
        }
        Some(campaign) => {
            let ids = ids_of_campaign(conn, tenant, campaign).await?;
            let Some((first, last)) = ids else { return Ok(Vec::new()) };
            let behind = after.map_or(first, |after| after.max(first));
            sqlx::query(SKIPPED_OF_CAMPAIGN)
                .bind(tenant.as_uuid())
                .bind(behind.as_uuid())
                .bind(reason.as_str())
                .bind(limit)
                .bind(last.as_uuid())
                .bind(campaign.as_uuid())
        }
    };
    Ok(found.try_map(|row: PgRow| id(&row, 0)).fetch_all(conn).await?)
}

/// Puts messages back, each if the rule says so; what became of each, in order.
async fn put_back(tx: &mut Tx, tenant: TenantId, messages: &[MessageId]) -> Fallible<Vec<RetryMessage>> {
    let (now, mut changes) = (tx.now, Changes::default());
    let keys: Vec<_> = messages.iter().map(|message| (tenant, *message)).collect();
    let mut stored = load_all(tx.conn(), &keys).await?;
    let places = places(tx.conn(), stored.values()).await?;
    let each: Vec<_> = stored.values().map(|it| (it.tenant, it.id, it.campaign)).collect();
    let returning = failures::returning(tx.conn(), &each).await?;
    let (mut outcomes, mut due) = (Vec::with_capacity(messages.len()), Vec::new());
    let mut closed = Vec::new();
    for key in &keys {
        let Some(mut stored) = stored.remove(key) else {
            outcomes.push(RetryMessage::Missing);
            continue;
        };
        let known = returning.get(key).ok_or(Fault::Broken("a message is not there any more"))?;
        let session = Place::session_of(places.get(key), &stored)?;
        Place::close(places.get(key), &mut stored);
        let was_closed = stored.closed.is_some();
        match stored.redrive(known.state, now, &mut changes) {
            Err(state) => outcomes.push(RetryMessage::Not(state)),
            Ok(back) => {
                outcomes.push(RetryMessage::Requeued(back.at));
                closed.extend(was_closed.then_some(stored.id));
                let (message, lane, campaign) = (stored.id, known.lane()?, stored.campaign);
                due.push(DueRow { tenant, message, session, lane, due: back, campaign });
            }
        }
    }
    write(tx, tenant, &due, closed).await?;
    tx.write(changes).await?;
    Ok(outcomes)
}

/// Writes that messages wait again.
async fn write(tx: &mut Tx, tenant: TenantId, due: &[DueRow], closed: Vec<MessageId>) -> Fallible<()> {
    if due.is_empty() {
        return Ok(());
    }
    if !closed.is_empty() {
        sqlx::query("DELETE FROM closed WHERE tenant = $1 AND message = ANY ($2)")
            .bind(tenant.as_uuid())
            .bind(uuids(closed))
            .execute(tx.conn())
            .await?;
    }
    let keys: BTreeSet<_> = due.iter().map(|row| (row.tenant, row.message)).collect();
    failures::forget(tx.conn(), &keys).await?;
    sqlx::query(PUT_REDRIVEN)
        .bind(uuids(due.iter().map(|row| row.tenant)))
        .bind(uuids(due.iter().map(|row| row.message)))
        .bind(due.iter().map(|row| i64::from(row.due.n) - 1).collect::<Vec<_>>())
        .execute(tx.conn())
        .await?;
    put_due(tx.conn(), due).await
}
