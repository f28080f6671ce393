//! A message while facts are merged into it, and what is to be written of it at the end.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use wa_core::model::{AttemptKey, Lane, MessageId, SessionId, SkipReason, TenantId};

use super::super::failures::{self, Listed};
use crate::postgres::codec::{ts, uuids};
use crate::postgres::error::Fallible;
use crate::postgres::message::{self, Attempt, Due, DueRow, Stored};

const DELETE_OPEN: &str = "DELETE FROM open_attempt o \
     USING unnest($1::uuid[], $2::timestamptz[], $3::uuid[], $4::uuid[], $5::bigint[]) \
     AS u (session, end_by, tenant, message, n) WHERE o.session = u.session AND o.end_by = u.end_by \
     AND o.tenant = u.tenant AND o.message = u.message AND o.n = u.n";

/// A message that facts are merged into.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) stored: Stored,
    /// Numbers of attempts whose facts changed.
    results: BTreeSet<u16>,
    /// Of these, those that are open no more.
    settled: BTreeSet<u16>,
    /// Of these, those of which something was heard late.
    heard: BTreeSet<u16>,
    due: Row<(SessionId, Lane)>,
    closed: Option<SkipReason>,
    failure: Row<Listed>,
}

/// What becomes of a row.
#[derive(Debug, Clone, Copy)]
enum Row<T> {
    Stays,
    Put(T),
    Goes,
}

impl Held {
    pub(super) const fn new(stored: Stored) -> Self {
        Self {
            stored,
            results: BTreeSet::new(),
            settled: BTreeSet::new(),
            heard: BTreeSet::new(),
            due: Row::Stays,
            closed: None,
            failure: Row::Stays,
        }
    }

    pub(super) fn put_result(&mut self, n: u16) {
        self.results.insert(n);
    }

    pub(super) fn settle(&mut self, n: u16) {
        self.settled.insert(n);
    }

    pub(super) fn break_silence(&mut self, n: u16) {
        self.heard.insert(n);
    }

    pub(super) fn put_due(&mut self, session: SessionId, lane: Lane, due: Due) {
        self.stored.due = Some(due);
        self.due = Row::Put((session, lane));
    }

    pub(super) fn leave_due(&mut self) {
        if self.stored.due.take().is_some() {
            self.due = Row::Goes;
        }
    }

    /// Closes it, unless it is closed already.
    pub(super) fn close(&mut self, reason: SkipReason) {
        self.closed.get_or_insert(reason);
        self.stored.closed.get_or_insert(reason);
    }

    pub(super) fn list(&mut self, listed: Listed) {
        self.failure = Row::Put(listed);
    }

    pub(super) fn forget(&mut self) {
        self.failure = Row::Goes;
    }
}

/// Writes what is unwritten of messages: a statement for each kind of row.
pub(super) async fn write<'a>(
    conn: &mut PgConnection,
    held: impl Iterator<Item = &'a mut Held>,
    now: DateTime<Utc>,
) -> Fallible<()> {
    let mut all = Unwritten::default();
    for held in held {
        all.add(held);
    }
    let Unwritten { results, settled, heard, due, left, closed, failed, unfailed } = all;
    message::put_results(conn, &results).await?;
    delete_open(conn, &settled).await?;
    message::put_due(conn, &due).await?;
    message::delete_all_due(conn, &left).await?;
    message::put_all_closed(conn, &closed, now).await?;
    failures::keep(conn, &failed).await?;
    failures::forget(conn, &unfailed).await?;
    failures::break_silence(conn, &heard).await
}

#[derive(Debug, Default)]
struct Unwritten<'a> {
    results: Vec<(TenantId, MessageId, &'a Attempt)>,
    settled: Vec<(TenantId, MessageId, &'a Attempt)>,
    heard: Vec<AttemptKey>,
    due: Vec<DueRow>,
    left: Vec<(TenantId, MessageId)>,
    closed: BTreeMap<(TenantId, MessageId), SkipReason>,
    failed: BTreeMap<(TenantId, MessageId), Listed>,
    unfailed: BTreeSet<(TenantId, MessageId)>,
}

impl<'a> Unwritten<'a> {
    fn add(&mut self, held: &'a mut Held) {
        let Held { stored, results, settled, heard, due, closed, failure } = held;
        let stored: &'a Stored = stored;
        let (results, settled) = (std::mem::take(results), std::mem::take(settled));
        let (tenant, message) = (stored.tenant, stored.id);
        for attempt in &stored.attempts {
            if results.contains(&attempt.n) {
                self.results.push((tenant, message, attempt));
            }
            if settled.contains(&attempt.n) {
                self.settled.push((tenant, message, attempt));
            }
        }
        self.heard.extend(std::mem::take(heard).into_iter().map(|n| AttemptKey { tenant, message, n }));
        match (std::mem::replace(due, Row::Stays), stored.due) {
            (Row::Put((session, lane)), Some(due)) => {
                self.due.push(DueRow { tenant, message, session, lane, due, campaign: stored.campaign });
            }
            (Row::Goes, _) => self.left.push((tenant, message)),
            (Row::Put(_), None) | (Row::Stays, _) => {}
        }
        self.closed.extend(closed.take().map(|reason| ((tenant, message), reason)));
        match std::mem::replace(failure, Row::Stays) {
            Row::Put(listed) => {
                self.failed.insert((tenant, message), listed);
            }
            Row::Goes => {
                self.unfailed.insert((tenant, message));
            }
            Row::Stays => {}
        }
    }
}

async fn delete_open(conn: &mut PgConnection, settled: &[(TenantId, MessageId, &Attempt)]) -> Fallible<()> {
    if settled.is_empty() {
        return Ok(());
    }
    sqlx::query(DELETE_OPEN)
        .bind(uuids(settled.iter().map(|(.., attempt)| attempt.session)))
        .bind(settled.iter().map(|(.., attempt)| ts(attempt.end_by)).collect::<Vec<_>>())
        .bind(uuids(settled.iter().map(|(tenant, ..)| *tenant)))
        .bind(uuids(settled.iter().map(|(_, message, _)| *message)))
        .bind(settled.iter().map(|(.., attempt)| i64::from(attempt.n)).collect::<Vec<_>>())
        .execute(conn)
        .await?;
    Ok(())
}
