//! Messages in the caller's own transaction: the caller's rows and the messages about them are committed
//! together, or neither is.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use rusqlite::Connection;
use wa_core::port::store::{Enqueue, Prepared, StoreError};

use super::error::Fault;
use super::outbox::enqueue;
use super::writer::Tx;
use super::{Durability, SqliteStore};

/// A transaction of the caller's on the store's own file.
pub struct SqliteTransaction<'a> {
    tx: &'a Tx<'a>,
    queued: RefCell<Vec<Prepared>>,
    /// Whether a message could not be queued, of which a part may have been written.
    failed: Cell<bool>,
}

/// Why nothing of a transaction was kept.
#[derive(Debug, thiserror::Error)]
pub enum TransactionError<E> {
    /// The store could not commit it. Where its kind is `Unknown`, nobody knows whether it did.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The caller gave up.
    #[error("the caller took everything back: {0}")]
    Caller(E),
}

impl SqliteTransaction<'_> {
    /// The connection, for the caller's own tables. It is inside a transaction that the store commits:
    /// begin, commit and roll back nothing, and keep away from the tables of the store.
    #[must_use]
    pub const fn connection(&self) -> &Connection {
        self.tx.conn
    }

    /// The transaction's instant by the store's clock.
    #[must_use]
    pub const fn now(&self) -> DateTime<Utc> {
        self.tx.now
    }

    /// Queues a message. What was taken in before under its key is not queued again.
    ///
    /// # Errors
    /// When the database refuses. Nothing of the transaction is kept then, whatever the caller returns.
    pub fn enqueue(&self, prepared: &Prepared) -> Result<Enqueue, StoreError> {
        let queued = enqueue::enqueue(self.tx, prepared.tenant(), prepared.message());
        let queued = queued.map_err(|fault| {
            self.failed.set(true);
            fault.into_store()
        })?;
        if matches!(queued, Enqueue::Queued(_)) {
            self.queued.borrow_mut().push(prepared.clone());
        }
        Ok(queued)
    }
}

impl fmt::Debug for SqliteTransaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteTransaction").field("now", &self.tx.now).finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Runs the caller's work in one transaction of the store's file, synced to the disk before this
    /// returns. An error or a panic inside takes everything back.
    ///
    /// It runs on the store's one writer thread, so it should not wait for anything: while it runs,
    /// nothing else is written.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use wa_core::{model::{Content, Phone}, service::{Kit, Message, Number}, testing::ScriptedTransport};
    /// # use wa_core::port::{SystemClock, store::{Enqueue, StoreError}};
    /// use wa_storage::{SqliteOptions, SqliteStore};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// let store = Arc::new(SqliteStore::open(SqliteOptions::new(folder.path().join("wa.db")))?);
    /// # let transport = Arc::new(ScriptedTransport::new(Arc::new(SystemClock)));
    /// # let kit = Kit::builder(store.clone()).transport("cloud", transport).build().await?;
    /// # let tenant = kit.tenants().ensure("acme").await?;
    /// # let session = tenant.sessions().add(&Number::cloud("100")).await?;
    /// # let guest = Phone::parse("+4915112345678", None)?;
    /// let message = Message::new(session.id, guest, Content::text("Table 4 is yours at eight")?);
    /// let confirmation = tenant.messages().prepare(message.key("booking-7".parse()?))?;
    /// let id = confirmation.id();
    /// store
    ///     .transaction(move |tx| {
    ///         tx.connection().execute_batch("CREATE TABLE IF NOT EXISTS booking (id INTEGER PRIMARY KEY, seat TEXT)")?;
    ///         tx.connection().execute("INSERT INTO booking VALUES (7, 'table 4')", [])?;
    ///         tx.enqueue(&confirmation)?;
    ///         Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
    ///     })
    ///     .await?;
    /// assert_eq!(tenant.messages().get(id).await?.id, id);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The caller's own, or the store's; in both cases nothing was kept, unless the store's says `Unknown`.
    pub async fn transaction<T, E, F>(&self, work: F) -> Result<T, TransactionError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: FnOnce(&SqliteTransaction<'_>) -> Result<T, E> + Send + 'static,
    {
        let given_up: Arc<Mutex<Option<E>>> = Arc::default();
        let slot = Arc::clone(&given_up);
        let done = self.write(Durability::Full, move |tx| {
            let transaction = SqliteTransaction { tx, queued: RefCell::default(), failed: Cell::new(false) };
            match work(&transaction) {
                Ok(_) if transaction.failed.get() => Err(Fault::Broken("a message could not be queued")),
                Ok(value) => Ok((value, transaction.queued.into_inner())),
                Err(error) => {
                    *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    Err(Fault::Broken("the caller took everything back"))
                }
            }
        });
        match done.await {
            Ok((value, queued)) => {
                queued.iter().for_each(Prepared::announce);
                Ok(value)
            }
            Err(error) => {
                let own = given_up.lock().unwrap_or_else(PoisonError::into_inner).take();
                Err(own.map_or(TransactionError::Store(error), TransactionError::Caller))
            }
        }
    }
}
