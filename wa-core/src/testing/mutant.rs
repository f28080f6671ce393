//! Variants of the protocol that are wrong, each in one way.

/// A variant of the protocol that is wrong. The simulation must find every one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mutant {
    /// M1: requests leave first, and are recorded then.
    SendThenRecord,
    /// M2: begin takes a message that was begun already.
    BeginTakesTwice,
    /// M3: an attempt that is stuck makes its message pending again.
    StuckIsPending,
    /// M4: a time-out counts as a failure.
    TimeoutIsFailure,
    /// M5: what has been in doubt for a while is sent again.
    ResendsBlindly,
    /// M6: a restored store just goes on.
    RestoredGoesOn,
    /// M7: the refusal of an attempt hides what is known of earlier ones.
    LastAttemptDecides,
    /// M8: a begin whose commit is unknown is issued again under another batch id.
    UnknownIsBegunAgain,
}

impl Mutant {
    /// Every variant.
    pub const ALL: [Self; 8] = [
        Self::SendThenRecord,
        Self::BeginTakesTwice,
        Self::StuckIsPending,
        Self::TimeoutIsFailure,
        Self::ResendsBlindly,
        Self::RestoredGoesOn,
        Self::LastAttemptDecides,
        Self::UnknownIsBegunAgain,
    ];

    /// Its short name, `M1` to `M8`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SendThenRecord => "M1",
            Self::BeginTakesTwice => "M2",
            Self::StuckIsPending => "M3",
            Self::TimeoutIsFailure => "M4",
            Self::ResendsBlindly => "M5",
            Self::RestoredGoesOn => "M6",
            Self::LastAttemptDecides => "M7",
            Self::UnknownIsBegunAgain => "M8",
        }
    }

    /// The variant of this short name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mutant| mutant.name() == name)
    }
}
