//! Users who act by themselves: after a delivery some answer, and some stop marketing.
//!
//! Invariant: who does what is drawn when a send is accepted, from a stream of its own, so that a
//! crowd moves no fault. An act happens with the first request or webhook after its instant.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::accepted::Accepted;
use super::clock::{Micros, length, micros};

/// What users do by themselves after a message was delivered; by default nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Crowd {
    /// The share of delivered messages that are answered by a text, 0 to 1.
    pub answers: f64,
    /// From the delivery to the answer.
    pub answers_after: Duration,
    /// The share of delivered marketing templates after which the user stops marketing, 0 to 1.
    pub stops: f64,
    /// From the delivery to the stop.
    pub stops_after: Duration,
}

impl Default for Crowd {
    fn default() -> Self {
        let (answers_after, stops_after) = (Duration::from_secs(60), Duration::from_secs(30));
        Self { answers: 0.0, answers_after, stops: 0.0, stops_after }
    }
}

/// Something that a user will do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Act {
    pub(crate) at: Micros,
    pub(crate) number: String,
    pub(crate) user: String,
    pub(crate) stops: bool,
}

/// What users will do.
#[derive(Debug)]
pub(crate) struct Acts {
    crowd: Crowd,
    pending: BinaryHeap<Reverse<Act>>,
    dice: StdRng,
}

impl Acts {
    /// `turn` tells apart the runs that share a log.
    pub(crate) fn new(crowd: Crowd, seed: u64, turn: u64) -> Self {
        let dice = StdRng::seed_from_u64(seed ^ (turn << 8) ^ (200 << 56));
        Self { crowd, pending: BinaryHeap::new(), dice }
    }

    /// Draws what the recipient of an accepted send will do.
    pub(crate) fn draw(&mut self, sent: &Accepted) {
        let Some(delivered_at) = sent.delivered_at.map(micros) else { return };
        let answers = self.dice.random_bool(self.crowd.answers);
        let stops = self.dice.random_bool(self.crowd.stops) && sent.is_marketing;
        let mut plan = |at, stops| {
            let (number, user) = (sent.number.clone(), sent.recipient.clone());
            self.pending.push(Reverse(Act { at, number, user, stops }));
        };
        if answers {
            plan(delivered_at + length(self.crowd.answers_after), false);
        }
        if stops {
            plan(delivered_at + length(self.crowd.stops_after), true);
        }
    }

    /// The next act that is due.
    pub(crate) fn pop_due(&mut self, now: Micros) -> Option<Act> {
        self.next_at().filter(|at| *at <= now)?;
        self.pending.pop().map(|Reverse(act)| act)
    }

    /// When the next act is due.
    pub(crate) fn next_at(&self) -> Option<Micros> {
        self.pending.peek().map(|Reverse(act)| act.at)
    }
}
