//! Applying what bodies say, in their order: statuses are merged together and written at the end, everything
//! else is written event by event, each in a savepoint of its own.
//!
//! What has to be locked depends on what is stored, so it is looked up before and once more behind the locks;
//! where more turns out to be concerned, everything starts again with those locks too. Where one of the
//! statuses cannot be merged, everything starts again with each in a savepoint of its own.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sqlx::Executor as _;
use sqlx::postgres::PgRow;
use wa_core::model::{AttemptKey, NumberId, RawId, TransportName};
use wa_core::port::store::{Projected, ProjectedEvent, Projection, Route};

use super::held::{Asked, Held, Numbers};
use super::status::{Found, Place, Told, places, wait};
use crate::common::changes::Changes;
use crate::common::inbox::{Applied, Done};
use crate::postgres::codec::{id, text, uuids};
use crate::postgres::error::{Fallible, Fault};
use crate::postgres::outbox::merge::{Merged, Merger};
use crate::postgres::tx::Tx;

/// How statuses are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// All of them or none.
    Together,
    /// Each in a savepoint of its own, so that one that cannot be merged takes no sibling with it.
    OneByOne,
}

/// Sets projections to work; `None` when other locks are needed than were taken. `held` has them then.
pub(super) async fn project(
    tx: &mut Tx,
    projections: &[Projection],
    held: &mut Held,
    way: Way,
) -> Fallible<Option<Projected>> {
    let mut found = Found::default();
    let (_, _, concerned) = look(tx, projections, &mut found, way).await?;
    held.add(concerned);
    held.lock(tx).await?;
    let mut fresh = mark(tx, projections).await?;
    // A body that is there twice is fresh once.
    let fresh: Vec<&Projection> = projections.iter().filter(|it| fresh.remove(&it.raw)).collect();
    let (asked, numbers, mut needed) = look(tx, fresh.iter().copied(), &mut found, way).await?;
    let places = places(&asked.statuses, &numbers, &found);
    let mut merger = Merger::new();
    if way == Way::Together {
        let statuses = || asked.statuses.iter().zip(&places);
        // Before anything is merged: a later status may bring the name that an earlier one waits for.
        wait(tx.conn(), statuses().filter(|(_, place)| matches!(place, Place::Waits)).map(|(told, _)| told))
            .await?;
        prepare(tx, &mut merger, statuses(), &mut needed).await?;
    }
    if !held.covers(&needed) {
        held.add(needed);
        return Ok(None);
    }
    let mut projecting = Projecting { merger, held, numbers, done: Done::default() };
    let mut statuses = asked.statuses.iter().zip(places);
    for Projection { raw, transport, received_at, events } in fresh {
        for event in events {
            match event {
                ProjectedEvent::Status { attempt: _, batch: _, update: _ } => {
                    let Some((told, place)) = statuses.next() else { continue };
                    match way {
                        Way::Together => projecting.together(tx, told, place).await?,
                        Way::OneByOne => projecting.alone(tx, told, place).await?,
                    }
                }
                ProjectedEvent::Message { .. }
                | ProjectedEvent::Echo { .. }
                | ProjectedEvent::UserChanged { .. }
                | ProjectedEvent::Preference { .. }
                | ProjectedEvent::Decision { .. } => {
                    projecting.one(tx, *raw, transport, *received_at, event).await?;
                }
                ProjectedEvent::Unknown { field: _ } => projecting.done.add(Applied::Unknown),
            }
        }
    }
    let Projecting { merger, held: _, numbers: _, done } = projecting;
    let Merged { changed, opened: _, due_at: _ } = merger.finish(tx).await?;
    Ok(Some(done.finish(changed)))
}

/// Looks up what events name, what stands for it, and whose rows are concerned.
async fn look<'a>(
    tx: &mut Tx,
    projections: impl IntoIterator<Item = &'a Projection>,
    found: &mut Found,
    way: Way,
) -> Fallible<(Asked<'a>, Numbers<'a>, Held)> {
    let mut asked = Asked::of(projections);
    if way == Way::OneByOne {
        // It is rare, and what waits for a name is not known before it is merged.
        asked.with_the_longest_reach();
    }
    let numbers = Numbers::read(tx.conn(), &asked).await?;
    found.read(tx.conn(), &asked.statuses, &numbers).await?;
    let places = places(&asked.statuses, &numbers, found);
    let mut concerned = asked.concerned(tx.conn(), &numbers, &places).await?;
    if way == Way::OneByOne {
        concerned.need_the_worst();
    }
    Ok((asked, numbers, concerned))
}

/// Marks the bodies that were not projected, and says which these are. Of several calls with one body the
/// first marks it; the others wait for its end.
async fn mark(tx: &mut Tx, projections: &[Projection]) -> Fallible<HashSet<RawId>> {
    let now = tx.now;
    let marked = sqlx::query(
        "WITH fresh AS (SELECT id FROM raw WHERE id = ANY ($1) AND projected_at IS NULL ORDER BY id FOR UPDATE) \
         UPDATE raw r SET projected_at = $2 FROM fresh WHERE r.id = fresh.id RETURNING r.id",
    )
    .bind(uuids(projections.iter().map(|projection| projection.raw)))
    .bind(now)
    .try_map(|row: PgRow| id(&row, 0))
    .fetch_all(tx.conn())
    .await?;
    Ok(marked.into_iter().collect())
}

/// Reads in a few statements what merging these statuses takes, and what those need beyond it that wait for the
/// names that these bring.
async fn prepare<'a>(
    tx: &mut Tx,
    merger: &mut Merger,
    statuses: impl Iterator<Item = (&'a Told<'a>, &'a Place)> + Send,
    needed: &mut Held,
) -> Fallible<()> {
    let named = statuses.filter_map(|(told, place)| match place {
        Place::Of(key, _) => Some((*key, text(&told.update.provider_id))),
        Place::Foreign | Place::Waits => None,
    });
    let named: Vec<_> = named.collect();
    let named: Vec<(AttemptKey, &str)> = named.iter().map(|(key, name)| (*key, name.as_ref())).collect();
    merger.prepare_names(tx, &named).await?;
    for (key, name) in named {
        needed.need(key, merger.needs_of_waiting(key, name));
    }
    let undelivered = needed.undelivered();
    if !undelivered.is_empty() {
        merger.prepare_retries(tx, &undelivered).await?;
    }
    Ok(())
}

/// Projections at work.
pub(super) struct Projecting<'a> {
    pub(super) merger: Merger,
    pub(super) held: &'a Held,
    numbers: Numbers<'a>,
    done: Done,
}

impl Projecting<'_> {
    /// Merges a status, to be written with its siblings.
    async fn together(&mut self, tx: &mut Tx, told: &Told<'_>, place: Place) -> Fallible<()> {
        let applied = self.status(tx, told, place).await?;
        self.done.add(applied);
        Ok(())
    }

    /// Merges a status and writes what follows, in a savepoint of its own.
    async fn alone(&mut self, tx: &mut Tx, told: &Told<'_>, place: Place) -> Fallible<()> {
        let before = self.set_out(tx).await?;
        let applied = self.written(tx, told, place).await;
        match self.arrive(tx, before, applied).await? {
            Ok(applied) => self.done.add(applied),
            Err(fault) => {
                tracing::warn!(raw = ?told.raw, %fault, "a status could not be applied; its body is kept");
                // What was merged before is written; what this one left in the merger must not be.
                let changes = std::mem::take(&mut self.merger.changes);
                self.merger = Merger::new();
                self.merger.changes = changes;
            }
        }
        Ok(())
    }

    async fn written(&mut self, tx: &mut Tx, told: &Told<'_>, place: Place) -> Fallible<Applied> {
        if let Place::Waits = place {
            wait(tx.conn(), std::iter::once(told)).await?;
        }
        let applied = self.status(tx, told, place).await?;
        self.merger.write(tx).await?;
        Ok(applied)
    }

    /// Applies one event that is no status, in a savepoint of its own.
    async fn one(
        &mut self,
        tx: &mut Tx,
        raw: RawId,
        transport: &TransportName,
        received_at: DateTime<Utc>,
        event: &ProjectedEvent,
    ) -> Fallible<()> {
        let before = self.set_out(tx).await?;
        let applied = self.apply(tx, transport, received_at, event).await;
        match self.arrive(tx, before, applied).await? {
            Ok(applied) => self.done.add(applied),
            Err(fault) => {
                tracing::warn!(?raw, %fault, "an event could not be applied; its body is kept");
            }
        }
        Ok(())
    }

    async fn apply(
        &mut self,
        tx: &mut Tx,
        transport: &TransportName,
        received_at: DateTime<Utc>,
        event: &ProjectedEvent,
    ) -> Fallible<Applied> {
        match event {
            ProjectedEvent::Message { message, fresh_contact, consent } => {
                self.message(tx, transport, message, *fresh_contact, *consent, received_at).await
            }
            ProjectedEvent::Echo { echo, fresh_contact } => {
                self.echo(tx, transport, echo, *fresh_contact, received_at).await
            }
            ProjectedEvent::UserChanged { change } => {
                self.user_changed(tx, transport, change, received_at).await
            }
            ProjectedEvent::Preference { preference, fresh_contact } => {
                self.preference(tx, transport, preference, *fresh_contact, received_at).await
            }
            ProjectedEvent::Decision { event } => self.decision(tx, transport, event, received_at).await,
            // The former have their place found out before, the latter have no effect.
            ProjectedEvent::Status { .. } | ProjectedEvent::Unknown { .. } => Ok(Applied::Unknown),
        }
    }

    /// Opens a savepoint for a part; gives what was changed before it.
    async fn set_out(&mut self, tx: &mut Tx) -> Fallible<Changes> {
        tx.conn().execute("SAVEPOINT event").await?;
        Ok(std::mem::take(&mut self.merger.changes))
    }

    /// Ends a part: kept if it succeeded, undone alone if only it is at fault.
    async fn arrive<T>(
        &mut self,
        tx: &mut Tx,
        before: Changes,
        applied: Fallible<T>,
    ) -> Fallible<Result<T, Fault>> {
        let part = std::mem::replace(&mut self.merger.changes, before);
        let end = match &applied {
            Ok(_) => {
                self.merger.changes.absorb(part);
                "RELEASE SAVEPOINT event"
            }
            Err(fault) if fault.is_own() => "ROLLBACK TO SAVEPOINT event; RELEASE SAVEPOINT event",
            Err(_) => return applied.map(Ok),
        };
        tx.conn().execute(end).await?;
        Ok(applied)
    }

    /// The sessions that a number stands for under the body's transport.
    pub(super) fn routes(&self, transport: &TransportName, number: &NumberId) -> Vec<Route> {
        self.numbers.routes(transport, number)
    }
}
