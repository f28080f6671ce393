//! What a transaction changes in budgets, in free messages and in roll-ups, written at its end.
//!
//! Invariant: each is, at every moment, the sum over its attempts; changes of one transaction are
//! added up first, so that a batch writes a few rows.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};
use wa_core::model::{BudgetOf, CampaignId, Currency, Period, SessionId, TenantId, micros};
use wa_core::rules::rollup::{self, Count, Counted};

use super::error::Fallible;
use super::message::Attempt;

const ADD_BUDGET: &str = "INSERT INTO budget_use (tenant, of, currency, committed, open, last_begun_at) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
     ON CONFLICT (tenant, of, currency) DO UPDATE SET committed = committed + excluded.committed, \
     open = open + excluded.open, \
     last_begun_at = max(coalesce(last_begun_at, excluded.last_begun_at), \
     coalesce(excluded.last_begun_at, last_begun_at))";
const ADD_SERVICE: &str = "INSERT INTO service_usage (session, month, used) VALUES (?1, ?2, ?3) \
     ON CONFLICT (session, month) DO UPDATE SET used = used + excluded.used";
const ADD_ROLLUP: &str =
    "INSERT INTO rollup_delta (tenant, slot, session, counter, n) VALUES (?1, ?2, ?3, ?4, ?5)";

/// The column that names a budget.
pub(super) fn budget_key(of: BudgetOf) -> Vec<u8> {
    match of {
        BudgetOf::Campaign(campaign) => campaign.as_bytes().to_vec(),
        BudgetOf::Month(month) => month.to_string().into_bytes(),
        BudgetOf::Total => Vec::new(),
    }
}

#[derive(Debug, Default, Clone, Copy)]
struct Change {
    committed: i64,
    open: i64,
    begun_at: Option<DateTime<Utc>>,
}

impl Change {
    fn add(&mut self, other: Self) {
        self.committed = self.committed.saturating_add(other.committed);
        self.open = self.open.saturating_add(other.open);
        self.begun_at = self.begun_at.max(other.begun_at);
    }
}

/// Collects what a transaction changes.
#[derive(Debug, Default)]
pub(super) struct Booked {
    budgets: BTreeMap<(TenantId, BudgetOf, Currency), Change>,
    services: BTreeMap<(SessionId, Period), i64>,
    rollups: BTreeMap<(TenantId, DateTime<Utc>, SessionId, Count), i64>,
}

impl Booked {
    /// An attempt that was begun, or about which something new is known.
    pub(super) fn attempt(
        &mut self,
        tenant: TenantId,
        campaign: Option<CampaignId>,
        attempt: &Attempt,
        old: Option<&Counted<'_>>,
        new: &Counted<'_>,
    ) {
        let scopes =
            [campaign.map(BudgetOf::Campaign), Some(BudgetOf::Month(attempt.month)), Some(BudgetOf::Total)];
        let mut budget = |currency: Currency, change: Change| {
            for of in scopes.iter().flatten() {
                self.budgets.entry((tenant, *of, currency)).or_default().add(change);
            }
        };
        if let Some(reserve) = attempt.quote.estimate.reserve.filter(|_| old.is_none()) {
            let begun_at = Some(attempt.begun_at);
            budget(reserve.currency, Change { begun_at, ..Change::default() });
        }
        for (booking, sign) in [(old.and_then(|old| old.booking), -1), (new.booking, 1)] {
            let Some((booking, kept)) = booking.and_then(|it| Some((it, it.kept?))) else { continue };
            let committed = kept.micros.saturating_mul(sign);
            let open = if booking.settled { 0 } else { committed };
            budget(kept.currency, Change { committed, open, begun_at: None });
        }
        if attempt.quote.estimate.counts_as_service {
            let counts = |it: &Counted<'_>| i64::from(!it.facts.is_definitely_undelivered());
            let change = counts(new) - old.map_or(0, counts);
            *self.services.entry((attempt.session, attempt.month)).or_default() += change;
        }
        let slot = rollup::slot(attempt.begun_at);
        for (count, n) in rollup::delta(old, new) {
            *self.rollups.entry((tenant, slot, attempt.session, count)).or_default() += n;
        }
    }

    /// A message from a user.
    pub(super) fn inbound(&mut self, tenant: TenantId, session: SessionId, at: DateTime<Utc>) {
        *self.rollups.entry((tenant, rollup::slot(at), session, Count::Inbound)).or_default() += 1;
    }

    /// Takes over what a part of the transaction changed.
    pub(super) fn absorb(&mut self, part: Self) {
        let Self { budgets, services, rollups } = part;
        for (of, change) in budgets {
            self.budgets.entry(of).or_default().add(change);
        }
        for (of, n) in services {
            *self.services.entry(of).or_default() += n;
        }
        for (of, n) in rollups {
            *self.rollups.entry(of).or_default() += n;
        }
    }

    pub(super) fn write(self, conn: &Connection) -> Fallible<()> {
        let Self { budgets, services, rollups } = self;
        for ((tenant, of, currency), Change { committed, open, begun_at }) in budgets {
            if (committed, open, begun_at) != (0, 0, None) {
                let begun_at = begun_at.map(micros);
                conn.prepare_cached(ADD_BUDGET)?.execute(params![
                    tenant.as_bytes(),
                    budget_key(of),
                    currency.as_str(),
                    committed,
                    open,
                    begun_at
                ])?;
            }
        }
        for ((session, month), n) in services.into_iter().filter(|(_, n)| *n != 0) {
            conn.prepare_cached(ADD_SERVICE)?.execute(params![session.as_bytes(), month.to_string(), n])?;
        }
        for ((tenant, slot, session, count), n) in rollups.into_iter().filter(|(_, n)| *n != 0) {
            conn.prepare_cached(ADD_ROLLUP)?.execute(params![
                tenant.as_bytes(),
                micros(slot),
                session.as_bytes(),
                count.key(),
                n
            ])?;
        }
        Ok(())
    }
}

/// Adds the changes up into the roll-ups; the sums stay what they were.
pub(super) fn fold(conn: &Connection) -> Fallible<()> {
    let upto: Option<i64> =
        conn.prepare_cached("SELECT max(seq) FROM rollup_delta")?.query_row([], |row| row.get(0))?;
    let Some(upto) = upto else { return Ok(()) };
    conn.prepare_cached(
        "INSERT INTO rollup (tenant, slot, session, counter, n) \
         SELECT tenant, slot, session, counter, sum(n) FROM rollup_delta WHERE seq <= ?1 \
         GROUP BY tenant, slot, session, counter \
         ON CONFLICT (tenant, slot, session, counter) DO UPDATE SET n = n + excluded.n",
    )?
    .execute([upto])?;
    conn.prepare_cached("DELETE FROM rollup_delta WHERE seq <= ?1")?.execute([upto])?;
    Ok(())
}
