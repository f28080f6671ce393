//! A signal that something changed, without naming an async runtime.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// Tells every waiter that something changed. Clones share one signal.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signal(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    count: u64,
    waiting: Vec<Waker>,
}

impl Signal {
    /// Wakes everybody who waits.
    pub(crate) fn raise(&self) {
        let waiting = {
            let mut state = self.lock();
            state.count += 1;
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// How often the signal was raised.
    pub(crate) fn count(&self) -> u64 {
        self.lock().count
    }

    /// Ends once the signal was raised more often than `seen`, with the new count.
    pub(crate) fn raised_since(&self, seen: u64) -> Raised {
        Raised { signal: self.clone(), seen }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for a signal.
#[derive(Debug)]
pub(crate) struct Raised {
    signal: Signal,
    seen: u64,
}

impl Future for Raised {
    type Output = u64;
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<u64> {
        let mut state = self.signal.lock();
        if state.count > self.seen {
            return Poll::Ready(state.count);
        }
        if !state.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
            state.waiting.push(context.waker().clone());
        }
        Poll::Pending
    }
}
