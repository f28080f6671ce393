//! Randomness that a seed repeats.

use std::sync::Mutex;

use crate::port::Entropy;

/// Randomness that a seed repeats. For tests only: it can be guessed.
///
/// ```
/// use wa_core::{port::Entropy, testing::SeededEntropy};
/// let (mut a, mut b) = ([0; 16], [0; 16]);
/// SeededEntropy::new(7).fill(&mut a);
/// SeededEntropy::new(7).fill(&mut b);
/// assert_eq!(a, b);
/// ```
#[derive(Debug)]
pub struct SeededEntropy(Mutex<u64>);

impl SeededEntropy {
    /// Starts from a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }

    /// The next 64 bits (`SplitMix64`).
    #[must_use]
    pub fn next(&self) -> u64 {
        let mut state = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = *state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let word = self.next().to_le_bytes();
            for (byte, fresh) in chunk.iter_mut().zip(word) {
                *byte = fresh;
            }
        }
    }
}
