//! The provider's ids that news bring: which of them are new to their attempts, and the statuses that
//! waited for them.
//!
//! Invariant: whoever lets a status wait holds every session of its number, and so does whoever looks for
//! it: no status comes between the look and the commit.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use sqlx::{Error, PgConnection};
use wa_core::model::{AttemptKey, Charge, Fact, FailureCode, SessionId};

use crate::postgres::codec::{at, failure, get, id, named, provider_hash, text, uint, undecodable, uuids};
use crate::postgres::error::Fallible;

/// Locked, so that of two attempts under one name only one takes them.
const WAITING: &str = "SELECT u.session, w.transport, w.number, w.provider_id, w.fact, w.at, w.code, \
     w.class, w.title, w.details, w.charge \
     FROM unnest($1::uuid[], $2::bigint[], $3::text[]) AS u (session, hash, name) \
     CROSS JOIN LATERAL (SELECT x.transport, x.number FROM session x WHERE x.id = u.session LIMIT 1) s \
     CROSS JOIN LATERAL (SELECT * FROM waiting_status x \
         WHERE x.provider_hash = u.hash AND x.provider_id = u.name \
         AND x.transport = s.transport AND x.number = s.number \
         ORDER BY x.fact, x.at, x.code, x.title, x.details, x.charge OFFSET 0 FOR UPDATE) w";
const TAKE: &str = "DELETE FROM waiting_status w \
     USING unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) AS u (hash, name, transport, number) \
     WHERE w.provider_hash = u.hash AND w.provider_id = u.name \
     AND w.transport = u.transport AND w.number = u.number";
const OTHERS: &str = "SELECT u.tenant, u.message, u.n, u.name \
     FROM unnest($1::bigint[], $2::text[], $3::uuid[], $4::uuid[], $5::bigint[]) \
     AS u (hash, name, tenant, message, n) \
     CROSS JOIN LATERAL (SELECT 1 FROM other_name x WHERE x.provider_hash = u.hash \
         AND x.provider_id = u.name AND x.tenant = u.tenant AND x.message = u.message AND x.n = u.n \
         LIMIT 1) o";
const PUT_OTHERS: &str = "INSERT INTO other_name (provider_hash, provider_id, tenant, message, n) \
     SELECT * FROM unnest($1::bigint[], $2::text[], $3::uuid[], $4::uuid[], $5::bigint[]) \
     ON CONFLICT DO NOTHING";

/// A name that news bring for an attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Brought<'a> {
    pub(super) key: AttemptKey,
    pub(super) session: SessionId,
    /// The name that the attempt has.
    pub(super) known: Option<&'a str>,
    pub(super) name: &'a str,
}

/// A status that waited for its attempt to get a name.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub(super) fact: Fact,
    pub(super) failure: Option<FailureCode>,
    pub(super) charge: Option<Charge>,
    pub(super) at: DateTime<Utc>,
}

/// Name, transport and number.
type Group = (String, String, String);

/// The statuses that wait under one name.
#[derive(Debug)]
struct Statuses {
    /// The session for which they were read.
    by: SessionId,
    waiting: Vec<Waiting>,
    are_taken: bool,
}

/// What is known of names while facts are merged.
#[derive(Debug, Default)]
pub(super) struct Names {
    read: HashSet<(SessionId, String)>,
    /// Transport and number of the sessions for which something waits.
    numbers: HashMap<SessionId, (String, String)>,
    waiting: HashMap<Group, Statuses>,
    taken: Vec<Group>,
    asked: HashSet<(AttemptKey, String)>,
    /// The names that attempts have beside the one that is kept with their facts.
    others: HashSet<(AttemptKey, String)>,
    noted: Vec<(AttemptKey, String)>,
}

impl Names {
    /// Reads what has to be known of names: two statements at most.
    pub(super) async fn read(&mut self, conn: &mut PgConnection, brought: &[Brought<'_>]) -> Fallible<()> {
        self.read_waiting(conn, brought).await?;
        self.read_others(conn, brought).await
    }

    async fn read_waiting(&mut self, conn: &mut PgConnection, brought: &[Brought<'_>]) -> Fallible<()> {
        let fresh = brought.iter().filter(|it| it.known != Some(it.name));
        let mut fresh: Vec<(SessionId, String)> =
            fresh.map(|it| (it.session, text(it.name).into_owned())).collect();
        fresh.retain(|name| self.read.insert(name.clone()));
        if fresh.is_empty() {
            return Ok(());
        }
        // In one order for everybody, as the rows are locked.
        fresh.sort_by_cached_key(|(session, name)| (provider_hash(name), name.clone(), *session));
        let found: Vec<(SessionId, Group, Waiting)> = sqlx::query(WAITING)
            .bind(uuids(fresh.iter().map(|(session, _)| *session)))
            .bind(fresh.iter().map(|(_, name)| provider_hash(name)).collect::<Vec<_>>())
            .bind(fresh.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>())
            .try_map(|row: PgRow| {
                let group = (get(&row, 3)?, get(&row, 1)?, get(&row, 2)?);
                Ok((id(&row, 0)?, group, waiting(&row)?))
            })
            .fetch_all(conn)
            .await?;
        for (session, group, status) in found {
            self.numbers.insert(session, (group.1.clone(), group.2.clone()));
            let fresh = || Statuses { by: session, waiting: Vec::new(), are_taken: false };
            let statuses = self.waiting.entry(group).or_insert_with(fresh);
            // Another session of the number may have read them before.
            if statuses.by == session {
                statuses.waiting.push(status);
            }
        }
        Ok(())
    }

    async fn read_others(&mut self, conn: &mut PgConnection, brought: &[Brought<'_>]) -> Fallible<()> {
        let two = brought.iter().filter_map(|it| Some((it, it.known.filter(|known| *known != it.name)?)));
        let mut asked: Vec<(AttemptKey, String)> = two
            .flat_map(|(it, known)| {
                [(it.key, text(known).into_owned()), (it.key, text(it.name).into_owned())]
            })
            .collect();
        asked.retain(|name| self.asked.insert(name.clone()));
        if asked.is_empty() {
            return Ok(());
        }
        let found: Vec<(AttemptKey, String)> = bind(OTHERS, &asked)
            .try_map(|row: PgRow| {
                let key = AttemptKey { tenant: id(&row, 0)?, message: id(&row, 1)?, n: uint(&row, 2)? };
                Ok((key, get(&row, 3)?))
            })
            .fetch_all(conn)
            .await?;
        self.others.extend(found);
        Ok(())
    }

    /// Whether an attempt gets this name for the first time; to be asked after [`read`](Self::read). Of
    /// several one is kept with the facts and the others apart, so that each finds the attempt.
    pub(super) fn is_new(
        &mut self,
        key: AttemptKey,
        before: Option<&str>,
        after: Option<&str>,
        name: &str,
    ) -> bool {
        let Some(known) = before.filter(|known| *known != name) else { return before.is_none() };
        let other = if after == Some(name) { known } else { name };
        let noted = (key, text(other).into_owned());
        let is_new = self.others.insert(noted.clone());
        if is_new {
            self.noted.push(noted);
        }
        is_new
    }

    /// What waits under a name of a session; to be asked after [`read`](Self::read).
    pub(super) fn waiting(&self, session: SessionId, name: &str) -> &[Waiting] {
        let statuses = self.group(session, name).and_then(|group| self.waiting.get(&group));
        statuses.filter(|it| !it.are_taken).map_or(&[], |it| it.waiting.as_slice())
    }

    /// Takes what waits under a name of a session.
    pub(super) fn take(&mut self, session: SessionId, name: &str) -> Vec<Waiting> {
        let waiting = self.waiting(session, name).to_vec();
        if let Some(group) = self.group(session, name).filter(|_| !waiting.is_empty()) {
            if let Some(statuses) = self.waiting.get_mut(&group) {
                statuses.are_taken = true;
            }
            self.taken.push(group);
        }
        waiting
    }

    fn group(&self, session: SessionId, name: &str) -> Option<Group> {
        let (transport, number) = self.numbers.get(&session)?;
        Some((text(name).into_owned(), transport.clone(), number.clone()))
    }

    /// Writes the names that are new and deletes the statuses that were taken.
    pub(super) async fn write(&mut self, conn: &mut PgConnection) -> Fallible<()> {
        if !self.noted.is_empty() {
            let noted = std::mem::take(&mut self.noted);
            bind(PUT_OTHERS, &noted).execute(&mut *conn).await?;
        }
        if !self.taken.is_empty() {
            let taken = std::mem::take(&mut self.taken);
            sqlx::query(TAKE)
                .bind(taken.iter().map(|(name, ..)| provider_hash(name)).collect::<Vec<_>>())
                .bind(taken.iter().map(|(name, ..)| name.as_str()).collect::<Vec<_>>())
                .bind(taken.iter().map(|(_, transport, _)| transport.as_str()).collect::<Vec<_>>())
                .bind(taken.iter().map(|(.., number)| number.as_str()).collect::<Vec<_>>())
                .execute(conn)
                .await?;
        }
        Ok(())
    }
}

/// Binds the key columns of further names.
fn bind<'a>(
    sql: &'static str,
    names: &'a [(AttemptKey, String)],
) -> sqlx::query::Query<'a, sqlx::Postgres, sqlx::postgres::PgArguments> {
    sqlx::query(sql)
        .bind(names.iter().map(|(_, name)| provider_hash(name)).collect::<Vec<_>>())
        .bind(names.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>())
        .bind(uuids(names.iter().map(|(key, _)| key.tenant)))
        .bind(uuids(names.iter().map(|(key, _)| key.message)))
        .bind(names.iter().map(|(key, _)| i64::from(key.n)).collect::<Vec<_>>())
}

fn waiting(row: &PgRow) -> Result<Waiting, Error> {
    let bit: u16 = uint(row, 4)?;
    let fact = Fact::ALL.into_iter().find(|fact| fact.bit() == bit).ok_or_else(|| undecodable(4))?;
    // The word about a price that it brought, if it brought one.
    let charge =
        named(row, 10, |key| if key.is_empty() { Some(None) } else { Charge::from_key(key).map(Some) })?;
    Ok(Waiting { fact, failure: failure(row, 6)?, charge, at: at(row, 5)? })
}
