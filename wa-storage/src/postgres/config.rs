//! How a store is opened.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use wa_core::port::{Clock, Entropy, SystemEntropy};

/// Which database, and what the store asks for time and randomness.
#[derive(Debug, Clone)]
#[must_use]
pub struct PostgresOptions {
    pub(super) source: Source,
    pub(super) schema: String,
    pub(super) clock: Option<Arc<dyn Clock>>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) patience: Duration,
}

/// Where connections come from.
#[derive(Clone)]
pub(super) enum Source {
    /// The store's own pool.
    Url { url: String, connections: u32 },
    /// The embedder's.
    Pool(PgPool),
}

// A URL can hold a password.
impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Url { url: _, connections } => write!(f, "Url(connections={connections})"),
            Self::Pool(pool) => write!(f, "Pool(size={})", pool.size()),
        }
    }
}

impl PostgresOptions {
    /// A store in the database of this URL, on a pool of its own of at most ten connections.
    ///
    /// Connect as a role that is neither superuser nor has `BYPASSRLS`: such a role would see the rows of
    /// every tenant whatever the store asks for.
    pub fn new(url: impl Into<String>) -> Self {
        Self::from(Source::Url { url: url.into(), connections: 10 })
    }

    /// A store on a pool that the application has already. Closing the store leaves the pool open.
    pub fn pool(pool: PgPool) -> Self {
        Self::from(Source::Pool(pool))
    }

    fn from(source: Source) -> Self {
        Self {
            source,
            schema: "wa_kit".to_owned(),
            clock: None,
            entropy: Arc::new(SystemEntropy),
            patience: Duration::from_secs(30),
        }
    }

    /// At most so many connections of the store's own pool, 3 at least; without effect on a given pool.
    pub fn connections(mut self, most: u32) -> Self {
        if let Source::Url { connections, .. } = &mut self.source {
            *connections = most.max(3);
        }
        self
    }

    /// Keeps everything in this schema, `wa_kit` by default: lower-case letters, digits and underscores.
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }

    /// Takes the time from this clock; the database server's own by default, which all workers share.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Takes randomness for event ids from here; the operating system's by default.
    pub fn entropy(mut self, entropy: Arc<dyn Entropy>) -> Self {
        self.entropy = entropy;
        self
    }

    /// Waits so long for a lock that another transaction holds, before a call is given up as unavailable;
    /// 30 seconds by default.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }
}
