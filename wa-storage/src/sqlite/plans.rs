//! Query plans: what runs per batch or per message starts at a key, whatever the tables hold.

use rusqlite::Connection;
use wa_core::model::{CampaignId, SessionId, TenantId};
use wa_core::port::store::FailureFilter;

use super::{audience, changes, inbox, journal, message, numbers, outbox, prices, reports, schedules, spend};

const SCHEMA: &str = include_str!("migrations/0001_base.up.sql");

fn plan(sql: &str) -> Vec<String> {
    let conn = Connection::open_in_memory().expect("a database");
    conn.execute_batch(SCHEMA).expect("the schema");
    let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect(sql);
    let unbound = vec![rusqlite::types::Null; statement.parameter_count()];
    let details = statement
        .query_map(rusqlite::params_from_iter(unbound), |row| row.get::<_, String>(3))
        .expect("a plan");
    details.collect::<rusqlite::Result<_>>().expect("details")
}

/// No step reads a whole table or sorts rows in memory, except those that are named.
fn check(sql: &str, allowed: &[&str]) {
    for step in plan(sql) {
        let reads_all = step.starts_with("SCAN") || step.contains("TEMP B-TREE");
        let is_allowed = allowed.iter().any(|part| step.contains(part));
        assert!(!reads_all || is_allowed, "{step}\nin {sql}");
    }
}

#[test]
fn the_protocol_never_scans() {
    let protocol = [
        outbox::DUE_STATEMENTS,
        outbox::BEGIN_STATEMENTS,
        outbox::JUDGE_STATEMENTS,
        outbox::SWEEP_STATEMENTS,
    ]
    .concat();
    assert!(protocol.len() > 15);
    for sql in protocol {
        check(sql, &[]);
    }
    for sql in [
        message::SELECT_HEAD,
        message::SELECT_ATTEMPTS,
        message::DELETE_DUE,
        changes::DELETE_DOUBT,
        changes::INSERT_DOUBT,
        message::GIVEN_UP,
        inbox::BY_PROVIDER,
        inbox::HANGING,
        inbox::window::EARLIER,
        inbox::window::SENT,
        inbox::window::ECHOES,
        inbox::window::FIRST_ECHO,
        inbox::window::OF_TENANT,
        inbox::window::OF_SESSION,
        inbox::conversation::HEARD,
        inbox::conversation::FIRST_SENT,
        numbers::OF_ACCOUNT,
        inbox::SESSION_OF_ATTEMPT,
        inbox::PRUNE,
        journal::PRUNE,
        numbers::RECENT,
        audience::NEXT_MEMBERS,
        prices::BOOK_BY_ID,
        spend::BUDGET_USE,
    ] {
        check(sql, &[]);
    }
}

#[test]
fn due_rows_of_paused_campaigns_are_passed_over_in_the_index() {
    let steps = plan(outbox::DUE_ROWS);
    assert!(steps.iter().all(|step| step.contains("COVERING INDEX due_in_order")), "{steps:?}");
}

#[test]
fn what_is_put_back_or_listened_to_is_found_by_key() {
    for sql in [outbox::LISTEN_STATEMENTS, outbox::REDRIVE_STATEMENTS].concat() {
        // A constant row and the rows of one chunk that begins at a key.
        check(sql, &["SCAN CONSTANT ROW", "SCAN (subquery"]);
    }
}

#[test]
fn what_is_in_doubt_is_looked_at_in_order_of_time() {
    for sql in outbox::DOUBT_STATEMENTS {
        // Bodies that wait to be read are few, and a number's attempts beside an instant begin at a key.
        check(sql, &["SCAN CONSTANT ROW", "raw_waiting", "SCAN a", "SCAN (subquery"]);
    }
}

#[test]
fn failed_messages_are_listed_by_an_index_in_the_order_of_the_page() {
    let id = |n| uuid::Uuid::from_u128(n);
    let (tenant, campaign) = (TenantId::from_uuid(id(1)), CampaignId::from_uuid(id(2)));
    let none = FailureFilter::default;
    let filters = [
        none(),
        FailureFilter { campaign: Some(campaign), ..none() },
        FailureFilter { code: Some(7), ..none() },
        FailureFilter { campaign: Some(campaign), code: Some(7), critical_only: true, ..none() },
        FailureFilter { critical_only: true, ..none() },
        FailureFilter { session: Some(SessionId::from_uuid(id(3))), ..none() },
    ];
    for filter in filters {
        check(&reports::failed_query(tenant, &filter, None, 10).0, &[]);
    }
}

#[test]
fn reports_never_scan() {
    for sql in [reports::OF_CAMPAIGN, reports::LATEST, reports::IN_DOUBT, reports::SILENT] {
        check(sql, &[]);
    }
    // A contact has a few attempts; a period has a few counters in each quarter of an hour.
    check(spend::OF_RECIPIENT, &[]);
    assert!(plan(spend::OF_RECIPIENT).iter().any(|step| step.contains("attempt_by_recipient")));
    for sql in [spend::BETWEEN, spend::TREND] {
        check(sql, &["USE TEMP B-TREE FOR GROUP BY", "SCAN (subquery"]);
        let keyed = plan(sql).into_iter().filter(|step| step.starts_with("SEARCH")).count();
        assert_eq!(keyed, 2, "base and deltas are both found by key");
    }
    // The counts of one campaign are a few dozen rows, found by key and then grouped.
    check(reports::COUNTS, &["USE TEMP B-TREE FOR GROUP BY", "SCAN (subquery"]);
    let keyed = plan(reports::COUNTS).into_iter().filter(|step| step.starts_with("SEARCH")).count();
    assert_eq!(keyed, 2, "base and deltas are both found by key");
}

#[test]
fn the_scheduler_reads_only_what_lives() {
    for sql in audience::PROGRESS_STATEMENTS {
        check(sql, &["campaign_open", "campaign_alive", "TEMP B-TREE"]);
    }
    for sql in schedules::HOT {
        check(sql, &["campaign_unfrozen"]);
    }
}

#[test]
fn the_check_finds_a_scan() {
    assert!(plan("SELECT id FROM message WHERE phone = 1").iter().any(|step| step.starts_with("SCAN")));
}
