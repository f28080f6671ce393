//! Budgets: whether a message has room in every budget that it falls under.
//!
//! Invariant: what is committed never passes a limit by a begin, because the dearest price that a
//! message can become is kept for it until the provider has said what it charges.

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::{BudgetUse, Estimate, Money};

/// How long after the last begin a budget waits for prices that would make room again.
///
/// A provider says what it charges with the first status, which comes within seconds.
pub const PATIENCE: TimeDelta = TimeDelta::hours(1);

/// The budgets that a message falls under.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BudgetFacts {
    /// That of its campaign.
    pub campaign: Option<BudgetLine>,
    /// That of the tenant's month.
    pub month: Option<BudgetLine>,
    /// That of the tenant.
    pub total: Option<BudgetLine>,
}

/// One budget, as this batch has used it so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetLine {
    /// The limit.
    pub limit: Money,
    /// How much of its currency is committed.
    pub used: BudgetUse,
    /// When the last attempt began that falls under it.
    pub last_begun_at: Option<DateTime<Utc>>,
}

/// Whether a message fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BudgetVerdict {
    /// It fits.
    Fits,
    /// There is a budget, and the message's price is unknown or in another currency.
    PriceUnknown,
    /// It would pass a limit, but prices that are not settled may make room.
    MayFitLater,
    /// It would pass a limit.
    Spent,
}

impl BudgetFacts {
    /// Whether there is any budget.
    #[must_use]
    pub const fn is_limited(&self) -> bool {
        self.campaign.is_some() || self.month.is_some() || self.total.is_some()
    }
}

/// Whether a message of this estimate fits into every budget.
#[must_use]
pub fn check(facts: &BudgetFacts, estimate: &Estimate, now: DateTime<Utc>) -> BudgetVerdict {
    let BudgetFacts { campaign, month, total } = facts;
    let mut verdict = BudgetVerdict::Fits;
    for line in [campaign, month, total].into_iter().flatten() {
        match check_line(line, estimate, now) {
            BudgetVerdict::Fits => {}
            BudgetVerdict::PriceUnknown => return BudgetVerdict::PriceUnknown,
            BudgetVerdict::Spent => verdict = BudgetVerdict::Spent,
            BudgetVerdict::MayFitLater => {
                if verdict == BudgetVerdict::Fits {
                    verdict = BudgetVerdict::MayFitLater;
                }
            }
        }
    }
    verdict
}

fn check_line(line: &BudgetLine, estimate: &Estimate, now: DateTime<Utc>) -> BudgetVerdict {
    let BudgetLine { limit, used, last_begun_at } = line;
    let Some(reserve) = estimate.amount.and(estimate.reserve).filter(|it| it.currency == limit.currency)
    else {
        return BudgetVerdict::PriceUnknown;
    };
    let fits = |committed: i64| committed.checked_add(reserve.micros).is_some_and(|sum| sum <= limit.micros);
    // What can only be free never passes a limit, not even one that was lowered below what is spent.
    if reserve.micros == 0 || fits(used.committed) {
        return BudgetVerdict::Fits;
    }
    let may_come = last_begun_at.is_some_and(|at| now < at.checked_add_signed(PATIENCE).unwrap_or(at));
    if may_come && used.open > 0 && fits(used.committed.saturating_sub(used.open)) {
        BudgetVerdict::MayFitLater
    } else {
        BudgetVerdict::Spent
    }
}
