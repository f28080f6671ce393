//! Prices and budgets while a batch is judged.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::state::TenantRow;
use crate::model::{CampaignId, Estimate, Market, Period, Recipient, Session};
use crate::port::store::BeginItem;
use crate::rules::budget::{BudgetFacts, BudgetLine};
use crate::rules::price::PriceFacts;

/// What prices and budgets hang on, as the batch has used it so far.
#[derive(Debug)]
pub(super) struct Pricing<'a> {
    tenant: &'a TenantRow,
    now: DateTime<Utc>,
    service_used: u64,
    /// What the batch has taken so far, with the campaign of each.
    taken: Vec<(Option<CampaignId>, Estimate)>,
    /// The budgets before the batch, by campaign.
    budgets: BTreeMap<Option<CampaignId>, BudgetFacts>,
}

impl<'a> Pricing<'a> {
    pub(super) fn open(tenant: &'a TenantRow, session: &Session, now: DateTime<Utc>) -> Self {
        let month = Period::at(now, tenant.settings.billing_offset);
        let service_used = tenant.service_used(session, month);
        Self { tenant, now, service_used, taken: Vec::new(), budgets: BTreeMap::new() }
    }

    pub(super) fn price_facts(
        &self,
        entry_point_until: Option<DateTime<Utc>>,
        recipient: &Recipient,
    ) -> PriceFacts<'a> {
        PriceFacts {
            book: self.tenant.settings.prices.as_ref(),
            market: Market::of(recipient),
            entry_point_until,
            service_used: self.service_used,
        }
    }

    pub(super) fn budget_facts(&mut self, item: &BeginItem) -> BudgetFacts {
        let (tenant, now) = (self.tenant, self.now);
        let before = *self.budgets.entry(item.campaign).or_insert_with(|| tenant.budgets(item.campaign, now));
        let with_batch = |line: Option<BudgetLine>, of_campaign: bool| {
            let mut line = line?;
            for (campaign, estimate) in &self.taken {
                let Some(reserve) = estimate.reserve else { continue };
                if reserve.currency != line.limit.currency || (of_campaign && *campaign != item.campaign) {
                    continue;
                }
                line.used.committed = line.used.committed.saturating_add(reserve.micros);
                line.used.open = line.used.open.saturating_add(reserve.micros);
                line.last_begun_at = Some(now);
            }
            Some(line)
        };
        let BudgetFacts { campaign, month, total } = before;
        BudgetFacts {
            campaign: with_batch(campaign, true),
            month: with_batch(month, false),
            total: with_batch(total, false),
        }
    }

    pub(super) fn take(&mut self, item: &BeginItem, estimate: &Estimate) {
        self.service_used += u64::from(estimate.counts_as_service);
        self.taken.push((item.campaign, *estimate));
    }
}
