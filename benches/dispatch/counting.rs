//! Counts the statements that Postgres is asked to run.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Statements that Postgres was asked to run, as its client logs them: BEGIN with its settings, and ROLLBACK, are
/// not among them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counted(pub(crate) u64);

/// What has been counted in this process while somebody counted.
#[derive(Debug)]
struct Listener {
    is_on: AtomicBool,
    statements: AtomicU64,
}

static LISTENER: Listener = Listener { is_on: AtomicBool::new(false), statements: AtomicU64::new(0) };

impl Listener {
    fn turn(&self, is_on: bool) {
        self.is_on.store(is_on, Ordering::SeqCst);
        // Whoever is not listened to does not even ask.
        tracing::callsite::rebuild_interest_cache();
    }
}

/// A count that has begun.
#[derive(Debug)]
pub(crate) struct Counting {
    before: u64,
}

impl Counting {
    pub(crate) fn start() -> Self {
        static INSTALLED: OnceLock<()> = OnceLock::new();
        INSTALLED.get_or_init(|| {
            tracing::subscriber::set_global_default(&LISTENER).expect("nobody else listens");
        });
        LISTENER.turn(true);
        Self { before: LISTENER.statements.load(Ordering::SeqCst) }
    }

    pub(crate) fn stop(self) -> Counted {
        LISTENER.turn(false);
        Counted(LISTENER.statements.load(Ordering::SeqCst) - self.before)
    }
}

impl Subscriber for &'static Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.is_on.load(Ordering::SeqCst) && metadata.target() == "sqlx::query"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        self.statements.fetch_add(1, Ordering::Relaxed);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
