//! A small notifier, and the ways in which it can be wrong.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use futures::executor::block_on;
use wa_core::model::{EventId, TenantId};
use wa_core::port::{Notice, NoticeKind, Notifier, NotifyError};
use wa_core::testing::notifier::{self, NotifierFixture, Shown};

/// What is wrong with a notifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    RefusesAKind,
    DropsAKind,
    CutsLongWords,
    LosesUnusualCharacters,
    LeavesTheAdviceOut,
    RepeatsItself,
    RefusesARepeat,
    ForgetsTheNoticeBefore,
    LooksBeforeItWaits,
    TellsEverybody,
    TellsTheFirstTenant,
    SwallowsAFailure,
    SwallowsAFailedKind,
    StopsForAllTenants,
    TakesItForToldAfterAFailure,
    RepeatsAfterAFailure,
}

/// Whom a notifier reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Everybody,
    Nobody,
    AllBut(TenantId),
    /// Everybody, but its first answer about each notice is lost.
    WithLostAnswers,
}

#[derive(Debug)]
struct Small {
    fault: Fault,
    reach: Reach,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    shown: Vec<(TenantId, Shown)>,
    answered: BTreeSet<EventId>,
    first: Option<TenantId>,
    has_failed: bool,
}

fn failure() -> NotifyError {
    NotifyError::new("nobody is there", None)
}

impl Small {
    /// What is shown of a notice.
    fn text(&self, notice: &Notice) -> String {
        let text = Shown::whole(notice).text;
        match self.fault {
            Fault::CutsLongWords => {
                text.lines().map(|line| line.chars().take(200).collect::<String>() + "\n").collect()
            }
            Fault::LosesUnusualCharacters => {
                text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect()
            }
            Fault::LeavesTheAdviceOut => {
                text.lines().filter(|line| !line.starts_with("advice")).collect::<Vec<_>>().join("\n")
            }
            _ => text,
        }
    }
}

#[async_trait::async_trait]
impl Notifier for Small {
    async fn notify(&self, notice: &Notice) -> Result<(), NotifyError> {
        let is_budget = matches!(notice.kind, NoticeKind::BudgetSpent { .. });
        match self.fault {
            Fault::RefusesAKind if is_budget => return Err(failure()),
            Fault::DropsAKind if is_budget && self.reach != Reach::Nobody => return Ok(()),
            _ => {}
        }
        let is_reached = match self.reach {
            Reach::Everybody | Reach::WithLostAnswers => true,
            Reach::Nobody => false,
            Reach::AllBut(tenant) => tenant != notice.tenant,
        };
        let early = self.state.lock().expect("a lock").shown.iter().any(|(_, it)| it.id == notice.id);
        if self.fault == Fault::LooksBeforeItWaits {
            tokio::task::yield_now().await;
        }
        let mut state = self.state.lock().expect("a lock");
        if !is_reached || (self.fault == Fault::StopsForAllTenants && state.has_failed) {
            state.has_failed = self.reach != Reach::Nobody;
            let swallows = self.fault == Fault::SwallowsAFailure && self.reach == Reach::Nobody;
            let kind = self.fault == Fault::SwallowsAFailedKind && is_budget;
            return if swallows || kind { Ok(()) } else { Err(failure()) };
        }
        let first = *state.first.get_or_insert(notice.tenant);
        let is_known = match self.fault {
            Fault::LooksBeforeItWaits => early,
            Fault::ForgetsTheNoticeBefore => state.shown.last().is_some_and(|(_, it)| it.id == notice.id),
            _ => state.shown.iter().any(|(_, it)| it.id == notice.id),
        };
        let loses_its_answer = self.reach == Reach::WithLostAnswers && state.answered.insert(notice.id);
        if is_known && self.fault == Fault::RefusesARepeat && self.reach == Reach::Everybody {
            return Err(failure());
        }
        let repeats = match self.fault {
            Fault::RepeatsItself => self.reach == Reach::Everybody,
            Fault::RepeatsAfterAFailure => self.reach == Reach::WithLostAnswers,
            _ => false,
        };
        let is_lost = loses_its_answer && self.fault == Fault::TakesItForToldAfterAFailure;
        if (!is_known || repeats) && !is_lost {
            let shown = Shown { id: notice.id, text: self.text(notice) };
            let tenant = if self.fault == Fault::TellsTheFirstTenant { first } else { notice.tenant };
            state.shown.push((tenant, shown));
        }
        if is_lost {
            // It holds what it never showed for shown.
            return Ok(());
        }
        if loses_its_answer { Err(failure()) } else { Ok(()) }
    }
}

/// Keeps the notifier that it opened, so that it can look at what is shown.
struct Fixture(Fault, Mutex<Option<Arc<Small>>>);

impl Fixture {
    fn new(fault: Fault) -> Self {
        Self(fault, Mutex::default())
    }

    fn make(&self, reach: Reach) -> Arc<dyn Notifier> {
        let small = Arc::new(Small { fault: self.0, reach, state: Mutex::default() });
        *self.1.lock().expect("a lock") = Some(small.clone());
        small
    }
}

#[async_trait::async_trait]
impl NotifierFixture for Fixture {
    async fn open(&self) -> Arc<dyn Notifier> {
        self.make(Reach::Everybody)
    }

    async fn shown(&self, tenant: TenantId) -> Option<Vec<Shown>> {
        let small = self.1.lock().expect("a lock").clone().expect("it is open");
        let state = small.state.lock().expect("a lock");
        let is_told = |of: TenantId| of == tenant || self.0 == Fault::TellsEverybody;
        Some(state.shown.iter().filter(|(of, _)| is_told(*of)).map(|(_, shown)| shown.clone()).collect())
    }

    async fn unreachable(&self) -> Option<Arc<dyn Notifier>> {
        Some(self.make(Reach::Nobody))
    }

    async fn unreachable_for(&self, tenant: TenantId) -> Option<Arc<dyn Notifier>> {
        Some(self.make(Reach::AllBut(tenant)))
    }

    async fn stuttering(&self) -> Option<Arc<dyn Notifier>> {
        Some(self.make(Reach::WithLostAnswers))
    }
}

const KINDS: &str = "notify_takes_every_kind";
const WORDS: &str = "notify_keeps_every_word";
const REPEATED: &str = "notify_can_be_repeated";
const AT_ONCE: &str = "notify_at_once_is_shown_once";
const APART: &str = "notify_keeps_tenants_apart";
const FAILED: &str = "notify_says_when_it_failed";
const ALONE: &str = "notify_fails_for_one_tenant_alone";
const AFTER: &str = "notify_is_shown_once_after_a_failure";

/// Each fault with the clauses that it breaks, and no other.
///
/// Who cannot tell a repeat cannot tell one that comes at the same time either.
const FAULTS: [(Fault, &[&str]); 16] = [
    (Fault::RefusesAKind, &[KINDS]),
    (Fault::DropsAKind, &[KINDS]),
    (Fault::CutsLongWords, &[WORDS]),
    (Fault::LosesUnusualCharacters, &[WORDS]),
    (Fault::LeavesTheAdviceOut, &[WORDS]),
    (Fault::RepeatsItself, &[REPEATED, AT_ONCE]),
    (Fault::RefusesARepeat, &[REPEATED]),
    (Fault::ForgetsTheNoticeBefore, &[REPEATED]),
    (Fault::LooksBeforeItWaits, &[AT_ONCE]),
    (Fault::TellsEverybody, &[APART]),
    (Fault::TellsTheFirstTenant, &[APART]),
    (Fault::SwallowsAFailure, &[FAILED]),
    (Fault::SwallowsAFailedKind, &[FAILED]),
    (Fault::StopsForAllTenants, &[ALONE]),
    (Fault::TakesItForToldAfterAFailure, &[AFTER]),
    (Fault::RepeatsAfterAFailure, &[AFTER]),
];

#[test]
fn the_notifier_suite_tells_each_fault_by_its_clause() {
    let cases = notifier::cases();
    for (fault, clauses) in FAULTS {
        let fixture = Fixture::new(fault);
        let is_broken = |clause: &&str| !block_on(super::holds(notifier::check(&fixture, clause)));
        let broken: BTreeSet<&str> = cases.iter().map(|case| case.clause).filter(is_broken).collect();
        assert_eq!(broken, clauses.iter().copied().collect(), "{fault:?}");
    }
    for clause in cases.iter().map(|case| case.clause) {
        assert!(FAULTS.iter().any(|(_, clauses)| clauses == &[clause]), "{clause} has a fault of its own");
    }
}

mod a_right_one {
    use super::{Fault, Fixture};

    wa_core::notifier_conformance!(Fixture::new(Fault::None));
}

mod those_that_come_with_the_library {
    use std::sync::{Arc, Mutex};

    use wa_core::memory::MemoryStore;
    use wa_core::model::TenantId;
    use wa_core::port::store::Store;
    use wa_core::port::{Notifier, SystemClock};
    use wa_core::service::{InAppNotifier, LogNotifier};
    use wa_core::testing::notifier::{NotifierFixture, Shown, tenants};
    use wa_core::testing::scope;

    #[derive(Default)]
    struct InApp(Mutex<Option<Arc<dyn Store>>>);

    #[async_trait::async_trait]
    impl NotifierFixture for InApp {
        async fn open(&self) -> Arc<dyn Notifier> {
            let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
            let admin = scope::admin(wa_core::model::WorkerId::from_uuid(uuid::Uuid::nil()));
            for (tenant, name) in tenants().into_iter().zip(["one", "other"]) {
                let name = name.parse().expect("a name");
                store.directory().ensure_tenant(&admin, &name, tenant).await.expect("a tenant");
            }
            *self.0.lock().expect("a lock") = Some(store.clone());
            Arc::new(InAppNotifier::new(store))
        }

        async fn shown(&self, tenant: TenantId) -> Option<Vec<Shown>> {
            let store = self.0.lock().expect("a lock").clone().expect("it is open");
            let kept = store.journal().notices(&scope::tenant(tenant), None, 100).await.expect("notices");
            Some(kept.iter().map(Shown::whole).collect())
        }

        async fn unreachable(&self) -> Option<Arc<dyn Notifier>> {
            None
        }

        async fn unreachable_for(&self, _: TenantId) -> Option<Arc<dyn Notifier>> {
            None
        }

        async fn stuttering(&self) -> Option<Arc<dyn Notifier>> {
            None
        }
    }

    /// A log is not looked at, and repeats what it is told.
    struct Log;

    #[async_trait::async_trait]
    impl NotifierFixture for Log {
        async fn open(&self) -> Arc<dyn Notifier> {
            Arc::new(LogNotifier)
        }

        async fn shown(&self, _: TenantId) -> Option<Vec<Shown>> {
            None
        }

        async fn unreachable(&self) -> Option<Arc<dyn Notifier>> {
            None
        }

        async fn unreachable_for(&self, _: TenantId) -> Option<Arc<dyn Notifier>> {
            None
        }

        async fn stuttering(&self) -> Option<Arc<dyn Notifier>> {
            None
        }
    }

    mod in_app {
        use super::InApp;

        wa_core::notifier_conformance!(InApp::default());
    }

    mod log {
        use super::Log;

        wa_core::notifier_conformance!(Log);
    }
}
