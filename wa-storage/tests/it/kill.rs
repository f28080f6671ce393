//! A writer that is killed with -9 at any moment: nothing that it was told is lost, and what it left
//! open is in doubt as soon as somebody else owns the session.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;
use wa_core::model::{
    AttemptKey, BatchId, Fact, Lane, MessageId, MessageState, NewMessage, NewSession, Recipient, SessionId,
    TenantId, WorkerId,
};
use wa_core::port::store::{AcquireSessions, AttemptFact, BeginBatch, Begun, DueQuery, Lease, Store};
use wa_core::port::{Clock, Entropy, SystemClock, SystemEntropy};
use wa_core::rules::judge::StandardJudge;
use wa_core::testing::{SeededEntropy, scope};
use wa_storage::{SqliteOptions, SqliteStore};

use crate::world::{accepted, admin, item, phone, template, transport, without_cooldown};

const FILE: &str = "WA_KILL_FILE";
const WRITER: &str = "kill::a_writer_is_told_only_what_is_committed";
const KILLS: u64 = 10;

fn tenant() -> TenantId {
    TenantId::from_uuid(Uuid::from_u128(1))
}

fn session() -> SessionId {
    SessionId::from_uuid(Uuid::from_u128(2))
}

fn fresh() -> Uuid {
    let mut random = [0; 16];
    SystemEntropy.fill(&mut random);
    Uuid::from_bytes(random)
}

fn key(message: MessageId, n: u16) -> AttemptKey {
    AttemptKey { tenant: tenant(), message, n }
}

async fn open(path: &Path) -> SqliteStore {
    let store = SqliteStore::open(SqliteOptions::new(path)).expect("a store");
    let name = "tenant".parse().expect("a name");
    store.directory().ensure_tenant(&admin(), &name, tenant()).await.expect("a tenant");
    let own = scope::tenant(tenant());
    store.directory().put_settings(&own, &without_cooldown()).await.expect("an answer");
    let number = "1".parse().expect("a number id");
    let new = NewSession {
        id: session(),
        transport: transport(),
        number,
        portfolio: "1".to_owned(),
        account: None,
        phone: None,
    };
    store.numbers().add_session(&own, &new).await.expect("a session");
    store
}

/// Takes the session over as a new worker.
async fn acquire(store: &SqliteStore) -> (WorkerId, Lease) {
    let worker = WorkerId::from_uuid(fresh());
    let ask = AcquireSessions { worker, lease: Duration::from_secs(60), most: 1 };
    let leases = store.numbers().acquire(&scope::admin(worker), &ask).await.expect("an answer");
    (worker, leases.into_iter().next().expect("the session, whoever had it"))
}

/// Begins and settles in a loop, and says after each answer what is committed now.
async fn write(store: &SqliteStore, rounds: usize, mut say: impl FnMut(String)) {
    let (worker, lease) = acquire(store).await;
    let worker = scope::worker(worker, [(session(), lease.epoch)]);
    let (own, outbox) = (scope::tenant(tenant()), store.outbox());
    for round in 0..rounds {
        for to in 0..4 {
            let message = NewMessage {
                id: MessageId::from_uuid(fresh()),
                session: session(),
                recipient: Recipient::from(phone(to)),
                content: template("now"),
                reply_to: None,
                fallback: None,
                lane: Lane::Bulk,
                due_at: SystemClock.now(),
                valid_until: None,
                key: None,
                in_doubt: None,
            };
            outbox.enqueue(&own, &message).await.expect("an answer");
            say(format!("queued {} 0", message.id));
        }
        let ask =
            DueQuery { session: session(), lane: None, limit: 4, skip: Vec::new(), skip_feeds: Vec::new() };
        let due = outbox.due(&worker, &ask).await.expect("a page").messages;
        let batch = BeginBatch {
            id: BatchId::from_uuid(fresh()),
            session: session(),
            items: due.iter().map(item).collect(),
            start_within: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
        };
        let begun = outbox.begin(&worker, &batch, Arc::new(StandardJudge::default())).await;
        let Ok(Begun::Done(begun)) = begun else { panic!("{begun:?}") };
        for attempt in &begun.attempts {
            say(format!("begun {} {}", attempt.key.message, attempt.key.n));
        }
        // Some outcomes never come.
        for attempt in begun.attempts.iter().skip(round % 3) {
            let outcome = accepted(&format!("wamid.{}.{}", attempt.key.message, attempt.key.n));
            let fact =
                AttemptFact { attempt: attempt.key, at: SystemClock.now(), outcome, retry_after: None };
            outbox.settle(&[fact]).await.expect("an answer");
            say(format!("settled {} {}", attempt.key.message, attempt.key.n));
        }
    }
}

/// What a writer was told, of all writers so far.
#[derive(Debug, Default)]
struct Told {
    queued: BTreeSet<MessageId>,
    begun: BTreeSet<AttemptKey>,
    settled: BTreeSet<AttemptKey>,
}

impl Told {
    fn hear(&mut self, line: &str) {
        let words: Vec<_> = line.split_whitespace().collect();
        let [what @ ("queued" | "begun" | "settled"), message, n] = words[..] else { return };
        let message = message.parse().expect("an id");
        let attempt = key(message, n.parse().expect("a number"));
        match what {
            "queued" => _ = self.queued.insert(message),
            "begun" => _ = self.begun.insert(attempt),
            _ => _ = self.settled.insert(attempt),
        }
    }

    /// Everything that was told is there, and after a takeover nothing is open.
    async fn check(&self, store: &SqliteStore) {
        let own = scope::tenant(tenant());
        let (_, lease) = acquire(store).await;
        assert_eq!(lease.quiet_until, None, "the former owner is known to be dead");
        let mut in_doubt = 0;
        for message in &self.queued {
            let view =
                store.reports().message(&own, *message).await.expect("an answer").expect("the message");
            assert_ne!(view.state, MessageState::Attempting, "nobody is left who attempts it");
            for attempt in &view.attempts {
                let key = key(*message, attempt.n);
                let is_accepted = attempt.facts.has(Fact::Accepted);
                assert!(is_accepted || attempt.facts.has(Fact::InDoubt), "{attempt:?}");
                assert!(is_accepted || !self.settled.contains(&key), "an outcome is lost");
                in_doubt += usize::from(!is_accepted);
            }
        }
        for key in &self.begun {
            let view =
                store.reports().message(&own, key.message).await.expect("an answer").expect("the message");
            assert!(view.attempts.iter().any(|attempt| attempt.n == key.n), "{key:?} is lost");
        }
        let listed = store.reports().in_doubt(&own, None, 10_000).await.expect("a page").len();
        assert!(in_doubt <= listed && listed <= in_doubt + 4, "{in_doubt} of {listed}");
    }
}

/// Alone it writes some rounds; with a file named by the test below, until it is killed.
#[tokio::test]
async fn a_writer_is_told_only_what_is_committed() {
    if let Some(file) = std::env::var_os(FILE) {
        let store = open(Path::new(&file)).await;
        let mut out = std::io::stdout().lock();
        write(&store, usize::MAX, |line| writeln!(out, "{line}").expect("somebody reads")).await;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut told = Told::default();
    let store = open(&folder.path().join("wa.db")).await;
    write(&store, 6, |line| told.hear(&line)).await;
    store.close();
    told.check(&open(&folder.path().join("wa.db")).await).await;
    assert_eq!((told.begun.len(), told.settled.len()), (24, 18));
}

#[tokio::test]
async fn a_writer_that_is_killed_loses_nothing_that_it_was_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wa.db");
    let mut told = Told::default();
    open(&path).await.close();
    let dice = SeededEntropy::new(9);
    for kill in 0..KILLS {
        let mut writer = Command::new(std::env::current_exe().expect("this test"))
            .args([WRITER, "--exact", "--nocapture"])
            .env(FILE, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a process");
        let mut lines = BufReader::new(writer.stdout.take().expect("its output"));
        let mut until = 5 + dice.next() % 60;
        let mut line = String::new();
        while lines.read_line(&mut line).expect("a line") > 0 {
            // A line without an end was cut by the kill.
            if line.ends_with('\n') {
                told.hear(&line);
            }
            line.clear();
            until = until.saturating_sub(1);
            if until == 0 {
                // Somewhere in what follows the last line; what it still says is heard too.
                writer.kill().expect("it runs");
            }
        }
        assert!(!writer.wait().expect("its end").success(), "it was killed");
        let conn = rusqlite::Connection::open(&path).expect("the file");
        let whole: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a check");
        assert_eq!(whole, "ok", "after kill {kill}");
        drop(conn);
        let store = open(&path).await;
        told.check(&store).await;
        store.close();
    }
    assert!(told.begun.len() >= 20 && told.settled.len() >= 20, "{} begun", told.begun.len());
}
