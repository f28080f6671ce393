//! Faults: what goes wrong, how often, decided by a seed.
//!
//! Each fault draws from a stream of its own, so that switching one on does not move the others.
//! With one request at a time the same seed gives the same faults; with concurrent requests the
//! number of faults is stable, who is hit is not.

use std::fmt;
use std::str::FromStr;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Something that goes wrong, per request or per status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Fault {
    /// Per request: accepted and logged, then the connection closes without an answer.
    ReplyLost,
    /// Per request: accepted at once, answered late.
    Slow,
    /// Per request: a 5xx, nothing accepted.
    ErrorBefore,
    /// Per request: accepted and logged, then answered with a 5xx.
    ErrorAfter,
    /// Per request: 130429 although there was room, nothing accepted.
    Throttled,
    /// Per status: posted twice.
    StatusDuplicated,
    /// Per message: its statuses arrive in another order than they happened.
    StatusShuffled,
    /// Per status: arrives late.
    StatusDelayed,
    /// Per status: never arrives.
    StatusMissing,
    /// Per message: `sent`, then `failed` in place of `delivered` and `read`.
    FailedAfterSent,
    /// Per request: from this one on the number is throttled for a while, as
    /// [`Throttled`](Self::Throttled).
    ThrottleStorm,
    /// Per template: answered `held_for_quality_assessment`, and sent later.
    HeldForQuality,
}

/// Why a text is not `NAME=P`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultError {
    /// No fault has this name.
    #[error("no fault is called {0:?}; there are {list}", list = names())]
    Name(String),
    /// Not written as `NAME=P`.
    #[error("a fault is written NAME=P, such as reply-lost=0.1, not {0:?}")]
    Form(String),
    /// The probability is not between 0 and 1.
    #[error("the probability of {0} is a number from 0 to 1")]
    Probability(Fault),
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::ReplyLost,
        Self::Slow,
        Self::ErrorBefore,
        Self::ErrorAfter,
        Self::Throttled,
        Self::StatusDuplicated,
        Self::StatusShuffled,
        Self::StatusDelayed,
        Self::StatusMissing,
        Self::FailedAfterSent,
        Self::ThrottleStorm,
        Self::HeldForQuality,
    ];

    /// The name in `--fault NAME=P` and in the statistics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReplyLost => "reply-lost",
            Self::Slow => "slow",
            Self::ErrorBefore => "error-before",
            Self::ErrorAfter => "error-after",
            Self::Throttled => "throttled",
            Self::StatusDuplicated => "status-duplicated",
            Self::StatusShuffled => "status-shuffled",
            Self::StatusDelayed => "status-delayed",
            Self::StatusMissing => "status-missing",
            Self::FailedAfterSent => "failed-after-sent",
            Self::ThrottleStorm => "throttle-storm",
            Self::HeldForQuality => "held-for-quality",
        }
    }

    /// Reads `NAME=P`.
    ///
    /// ```
    /// use wa_adapters::simulator::Fault;
    ///
    /// assert_eq!(Fault::parse_setting("reply-lost=0.1"), Ok((Fault::ReplyLost, 0.1)));
    /// assert!(Fault::parse_setting("reply-lost=1.1").is_err());
    /// ```
    ///
    /// # Errors
    /// When there is no `=`, no such fault, or no number from 0 to 1.
    pub fn parse_setting(text: &str) -> Result<(Self, f64), FaultError> {
        let (name, probability) = text.split_once('=').ok_or_else(|| FaultError::Form(text.to_owned()))?;
        let fault: Self = name.trim().parse()?;
        let probability = probability.trim().parse().map_err(|_| FaultError::Probability(fault))?;
        checked(fault, probability)?;
        Ok((fault, probability))
    }
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(name: &str) -> Result<Self, FaultError> {
        Self::ALL
            .into_iter()
            .find(|fault| fault.name() == name)
            .ok_or_else(|| FaultError::Name(name.to_owned()))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether a probability is one.
pub(crate) fn checked(fault: Fault, probability: f64) -> Result<(), FaultError> {
    if (0.0..=1.0).contains(&probability) { Ok(()) } else { Err(FaultError::Probability(fault)) }
}

fn names() -> String {
    Fault::ALL.map(Fault::name).join(", ")
}

/// The dice of a running simulator.
#[derive(Debug)]
pub(crate) struct Faults {
    lots: Vec<Lot>,
    dice: StdRng,
}

#[derive(Debug)]
struct Lot {
    fault: Fault,
    probability: f64,
    dice: StdRng,
}

impl Faults {
    /// `turn` tells apart the runs that share a log, so that a restart does not repeat its draws.
    pub(crate) fn new(seed: u64, turn: u64, settings: &[(Fault, f64)]) -> Self {
        let stream = |n: u64| StdRng::seed_from_u64(seed ^ (turn << 8) ^ (n << 56));
        let lots = (1..).zip(Fault::ALL).map(|(n, fault)| {
            let set = settings.iter().rev().find(|(of, _)| *of == fault);
            Lot { fault, probability: set.map_or(0.0, |(_, probability)| *probability), dice: stream(n) }
        });
        Self { lots: lots.collect(), dice: stream(0) }
    }

    /// Changes a probability, which the caller has checked.
    pub(crate) fn set(&mut self, fault: Fault, probability: f64) {
        for lot in self.lots.iter_mut().filter(|lot| lot.fault == fault) {
            lot.probability = probability;
        }
    }

    /// Whether the fault happens this time.
    pub(crate) fn strikes(&mut self, fault: Fault) -> bool {
        self.lots
            .iter_mut()
            .find(|lot| lot.fault == fault)
            .is_some_and(|lot| lot.dice.random_bool(lot.probability))
    }

    /// Whether something of this probability happens that is no fault.
    pub(crate) fn happens(&mut self, probability: f64) -> bool {
        self.dice.random_bool(probability)
    }

    /// A number below `bound`; zero for zero.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        if bound == 0 { 0 } else { self.dice.random_range(0..bound) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_found_by_its_name() {
        for fault in Fault::ALL {
            assert_eq!(fault.name().parse(), Ok(fault));
        }
        let error = Fault::parse_setting("reply-lots=0.1").unwrap_err().to_string();
        assert!(error.contains("reply-lost, slow"), "{error}");
    }

    #[test]
    fn a_probability_outside_zero_to_one_is_refused() {
        for text in ["slow=-0.1", "slow=1.01", "slow=NaN", "slow=often", "slow="] {
            assert_eq!(Fault::parse_setting(text), Err(FaultError::Probability(Fault::Slow)), "{text}");
        }
        assert_eq!(Fault::parse_setting("slow"), Err(FaultError::Form("slow".to_owned())));
    }

    #[test]
    fn one_seed_gives_one_sequence_and_about_the_right_share() {
        let draw = |seed| {
            let mut faults = Faults::new(seed, 0, &[(Fault::Slow, 0.1)]);
            (0..10_000).map(|_| faults.strikes(Fault::Slow)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        let hits = draw(7).into_iter().filter(|hit| *hit).count();
        assert!((800..1_200).contains(&hits), "{hits}");
    }

    #[test]
    fn a_fault_that_is_not_set_never_strikes_and_moves_no_other() {
        let mut alone = Faults::new(7, 0, &[(Fault::Slow, 0.5)]);
        let mut beside = Faults::new(7, 0, &[(Fault::Slow, 0.5), (Fault::ReplyLost, 0.5)]);
        for _ in 0..1_000 {
            assert!(!alone.strikes(Fault::ReplyLost));
            beside.strikes(Fault::ReplyLost);
            assert_eq!(alone.strikes(Fault::Slow), beside.strikes(Fault::Slow));
        }
    }
}
