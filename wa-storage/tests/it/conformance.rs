//! Both stores keep every clause of the Store contracts.

mod sqlite {
    use std::sync::Arc;

    use wa_core::port::Clock;
    use wa_core::port::store::Store;
    use wa_core::testing::store::{OpenStore, StoreFixture};
    use wa_storage::{SqliteOptions, SqliteStore};

    struct Sqlite;

    struct Opened {
        folder: tempfile::TempDir,
        clock: Arc<dyn Clock>,
        store: Arc<SqliteStore>,
    }

    fn open(folder: &tempfile::TempDir, clock: &Arc<dyn Clock>) -> Arc<SqliteStore> {
        let options = SqliteOptions::new(folder.path().join("wa.sqlite")).clock(Arc::clone(clock));
        Arc::new(SqliteStore::open(options).expect("a store"))
    }

    #[async_trait::async_trait]
    impl StoreFixture for Sqlite {
        async fn open(&self, clock: Arc<dyn Clock>) -> Box<dyn OpenStore> {
            let folder = tempfile::tempdir().expect("a folder");
            let store = open(&folder, &clock);
            Box::new(Opened { folder, clock, store })
        }
    }

    #[async_trait::async_trait]
    impl OpenStore for Opened {
        fn store(&self) -> Arc<dyn Store> {
            Arc::clone(&self.store) as Arc<dyn Store>
        }

        async fn reopen(&mut self) {
            self.store.close();
            self.store = open(&self.folder, &self.clock);
        }
    }

    wa_core::store_conformance!(Sqlite);
}

mod postgres {
    use std::sync::Arc;

    use wa_core::port::Clock;
    use wa_core::port::store::Store;
    use wa_core::testing::store::{OpenStore, StoreFixture};
    use wa_storage::{PostgresStore, TestDatabase};

    struct Postgres;

    struct Opened {
        database: TestDatabase,
        clock: Arc<dyn Clock>,
        store: Arc<PostgresStore>,
    }

    async fn open(database: &TestDatabase, clock: &Arc<dyn Clock>) -> Arc<PostgresStore> {
        let options = database.options().clock(Arc::clone(clock));
        Arc::new(PostgresStore::connect(options).await.expect("a store"))
    }

    #[async_trait::async_trait]
    impl StoreFixture for Postgres {
        async fn open(&self, clock: Arc<dyn Clock>) -> Box<dyn OpenStore> {
            let database = TestDatabase::create().await;
            let store = open(&database, &clock).await;
            Box::new(Opened { database, clock, store })
        }
    }

    #[async_trait::async_trait]
    impl OpenStore for Opened {
        fn store(&self) -> Arc<dyn Store> {
            Arc::clone(&self.store) as Arc<dyn Store>
        }

        async fn reopen(&mut self) {
            self.store.close().await;
            self.store = open(&self.database, &self.clock).await;
        }
    }

    wa_core::store_conformance!(Postgres);
}
