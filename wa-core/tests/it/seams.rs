//! The suites of the seams other than Store hold where they should, and fail where they should.

mod billing;
mod clock;
mod notifier;
mod transport;
mod webhook;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use wa_core::testing::{
    billing as billing_suite, clock_cases, notifier as notifier_suite, transport_suite, webhook_suite,
};

async fn holds(check: impl Future<Output = ()>) -> bool {
    AssertUnwindSafe(check).catch_unwind().await.is_ok()
}

#[test]
fn every_contract_of_a_seam_has_one_case_per_clause() {
    let cases: BTreeMap<&str, Vec<&str>> = BTreeMap::from([
        ("billing.rs", billing_suite::cases().iter().map(|case| case.clause).collect()),
        ("clock.rs", clock_cases().iter().map(|case| case.clause).collect()),
        ("notifier.rs", notifier_suite::cases().iter().map(|case| case.clause).collect()),
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
