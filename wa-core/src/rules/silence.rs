//! Messages that were taken and never heard of again, and numbers whose statuses do not come.

use crate::model::{DeliveryFacts, Fact};

/// What a number's attempts, looked at in order and each once, have shown so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ear {
    /// How many in a row were silent, up to the last one looked at.
    pub silent: u32,
    /// Whether the number counts as deaf.
    pub deaf: bool,
}

/// What one attempt shows after its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// The provider took it and never said more.
    Silence,
    /// A status came.
    Status,
    /// Nothing can be said: it was not taken, or nobody knows.
    Nothing,
}

/// What is known of an attempt some time after it began.
#[must_use]
pub fn hear(facts: &DeliveryFacts) -> Heard {
    let statuses = [Fact::Sent, Fact::Delivered, Fact::Read, Fact::Played, Fact::Failed];
    if statuses.into_iter().any(|fact| facts.has(fact)) {
        Heard::Status
    } else if facts.has(Fact::Accepted) {
        Heard::Silence
    } else {
        Heard::Nothing
    }
}

impl Ear {
    /// Takes in what one more attempt shows; whether the number has just become deaf.
    ///
    /// `deaf_after` is how many silent attempts in a row make a number deaf; 0 for never.
    pub fn listen(&mut self, heard: Heard, deaf_after: u32) -> bool {
        match heard {
            Heard::Nothing => false,
            Heard::Status => {
                *self = Self::default();
                false
            }
            Heard::Silence => {
                self.silent = self.silent.saturating_add(1);
                let becomes = !self.deaf && deaf_after > 0 && self.silent >= deaf_after;
                self.deaf |= becomes;
                becomes
            }
        }
    }
}
