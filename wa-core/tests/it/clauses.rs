//! Every clause of a contract has a case of its name, and every case has a clause.

use std::collections::BTreeSet;

use wa_core::testing::store;

/// The names at the start of list items of doc comments.
pub(super) fn named(contract: &str) -> BTreeSet<&str> {
    let clause = |line: &str| -> Option<(usize, usize)> {
        let trimmed = line.trim_start();
        let text = trimmed.strip_prefix("/// - `").or_else(|| trimmed.strip_prefix("//! - `"))?;
        let start = line.len() - text.len();
        let end = text.find("`:")?;
        Some((start, start + end))
    };
    contract.lines().filter_map(|line| clause(line).and_then(|(start, end)| line.get(start..end))).collect()
}

#[test]
fn the_store_suite_has_one_case_per_clause() {
    let contracts = [
        ("store", include_str!("../../src/port/store/mod.rs")),
        ("directory", include_str!("../../src/port/store/directory.rs")),
        ("numbers", include_str!("../../src/port/store/numbers.rs")),
        ("audience", include_str!("../../src/port/store/audience.rs")),
        ("schedules", include_str!("../../src/port/store/schedules.rs")),
        ("outbox", include_str!("../../src/port/store/outbox.rs")),
        ("inbox", include_str!("../../src/port/store/inbox.rs")),
        ("ledger", include_str!("../../src/port/store/ledger.rs")),
        ("journal", include_str!("../../src/port/store/journal.rs")),
        ("archive", include_str!("../../src/port/store/archive/mod.rs")),
        ("reports", include_str!("../../src/port/store/reports.rs")),
    ];
    let cases = store::cases();
    let mut clauses = 0;
    for (room, contract) in contracts {
        let wanted = named(contract);
        let there: BTreeSet<&str> =
            cases.iter().filter(|case| case.room == room).map(|case| case.clause).collect();
        assert!(!wanted.is_empty(), "the contract of {room} has clauses");
        assert_eq!(there, wanted, "the cases (left) and the clauses (right) of {room}");
        clauses += wanted.len();
    }
    assert_eq!(cases.len(), clauses, "no name stands twice, and no case is of another room");
}

#[test]
fn clauses_are_found_by_their_form() {
    let text = "    /// - `one`: a clause.\n/// - `two_too`: another.\n/// - no name.\n// - `three`: a comment.\n//! - `four`: of a module.";
    assert_eq!(named(text), BTreeSet::from(["one", "two_too", "four"]));
}
