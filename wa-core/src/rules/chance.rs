//! What stands for chance where a forecast or another store must come to the same.

/// A word of which each bit hangs on all bits of `word`: the finisher of `SplitMix64`.
pub(crate) const fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}
