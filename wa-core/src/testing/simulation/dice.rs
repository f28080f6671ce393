//! Draws that a seed repeats.

use std::time::Duration;

use crate::testing::SeededEntropy;

/// Draws that a seed repeats.
#[derive(Debug)]
pub(super) struct Dice(SeededEntropy);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(SeededEntropy::new(seed))
    }

    /// A seed for somebody who draws by himself.
    pub(super) fn seed(&self) -> u64 {
        self.0.next()
    }

    /// 0 ..= `end - 1`.
    pub(super) fn below(&self, end: u64) -> u64 {
        self.0.next() % end.max(1)
    }

    pub(super) fn per_mille(&self, chance: u64) -> bool {
        // Without a draw where nothing is left to chance, a trace stays readable.
        chance > 0 && self.below(1_000) < chance
    }

    /// Up to so many milliseconds, in steps of one, so that many events fall together.
    pub(super) fn millis(&self, most: u64) -> Duration {
        Duration::from_millis(self.below(most + 1))
    }

    pub(super) fn one_of<T: Copy>(&self, choices: &[T]) -> T {
        let place = usize::try_from(self.below(choices.len() as u64)).unwrap_or(0);
        *choices.get(place).expect("a choice is drawn from at least one")
    }

    /// A place in something of this length.
    pub(super) fn place(&self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }
}
