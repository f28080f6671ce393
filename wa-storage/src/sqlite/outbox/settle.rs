//! Outcomes of attempts, and batches whose commit is unknown.

use rusqlite::{OptionalExtension, params};
use wa_core::model::{AttemptKey, BatchId, Outcome, SessionId, micros};
use wa_core::port::store::{Abandoned, AttemptFact, Settled};
use wa_core::rules::status::merge_outcome;

use super::merge::{Merged, Merger};
use crate::sqlite::codec::{at, id, opt_id, uint};
use crate::sqlite::error::Fallible;
use crate::sqlite::message::Stored;
use crate::sqlite::writer::Tx;

pub(super) fn settle(tx: &Tx<'_>, facts: &[AttemptFact]) -> Fallible<Settled> {
    let mut merger = Merger::new(tx);
    let mut unknown = Vec::new();
    for AttemptFact { attempt, at, outcome, retry_after } in facts {
        let name = match outcome {
            Outcome::Accepted { provider_id } => Some(provider_id.as_str()),
            Outcome::NotSent | Outcome::Rejected(_) | Outcome::Ambiguous => None,
        };
        if !merger.merge(*attempt, name, *retry_after, |facts| merge_outcome(facts, outcome, *at))? {
            unknown.push(*attempt);
        }
    }
    let Merged { changed, opened, due_at } = merger.finish()?;
    Ok(Settled { changed, unknown, opened, due_at })
}

pub(super) fn abandon(tx: &Tx<'_>, batch: BatchId) -> Fallible<Abandoned> {
    let known = tx
        .conn
        .prepare_cached("SELECT session, at FROM batch WHERE id = ?1")?
        .query_row(params![batch.as_bytes()], |row| Ok((opt_id::<SessionId>(row, 0)?, at(row, 1)?)))
        .optional()?;
    let (session, begun_at) = match known {
        Some((Some(session), begun_at)) => (session, begun_at),
        // Barred by an earlier call.
        Some((None, _)) => return Ok(Abandoned::NeverCame),
        None => {
            tx.conn
                .prepare_cached("INSERT INTO batch (id, session, at) VALUES (?1, NULL, ?2)")?
                .execute(params![batch.as_bytes(), micros(tx.now)])?;
            return Ok(Abandoned::NeverCame);
        }
    };
    let mut statement = tx.conn.prepare_cached(
        "SELECT tenant, message, n FROM attempt WHERE session = ?1 AND begun_at = ?2 AND batch = ?3",
    )?;
    let attempts = statement
        .query_map(params![session.as_bytes(), micros(begun_at), batch.as_bytes()], |row| {
            Ok(AttemptKey { tenant: id(row, 0)?, message: id(row, 1)?, n: uint(row, 2)? })
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let mut merger = Merger::new(tx);
    let mut given_back = 0;
    for attempt in attempts {
        // An outcome that came in is a fact, whatever the caller believes.
        let stored = Stored::load(tx.conn, attempt.tenant, attempt.message)?;
        // One that a sweep put in doubt meanwhile counts too: nothing of the batch was sent.
        let may_go_back = stored.is_some_and(|stored| {
            let of_batch = stored.attempts.iter().find(|it| it.n == attempt.n);
            of_batch.is_some_and(|it| !it.facts.is_taken() && !it.facts.is_definitely_undelivered())
        });
        if may_go_back {
            merger.merge(attempt, None, None, |facts| merge_outcome(facts, &Outcome::NotSent, tx.now))?;
            given_back += 1;
        }
    }
    merger.finish()?;
    Ok(Abandoned::WasCommitted(given_back))
}
