//! The stream of events to the embedding application.

use std::collections::VecDeque;
use std::time::Duration;

use super::ports::Ports;
use super::signal::Signal;
use crate::model::{Event, StreamPosition};
use crate::port::store::{ReaderName, StoreError};

/// Events in order, from where this reader last acknowledged.
///
/// Delivered at least once: what was read and not acknowledged comes again after a restart, with
/// the same id.
#[derive(Debug)]
pub struct EventStream {
    ports: Ports,
    reader: ReaderName,
    grew: Signal,
    read: StreamPosition,
    page: VecDeque<Event>,
}

/// How often the journal is looked at when nothing announces growth: other processes write too.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Between two looks at the store on behalf of somebody who waits, however busy the journal is.
const LOOK_APART: Duration = Duration::from_millis(20);

/// Looks whenever the journal may have grown, until a look says that it is done or the time is over;
/// gives the last look and whether it was done.
pub(crate) async fn look_until<T, E>(
    grew: &Signal,
    wait: Duration,
    mut look: impl AsyncFnMut() -> Result<(T, bool), E>,
) -> Result<(T, bool), E> {
    let start = tokio::time::Instant::now();
    loop {
        let seen = grew.count();
        let looked = look().await?;
        let left = wait.saturating_sub(start.elapsed());
        if looked.1 || left.is_zero() {
            return Ok(looked);
        }
        tokio::time::sleep(LOOK_APART.min(left)).await;
        // Other processes write too, and nothing announces that here.
        let _ = tokio::time::timeout(LOOK_EVERY.min(left), grew.raised_since(seen)).await;
    }
}

impl EventStream {
    pub(crate) async fn open(ports: Ports, reader: ReaderName, grew: Signal) -> Result<Self, StoreError> {
        let read = ports.store.journal().position(&ports.admin(), &reader).await?;
        Ok(Self { ports, reader, grew, read, page: VecDeque::new() })
    }

    /// The next event; waits until there is one.
    ///
    /// # Errors
    /// When the store cannot be read; the next call tries again.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Result<Event, StoreError> {
        loop {
            let seen = self.grew.count();
            if let Some(event) = self.try_next().await? {
                return Ok(event);
            }
            let grown = self.grew.raised_since(seen);
            // Either way the journal is looked at again.
            let _ = tokio::time::timeout(LOOK_EVERY, grown).await;
        }
    }

    /// The next event, or `None` when all have been read.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn try_next(&mut self) -> Result<Option<Event>, StoreError> {
        if self.page.is_empty() {
            let page = self.ports.store.journal().read(&self.ports.admin(), self.read, 500).await?;
            self.page.extend(page);
        }
        let event = self.page.pop_front();
        if let Some(event) = &event {
            self.read = event.position;
        }
        Ok(event)
    }

    /// Says that everything up to a position is done; it does not come again.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn acknowledge(&self, position: StreamPosition) -> Result<(), StoreError> {
        self.ports.store.journal().acknowledge(&self.ports.admin(), &self.reader, position).await
    }
}
