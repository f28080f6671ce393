//! Messages in the caller's own transaction: the caller's rows and the messages about them are committed
//! together, or neither is.

use sqlx::PgConnection;
use wa_core::port::store::{Enqueue, Prepared, StoreError};

use super::PostgresStore;
use super::error::{Fallible, Fault};
use super::outbox::enqueue;

impl PostgresStore {
    /// Queues a message in a transaction that the caller has open on the store's database, also through a
    /// pool and a driver connection of its own. Rolled back, nothing is queued.
    ///
    /// It inserts only and takes no lock but that of the message's key, so a long transaction holds up
    /// nobody but another caller with the same key. Whether the message may go is judged when it begins.
    /// Running engines are told by the database when the transaction is committed;
    /// [`Prepared::announce`] afterwards tells the one of this process a little sooner.
    ///
    /// An application whose role is not the store's needs `USAGE` on the store's schema and `SELECT` and
    /// `INSERT` on its tables `session`, `single`, `message` and `due`. Row-level security holds in the
    /// caller's transaction too: until it ends, the store's rows that it sees are those of the message's tenant.
    ///
    /// ```no_run
    /// # use wa_core::port::store::{Enqueue, Prepared};
    /// # use wa_storage::{PostgresOptions, PostgresStore};
    /// # async fn book(pool: sqlx::PgPool, store: PostgresStore, confirmation: Prepared) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut tx = pool.begin().await?;
    /// sqlx::query("INSERT INTO booking (id, seat) VALUES (7, 'table 4')").execute(&mut *tx).await?;
    /// store.enqueue_in(&mut tx, &confirmation).await?;
    /// tx.commit().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the database refuses; the transaction cannot be committed any more then. Also when the
    /// connection has no transaction open: the message would be queued whatever becomes of the caller's rows.
    pub async fn enqueue_in(
        &self,
        connection: &mut PgConnection,
        prepared: &Prepared,
    ) -> Result<Enqueue, StoreError> {
        self.pool()?;
        self.queue(connection, prepared).await.map_err(Fault::into_store)
    }

    async fn queue(&self, connection: &mut PgConnection, prepared: &Prepared) -> Fallible<Enqueue> {
        let tenant = prepared.tenant();
        sqlx::query("SELECT set_config('wa.tenant', $1, true), set_config('wa.access', 'tenant', true)")
            .bind(tenant.as_uuid().to_string())
            .fetch_one(&mut *connection)
            .await?;
        // Local settings last as long as the transaction: they are gone where there is none.
        let kept: Option<String> = sqlx::query_scalar("SELECT current_setting('wa.tenant', true)")
            .fetch_one(&mut *connection)
            .await?;
        if kept.is_none_or(|kept| kept != tenant.as_uuid().to_string()) {
            return Err(Fault::Broken("a message can be queued in an open transaction only"));
        }
        enqueue::enqueue(connection, &self.shared.schema, tenant, prepared.message()).await
    }
}
