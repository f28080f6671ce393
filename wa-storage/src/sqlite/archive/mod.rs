//! The room of the store's lives and of tenants that move, and how a file is recognised as the one that was last sent from.
//!
//! Invariant: the mark of a file, its last position in the journal, grows with every begin, and
//! `<file>.lock` holds the mark of a commit that was synced before. So a file whose mark lies below that
//! is an older copy, and one that has sent but has no such file beside it is a copy. A power cut can
//! take back what the system had not written of the lock file, which then says less than it could, and
//! never too much.

mod export;
mod import;
mod recount;

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use wa_core::model::{
    Campaign, CampaignId, CampaignState, EventBody, Finding, HoldReason, IncarnationId, Invariant,
    ReconcileCause, ReconcileNeed, Tenant, TenantId, micros,
};
use wa_core::port::store::{
    Archive, HeldTenant, ImportTenant, ImportTenantStep, MAX_PAGE, RecordSink, StoreError, UnfinishedImport,
};
use wa_core::port::{AdminScope, Scope};

use super::audience::{CAMPAIGN_COLUMNS, campaign_row};
use super::codec::{at, id, int, named, opt_id, parsed, uint};
use super::connect::patiently;
use super::error::{Fallible, Fault};
use super::lock::Noted;
use super::schedules;
use super::writer::{Shared, Tx};
use super::{Durability, SqliteStore, page_size};
use crate::common::examine::{self, Bounded, Dialect};

const NEED: &str = "SELECT since, cause FROM reconcile_need WHERE one = 1";
const MARK: &str = "SELECT seq FROM sqlite_sequence WHERE name = 'journal'";
/// What would go on by itself, as `rules::campaign::goes_on` has it.
const GOING_ON: &str = "SELECT c.tenant, c.id FROM campaign c \
     WHERE (?1 IS NULL OR c.tenant = ?1) AND EXISTS (SELECT 1 FROM tenant t WHERE t.id = c.tenant) \
     AND (c.state IN ('launching', 'scheduled', 'running') \
     OR (c.state = 'draft' AND EXISTS \
     (SELECT 1 FROM schedule_run r WHERE r.tenant = c.tenant AND r.campaign = c.id))) \
     ORDER BY c.tenant, c.id";
const HOLD: &str = "UPDATE campaign SET state = ?3, paused_for = ?4 WHERE tenant = ?1 AND id = ?2";

#[async_trait]
impl Archive for SqliteStore {
    async fn awaits(&self, _scope: &AdminScope) -> Result<Option<ReconcileNeed>, StoreError> {
        self.read(|snapshot| need(snapshot.conn)).await
    }

    async fn suspend(
        &self,
        _scope: &AdminScope,
        fresh: IncarnationId,
        cause: ReconcileCause,
    ) -> Result<ReconcileNeed, StoreError> {
        self.write(Durability::Full, move |tx| suspend(tx, fresh, cause)).await
    }

    async fn unreconciled(
        &self,
        _scope: &AdminScope,
        after: Option<(TenantId, CampaignId)>,
        limit: u32,
    ) -> Result<Vec<(TenantId, Campaign)>, StoreError> {
        self.read(move |snapshot| {
            let (tenant, campaign) = match &after {
                Some((tenant, campaign)) => (tenant.as_bytes().as_slice(), campaign.as_bytes().as_slice()),
                None => Default::default(),
            };
            let mut statement = snapshot.conn.prepare_cached(&format!(
                "SELECT {CAMPAIGN_COLUMNS}, tenant FROM campaign WHERE state = 'needs_reconcile' \
                 AND EXISTS (SELECT 1 FROM tenant t WHERE t.id = campaign.tenant) AND (tenant, id) > (?1, ?2) ORDER BY tenant, id LIMIT ?3"
            ))?;
            let rows = statement.query_map(params![tenant, campaign, page_size(limit)], |row| {
                Ok((id(row, 19)?, campaign_row(row)?))
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn lift(&self, _scope: &AdminScope) -> Result<bool, StoreError> {
        self.write(Durability::Full, |tx| {
            let waited = tx.conn.prepare_cached("DELETE FROM reconcile_need")?.execute([])? > 0;
            if waited {
                schedules::pass_over(tx, None)?;
            }
            Ok(waited)
        })
        .await
    }

    async fn examine(&self, _scope: &AdminScope, limit: u32) -> Result<Vec<Finding>, StoreError> {
        self.read(move |snapshot| examine(snapshot.conn, limit)).await
    }

    async fn export(&self, scope: &Scope, sink: &mut dyn RecordSink) -> Result<bool, StoreError> {
        export::export(self, scope.tenant(), sink).await
    }

    async fn import_tenant(
        &self,
        _scope: &AdminScope,
        chunk: &ImportTenant,
    ) -> Result<ImportTenantStep, StoreError> {
        let chunk = chunk.clone();
        self.write(Durability::Full, move |tx| import::import(tx, &chunk)).await
    }

    async fn unfinished_imports(&self, _scope: &AdminScope) -> Result<Vec<UnfinishedImport>, StoreError> {
        self.read(|snapshot| import::unfinished(snapshot.conn)).await
    }

    async fn discard_import(&self, _scope: &AdminScope, tenant: TenantId) -> Result<bool, StoreError> {
        let mut is_there = false;
        while self.write(Durability::Normal, move |tx| import::discard_some(tx, tenant)).await? {
            is_there = true;
        }
        Ok(is_there)
    }

    async fn held_tenants(
        &self,
        _scope: &AdminScope,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<HeldTenant>, StoreError> {
        self.read(move |snapshot| held(snapshot.conn, after, limit)).await
    }

    async fn release_tenant(&self, _scope: &AdminScope, tenant: TenantId) -> Result<bool, StoreError> {
        self.write(Durability::Full, move |tx| release(tx, tenant)).await
    }
}

fn held(conn: &Connection, after: Option<TenantId>, limit: u32) -> Fallible<Vec<HeldTenant>> {
    let after = after.as_ref().map_or([].as_slice(), |id| id.as_bytes().as_slice());
    let mut statement = conn.prepare_cached(
        "SELECT id, name, created_at, held_since FROM tenant WHERE held_since IS NOT NULL AND id > ?1 \
         ORDER BY id LIMIT ?2",
    )?;
    let rows = statement.query_map(params![after, page_size(limit)], |row| {
        let tenant = Tenant { id: id(row, 0)?, name: parsed(row, 1)?, created_at: at(row, 2)? };
        Ok(HeldTenant { tenant, since: at(row, 3)? })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn release(tx: &Tx<'_>, tenant: TenantId) -> Fallible<bool> {
    let released = tx
        .conn
        .prepare_cached("UPDATE tenant SET held_since = NULL WHERE id = ?1 AND held_since IS NOT NULL")?
        .execute(params![tenant.as_bytes()])?
        > 0;
    if released {
        hold_campaigns(tx, Some(tenant))?;
        schedules::pass_over(tx, Some(tenant))?;
    }
    Ok(released)
}

/// Whether a tenant was imported and waits for somebody's word.
pub(super) fn is_held(conn: &Connection, tenant: TenantId) -> Fallible<bool> {
    let mut statement =
        conn.prepare_cached("SELECT 1 FROM tenant WHERE id = ?1 AND held_since IS NOT NULL")?;
    Ok(statement.exists(params![tenant.as_bytes()])?)
}

const DIALECT: Dialect =
    Dialect { none: "NULL", span: |span| span.num_microseconds().unwrap_or(i64::MAX).to_string() };

fn examine(conn: &Connection, limit: u32) -> Fallible<Vec<Finding>> {
    let limit = limit.clamp(1, MAX_PAGE);
    let mut found = Vec::new();
    // Corruption can make each of the following statements fail; it is the first thing to hear of.
    let mut check = conn.prepare(&format!("PRAGMA integrity_check({limit})"))?;
    let lines: Vec<String> = check.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    found.extend(lines.into_iter().filter(|line| line != "ok").map(|line| Finding {
        invariant: Invariant::File,
        tenant: None,
        message: None,
        line,
    }));
    if !found.is_empty() {
        return Ok(found);
    }
    for (invariant, sql) in examine::queries(&DIALECT, limit) {
        let mut statement = conn.prepare(&sql)?;
        let rows = statement.query_map([], |row| {
            Ok(Finding { invariant, tenant: opt_id(row, 0)?, message: opt_id(row, 1)?, line: row.get(2)? })
        })?;
        found.extend(rows.collect::<rusqlite::Result<Vec<_>>>()?);
    }
    let mut recounted = Bounded::new(limit);
    recount::recount(conn, |finding| recounted.add(finding))?;
    Ok(recounted.after(found))
}

/// Whether the store waits until somebody says that it may send.
pub(super) fn need(conn: &Connection) -> Fallible<Option<ReconcileNeed>> {
    let need = conn
        .prepare_cached(NEED)?
        .query_row([], |row| {
            Ok(ReconcileNeed { since: at(row, 0)?, cause: named(row, 1, ReconcileCause::from_name)? })
        })
        .optional()?;
    Ok(need)
}

fn suspend(tx: &Tx<'_>, fresh: IncarnationId, cause: ReconcileCause) -> Fallible<ReconcileNeed> {
    tx.conn
        .prepare_cached("INSERT OR IGNORE INTO reconcile_need (one, since, cause) VALUES (1, ?1, ?2)")?
        .execute(params![micros(tx.now), cause.as_str()])?;
    tx.conn.prepare_cached("UPDATE identity SET incarnation = ?1")?.execute(params![fresh.as_bytes()])?;
    hold_campaigns(tx, None)?;
    need(tx.conn)?.ok_or(Fault::Broken("what was just written is not there"))
}

/// Holds what would go on by itself, of one tenant or of all.
fn hold_campaigns(tx: &Tx<'_>, only: Option<TenantId>) -> Fallible<()> {
    let going_on: Vec<(TenantId, CampaignId)> = tx
        .conn
        .prepare_cached(GOING_ON)?
        .query_map(params![only.as_ref().map(|of| of.as_bytes())], |row| Ok((id(row, 0)?, id(row, 1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let state = CampaignState::NeedsReconcile;
    for (tenant, campaign) in going_on {
        tx.conn.prepare_cached(HOLD)?.execute(params![
            tenant.as_bytes(),
            campaign.as_bytes(),
            state.as_str(),
            HoldReason::NeedsReconcile.as_str()
        ])?;
        tx.journal(tenant, EventBody::Campaign { campaign, state })?;
    }
    Ok(())
}

/// The file's mark; `None` before anything was told, or when it cannot be read.
pub(super) fn mark(conn: &Connection) -> Option<u64> {
    // Whoever commits has the file open and locked; should it fail all the same, the next commit notes more.
    conn.prepare_cached(MARK).and_then(|mut it| it.query_row([], |row| uint(row, 0))).ok()
}

/// Suspends the store if its file is not the one that was last sent from, and leaves word for the next time.
pub(super) fn recognise(
    conn: &Connection,
    shared: &Shared,
    patience: Duration,
    known: Option<ReconcileCause>,
) -> Fallible<()> {
    // Before the file's own mark: a process that works beside this one raises the file's first.
    let noted = shared.lock.noted();
    patiently(patience, || Ok(conn.execute_batch("BEGIN IMMEDIATE")?))?;
    let done = compare(&Tx { conn, now: shared.clock.now(), shared }, noted, known);
    match done {
        Ok(()) => conn.execute_batch("COMMIT")?,
        Err(fault) => {
            conn.execute_batch("ROLLBACK")?;
            return Err(fault);
        }
    }
    let own = mark(conn).unwrap_or(0);
    match noted {
        Noted::Missing => shared.lock.start(own),
        // Of a database that was deleted: this one is new.
        Noted::Mark(noted) if noted > own => shared.lock.start(own),
        Noted::Mark(_) | Noted::Unknown => {}
    }
    Ok(())
}

/// Whether nothing can wait in a database, because it has no tenants.
fn is_empty(conn: &Connection) -> Fallible<bool> {
    Ok(!conn.prepare("SELECT 1 FROM tenant LIMIT 1")?.exists([])?)
}

fn compare(tx: &Tx<'_>, noted: Noted, known: Option<ReconcileCause>) -> Fallible<()> {
    let own = mark(tx.conn).unwrap_or(0);
    let seen = match noted {
        Noted::Missing if own > 0 => Some(ReconcileCause::Copied),
        Noted::Mark(noted) if noted > own && !is_empty(tx.conn)? => {
            // Behind what is noted, so that no other copy of that time passes for this file.
            tx.conn.execute("DELETE FROM sqlite_sequence WHERE name = 'journal'", [])?;
            tx.conn.execute(
                "INSERT INTO sqlite_sequence (name, seq) VALUES ('journal', ?1)",
                [int(noted + 1)],
            )?;
            Some(ReconcileCause::OlderCopy)
        }
        Noted::Missing | Noted::Mark(_) | Noted::Unknown => None,
    };
    let Some(cause) = known.or(seen) else { return Ok(()) };
    let mut random = [0; 10];
    tx.shared.entropy.fill(&mut random);
    let need = suspend(tx, IncarnationId::mint(tx.now, random), cause)?;
    tracing::warn!(cause = cause.as_str(), since = %need.since, "the file is a copy: nothing is sent from it until it is reconciled");
    Ok(())
}
