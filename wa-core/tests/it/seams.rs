//! The suites of the small seams hold where they should, and fail where they should.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use wa_core::model::{Entitlement, EventId, Tenant, TenantId, from_micros};
use wa_core::port::{Billing, BillingError, Clock, Notice, Notifier, NotifyError, SystemClock, UsageReport};
use wa_core::testing::billing::{self, BillingFixture};
use wa_core::testing::notifier::{self, NotifierFixture};
use wa_core::testing::{ManualClock, check_clock};

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

#[test]
fn the_small_suites_have_one_case_per_clause() {
    for (contract, there) in [
        (include_str!("../../src/port/billing.rs"), billing::CLAUSES.as_slice()),
        (include_str!("../../src/port/notifier.rs"), notifier::CLAUSES.as_slice()),
    ] {
        assert_eq!(super::clauses::named(contract), there.iter().copied().collect::<BTreeSet<_>>());
    }
    let clock = super::clauses::named(include_str!("../../src/port/clock.rs"));
    assert_eq!(clock.len(), 2, "`check_clock` covers both");
}
