//! The point of no return: a batch is judged and its attempts are written, in one transaction.
//!
//! Five round trips: the transaction with its settings, the locks, the clock with all facts, what is
//! written, and the commit. Locks and facts are apart because a statement sees what was committed when it
//! started, not what was committed while it waited.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};

use sqlx::Row;
use uuid::Uuid;
use wa_core::model::{Chosen, MessageId, RateCategory, TenantId};
use wa_core::port::WorkerScope;
use wa_core::port::store::{BeginBatch, Begun, BegunBatch, StoreError};
use wa_core::rules::judge::Judge;
use wa_core::rules::tier::SLOT;

use super::court::{self, Bench, Question};
use crate::common::begin::{Beginning, Plan};
use crate::common::{int, lane_rank, portfolio_key};
use crate::postgres::changes;
use crate::postgres::codec::{get, id, uuids};
use crate::postgres::error::{Fallible, Fault};
use crate::postgres::message;
use crate::postgres::tx::{Access, Tx};
use crate::postgres::{PostgresStore, Shared};

/// Locks the store, the tenant's gate, the session, the slots and the money, in this order, and holds the lease.
const LOCK: &str = "SELECT s.tenant, s.transport, s.portfolio, \
     pg_advisory_xact_lock_shared(hashtextextended($2 || ' store ', 0))::text, \
     pg_advisory_xact_lock_shared(hashtextextended($2 || ' tenant ' || s.tenant, 0))::text, \
     pg_advisory_xact_lock(hashtextextended($2 || ' session ' || s.id, 0))::text, \
     pg_advisory_xact_lock(hashtextextended($2 || ' portfolio ' || s.transport || ' ' || s.portfolio, 0))::text, \
     pg_advisory_xact_lock(hashtextextended($2 || ' money ' || s.tenant, 0))::text \
     FROM session s JOIN session_lease l ON l.session = s.id WHERE s.id = $1 FOR SHARE OF l";

/// What a begin that could be judged came to.
enum Outcome {
    Begun(Begun),
    /// The number went to another portfolio while its locks were waited for.
    Moved,
}

pub(super) async fn begin(
    store: &PostgresStore,
    scope: &WorkerScope,
    batch: &BeginBatch,
    judge: Arc<dyn Judge>,
) -> Result<Begun, StoreError> {
    loop {
        let mut tx = store.open(Access::Engine).await?;
        let outcome = in_transaction(&mut tx, scope, batch, judge.as_ref()).await;
        if let Err(Fault::Sql(error)) = &outcome
            && is_used_batch(error)
        {
            // Barred while this one was under way.
            drop(tx.end::<()>(Err(Fault::Broken("the batch was barred"))).await);
            return Ok(Begun::UsedBatch);
        }
        match tx.end(outcome).await? {
            Outcome::Begun(begun) => return Ok(begun),
            Outcome::Moved => {}
        }
    }
}

fn is_used_batch(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.constraint() == Some("batch_pkey"))
}

async fn in_transaction(
    tx: &mut Tx,
    scope: &WorkerScope,
    batch: &BeginBatch,
    judge: &dyn Judge,
) -> Fallible<Outcome> {
    let shared = Arc::clone(&tx.shared);
    let locked = sqlx::query(LOCK)
        .bind(batch.session.as_uuid())
        .bind(shared.schema.as_str())
        .fetch_optional(tx.conn())
        .await?;
    let Some(row) = locked else { return Ok(Outcome::Begun(Begun::LeaseLost)) };
    let tenant: TenantId = id(&row, 0)?;
    let portfolio = portfolio_key(get(&row, 1)?, row.try_get(2)?);
    let ask = Question {
        tenant,
        session: batch.session,
        portfolio: &portfolio,
        batch: Some(batch.id.as_uuid()),
        items: &batch.items,
        now: own_time(&shared),
        reads_timeline: shared.reads_timeline,
    };
    let Some(bench) = court::read(tx.conn(), &ask).await? else {
        return Err(Fault::Broken("a session with a lease is not there"));
    };
    let facts = &bench.court.shared;
    tx.now = facts.now;
    if bench.is_used {
        return Ok(Outcome::Begun(Begun::UsedBatch));
    }
    let lease = bench.lease.as_ref().filter(|lease| {
        lease.worker == Some(scope.worker()) && lease.until.is_some_and(|until| until > facts.now)
    });
    let epoch = scope.epoch(batch.session);
    let (Some(lease), Some(epoch)) = (lease, epoch) else { return Ok(Outcome::Begun(Begun::LeaseLost)) };
    if lease.epoch != epoch {
        return Ok(Outcome::Begun(Begun::LeaseLost));
    }
    if portfolio_key(facts.session.transport.as_str(), &facts.session.portfolio) != portfolio {
        return Ok(Outcome::Moved);
    }
    let incarnation = bench.incarnation.map(|incarnation| incarnation.as_uuid());
    let plan = judged(tx, batch, bench, judge).await?;
    let begun = write(tx, &shared, batch, epoch, incarnation, &portfolio, plan).await?;
    Ok(Outcome::Begun(Begun::Done(begun)))
}

/// The store's own clock, where it has one.
pub(super) fn own_time(shared: &Shared) -> Option<chrono::DateTime<chrono::Utc>> {
    shared.clock.as_ref().map(|clock| clock.now())
}

/// Judges the items. Nothing is written yet.
async fn judged(tx: &mut Tx, batch: &BeginBatch, bench: Bench, judge: &dyn Judge) -> Fallible<Plan> {
    let tenant = bench.court.shared.tenant;
    let Bench { court, rows, feeds, closed, items: known, .. } = bench;
    // What was attempted before is read only where something was.
    let again: Vec<_> =
        batch.items.iter().filter(|item| item.n > 1).map(|item| (tenant, item.message)).collect();
    let mut chains =
        if again.is_empty() { Default::default() } else { message::load_all(tx.conn(), &again).await? };
    let places: std::collections::HashMap<MessageId, usize> =
        batch.items.iter().enumerate().map(|(place, item)| (item.message, place)).collect();
    // A judge is the embedder's code: its panic is an answer, not the end of the caller's task.
    let judged = catch_unwind(AssertUnwindSafe(|| {
        let mut beginning = Beginning::new(batch, court);
        let waiting = beginning.still_waiting(|message| rows.get(&message).copied(), &feeds, &closed);
        let admitted = beginning.admit(judge, &waiting);
        for waiting in &waiting {
            let facts = places.get(&waiting.item.message).and_then(|place| known.get(*place));
            if let Some(facts) = facts.filter(|_| admitted.contains(&waiting.item.campaign)) {
                let chain = chains.remove(&(tenant, waiting.item.message));
                beginning.judge(judge, waiting, facts, chain);
            }
        }
        beginning.finish()
    }));
    judged.map_err(|_| Fault::Broken("the judge panicked"))
}

/// Writes a batch in one statement.
async fn write(
    tx: &mut Tx,
    shared: &Shared,
    batch: &BeginBatch,
    epoch: u64,
    incarnation: Option<Uuid>,
    portfolio: &str,
    plan: Plan,
) -> Fallible<BegunBatch> {
    let Plan { court, attempts, in_window, deferred, skipped, left, feeds, paused, touched, changes, begun } =
        plan;
    let (tenant, now) = (court.shared.tenant, court.shared.now);
    let (statement, _) =
        changes::bind(sqlx::query(WRITE.as_str()), now, shared.entropy.as_ref(), changes.finish())?;
    let stays: std::collections::HashSet<MessageId> = deferred.iter().map(|it| it.message).collect();
    let gone = left.into_iter().filter(|message| !stays.contains(message));
    let until = now.checked_add_signed(SLOT).unwrap_or(chrono::DateTime::<chrono::Utc>::MAX_UTC);
    let mut slots: std::collections::BTreeMap<i64, i64> = std::collections::BTreeMap::new();
    for recipient in &court.tier.taken {
        *slots.entry(recipient.cast_signed()).or_default() += 1;
    }
    let quota = wa_core::model::Period::of(now).to_string();
    let count = int(u64::try_from(attempts.len()).unwrap_or(u64::MAX));
    let money = |(_, attempt): &(MessageId, crate::common::message::Attempt)| {
        let estimate = attempt.quote.estimate;
        estimate.amount.or(estimate.reserve).map(|money| money.currency.as_str().to_owned())
    };
    let moved = statement
        // The batch, 29 to 33.
        .bind(batch.id.as_uuid())
        .bind(tenant.as_uuid())
        .bind(batch.session.as_uuid())
        .bind(int(epoch))
        .bind(incarnation)
        // Attempts, 34 to 49.
        .bind(uuids(attempts.iter().map(|(message, _)| *message)))
        .bind(attempts.iter().map(|(_, it)| i64::from(it.n)).collect::<Vec<_>>())
        .bind(attempts.iter().map(|(_, it)| it.end_by).collect::<Vec<_>>())
        .bind(attempts.iter().map(|(_, it)| it.recipient).collect::<Vec<_>>())
        .bind(attempts.iter().map(|(_, it)| it.tier_slot).collect::<Vec<_>>())
        .bind(
            attempts.iter().map(|(_, it)| RateCategory::from(it.quote.category).as_str()).collect::<Vec<_>>(),
        )
        .bind(attempts.iter().map(|(_, it)| it.quote.estimate.amount.map(|it| it.micros)).collect::<Vec<_>>())
        .bind(
            attempts.iter().map(|(_, it)| it.quote.estimate.reserve.map(|it| it.micros)).collect::<Vec<_>>(),
        )
        .bind(attempts.iter().map(money).collect::<Vec<_>>())
        .bind(attempts.iter().map(|(_, it)| it.quote.estimate.reason.as_str()).collect::<Vec<_>>())
        .bind(attempts.iter().map(|(_, it)| it.quote.estimate.counts_as_service).collect::<Vec<_>>())
        .bind(attempts.iter().map(|(_, it)| it.content == Chosen::Fallback).collect::<Vec<_>>())
        .bind(court.month.to_string())
        .bind(court.shared.book)
        .bind(court.warm_up.map(|facts| i64::from(facts.day.number)))
        .bind(count)
        // Due rows, 50 to 56.
        .bind(uuids(gone))
        .bind(uuids(deferred.iter().map(|it| it.message)))
        .bind(deferred.iter().map(|it| lane_rank(it.lane)).collect::<Vec<_>>())
        .bind(deferred.iter().map(|it| crate::postgres::codec::ts(it.until)).collect::<Vec<_>>())
        .bind(deferred.iter().map(|it| i64::from(it.n)).collect::<Vec<_>>())
        .bind(deferred.iter().map(|it| it.campaign.map(|id| id.as_uuid())).collect::<Vec<Option<Uuid>>>())
        .bind(deferred.iter().map(|it| it.why.as_str()).collect::<Vec<_>>())
        // Closed rows, 57 and 58.
        .bind(uuids(skipped.iter().map(|(message, _)| *message)))
        .bind(skipped.iter().map(|(_, reason)| reason.as_str()).collect::<Vec<_>>())
        // Feeds, 59 to 62.
        .bind(uuids(feeds.keys().map(|(campaign, _)| *campaign)))
        .bind(feeds.keys().map(|(_, place)| *place).collect::<Vec<_>>())
        .bind(uuids(feeds.values().map(|moved| moved.to)))
        .bind(feeds.values().map(|moved| int(moved.count)).collect::<Vec<_>>())
        // Paused campaigns, 63 and 64.
        .bind(uuids(paused.keys().copied()))
        .bind(paused.values().map(|why| why.as_str()).collect::<Vec<_>>())
        // Touches, 65 to 69.
        .bind(touched.iter().map(|it| it.recipient).collect::<Vec<_>>())
        .bind(uuids(touched.iter().map(|it| it.message)))
        .bind(touched.iter().map(|it| i64::from(it.n)).collect::<Vec<_>>())
        .bind(touched.iter().map(|it| it.category.as_str()).collect::<Vec<_>>())
        .bind(touched.iter().map(|it| lane_rank(it.lane)).collect::<Vec<_>>())
        // Limits, 70 to 74, and what went in its window.
        .bind(quota)
        .bind(portfolio)
        .bind(slots.keys().copied().collect::<Vec<_>>())
        .bind(slots.values().copied().collect::<Vec<_>>())
        .bind(until)
        .bind(attempts.iter().map(|(message, _)| in_window.contains(message)).collect::<Vec<_>>())
        .fetch_one(tx.conn())
        .await?;
    if get::<i64>(&moved, 0)? != int(u64::try_from(feeds.len()).unwrap_or(u64::MAX)) {
        return Err(Fault::Broken("a feed moved under its own batch"));
    }
    debug_assert!(begun.attempts.iter().all(|it| it.key.tenant == tenant), "a batch is of one tenant");
    Ok(begun)
}

/// Put together once: it is the same for every batch.
static WRITE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH {changes}, \
         batches AS (INSERT INTO batch (id, session, at) VALUES ($29, $31, $1)), \
         attempts AS (INSERT INTO attempt (tenant, message, n, session, epoch, incarnation, batch, begun_at, \
             end_by, recipient, tier_slot, category, price, reserve, currency, price_reason, \
             counts_as_service, month, book, fallback, warm_up_day, in_window) \
             SELECT $30, u.message, u.n, $31, $32, $33, $29, $1, u.end_by, u.recipient, u.tier_slot, \
             u.category, u.price, u.reserve, u.currency, u.price_reason, u.counts_as_service, $46, $47, \
             u.fallback, $48, u.in_window \
             FROM unnest($34::uuid[], $35::bigint[], $36::timestamptz[], $37::bigint[], $38::boolean[], \
                 $39::text[], $40::bigint[], $41::bigint[], $42::text[], $43::text[], $44::boolean[], \
                 $45::boolean[], $75::boolean[]) AS u (message, n, end_by, recipient, tier_slot, category, price, reserve, \
                 currency, price_reason, counts_as_service, fallback, in_window)), \
         opened AS (INSERT INTO open_attempt (session, end_by, tenant, message, n, epoch) \
             SELECT $31, u.end_by, $30, u.message, u.n, $32 \
             FROM unnest($34::uuid[], $35::bigint[], $36::timestamptz[]) AS u (message, n, end_by)), \
         left_rows AS (DELETE FROM due d USING unnest($50::uuid[]) AS u (message) \
             WHERE d.tenant = $30 AND d.message = u.message), \
         deferred AS (INSERT INTO due (tenant, message, session, lane, due_at, n, campaign, why) \
             SELECT $30, u.message, $31, u.lane, u.due_at, u.n, u.campaign, u.why \
             FROM unnest($51::uuid[], $52::bigint[], $53::timestamptz[], $54::bigint[], $55::uuid[], \
                 $56::text[]) AS u (message, lane, due_at, n, campaign, why) \
             ON CONFLICT (tenant, message) DO UPDATE SET session = excluded.session, lane = excluded.lane, \
             due_at = excluded.due_at, n = excluded.n, why = excluded.why), \
         skipped AS (INSERT INTO closed (tenant, message, reason, at) SELECT $30, u.message, u.reason, $1 \
             FROM unnest($57::uuid[], $58::text[]) AS u (message, reason) ON CONFLICT DO NOTHING), \
         moved AS (UPDATE feed f SET after_id = u.upto, remaining = f.remaining - u.count \
             FROM unnest($59::uuid[], $60::bigint[], $61::uuid[], $62::bigint[]) \
                 AS u (campaign, place, upto, count) \
             WHERE f.tenant = $30 AND f.campaign = u.campaign AND f.place = u.place \
             AND f.after_id < u.upto RETURNING 1), \
         paused AS (UPDATE campaign c SET state = 'paused', paused_for = u.why \
             FROM unnest($63::uuid[], $64::text[]) AS u (campaign, why) \
             WHERE c.tenant = $30 AND c.id = u.campaign), \
         touched AS (INSERT INTO touch (tenant, recipient, at, message, n, category, lane) \
             SELECT $30, u.recipient, $1, u.message, u.n, u.category, u.lane \
             FROM unnest($65::bigint[], $66::uuid[], $67::bigint[], $68::text[], $69::bigint[]) \
                 AS u (recipient, message, n, category, lane)), \
         quota AS (INSERT INTO quota_usage AS q (tenant, period, used) SELECT $30, $70, $49 WHERE $49 > 0 \
             ON CONFLICT (tenant, period) DO UPDATE SET used = q.used + excluded.used), \
         warmed AS (INSERT INTO warm_up_usage AS w (tenant, session, day, used) \
             SELECT $30, $31, $48, $49 WHERE $48::bigint IS NOT NULL AND $49 > 0 \
             ON CONFLICT (session, day) DO UPDATE SET used = w.used + excluded.used), \
         ended AS (DELETE FROM tier_slot WHERE portfolio = $71 AND until <= $1 \
             AND recipient <> ALL ($72::bigint[]) RETURNING 1), \
         slots AS (INSERT INTO tier_slot AS t (portfolio, recipient, taken_at, until, uses) \
             SELECT $71, u.recipient, $1, $74, u.uses FROM unnest($72::bigint[], $73::bigint[]) \
                 AS u (recipient, uses) ORDER BY u.recipient \
             ON CONFLICT (portfolio, recipient) DO UPDATE SET \
             uses = CASE WHEN t.until > $1 THEN t.uses + excluded.uses ELSE excluded.uses END, \
             taken_at = CASE WHEN t.until > $1 THEN t.taken_at ELSE excluded.taken_at END, \
             until = greatest(t.until, excluded.until) RETURNING xmax = 0 AS is_new), \
         usage AS (INSERT INTO tier_usage AS t (portfolio, used) \
             SELECT $71, greatest(x.n, 0) FROM (SELECT (SELECT count(*) FROM slots WHERE is_new) \
                 - (SELECT count(*) FROM ended) AS n) x WHERE x.n <> 0 \
             ON CONFLICT (portfolio) DO UPDATE SET used = greatest(t.used \
                 + (SELECT count(*) FROM slots WHERE is_new) - (SELECT count(*) FROM ended), 0)) \
         SELECT count(*) FROM moved",
        changes = changes::parts(),
    )
});

const _: () =
    assert!(changes::PARAMETERS == 28, "the parameters of a batch start behind those of its changes");
