//! Messages that are queued in the caller's own transaction.

use std::sync::Arc;
use std::time::Duration;

use wa_core::model::{Content, MessageState, Phone};
use wa_core::port::SystemClock;
use wa_core::port::store::{Enqueue, Prepared, StoreError, StoreErrorKind};
use wa_core::service::{EngineConfig, Kit, Message, Number, TenantHandle};
use wa_core::testing::ScriptedTransport;
use wa_storage::rusqlite;
use wa_storage::{SqliteOptions, SqliteStore, SqliteTransaction, TransactionError};

/// Why a booking is not made.
#[derive(Debug, thiserror::Error)]
enum NoBooking {
    #[error("the table is taken")]
    Taken,
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

struct Restaurant {
    store: Arc<SqliteStore>,
    kit: Kit,
    tenant: TenantHandle,
    transport: Arc<ScriptedTransport>,
    number: wa_core::model::SessionId,
    folder: tempfile::TempDir,
}

impl Restaurant {
    async fn open() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let options = SqliteOptions::new(folder.path().join("wa.db"));
        let store = Arc::new(SqliteStore::open(options).expect("a store"));
        let transport = Arc::new(ScriptedTransport::new(Arc::new(SystemClock)));
        // Nothing is found by polling within this test.
        let config = EngineConfig { poll_every: Duration::from_secs(60), ..EngineConfig::default() };
        let kit = Kit::builder(store.clone()).transport("cloud", transport.clone()).engine(config);
        let kit = kit.build().await.expect("a kit");
        let tenant = kit.tenants().ensure("acme").await.expect("a tenant");
        let number = tenant.sessions().add(&Number::cloud("100")).await.expect("a session").id;
        let made = store.transaction(|tx| {
            tx.connection().execute_batch("CREATE TABLE booking (id INTEGER PRIMARY KEY, seat TEXT UNIQUE)")
        });
        made.await.expect("a table");
        Self { store, kit, tenant, transport, number, folder }
    }

    fn confirmation(&self, key: &str) -> Prepared {
        let guest = Phone::from_digits("4915112345678").expect("a phone");
        let content = wa_core::model::TemplateContent::with_body(
            "confirmed".parse().expect("a name"),
            "en".parse().expect("a language"),
            wa_core::model::Category::Utility,
            [],
        );
        let content = Content::Template(content.expect("a template"));
        let message = Message::new(self.number, guest, content).key(key.parse().expect("a key"));
        self.tenant.messages().prepare(message).expect("it can be sent")
    }

    /// The bookings that anybody can see.
    fn bookings(&self) -> i64 {
        let conn = rusqlite::Connection::open(self.folder.path().join("wa.db")).expect("the file");
        conn.query_row("SELECT count(*) FROM booking", [], |row| row.get(0)).expect("a count")
    }

    async fn is_queued(&self, prepared: &Prepared) -> bool {
        self.tenant.messages().get(prepared.id()).await.is_ok()
    }
}

fn book(tx: &SqliteTransaction<'_>, seat: &str) -> Result<(), NoBooking> {
    let taken: bool = tx.connection().query_row(
        "SELECT EXISTS (SELECT 1 FROM booking WHERE seat = ?1)",
        [seat],
        |row| row.get(0),
    )?;
    if taken {
        return Err(NoBooking::Taken);
    }
    tx.connection().execute("INSERT INTO booking (seat) VALUES (?1)", [seat])?;
    Ok(())
}

#[tokio::test]
async fn a_booking_and_its_confirmation_are_committed_together() {
    let house = Restaurant::open().await;
    let running = house.kit.start();
    let confirmation = house.confirmation("booking-1");
    let queued = confirmation.clone();
    let answer = house.store.transaction(move |tx| {
        book(tx, "table 4")?;
        Ok::<_, NoBooking>(tx.enqueue(&queued)?)
    });
    assert_eq!(answer.await.expect("committed"), Enqueue::Queued(confirmation.id()));
    assert_eq!(house.bookings(), 1);
    // The engine was told: it does not wait for its next poll.
    let messages = house.tenant.messages();
    let sent =
        messages.outcome(confirmation.id(), wa_core::rules::status::Awaited::Answer, Duration::from_secs(20));
    let sent = sent.await.expect("an outcome");
    assert_eq!((sent.in_time, sent.message.state), (true, MessageState::Accepted));
    assert_eq!(house.transport.sent().len(), 1);
    running.stop(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn what_is_taken_back_queues_nothing() {
    let house = Restaurant::open().await;
    let (first, second, third) = (house.confirmation("1"), house.confirmation("2"), house.confirmation("3"));
    let made = first.clone();
    let made = house.store.transaction(move |tx| {
        tx.enqueue(&made)?;
        book(tx, "table 4")
    });
    made.await.expect("committed");

    let late = second.clone();
    let refused = house.store.transaction(move |tx| {
        tx.enqueue(&late)?;
        book(tx, "table 4")
    });
    let Err(TransactionError::Caller(NoBooking::Taken)) = refused.await else { panic!("the table is taken") };

    let panics = third.clone();
    let lost = house.store.transaction(move |tx| {
        book(tx, "table 5").expect("a free table");
        tx.enqueue(&panics).expect("queued");
        assert!(tx.now().timestamp() < 0, "the caller's own bug");
        Ok::<_, NoBooking>(())
    });
    let Err(TransactionError::Store(error)) = lost.await else { panic!("it cannot be committed") };
    assert_eq!(error.kind(), StoreErrorKind::Broken);

    assert_eq!(house.bookings(), 1);
    assert!(house.is_queued(&first).await);
    assert!(!house.is_queued(&second).await && !house.is_queued(&third).await);
    // The keys were not used up, and the writer goes on.
    let again = house.store.transaction(move |tx| tx.enqueue(&second));
    assert!(matches!(again.await, Ok(Enqueue::Queued(_))));
}

#[tokio::test]
async fn a_key_is_good_for_one_message_inside_and_outside() {
    let house = Restaurant::open().await;
    let (one, other) = (house.confirmation("same"), house.confirmation("same"));
    let (first, second) = (one.clone(), other.clone());
    let answers = house.store.transaction(move |tx| {
        Ok::<_, StoreError>((tx.enqueue(&first)?, tx.enqueue(&second)?, tx.enqueue(&first)?))
    });
    let (queued, known) = (Enqueue::Queued(one.id()), Enqueue::Known(one.id()));
    assert_eq!(answers.await.expect("committed"), (queued, known, known));
    assert!(!house.is_queued(&other).await);
    // One of a number that is not there is told, and the caller decides.
    let stranger = Restaurant::open().await.confirmation("same");
    let answer = house.store.transaction(move |tx| tx.enqueue(&stranger)).await;
    assert_eq!(answer.expect("committed"), Enqueue::NoSession);
    house.store.close();
    let closed = house.store.transaction(move |tx| tx.enqueue(&one)).await;
    let Err(TransactionError::Store(error)) = closed else { panic!("the store is closed") };
    assert_eq!(error.kind(), StoreErrorKind::Closed);
}
