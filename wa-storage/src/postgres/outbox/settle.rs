//! Outcomes of attempts, and batches whose commit is unknown.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use wa_core::model::{AttemptKey, BatchId, Outcome, SessionId};
use wa_core::port::store::{Abandoned, AttemptFact, Settled, StoreError};
use wa_core::rules::status::merge_outcome;

use super::merge::needs::{self, Needs};
use super::merge::{Merged, Merger};
use crate::postgres::PostgresStore;
use crate::postgres::codec::{at, id, opt_id, text, ts, uint};
use crate::postgres::error::Fallible;
use crate::postgres::tx::{Access, Locks, Tx};

pub(super) async fn settle(store: &PostgresStore, facts: &[AttemptFact]) -> Result<Settled, StoreError> {
    let facts = &*storable(facts);
    let mut needs: BTreeMap<AttemptKey, Needs> = BTreeMap::new();
    for AttemptFact { attempt, at: _, outcome, retry_after: _ } in facts {
        let known = needs.entry(*attempt).or_default();
        *known = known.and(Needs::of_outcome(outcome));
    }
    loop {
        let mut tx = store.open(Access::Engine).await?;
        match locked(&mut tx, facts, &mut needs).await {
            Ok(Some(settled)) => return tx.end(Ok(settled)).await,
            // Nothing was written yet.
            Ok(None) => tx.close(Ok(())).await?,
            Err(fault) => return tx.end(Err(fault)).await,
        }
    }
}

/// Merges outcomes under their locks; `None` where a status that waited needs more than was locked, which
/// `needs` has then.
async fn locked(
    tx: &mut Tx,
    facts: &[AttemptFact],
    needs: &mut BTreeMap<AttemptKey, Needs>,
) -> Fallible<Option<Settled>> {
    let locks = needs::locks(tx, needs, Locks::none()).await?;
    tx.lock(locks).await?;
    let mut merger = Merger::new();
    let attempts: Vec<AttemptKey> = facts.iter().map(|fact| fact.attempt).collect();
    merger.prepare(tx, &attempts).await?;
    let named = facts.iter().filter_map(|fact| Some((fact.attempt, name(&fact.outcome)?)));
    let named: Vec<(AttemptKey, &str)> = named.collect();
    merger.prepare_names(tx, &named).await?;
    let mut is_enough = true;
    for (key, name) in named {
        let known = needs.entry(key).or_default();
        let both = known.and(merger.needs_of_waiting(key, name));
        is_enough &= *known == both;
        *known = both;
    }
    if !is_enough {
        return Ok(None);
    }
    let undelivered: Vec<AttemptKey> =
        needs.iter().filter(|(_, needs)| needs.gives_back()).map(|(key, _)| *key).collect();
    merger.prepare_retries(tx, &undelivered).await?;
    let mut unknown = Vec::new();
    for AttemptFact { attempt, at, outcome, retry_after } in facts {
        let add = |facts: &mut _| merge_outcome(facts, outcome, ts(*at));
        if !merger.merge(tx, *attempt, name(outcome), *retry_after, add).await? {
            unknown.push(*attempt);
        }
    }
    let Merged { changed, opened, due_at } = merger.finish(tx).await?;
    Ok(Some(Settled { changed, unknown, opened, due_at }))
}

fn name(outcome: &Outcome) -> Option<&str> {
    match outcome {
        Outcome::Accepted { provider_id } => Some(provider_id.as_str()),
        Outcome::NotSent | Outcome::Rejected(_) | Outcome::Ambiguous => None,
    }
}

/// The outcomes with names that can be stored.
fn storable(facts: &[AttemptFact]) -> Cow<'_, [AttemptFact]> {
    let has_nul = |fact: &AttemptFact| name(&fact.outcome).is_some_and(|name| name.contains('\0'));
    if !facts.iter().any(has_nul) {
        return facts.into();
    }
    let mut facts = facts.to_vec();
    for AttemptFact { attempt: _, at: _, outcome, retry_after: _ } in &mut facts {
        if let Outcome::Accepted { provider_id } = outcome {
            *provider_id = text(provider_id).into_owned();
        }
    }
    facts.into()
}

pub(super) async fn abandon(store: &PostgresStore, batch: BatchId) -> Result<Abandoned, StoreError> {
    let mut tx = store.open(Access::Engine).await?;
    let abandoned = bar(&mut tx, batch).await;
    tx.end(abandoned).await
}

/// Bars a batch that never came; gives back what one began that did.
async fn bar(tx: &mut Tx, batch: BatchId) -> Fallible<Abandoned> {
    tx.tick().await?;
    // A begin that is still under way on a connection that died holds this key: its end is waited for. It
    // holds its session too, so that is locked afterwards.
    let barred =
        sqlx::query("INSERT INTO batch (id, session, at) VALUES ($1, NULL, $2) ON CONFLICT (id) DO NOTHING")
            .bind(batch.as_uuid())
            .bind(tx.now)
            .execute(tx.conn())
            .await?
            .rows_affected();
    if barred > 0 {
        return Ok(Abandoned::NeverCame);
    }
    let known = sqlx::query("SELECT session, at FROM batch WHERE id = $1")
        .bind(batch.as_uuid())
        .try_map(|row: PgRow| Ok((opt_id::<SessionId>(&row, 0)?, at(&row, 1)?)))
        .fetch_one(tx.conn())
        .await?;
    // Barred by an earlier call where it has no session.
    let (Some(session), begun_at) = known else { return Ok(Abandoned::NeverCame) };
    let attempts = attempts_of(tx, batch, session, begun_at).await?;
    give_back(tx, &attempts).await.map(Abandoned::WasCommitted)
}

/// The attempts of a batch, which never change.
async fn attempts_of(
    tx: &mut Tx,
    batch: BatchId,
    session: SessionId,
    begun_at: DateTime<Utc>,
) -> Fallible<Vec<AttemptKey>> {
    let attempts = sqlx::query(
        "SELECT tenant, message, n FROM attempt WHERE session = $1 AND begun_at = $2 AND batch = $3 \
         ORDER BY recipient, tenant, message, n",
    )
    .bind(session.as_uuid())
    .bind(begun_at)
    .bind(batch.as_uuid())
    .try_map(|row: PgRow| Ok(AttemptKey { tenant: id(&row, 0)?, message: id(&row, 1)?, n: uint(&row, 2)? }))
    .fetch_all(tx.conn())
    .await?;
    Ok(attempts)
}

/// Takes attempts of which nothing is known as not sent; how many they were.
async fn give_back(tx: &mut Tx, attempts: &[AttemptKey]) -> Fallible<u32> {
    let needs = attempts.iter().map(|attempt| (*attempt, Needs::of_outcome(&Outcome::NotSent)));
    let locks = needs::locks(tx, &needs.collect(), Locks::none()).await?;
    tx.lock(locks).await?;
    let now = tx.now;
    let mut merger = Merger::new();
    merger.prepare_retries(tx, attempts).await?;
    let mut given_back = 0;
    for attempt in attempts {
        // An outcome that came in is a fact, whatever the caller believes. One that a sweep put in doubt
        // meanwhile goes back too: nothing of the batch was sent.
        let facts = merger.attempt(*attempt).map(|attempt| &attempt.facts);
        if facts.is_some_and(|facts| !facts.is_taken() && !facts.is_definitely_undelivered()) {
            let add = |facts: &mut _| merge_outcome(facts, &Outcome::NotSent, now);
            merger.merge(tx, *attempt, None, None, add).await?;
            given_back += 1;
        }
    }
    merger.finish(tx).await?;
    Ok(given_back)
}
