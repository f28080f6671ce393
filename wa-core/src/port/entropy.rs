//! Randomness as a port, so that a seed can replay a run.

use std::fmt::Debug;

/// Fills bytes with unpredictable values; a seeded one is for tests only.
pub trait Entropy: Debug + Send + Sync + 'static {
    /// Fills the whole slice.
    fn fill(&self, bytes: &mut [u8]);
}

const _OBJECT_SAFE: fn(&dyn Entropy) = |_| {};

/// The operating system's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        // Ids and keys made without randomness would be worse than no process at all.
        getrandom::fill(bytes).expect("the operating system gives random bytes");
    }
}
