//! The calls of a script on prices, budgets and totals, and what webhooks say about prices.

use chrono::{TimeDelta, TimeZone, Utc};
use wa_core::model::{
    BudgetOf, Category, ChargedCategory, DatedPolicy, Market, MarketRates, Money, Period, PriceBook,
    PriceList, PricePolicy, PricingKind, RateCard, Rates, TenantBudget, TenantId, UtcOffset, WebhookPricing,
};
use wa_core::port::store::{CostOf, TrendBy, TrendQuery};
use wa_core::testing::scope;

use super::script::{Script, Step};
use super::stores::every;

const OFFSETS: [i16; 4] = [0, 330, -570, 765];

impl Script {
    fn currency(&self) -> wa_core::model::Currency {
        (if self.percent(85) { "EUR" } else { "USD" }).parse().expect("a currency")
    }

    fn thousands(&self, sides: u64) -> i64 {
        i64::try_from(self.roll(sides)).expect("small") * 1_000
    }

    pub(super) fn offset(&self) -> UtcOffset {
        let minutes = *self.pick(&OFFSETS).expect("some");
        UtcOffset::from_minutes(minutes).expect("an offset")
    }

    fn flat(&self) -> PriceList {
        let mut per_message = std::collections::BTreeMap::from([(Category::Marketing, self.thousands(3))]);
        if self.percent(60) {
            per_message.insert(Category::Utility, self.thousands(2));
        }
        PriceList { currency: self.currency(), per_message }
    }

    fn card(&self) -> RateCard {
        let rates = MarketRates {
            marketing: Some(3_000 + self.thousands(3)),
            utility: self.percent(80).then_some(1_000),
            authentication: Some(1_000),
            authentication_international: None,
            service: self.percent(80).then_some(1_000),
        };
        RateCard {
            currency: self.currency(),
            rates: [(Market::Other, rates)].into(),
            ..RateCard::meta_usd_october_2026().clone()
        }
    }

    /// A book, mostly with a change of policy in the days in which scripts play.
    pub(super) fn prices(&self) -> PriceBook {
        if self.percent(40) {
            return self.flat().into();
        }
        let currency = self.currency();
        let known = if self.percent(70) { Rates::Own(self.card()) } else { Rates::Unknown { currency } };
        let first = PricePolicy::MetaJuly2025 { rates: known };
        let second = PricePolicy::MetaOctober2026 { rates: Rates::Own(self.card()) };
        let from = Utc.with_ymd_and_hms(2026, 10, 1, 0, 0, 0).single().expect("an instant");
        let change = if self.percent(50) { from } else { self.now() - TimeDelta::hours(1) };
        let early = Utc.with_ymd_and_hms(2025, 7, 1, 0, 0, 0).single().expect("an instant");
        let dated = |from, policy| DatedPolicy { from, policy };
        PriceBook::new(vec![dated(early, first), dated(change, second)]).expect("a book")
    }

    pub(super) fn budget(&self, percent: u64) -> Option<Money> {
        self.percent(percent).then(|| Money { micros: self.thousands(9), currency: self.currency() })
    }

    pub(super) fn tenant_budget(&self) -> TenantBudget {
        TenantBudget { monthly: self.budget(10), total: self.budget(10) }
    }

    /// What a status says about the price, mostly nothing.
    pub(super) fn pricing(&self) -> Option<WebhookPricing> {
        let kinds = ["regular", "regular", "regular", "free_customer_service", "free_entry_point", "beer"];
        let categories = [
            "marketing",
            "utility",
            "service",
            "marketing_lite",
            "authentication_international",
            "group_utility",
        ];
        self.percent(45).then(|| WebhookPricing {
            billable: self.percent(30).then(|| self.percent(50)),
            model: Some("PMP".to_owned()),
            kind: self.percent(85).then(|| PricingKind::from(*self.pick(&kinds).expect("some"))),
            category: self.percent(85).then(|| ChargedCategory::from(*self.pick(&categories).expect("some"))),
            subtype: self.percent(4).then(|| "paid_exempt".to_owned()),
        })
    }

    pub(super) async fn money(&mut self) -> Step {
        let (tenant, campaign) = self.campaign();
        let of = self.scope_of(tenant);
        match self.roll(4) {
            0 => {
                let (tenant, contact) = self.contact();
                let of = self.scope_of(tenant);
                let spend = every!(self.stores, s => s.ledger().contact_spend(&of, contact));
                self.tell("contact_spend", spend.as_ref().is_ok_and(|it| it.is_some()), spend);
            }
            1 => {
                let month = Period::at(self.now(), self.offset());
                let all = [BudgetOf::Campaign(campaign), BudgetOf::Month(month), BudgetOf::Total];
                let what = *self.pick(&all).expect("three");
                let used = every!(self.stores, s => s.ledger().budget_use(&of, what));
                self.tell("budget_use", used.is_ok(), used);
            }
            2 => {
                let budget = self.budget(70);
                let set = every!(self.stores, s => s.audience().set_budget(&of, campaign, budget));
                self.tell("set_budget", set.as_ref().is_ok_and(|it| it.is_some()), set);
            }
            _ => {
                let from = self.now() - TimeDelta::minutes(i64::try_from(self.roll(90)).expect("small"));
                let to = from + TimeDelta::minutes(i64::try_from(self.roll(90)).expect("small"));
                let (_, contact) = self.contact();
                let all = [
                    CostOf::Everything,
                    CostOf::Campaign(campaign),
                    CostOf::Contact(contact),
                    CostOf::Between { from, to },
                ];
                let what = *self.pick(&all).expect("four");
                let cost = every!(self.stores, s => s.ledger().cost(&of, &what));
                self.tell("cost", cost.is_ok(), cost);
            }
        }
        Ok(())
    }

    pub(super) async fn trend(&mut self) -> Step {
        let of = self.scope();
        let from = self.now() - TimeDelta::minutes(i64::try_from(self.roll(3_000)).expect("small"));
        let (session, _) = self.session();
        let by = if self.percent(50) { TrendBy::Hour(self.offset()) } else { TrendBy::Day(self.offset()) };
        let to = from + TimeDelta::days(2);
        let ask = TrendQuery { from, to, by, session: self.percent(40).then_some(session) };
        let points = every!(self.stores, s => s.reports().trend(&of, &ask));
        self.tell("trend", points.is_ok(), points);
        Ok(())
    }

    /// Everything about a tenant's money, compared.
    pub(super) async fn compare_money(&self, tenant: TenantId) -> Step {
        let (stores, of) = (&self.stores, scope::tenant(tenant));
        let (from, to) = (self.now() - TimeDelta::days(40), self.now() + TimeDelta::days(1));
        every!(stores, s => s.ledger().cost(&of, &CostOf::Between { from, to })).expect("a cost");
        every!(stores, s => s.ledger().budget_use(&of, BudgetOf::Total)).expect("a budget");
        for minutes in OFFSETS {
            let offset = UtcOffset::from_minutes(minutes).expect("an offset");
            let month = Period::at(self.now(), offset);
            every!(stores, s => s.ledger().budget_use(&of, BudgetOf::Month(month))).expect("a budget");
            for by in [TrendBy::Hour(offset), TrendBy::Day(offset)] {
                let ask = TrendQuery { from, to, by, session: None };
                every!(stores, s => s.reports().trend(&of, &ask)).expect("a trend");
            }
        }
        Ok(())
    }
}
