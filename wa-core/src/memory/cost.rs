//! What attempts cost, added up anew each time: totals, budgets, trends.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::flaws::flawed;
use super::state::{AttemptRow, MessageRow, TenantRow};
use crate::model::{
    BudgetOf, BudgetUse, CampaignId, Category, ContactId, Currency, Market, MessageId, Period, Recipient,
    Session, SessionId,
};
use crate::port::store::{ContactSpend, Cost, CostOf, Direction, LastTemplate, TrendPoint, TrendQuery};
use crate::rules::budget::{BudgetFacts, BudgetLine};
use crate::rules::price::{Booking, Sold, booking};
use crate::rules::{cost, rollup};

/// What is used of a budget, and when the last attempt began under it.
pub(super) type Used = BTreeMap<Currency, (BudgetUse, Option<DateTime<Utc>>)>;

impl TenantRow {
    pub(super) fn sold<'a>(&'a self, message: &MessageRow, attempt: &'a AttemptRow) -> Sold<'a> {
        Sold {
            quote: attempt.quote,
            begun_at: attempt.begun_at,
            market: Market::of(&message.recipient),
            book: flawed!(self, SettlesByThePricesOfToday => self.settings.prices.as_ref(), attempt.book.as_deref()),
            facts: &attempt.facts,
        }
    }

    /// Every attempt with its message and how it stands in the totals.
    fn booked(&self) -> impl Iterator<Item = ((MessageId, u16), &MessageRow, &AttemptRow, Option<Booking>)> {
        self.attempts.iter().filter_map(|((id, n), attempt)| {
            let message = self.messages.get(id)?;
            let booked = booking(&self.sold(message, attempt));
            #[cfg(feature = "mutants")]
            let booked = super::flaws::booked(self, attempt, booked, &self.sold(message, attempt));
            Some(((*id, *n), message, attempt, booked))
        })
    }

    pub(super) fn cost(&self, of: &CostOf) -> Cost {
        let keys = match of {
            CostOf::Contact(contact) => self.keys_of(*contact).unwrap_or_default(),
            CostOf::Everything | CostOf::Campaign(_) | CostOf::Between { .. } => Vec::new(),
        };
        let belongs = |message: &MessageRow, attempt: &AttemptRow| match *of {
            CostOf::Everything => true,
            CostOf::Campaign(campaign) => message.campaign == Some(campaign),
            CostOf::Contact(_) => keys.contains(&message.recipient.key()),
            CostOf::Between { from, to } => {
                (rollup::slot(from)..rollup::slot(to)).contains(&attempt.begun_at)
            }
        };
        let mut total = Cost::default();
        for (_, message, attempt, booking) in self.booked() {
            if let Some(booking) = booking.filter(|_| belongs(message, attempt)) {
                for (counter, n) in cost::counted_in(&booking) {
                    cost::apply(&mut total, &counter, n);
                }
            }
        }
        total
    }

    /// The numbers under which a contact's attempts are found.
    fn keys_of(&self, contact: ContactId) -> Option<Vec<u64>> {
        let contact = self.contacts.get(contact)?;
        let phone = contact.recipient.phone().map(Recipient::from);
        let bsuid = contact.recipient.bsuid().cloned().map(Recipient::from);
        Some(phone.into_iter().chain(bsuid).map(|recipient| recipient.key()).collect())
    }

    pub(super) fn contact_spend(&self, contact: ContactId) -> Option<ContactSpend> {
        let keys = self.keys_of(contact)?;
        let mut spend =
            ContactSpend { cost: self.cost(&CostOf::Contact(contact)), ..ContactSpend::default() };
        let mut last = None;
        for ((id, _), message, attempt, booking) in self.booked() {
            let is_template = attempt.quote.category != Category::Service;
            if booking.is_none() || !is_template || !keys.contains(&message.recipient.key()) {
                continue;
            }
            spend.templates += 1;
            let is_later = last.is_none_or(|(at, known)| (at, known) < (attempt.begun_at, id));
            if flawed!(self, ShowsTheFirstTemplate => last.is_none(), is_later) {
                last = Some((attempt.begun_at, id));
                spend.last_template = self
                    .template_of(message, attempt.content)
                    .map(|(name, language)| LastTemplate { name, language, at: attempt.begun_at });
            }
        }
        Some(spend)
    }

    pub(super) fn budget_use(&self, of: BudgetOf) -> Used {
        let mut used = Used::new();
        for (_, message, attempt, booking) in self.booked() {
            let belongs = match of {
                BudgetOf::Campaign(campaign) => message.campaign == Some(campaign),
                BudgetOf::Month(month) => attempt.month == month,
                BudgetOf::Total => true,
            };
            if !belongs {
                continue;
            }
            if let Some(reserve) = attempt.quote.estimate.reserve {
                let (_, last) = used.entry(reserve.currency).or_default();
                *last = (*last).max(Some(attempt.begun_at));
            }
            let Some((booking, kept)) = booking.and_then(|it| Some((it, it.kept?))) else { continue };
            let (sum, _) = used.entry(kept.currency).or_default();
            sum.committed = sum.committed.saturating_add(kept.micros);
            if !booking.settled {
                sum.open = sum.open.saturating_add(kept.micros);
            }
        }
        used
    }

    /// The budgets that a message falls under, before a batch uses them.
    pub(super) fn budgets(&self, campaign: Option<CampaignId>, now: DateTime<Utc>) -> BudgetFacts {
        let line = |limit: Option<crate::model::Money>, of: BudgetOf| {
            let limit = limit?;
            let (used, last_begun_at) = self.budget_use(of).get(&limit.currency).copied().unwrap_or_default();
            Some(BudgetLine { limit, used, last_begun_at })
        };
        let month = Period::at(now, self.settings.billing_offset);
        let limit = campaign.and_then(|campaign| self.campaigns.get(&campaign)?.campaign.budget);
        BudgetFacts {
            campaign: campaign.and_then(|campaign| line(limit, BudgetOf::Campaign(campaign))),
            month: line(self.settings.budget.monthly, BudgetOf::Month(month)),
            total: line(self.settings.budget.total, BudgetOf::Total),
        }
    }

    /// Service messages of a number in a month that were not given back.
    pub(super) fn service_used(&self, session: &Session, month: Period) -> u64 {
        let counts = |attempt: &&AttemptRow| {
            attempt.session == session.id
                && attempt.month == month
                && attempt.quote.estimate.counts_as_service
                && (!attempt.facts.is_definitely_undelivered()
                    || flawed!(self, KeepsAFreeMessageThatWasGivenBack))
        };
        u64::try_from(self.attempts.values().filter(counts).count()).unwrap_or(u64::MAX)
    }

    pub(super) fn trend(&self, ask: &TrendQuery) -> Vec<TrendPoint> {
        let TrendQuery { from, to, by, session } = *ask;
        let range = rollup::slot(from)..rollup::slot(to);
        let mut points: BTreeMap<DateTime<Utc>, TrendPoint> = BTreeMap::new();
        let mut add = |of: SessionId, at: DateTime<Utc>, counts: Vec<(rollup::Count, i64)>| {
            let is_told = session.is_none_or(|session| session == of || flawed!(self, TellsTheTrendOfAll));
            if range.contains(&at) && is_told {
                let start = rollup::step(
                    flawed!(self, CountsInTheNextHour => at + chrono::TimeDelta::hours(1), at),
                    by,
                );
                let point = points.entry(start).or_insert_with(|| TrendPoint::new(start));
                for (count, n) in counts {
                    rollup::apply(point, &count, n);
                }
            }
        };
        for ((_, n), _, attempt, booking) in self.booked() {
            let counted = rollup::Counted { n, facts: &attempt.facts, booking: booking.as_ref() };
            add(attempt.session, attempt.begun_at, rollup::delta(None, &counted));
        }
        for inbound in self.inbound.values().filter(|it| it.direction == Direction::Inbound) {
            add(inbound.session, inbound.at, vec![(rollup::Count::Inbound, 1)]);
        }
        points.into_values().collect()
    }
}
