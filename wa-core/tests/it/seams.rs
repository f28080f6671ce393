//! The suites of the seams other than Store hold where they should, and fail where they should.

mod transport;
mod webhook;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use futures::FutureExt;
use wa_core::model::{Entitlement, EventId, Tenant, TenantId, from_micros};
use wa_core::port::{Billing, BillingError, Clock, Notice, Notifier, NotifyError, SystemClock, UsageReport};
use wa_core::testing::billing::{self, BillingFixture};
use wa_core::testing::notifier::{self, NotifierFixture};
use wa_core::testing::{ManualClock, check_clock, transport_suite, webhook_suite};

/// Counts usage; `keyed` tells whether it knows a repeat.
#[derive(Debug)]
struct Counting {
    keyed: bool,
    seen: Mutex<BTreeMap<TenantId, (BTreeSet<String>, u64)>>,
}

#[async_trait::async_trait]
impl Billing for Counting {
    async fn entitlement(&self, _tenant: &Tenant) -> Result<Entitlement, BillingError> {
        Ok(Entitlement::unlimited())
    }

    async fn report(&self, usage: &UsageReport) -> Result<(), BillingError> {
        let mut seen = self.seen.lock().expect("a lock");
        let (keys, messages) = seen.entry(usage.tenant).or_default();
        if keys.insert(usage.key.clone()) || !self.keyed {
            *messages += usage.messages;
        }
        Ok(())
    }
}

/// Keeps the billing that it opened, so that it can look inside.
struct Counted(bool, Mutex<Option<Arc<Counting>>>);

#[async_trait::async_trait]
impl BillingFixture for Counted {
    async fn open(&self) -> Arc<dyn Billing> {
        let billing = Arc::new(Counting { keyed: self.0, seen: Mutex::default() });
        *self.1.lock().expect("a lock") = Some(billing.clone());
        billing
    }

    async fn counted(&self, _billing: &dyn Billing, tenant: TenantId) -> Option<u64> {
        let opened = self.1.lock().expect("a lock");
        let seen = opened.as_ref().expect("it is open").seen.lock().expect("a lock");
        Some(seen.get(&tenant).map_or(0, |(_, messages)| *messages))
    }
}

/// Shows notices; `honest` tells whether it says that it failed.
#[derive(Debug)]
struct Showing {
    reachable: bool,
    honest: bool,
    shown: Mutex<Vec<EventId>>,
}

#[async_trait::async_trait]
impl Notifier for Showing {
    async fn notify(&self, notice: &Notice) -> Result<(), NotifyError> {
        if !self.reachable {
            return if self.honest { Err(NotifyError::new("nobody is there", None)) } else { Ok(()) };
        }
        let mut shown = self.shown.lock().expect("a lock");
        if !shown.contains(&notice.id) {
            shown.push(notice.id);
        }
        Ok(())
    }
}

struct Shown(bool, Mutex<Option<Arc<Showing>>>);

#[async_trait::async_trait]
impl NotifierFixture for Shown {
    async fn open(&self) -> Arc<dyn Notifier> {
        let notifier = Arc::new(Showing { reachable: true, honest: self.0, shown: Mutex::default() });
        *self.1.lock().expect("a lock") = Some(notifier.clone());
        notifier
    }

    async fn shown(&self, _notifier: &dyn Notifier) -> Option<Vec<EventId>> {
        let opened = self.1.lock().expect("a lock");
        Some(opened.as_ref().expect("it is open").shown.lock().expect("a lock").clone())
    }

    async fn unreachable(&self) -> Option<Arc<dyn Notifier>> {
        Some(Arc::new(Showing { reachable: false, honest: self.0, shown: Mutex::default() }))
    }
}

async fn holds(check: impl Future<Output = ()>) -> bool {
    AssertUnwindSafe(check).catch_unwind().await.is_ok()
}

#[tokio::test]
async fn the_billing_suite_tells_a_repeat_that_counts_twice() {
    assert!(holds(billing::check_all(&Counted(true, Mutex::default()))).await);
    let broken = Counted(false, Mutex::default());
    assert!(!holds(billing::report_is_idempotent_by_key(&broken)).await);
}

#[tokio::test]
async fn the_notifier_suite_tells_a_silent_loss() {
    assert!(holds(notifier::check_all(&Shown(true, Mutex::default()))).await);
    let broken = Shown(false, Mutex::default());
    assert!(!holds(notifier::notify_says_when_it_failed(&broken)).await);
}

#[test]
fn both_clocks_keep_their_contract() {
    check_clock(&SystemClock);
    let manual = ManualClock::new(from_micros(5));
    manual.set(from_micros(1));
    check_clock(&manual);
    assert_eq!(manual.now(), from_micros(1));
}

/// Gives nanoseconds.
#[derive(Debug)]
struct TooFine;

impl Clock for TooFine {
    fn now(&self) -> DateTime<Utc> {
        from_micros(5) + TimeDelta::nanoseconds(1)
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

/// Goes back at every other look.
#[derive(Debug, Default)]
struct Swinging(AtomicU64);

impl Clock for Swinging {
    fn now(&self) -> DateTime<Utc> {
        from_micros(5)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(self.0.fetch_add(1, Ordering::Relaxed) % 2)
    }
}

/// Each clause of the Clock seam with a clock that breaks it.
fn broken_clocks() -> [(&'static str, Box<dyn Clock>); 2] {
    [
        ("now_is_in_whole_microseconds", Box::new(TooFine)),
        ("monotonic_never_goes_back", Box::<Swinging>::default()),
    ]
}

#[test]
fn the_clock_check_tells_each_broken_clause() {
    for (clause, clock) in broken_clocks() {
        assert!(catch_unwind(AssertUnwindSafe(|| check_clock(clock.as_ref()))).is_err(), "{clause}");
    }
}

#[test]
fn every_contract_of_a_seam_has_one_case_per_clause() {
    let cases: BTreeMap<&str, Vec<&str>> = BTreeMap::from([
        ("billing.rs", billing::CLAUSES.to_vec()),
        ("clock.rs", broken_clocks().iter().map(|(clause, _)| *clause).collect()),
        ("notifier.rs", notifier::CLAUSES.to_vec()),
        ("transport.rs", transport_suite::cases().iter().map(|case| case.clause).collect()),
        ("webhook.rs", webhook_suite::cases().iter().map(|case| case.clause).collect()),
    ]);
    let mut contracts = BTreeSet::new();
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/port")).expect("the ports") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue; // the rooms of the store have a suite and a comparison of their own
        }
        let file = path.file_name().expect("a name").to_string_lossy().into_owned();
        let contract = std::fs::read_to_string(&path).expect("a source file");
        let clauses = super::clauses::named(&contract);
        let has_list = contract.contains("# Clauses");
        assert_eq!(has_list, !clauses.is_empty(), "{file} has a list of clauses, or none at all");
        if !has_list {
            continue;
        }
        let there = cases.get(file.as_str()).unwrap_or_else(|| panic!("no suite is named for {file}"));
        let distinct: BTreeSet<&str> = there.iter().copied().collect();
        assert_eq!(distinct, clauses, "the cases (left) and the clauses (right) of {file}");
        assert_eq!(there.len(), clauses.len(), "no case of {file} stands twice");
        contracts.insert(file);
    }
    let suites: BTreeSet<String> = cases.keys().map(|file| (*file).to_owned()).collect();
    assert_eq!(contracts, suites, "the contracts (left) and the suites (right)");
}
