//! Tenants of a script move from each kind of store to each kind of store.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use wa_core::model::{BudgetOf, Period, TenantId};
use wa_core::port::store::{
    ConversationFilter, CostOf, FailureFilter, ImportTenantStep, RecordKind, Store, TrendBy, TrendQuery,
    WindowFilter,
};
use wa_core::testing::{Collected, scope};

use super::script::Script;
use super::stores::{STORES, Stores};
use super::{STEPS, setting};
use crate::world::admin;

/// How many records of each kind moved, and how many tenants.
#[derive(Default)]
struct Figures {
    records: BTreeMap<RecordKind, usize>,
    tenants: usize,
    commits: usize,
    open: usize,
    in_doubt: usize,
}

async fn export(store: &dyn Store, tenant: TenantId) -> Collected {
    let mut all = Collected::default();
    let given = store.archive().export(&scope::tenant(tenant), &mut all).await;
    assert!(given.expect("an export"), "the tenant is there");
    all
}

/// The first line in which two texts differ, and what stands around it.
fn same(what: &str, left: &str, right: &str) {
    let differ = left.lines().zip(right.lines()).position(|(left, right)| left != right);
    let line = differ.unwrap_or_else(|| left.lines().count().min(right.lines().count()));
    let around =
        |text: &str| text.lines().skip(line.saturating_sub(10)).take(14).collect::<Vec<_>>().join("\n");
    assert!(left == right, "{what}, line {line}:\n{}\n--\n{}", around(left), around(right));
}

/// Everything that can be asked about a tenant, but for its events.
async fn answers(store: &dyn Store, tenant: TenantId, now: chrono::DateTime<chrono::Utc>) -> String {
    let of = scope::tenant(tenant);
    let mut text = String::new();
    macro_rules! say {
        ($answer:expr) => {{
            let answer = $answer.await.expect("an answer");
            writeln!(text, "{}: {answer:#?}", stringify!($answer)).expect("a text takes everything");
            answer
        }};
    }
    say!(store.directory().settings(&of));
    say!(store.audience().suppressed(&of, None, 1_000));
    say!(store.ledger().entitlement(&of));
    say!(store.ledger().usage(&of, Period::of(now)));
    say!(store.ledger().cost(&of, &CostOf::Everything));
    for budget in [BudgetOf::Total, BudgetOf::Month(Period::of(now))] {
        say!(store.ledger().budget_use(&of, budget));
    }
    let reach = chrono::TimeDelta::days(400);
    let between = CostOf::Between { from: now - reach, to: now + reach };
    say!(store.ledger().cost(&of, &between));
    say!(store.numbers().breakers(&of));
    say!(store.journal().notices(&of, None, 1_000));
    say!(store.inbox().inbound(&of, None, 1_000));
    say!(store.inbox().windows(&of, &WindowFilter::default(), None, 1_000));
    say!(store.numbers().templates(&of, None, 1_000));
    let all = say!(store.inbox().conversations(&of, &ConversationFilter::default(), None, 1_000));
    for one in all {
        say!(store.inbox().conversation_messages(&of, one.id, None, 1_000));
    }
    say!(store.reports().in_doubt(&of, None, 1_000));
    say!(store.reports().failed(&of, &FailureFilter::default(), None, 1_000));
    say!(store.reports().silent(&of, None, 1_000));
    say!(store.reports().messages(&of, None, 10_000));
    let contacts = say!(store.audience().contacts(&of, None, None, 1_000));
    let mut of_session = vec![None];
    for session in say!(store.numbers().sessions(&of, None, 1_000)) {
        of_session.push(Some(session.id));
        for contact in &contacts {
            say!(store.inbox().window(&of, session.id, contact.id));
        }
    }
    for session in of_session {
        let by = TrendBy::Day(wa_core::model::UtcOffset::default());
        let ask = TrendQuery { from: now - reach, to: now + reach, by, session };
        say!(store.reports().trend(&of, &ask));
    }
    for contact in &contacts {
        say!(store.ledger().contact_spend(&of, contact.id));
    }
    for list in ["people", "friends"] {
        let list = list.parse().expect("a list name");
        say!(store.audience().members(&of, &list, 0, 1_000));
        for import in say!(store.audience().imports(&of, &list)) {
            say!(store.audience().import_report(&of, import.id, 0, 1_000));
        }
    }
    for schedule in say!(store.schedules().all_schedules(&of, None, 1_000)) {
        say!(store.schedules().schedule_runs(&of, schedule.id, 0, 1_000));
    }
    for campaign in say!(store.audience().campaigns(&of, None, 1_000)) {
        say!(store.reports().counts(&of, campaign.id));
        say!(store.ledger().cost(&of, &CostOf::Campaign(campaign.id)));
        say!(store.ledger().budget_use(&of, BudgetOf::Campaign(campaign.id)));
        say!(store.reports().alert(&of, campaign.id));
        say!(store.reports().recipients(&of, campaign.id, None, 1_000));
    }
    text
}

impl Figures {
    fn note(&mut self, all: &Collected) {
        self.tenants += 1;
        for record in &all.records {
            *self.records.entry(record.kind()).or_default() += 1;
            if let wa_core::port::store::Record::Message(message) = record {
                let open = message.attempts.iter().filter(|attempt| attempt.result.is_none()).count();
                self.open += open;
                self.in_doubt += usize::from(message.doubt.is_some());
            }
        }
    }
}

/// Moves all tenants of a script in all nine directions.
async fn move_all(script: &Script, seed: u64, figures: &mut Figures) {
    let from = &script.stores;
    let now = script.now();
    let tenants = from.all()[0].1.directory().tenants(&admin(), None, 100).await.expect("a page");
    for (name, source) in from.all() {
        let to = Stores::on(Arc::clone(&from.clock)).await;
        for tenant in &tenants {
            let all = export(source, tenant.id).await;
            let first = export(from.all()[0].1, tenant.id).await;
            same(&format!("seed {seed}: {name} exports"), &first.lines().join("\n"), &all.lines().join("\n"));
            let told = answers(source, tenant.id, now).await;
            figures.note(&all);
            for (place, (target, store)) in to.all().into_iter().enumerate() {
                let size = [1_000, 7, 50][(place + usize::try_from(seed).expect("small")) % STORES];
                let chunks = all.chunks(size);
                figures.commits += chunks.len();
                for chunk in &chunks {
                    let step = store.archive().import_tenant(&admin(), chunk).await.expect("a step");
                    let taken = match step {
                        ImportTenantStep::Taken(_) => !chunk.last,
                        ImportTenantStep::Imported(_) => chunk.last,
                        _ => false,
                    };
                    assert!(taken, "seed {seed}, from {name} to {target}: {step:?}");
                }
                let what = format!("seed {seed}, from {name} to {target}");
                let again = export(store, tenant.id).await;
                same(&what, &all.lines().join("\n"), &again.lines().join("\n"));
                same(&what, &told, &answers(store, tenant.id, now).await);
            }
        }
        for (target, store) in to.all() {
            let found = store.archive().examine(&admin(), 100).await.expect("findings");
            let expected = source.archive().examine(&admin(), 100).await.expect("findings");
            let bad = |found: &[wa_core::model::Finding]| {
                found.iter().filter(|it| it.invariant != wa_core::model::Invariant::OneDelivery).count()
            };
            assert_eq!(bad(&found), bad(&expected), "seed {seed}, from {name} to {target}: {found:?}");
        }
    }
}

#[tokio::test]
async fn tenants_move_between_all_kinds_of_stores() {
    let (first, scripts) = (setting("WA_MODEL_SEED", 1), setting("WA_MOVING_SCRIPTS", 3));
    let mut figures = Figures::default();
    for seed in first..first + scripts {
        let mut script = Script::new(seed).await;
        script.start().await.expect("a beginning");
        for _ in 1..STEPS {
            script.step().await.unwrap_or_else(|mismatch| panic!("seed {seed}: {}", mismatch.0));
        }
        move_all(&script, seed, &mut figures).await;
    }
    for (kind, n) in &figures.records {
        println!("{:14} {n:6} records", kind.as_str());
    }
    let Figures { records, tenants, commits, open, in_doubt } = figures;
    let all: usize = records.values().sum();
    println!(
        "{scripts} scripts, 9 directions: {} moves of {all} records in {commits} commits; {open} open attempts, \
         {in_doubt} messages in doubt; same exports, same answers",
        tenants * STORES
    );
    assert!(all > 0 && tenants > 0);
}
