//! The reference store keeps every clause of the Store contracts.

mod memory {
    use std::sync::Arc;

    use wa_core::memory::MemoryStore;
    use wa_core::port::Clock;
    use wa_core::port::store::Store;
    use wa_core::testing::store::{OpenStore, StoreFixture};

    struct Memory;

    struct Opened(MemoryStore);

    #[async_trait::async_trait]
    impl StoreFixture for Memory {
        async fn open(&self, clock: Arc<dyn Clock>) -> Box<dyn OpenStore> {
            Box::new(Opened(MemoryStore::new(clock)))
        }
    }

    #[async_trait::async_trait]
    impl OpenStore for Opened {
        fn store(&self) -> Arc<dyn Store> {
            Arc::new(self.0.clone())
        }

        async fn reopen(&mut self) {
            // The data does not outlive its process; another handle is all that can be opened.
            self.0 = self.0.clone();
        }
    }

    wa_core::store_conformance!(Memory);
}
