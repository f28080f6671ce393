//! Prices and budgets while a batch is judged, as it has used them so far.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, params};
use wa_core::model::{
    BudgetOf, BudgetUse, CampaignId, Estimate, Market, Money, Period, Recipient, SessionId, TenantBudget,
    TenantId, TenantSettings,
};
use wa_core::rules::budget::{BudgetFacts, BudgetLine};
use wa_core::rules::price::PriceFacts;

use crate::sqlite::booked::budget_key;
use crate::sqlite::codec::{opt_at, parsed, uint};
use crate::sqlite::error::Fallible;
use crate::sqlite::prices;

pub(in crate::sqlite) const SERVICE_USED: &str =
    "SELECT used FROM service_usage WHERE session = ?1 AND month = ?2";
pub(in crate::sqlite) const USED_OF: &str = "SELECT committed, open, last_begun_at FROM budget_use \
     WHERE tenant = ?1 AND of = ?2 AND currency = ?3";

#[derive(Debug)]
pub(super) struct Pricing {
    tenant: TenantId,
    book: Option<i64>,
    month: Period,
    service_used: u64,
    budget: TenantBudget,
    /// What each budget has been used so far; `None` where there is no limit.
    lines: HashMap<BudgetOf, Option<BudgetLine>>,
}

impl Pricing {
    pub(super) fn read(
        conn: &Connection,
        now: DateTime<Utc>,
        tenant: TenantId,
        settings: &TenantSettings,
        session: SessionId,
    ) -> Fallible<Self> {
        let month = Period::at(now, settings.billing_offset);
        let service_used = conn
            .prepare_cached(SERVICE_USED)?
            .query_row(params![session.as_bytes(), month.to_string()], |row| uint(row, 0))
            .optional()?
            .unwrap_or(0);
        let book = prices::present(conn, tenant)?;
        Ok(Self { tenant, book, month, service_used, budget: settings.budget, lines: HashMap::new() })
    }

    pub(super) fn book(&self) -> Option<i64> {
        self.book
    }

    pub(super) fn month(&self) -> Period {
        self.month
    }

    pub(super) fn price_facts<'a>(
        &self,
        settings: &'a TenantSettings,
        entry_point_until: Option<DateTime<Utc>>,
        recipient: &Recipient,
    ) -> PriceFacts<'a> {
        PriceFacts {
            book: settings.prices.as_ref(),
            market: Market::of(recipient),
            entry_point_until,
            service_used: self.service_used,
        }
    }

    pub(super) fn budget_facts(
        &mut self,
        conn: &Connection,
        campaign: Option<CampaignId>,
    ) -> Fallible<BudgetFacts> {
        let TenantBudget { monthly, total } = self.budget;
        let campaign = match campaign {
            Some(campaign) => {
                self.line(conn, BudgetOf::Campaign(campaign), |tenant| limit_of(conn, tenant, campaign))?
            }
            None => None,
        };
        Ok(BudgetFacts {
            campaign,
            month: self.line(conn, BudgetOf::Month(self.month), |_| Ok(monthly))?,
            total: self.line(conn, BudgetOf::Total, |_| Ok(total))?,
        })
    }

    fn line(
        &mut self,
        conn: &Connection,
        of: BudgetOf,
        limit: impl FnOnce(TenantId) -> Fallible<Option<Money>>,
    ) -> Fallible<Option<BudgetLine>> {
        if let Some(known) = self.lines.get(&of) {
            return Ok(*known);
        }
        let line = match limit(self.tenant)? {
            Some(limit) => {
                let (used, last_begun_at) = conn
                    .prepare_cached(USED_OF)?
                    .query_row(
                        params![self.tenant.as_bytes(), budget_key(of), limit.currency.as_str()],
                        |row| {
                            let used = BudgetUse { committed: row.get(0)?, open: row.get(1)? };
                            Ok((used, opt_at(row, 2)?))
                        },
                    )
                    .optional()?
                    .unwrap_or_default();
                Some(BudgetLine { limit, used, last_begun_at })
            }
            None => None,
        };
        self.lines.insert(of, line);
        Ok(line)
    }

    /// Keeps what an attempt may cost.
    pub(super) fn take(&mut self, campaign: Option<CampaignId>, estimate: &Estimate, now: DateTime<Utc>) {
        self.service_used += u64::from(estimate.counts_as_service);
        let Some(reserve) = estimate.reserve else { return };
        let under =
            [campaign.map(BudgetOf::Campaign), Some(BudgetOf::Month(self.month)), Some(BudgetOf::Total)];
        for of in under.iter().flatten() {
            if let Some(Some(line)) = self.lines.get_mut(of)
                && line.limit.currency == reserve.currency
            {
                line.used.committed = line.used.committed.saturating_add(reserve.micros);
                line.used.open = line.used.open.saturating_add(reserve.micros);
                line.last_begun_at = Some(now);
            }
        }
    }
}

fn limit_of(conn: &Connection, tenant: TenantId, campaign: CampaignId) -> Fallible<Option<Money>> {
    let limit = conn
        .prepare_cached("SELECT budget, budget_currency FROM campaign WHERE tenant = ?1 AND id = ?2")?
        .query_row(params![tenant.as_bytes(), campaign.as_bytes()], |row| {
            Ok(match row.get::<_, Option<i64>>(0)? {
                Some(micros) => Some(Money { micros, currency: parsed(row, 1)? }),
                None => None,
            })
        })
        .optional()?;
    Ok(limit.flatten())
}
