//! Every store that is broken on purpose is told by the clauses made for it, and by no other.
//!
//! Run with `--nocapture` it prints a line for each flaw, and the sums.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::{panic, thread};

use futures::FutureExt;
use futures::executor::block_on;
use wa_core::memory::MemoryStore;
use wa_core::port::Clock;
use wa_core::port::store::Store;
use wa_core::testing::Flaw;
use wa_core::testing::store::{self, OpenStore, StoreFixture};

/// Opens reference stores with this flaw, or whole ones.
struct Fixture(Option<Flaw>);

struct Opened(MemoryStore);

#[async_trait::async_trait]
impl StoreFixture for Fixture {
    async fn open(&self, clock: Arc<dyn Clock>) -> Box<dyn OpenStore> {
        Box::new(Opened(MemoryStore::new(clock).with_flaw(self.0)))
    }
}

#[async_trait::async_trait]
impl OpenStore for Opened {
    fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.0.clone())
    }

    async fn reopen(&mut self) {
        self.0 = self.0.reopened();
    }
}

/// Threads of this name fail by the thousand: nobody wants to read where, or to wait for it.
const QUIET: &str = "flaw";

fn hush() {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if thread::current().name() != Some(QUIET) {
            hook(info);
        }
    }));
}

/// Of the clauses that a flaw should not break, every so-manieth is tried, another one for each flaw;
/// `WA_FLAWS=all` tries all of them, which takes some minutes.
const STRIDE: usize = 6;

/// Clauses that do not hold, each with what was seen.
type Broken = BTreeMap<&'static str, String>;

/// What is broken in a store with this flaw.
fn broken(place: usize, flaw: Flaw, all: bool) -> Broken {
    let mut broken = Broken::new();
    for (turn, case) in store::cases().into_iter().enumerate() {
        // What holds in every room is tried by all other cases, twice.
        let stride = if case.room == "store" { 8 * STRIDE } else { STRIDE };
        if all || flaw.clauses().contains(&case.clause) || (turn + place).is_multiple_of(stride) {
            let fixture = Fixture(Some(flaw));
            let checked = AssertUnwindSafe(store::check(&fixture, case.clause)).catch_unwind();
            if let Err(panic) = block_on(checked) {
                broken.insert(case.clause, panic.downcast_ref::<String>().cloned().unwrap_or_default());
            }
        }
    }
    broken
}

/// What the suite finds in a store with each of these flaws, on every core.
fn reports(flaws: &[Flaw], all: bool) -> Vec<(Flaw, Broken)> {
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            let quiet = thread::Builder::new().name(QUIET.to_owned());
            let spawned = quiet.spawn_scoped(scope, || {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(flaw) = flaws.get(place) else { break };
                    let broken = broken(place, *flaw, all);
                    found.lock().expect("a lock").push((*flaw, broken));
                }
            });
            spawned.expect("a thread");
        }
    });
    let mut found = found.into_inner().expect("a lock");
    found.sort_by_key(|(flaw, _)| *flaw);
    found
}

#[test]
fn a_whole_store_keeps_every_clause() {
    block_on(store::run(&Fixture(None))).assert_kept();
}

#[test]
fn every_flaw_is_told_by_its_clauses_and_no_other() {
    hush();
    let all = std::env::var("WA_FLAWS").is_ok_and(|it| it == "all");
    let mut wrong = Vec::new();
    let reports = reports(Flaw::ALL, all);
    assert_eq!(reports.len(), Flaw::ALL.len());
    for (flaw, broken) in &reports {
        println!("{flaw:?}: {}", broken.keys().copied().collect::<Vec<_>>().join(", "));
        if !broken.keys().eq(flaw.clauses().iter().collect::<BTreeSet<_>>()) {
            wrong.push(format!("{flaw:?} is to break {:?}, and breaks {broken:#?}", flaw.clauses()));
        }
    }
    let told: BTreeSet<&str> = Flaw::ALL.iter().flat_map(|flaw| flaw.clauses()).copied().collect();
    let alone = Flaw::ALL.iter().filter(|flaw| flaw.clauses().len() == 1).count();
    println!(
        "{} flaws, {alone} of them told by one clause alone; {} of {} clauses have a flaw made for them; {} clauses \
         beside their own were tried on each",
        Flaw::ALL.len(),
        told.len(),
        store::cases().len(),
        if all { "all".to_owned() } else { format!("1 of {STRIDE}") },
    );
    assert!(wrong.is_empty(), "{} flaws are told by other clauses:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_flaw_names_clauses_of_the_suite() {
    let clauses: BTreeSet<&str> = store::cases().iter().map(|case| case.clause).collect();
    for flaw in Flaw::ALL {
        assert!(!flaw.clauses().is_empty(), "{flaw:?} has a clause made for it");
        assert!(flaw.clauses().iter().all(|clause| clauses.contains(clause)), "{flaw:?}");
    }
    let rooms = ["directory", "numbers", "audience", "schedules", "outbox", "inbox", "ledger", "journal"];
    for room in rooms.into_iter().chain(["archive", "reports", "store"]) {
        let of_room = store::cases().into_iter().filter(|case| case.room == room);
        let of_room: BTreeSet<&str> = of_room.map(|case| case.clause).collect();
        let is_of_room = |flaw: &&Flaw| flaw.clauses().iter().any(|clause| of_room.contains(clause));
        assert!(Flaw::ALL.iter().any(|flaw| is_of_room(&flaw)), "{room} has a flaw");
    }
}
