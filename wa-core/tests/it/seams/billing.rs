//! A small billing, and the ways in which it can be wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use futures::executor::block_on;
use wa_core::model::{Entitlement, Period, Tenant, TenantId, from_micros};
use wa_core::port::{Billing, BillingError, UsageReport};
use wa_core::testing::billing::{self, BillingFixture, Subscribed};

/// What is wrong with a billing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    FailsForAStranger,
    AllowsStrangersByTheirNames,
    GivesTheFallbackToAll,
    RemembersWhoCameFirst,
    TakesLongNamesForOne,
    CutsThePlanByItsUsage,
    CountsItsAnswers,
    OpensInAnOutage,
    ClosesInAnOutage,
    AnswersAnOutageOnce,
    CountsARepeat,
    ForgetsTheKeyBefore,
    TakesTheLastOfAKey,
    AddsWhatIsMore,
    LooksBeforeItWaits,
    CountsAMonthForAll,
    CountsATenantForAllMonths,
    RefusesAnOlderMonth,
    PassesOverAnOlderMonth,
    SwallowsAReport,
}

#[derive(Debug)]
struct Small {
    fault: Fault,
    is_reachable: bool,
    plans: BTreeMap<TenantId, Entitlement>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    keys: BTreeMap<(TenantId, String), u64>,
    counted: BTreeMap<(TenantId, Period), u64>,
    asked: u64,
    first: Option<Entitlement>,
    last_key: String,
}

fn outage() -> BillingError {
    BillingError::new("nobody is there", None)
}

fn limited(messages: u64) -> Entitlement {
    Entitlement { messages_per_month: Some(messages), ..Entitlement::unlimited() }
}

#[async_trait::async_trait]
impl Billing for Small {
    async fn entitlement(&self, tenant: &Tenant) -> Result<Entitlement, BillingError> {
        let mut state = self.state.lock().expect("a lock");
        state.asked += 1;
        if !self.is_reachable {
            return match self.fault {
                Fault::OpensInAnOutage => Ok(Entitlement::unlimited()),
                Fault::ClosesInAnOutage => Ok(limited(0)),
                Fault::AnswersAnOutageOnce if state.asked == 1 => Ok(limited(10)),
                _ => Err(outage()),
            };
        }
        let known = self.plans.get(&tenant.id).cloned();
        let own = known.clone().unwrap_or_else(|| limited(10));
        let used: u64 = state.keys.iter().filter(|((of, _), _)| *of == tenant.id).map(|(_, n)| n).sum();
        Ok(match self.fault {
            Fault::FailsForAStranger if known.is_none() => return Err(outage()),
            Fault::AllowsStrangersByTheirNames if known.is_none() && !tenant.name.as_str().is_ascii() => {
                Entitlement::unlimited()
            }
            Fault::GivesTheFallbackToAll => limited(10),
            Fault::RemembersWhoCameFirst if known.is_some() => state.first.get_or_insert(own).clone(),
            Fault::TakesLongNamesForOne if known.is_some() => {
                let start: String = tenant.name.as_str().chars().take(8).collect();
                let same = self.plans.values().next().cloned();
                same.filter(|_| start == "a tenant").unwrap_or(own)
            }
            Fault::CutsThePlanByItsUsage => {
                let left = own.messages_per_month.map(|limit| limit.saturating_sub(used));
                Entitlement { messages_per_month: left, ..own }
            }
            Fault::CountsItsAnswers if known.is_none() && used > 0 => {
                Entitlement { plan: format!("answer {}", state.asked), ..own }
            }
            _ => own,
        })
    }

    async fn report(&self, usage: &UsageReport) -> Result<(), BillingError> {
        if !self.is_reachable {
            return if self.fault == Fault::SwallowsAReport { Ok(()) } else { Err(outage()) };
        }
        let UsageReport { key, tenant, period, messages } = usage.clone();
        let known = self.state.lock().expect("a lock").keys.get(&(tenant, key.clone())).copied();
        if self.fault == Fault::LooksBeforeItWaits {
            futures::future::poll_fn(yielding()).await;
        }
        let mut state = self.state.lock().expect("a lock");
        let known = if self.fault == Fault::LooksBeforeItWaits {
            known
        } else {
            state.keys.get(&(tenant, key.clone())).copied()
        };
        let is_older = state.counted.keys().any(|(of, known)| *of == tenant && *known > period);
        let place = match self.fault {
            Fault::CountsATenantForAllMonths => (tenant, Period::of(from_micros(0))),
            Fault::CountsAMonthForAll => (TenantId::from_uuid(uuid::Uuid::nil()), period),
            _ => (tenant, period),
        };
        match self.fault {
            Fault::RefusesAnOlderMonth if is_older => return Err(outage()),
            Fault::PassesOverAnOlderMonth if is_older => return Ok(()),
            _ => {}
        }
        let adds = match (self.fault, known) {
            (_, None) => messages,
            (Fault::CountsARepeat, Some(known)) if known == messages => messages,
            (Fault::ForgetsTheKeyBefore, Some(known)) if known == messages && state.last_key != key => {
                messages
            }
            (Fault::AddsWhatIsMore, Some(known)) => messages.saturating_sub(known),
            (Fault::TakesTheLastOfAKey, Some(known)) => {
                let counted = state.counted.entry(place).or_default();
                *counted = counted.saturating_sub(known);
                messages
            }
            (_, Some(_)) => 0,
        };
        if known.is_none() || self.fault == Fault::TakesTheLastOfAKey {
            state.keys.insert((tenant, key.clone()), messages);
        }
        state.last_key = key;
        *state.counted.entry(place).or_default() += adds;
        Ok(())
    }
}

/// Gives way once.
fn yielding() -> impl FnMut(&mut std::task::Context<'_>) -> std::task::Poll<()> {
    let mut has_waited = false;
    move |context| {
        if has_waited {
            return std::task::Poll::Ready(());
        }
        has_waited = true;
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    }
}

/// Keeps the billing that it opened, so that it can look inside.
struct Fixture(Fault, Mutex<Option<Arc<Small>>>);

impl Fixture {
    fn new(fault: Fault) -> Self {
        Self(fault, Mutex::default())
    }

    fn make(&self, is_reachable: bool, plans: BTreeMap<TenantId, Entitlement>) -> Arc<Small> {
        let small = Arc::new(Small { fault: self.0, is_reachable, plans, state: Mutex::default() });
        *self.1.lock().expect("a lock") = Some(small.clone());
        small
    }
}

#[async_trait::async_trait]
impl BillingFixture for Fixture {
    async fn open(&self) -> Arc<dyn Billing> {
        self.make(true, BTreeMap::new())
    }

    async fn subscribed(&self) -> Option<Subscribed> {
        let names = ["a tenant", "a tenant with a longer name", "somebody"];
        let plans = [limited(100), limited(2_000), Entitlement { suspended: true, ..limited(100) }];
        let tenants = (1_u128..).zip(names).zip(plans).map(|((number, name), plan)| {
            let id = TenantId::from_uuid(uuid::Uuid::from_u128(number));
            let tenant = Tenant { id, name: name.parse().expect("a name"), created_at: from_micros(0) };
            (tenant, plan)
        });
        let tenants: Vec<_> = tenants.collect();
        let plans = tenants.iter().map(|(tenant, plan)| (tenant.id, plan.clone())).collect();
        Some(Subscribed { billing: self.make(true, plans), tenants })
    }

    async fn unreachable(&self) -> Option<Arc<dyn Billing>> {
        Some(self.make(false, BTreeMap::new()))
    }

    async fn counted(&self, _: &dyn Billing, tenant: TenantId, period: Period) -> Option<u64> {
        let small = self.1.lock().expect("a lock").clone().expect("it is open");
        let state = small.state.lock().expect("a lock");
        let of = |tenant, period| state.counted.get(&(tenant, period)).copied().unwrap_or(0);
        Some(match self.0 {
            Fault::CountsATenantForAllMonths => of(tenant, Period::of(from_micros(0))),
            Fault::CountsAMonthForAll => of(TenantId::from_uuid(uuid::Uuid::nil()), period),
            _ => of(tenant, period),
        })
    }
}

const ANSWERS: &str = "entitlement_answers_for_every_tenant";
const OWN: &str = "entitlement_is_the_tenants_own";
const STABLE: &str = "entitlement_is_stable";
const OUTAGE: &str = "entitlement_says_when_it_failed";
const IDEMPOTENT: &str = "report_is_idempotent_by_key";
const FIRST: &str = "report_keeps_the_first_of_a_key";
const AT_ONCE: &str = "reports_at_once_count_once";
const APART: &str = "reports_of_tenants_and_months_stand_apart";
const ORDER: &str = "reports_may_come_in_any_order";
const LOST: &str = "report_says_when_it_failed";

/// Each fault with the clauses that it breaks, and no other.
///
/// Who fails for strangers answers nobody whom the other clauses about answers ask; a repeat at once is a
/// repeat; and who counts all months together can tell none of them.
const FAULTS: [(Fault, &[&str]); 20] = [
    (Fault::FailsForAStranger, &[ANSWERS, OWN, STABLE]),
    (Fault::AllowsStrangersByTheirNames, &[ANSWERS]),
    (Fault::GivesTheFallbackToAll, &[OWN]),
    (Fault::RemembersWhoCameFirst, &[OWN]),
    (Fault::TakesLongNamesForOne, &[OWN]),
    (Fault::CutsThePlanByItsUsage, &[STABLE]),
    (Fault::CountsItsAnswers, &[STABLE]),
    (Fault::OpensInAnOutage, &[OUTAGE]),
    (Fault::ClosesInAnOutage, &[OUTAGE]),
    (Fault::AnswersAnOutageOnce, &[OUTAGE]),
    (Fault::CountsARepeat, &[IDEMPOTENT, AT_ONCE]),
    (Fault::ForgetsTheKeyBefore, &[IDEMPOTENT]),
    (Fault::TakesTheLastOfAKey, &[FIRST]),
    (Fault::AddsWhatIsMore, &[FIRST]),
    (Fault::LooksBeforeItWaits, &[AT_ONCE]),
    (Fault::CountsAMonthForAll, &[APART]),
    (Fault::CountsATenantForAllMonths, &[APART, ORDER]),
    (Fault::RefusesAnOlderMonth, &[ORDER]),
    (Fault::PassesOverAnOlderMonth, &[ORDER]),
    (Fault::SwallowsAReport, &[LOST]),
];

#[test]
fn the_billing_suite_tells_each_fault_by_its_clause() {
    let cases = billing::cases();
    for (fault, clauses) in FAULTS {
        let fixture = Fixture::new(fault);
        let is_broken = |clause: &&str| !block_on(super::holds(billing::check(&fixture, clause)));
        let broken: BTreeSet<&str> = cases.iter().map(|case| case.clause).filter(is_broken).collect();
        assert_eq!(broken, clauses.iter().copied().collect(), "{fault:?}");
    }
    for clause in cases.iter().map(|case| case.clause) {
        assert!(FAULTS.iter().any(|(_, clauses)| clauses == &[clause]), "{clause} has a fault of its own");
    }
}

mod a_right_one {
    use super::{Fault, Fixture};

    wa_core::billing_conformance!(Fixture::new(Fault::None));
}
