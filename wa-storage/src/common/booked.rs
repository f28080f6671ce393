//! What a transaction changes in budgets, in free messages and in roll-ups, written at its end.
//!
//! Invariant: each is, at every moment, the sum over its attempts; changes of one transaction are
//! added up first, so that a batch writes a few rows.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use wa_core::model::{BudgetOf, CampaignId, Currency, Period, SessionId, TenantId};
use wa_core::rules::rollup::{self, Count, Counted};

use super::message::Attempt;

/// The column that names a budget.
pub(crate) fn budget_key(of: BudgetOf) -> Vec<u8> {
    match of {
        BudgetOf::Campaign(campaign) => campaign.as_bytes().to_vec(),
        BudgetOf::Month(month) => month.to_string().into_bytes(),
        BudgetOf::Total => Vec::new(),
    }
}

#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Change {
    pub(crate) committed: i64,
    pub(crate) open: i64,
    pub(crate) begun_at: Option<DateTime<Utc>>,
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
pub(crate) struct Booked {
    pub(crate) budgets: BTreeMap<(TenantId, BudgetOf, Currency), Change>,
    pub(crate) services: BTreeMap<(TenantId, SessionId, Period), i64>,
    pub(crate) rollups: BTreeMap<(TenantId, DateTime<Utc>, SessionId, Count), i64>,
}

impl Booked {
    /// An attempt that was begun, or about which something new is known.
    pub(crate) fn attempt(
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
            *self.services.entry((tenant, attempt.session, attempt.month)).or_default() += change;
        }
        let slot = rollup::slot(attempt.begun_at);
        for (count, n) in rollup::delta(old, new) {
            *self.rollups.entry((tenant, slot, attempt.session, count)).or_default() += n;
        }
    }

    /// A message from a user.
    pub(crate) fn inbound(&mut self, tenant: TenantId, session: SessionId, at: DateTime<Utc>) {
        *self.rollups.entry((tenant, rollup::slot(at), session, Count::Inbound)).or_default() += 1;
    }

    /// Whether nothing changed.
    #[cfg(feature = "postgres")]
    pub(crate) fn is_empty(&self) -> bool {
        let Self { budgets, services, rollups } = self;
        budgets.is_empty() && services.is_empty() && rollups.is_empty()
    }

    /// Takes over what a part of the transaction changed.
    pub(crate) fn absorb(&mut self, part: Self) {
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
}
