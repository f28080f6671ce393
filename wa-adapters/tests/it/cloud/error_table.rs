//! The error table against the list of codes that Meta documents.

use std::collections::{BTreeMap, BTreeSet};

use wa_adapters::cloud::{advice, errors, lookup};
use wa_core::model::RejectClass::{
    Account, Billing, Credential, Later, Media, OptedOut, PairThrottled, Recipient, Request, Retry, Spam,
    Template, TemplatePaused, Throttled, WindowClosed,
};
use wa_core::model::{DeliveryFacts, Fact, FailureCode, TenantSettings, from_micros};
use wa_core::rules::retry::{Next, next};

/// Every code and range of Meta's documentation, written down by hand from it and not from the table.
const DOCUMENTED: &[(i64, i64)] = &[
    (0, 0),
    (1, 1),
    (2, 2),
    (3, 3),
    (4, 4),
    (10, 10),
    (33, 33),
    (100, 100),
    (190, 190),
    (200, 299),
    (368, 368),
    (80_007, 80_007),
    (80_008, 80_008),
    (130_403, 130_403),
    (130_429, 130_429),
    (130_472, 130_472),
    (130_497, 130_497),
    (131_000, 131_000),
    (131_005, 131_005),
    (131_008, 131_008),
    (131_009, 131_009),
    (131_016, 131_016),
    (131_020, 131_020),
    (131_021, 131_021),
    (131_026, 131_026),
    (131_030, 131_030),
    (131_031, 131_031),
    (131_037, 131_037),
    (131_041, 131_041),
    (131_042, 131_042),
    (131_043, 131_043),
    (131_044, 131_044),
    (131_045, 131_045),
    (131_047, 131_047),
    (131_048, 131_048),
    (131_049, 131_049),
    (131_050, 131_050),
    (131_051, 131_051),
    (131_052, 131_052),
    (131_053, 131_053),
    (131_055, 131_055),
    (131_056, 131_056),
    (131_057, 131_057),
    (131_059, 131_059),
    (131_061, 131_061),
    (131_062, 131_062),
    (131_063, 131_063),
    (131_064, 131_064),
    (131_201, 131_215),
    (132_000, 132_000),
    (132_001, 132_001),
    (132_005, 132_005),
    (132_007, 132_007),
    (132_008, 132_008),
    (132_012, 132_012),
    (132_015, 132_015),
    (132_016, 132_016),
    (132_018, 132_018),
    (132_068, 132_068),
    (132_069, 132_069),
    (133_000, 133_000),
    (133_001, 133_003),
    (133_004, 133_004),
    (133_005, 133_005),
    (133_006, 133_006),
    (133_007, 133_007),
    (133_008, 133_008),
    (133_009, 133_009),
    (133_010, 133_010),
    (133_015, 133_015),
    (133_016, 133_016),
    (134_011, 134_011),
    (134_100, 134_100),
    (134_101, 134_101),
    (134_102, 134_102),
    (135_000, 135_000),
    (136_024, 136_024),
    (136_025, 136_025),
    (137_000, 137_000),
    (138_000, 138_999),
    (139_000, 139_004),
    (139_100, 139_103),
    (1_752_041, 1_752_041),
    (200_005, 200_007),
    (2_388_019, 2_388_019),
    (2_388_039, 2_388_039),
    (2_388_040, 2_388_040),
    (2_388_047, 2_388_047),
    (2_388_072, 2_388_072),
    (2_388_073, 2_388_073),
    (2_388_293, 2_388_293),
    (2_388_299, 2_388_299),
    (2_388_001, 2_388_001),
    (2_388_012, 2_388_012),
    (2_388_091, 2_388_091),
    (2_388_093, 2_388_093),
    (2_388_103, 2_388_103),
    (2_388_077, 2_388_077),
    (2_494_100, 2_494_100),
    (2_593_079, 2_593_079),
    (2_593_085, 2_593_085),
    (2_593_107, 2_593_109),
];

#[test]
fn every_documented_code_is_found_once_and_no_other() {
    let documented: BTreeSet<i64> = DOCUMENTED.iter().flat_map(|(first, last)| *first..=*last).collect();
    let mut known = BTreeSet::new();
    for entry in errors() {
        for code in entry.first..=entry.last {
            assert!(known.insert(code), "{code} stands in the table twice");
            assert_eq!(lookup(code), Some(entry), "{code}");
        }
    }
    assert_eq!(known, documented);
    for entry in errors() {
        for outside in [entry.first - 1, entry.last + 1] {
            assert_eq!(lookup(outside).is_some(), known.contains(&outside), "{outside}");
        }
    }
    println!("{} entries for {} documented codes", errors().len(), documented.len());
}

#[test]
fn each_entry_has_an_advice_for_people() {
    for entry in errors() {
        let code = entry.first;
        assert!(entry.title.chars().count() >= 5 && !entry.title.ends_with('.'), "{code}: {}", entry.title);
        assert!(
            entry.advice.chars().count() >= 40 && entry.advice.ends_with('.'),
            "{code}: {}",
            entry.advice
        );
        assert!(
            entry.advice.contains(". "),
            "{code} says what it is, or what to do, but not both: {}",
            entry.advice
        );
        assert!(!entry.advice.contains("  "), "{code}: {}", entry.advice);
        assert_eq!(advice(code), entry.advice);
    }
    assert!(advice(-5).contains("Look the number up"));
}

#[test]
fn codes_that_decide_what_stops_have_their_class() {
    for (code, class) in [
        (0, Credential),
        (3, Credential),
        (10, Credential),
        (190, Credential),
        (200, Credential),
        (299, Credential),
        (131_005, Credential),
        (4, Throttled),
        (80_007, Throttled),
        (80_008, Throttled),
        (130_429, Throttled),
        (131_208, Throttled),
        (131_056, PairThrottled),
        (131_049, Later),
        (131_047, WindowClosed),
        (131_026, Recipient),
        (130_472, Recipient),
        (130_497, Recipient),
        (131_050, OptedOut),
        (132_015, TemplatePaused),
        (132_000, Template),
        (132_001, Template),
        (132_016, Template),
        (100, Request),
        (131_009, Request),
        (131_207, Request),
        (131_209, Request),
        (368, Account),
        (131_031, Account),
        (33, Account),
        (133_010, Account),
        (131_048, Spam),
        (131_042, Billing),
        (134_011, Billing),
        (131_053, Media),
        (131_000, Retry),
    ] {
        assert_eq!(lookup(code).map(|entry| entry.class), Some(class), "{code}");
    }
}

/// What becomes of a message whose first attempt a `failed` status reports dead with a code.
fn what_follows(code: i64) -> String {
    let entry = lookup(code).expect("a code of the table");
    let mut facts = DeliveryFacts::default();
    let at = from_micros(1_793_000_000_000_000);
    facts.add(Fact::Failed, at);
    let title = entry.title.to_owned();
    facts.failure = Some(FailureCode { code, class: entry.class, title, details: None });
    let settings = TenantSettings { later_retries: 1, ..TenantSettings::default() };
    match next(&[&facts], &settings, None, 0, at) {
        Next::Fail => "fails".to_owned(),
        Next::Again { at: until, why } => format!("{} s {}", (until - at).num_seconds(), why.as_str()),
    }
}

/// Source: the classes of Meta's error codes, read May 2026: retry with back-off, slow the number down,
/// wait for the pair, not before a day has passed, wait for account, credential or template; everything
/// else is permanent.
#[test]
fn each_code_is_followed_by_what_meta_asks_for() {
    let mut groups: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for entry in errors() {
        let follows = what_follows(entry.first);
        assert_eq!(follows, what_follows(entry.last));
        groups.entry(follows).or_default().push(entry.first);
    }
    for (follows, codes) in &groups {
        println!("{follows}: {codes:?}");
    }
    let expected: BTreeMap<&str, &[i64]> = BTreeMap::from([
        ("5 s retry", &[1, 2, 131_000, 131_016, 131_057, 133_004, 134_101, 2_494_100][..]),
        ("1 s throttled", &[4, 80_007, 80_008, 130_429, 131_208][..]),
        ("1 s pair_throttled", &[131_056][..]),
        ("86400 s later", &[131_049][..]),
        ("60 s template_stopped", &[132_015, 132_069][..]),
        (
            "5 s session_stopped",
            &[
                0, 3, 10, 33, 190, 200, 368, 131_005, 131_031, 131_037, 131_042, 131_044, 131_045, 131_048,
                131_064, 133_000, 133_001, 133_005, 133_006, 133_007, 133_008, 133_009, 133_010, 133_015,
                133_016, 134_011, 136_024, 136_025, 2_388_001, 2_388_012, 2_388_091, 2_388_093, 2_388_103,
            ][..],
        ),
    ]);
    for (follows, codes) in &expected {
        assert_eq!(groups.get(*follows).map(Vec::as_slice), Some(*codes), "{follows}");
    }
    let others: BTreeSet<&str> =
        groups.keys().map(String::as_str).filter(|it| !expected.contains_key(it)).collect();
    assert_eq!(others, BTreeSet::from(["fails"]), "what is permanent is not tried again");
}

#[test]
fn exactly_metas_retry_with_back_off_codes_strike_late() {
    let late: Vec<i64> =
        errors().iter().filter(|entry| entry.strikes_late).map(|entry| entry.first).collect();
    assert_eq!(late, [1, 2, 131_000, 131_016, 131_057, 133_004, 134_101, 2_494_100]);
}
