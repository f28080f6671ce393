//! The reader threads: each has a connection that sees the latest commit and holds up nobody.
//!
//! Invariant: one call reads one snapshot.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};
use wa_core::port::Clock;
use wa_core::port::store::StoreError;

use super::Queued;
use super::connect::patiently;
use super::error::{Fallible, Fault};

/// What a reading call works on: a snapshot and the instant at which it was taken.
pub(super) struct Snapshot<'c> {
    pub(super) conn: &'c Connection,
    pub(super) now: DateTime<Utc>,
}

pub(super) type Read = Box<dyn FnOnce(&Reader) + Send>;

/// Builds a call around a closure, which may run again when another process is in the way.
pub(super) fn call<T, F>(mut work: F) -> (Read, oneshot::Receiver<Result<T, StoreError>>)
where
    T: Send + 'static,
    F: FnMut(&Snapshot<'_>) -> Fallible<T> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    let run = move |reader: &Reader| {
        if reply.is_closed() {
            return;
        }
        let result = patiently(reader.patience, || reader.snapshot(&mut work)).map_err(Fault::into_store);
        // The caller may have gone; then nobody wants the answer.
        drop(reply.send(result));
    };
    (Box::new(run), answer)
}

#[derive(Debug)]
pub(super) struct Reader {
    pub(super) conn: Connection,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) patience: Duration,
}

impl Reader {
    /// Works until every sender is gone and the channel is empty.
    pub(super) fn run(self, inbox: &Mutex<mpsc::UnboundedReceiver<Queued<Read>>>) {
        loop {
            // One idle reader waits in the channel, the others for the lock around it.
            let next = inbox.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
            let Some((read, room)) = next else { return };
            drop(room);
            read(&self);
        }
    }

    fn snapshot<T>(&self, work: &mut impl FnMut(&Snapshot<'_>) -> Fallible<T>) -> Fallible<T> {
        let tx = self.conn.unchecked_transaction()?;
        let result = work(&Snapshot { conn: &tx, now: self.clock.now() });
        // Nothing was written; ending the snapshot cannot fail in a way that matters.
        drop(tx.finish());
        result
    }
}
