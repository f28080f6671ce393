//! What webhooks charge, by the test's own reading.

use std::fmt::Debug;

use chrono::{DateTime, Utc};
use wa_core::model::{Category, RateCategory};

/// What the webhooks said of one attempt so far, by the test's own reading.
#[derive(Debug, Clone)]
pub(super) struct Fate {
    pub(super) campaign: Option<usize>,
    pub(super) category: Category,
    pub(super) rates: (i64, i64),
    pub(super) begun_at: DateTime<Utc>,
    /// Its best word about a price: delivery before sending, then by the order below.
    pub(super) word: Option<(bool, Word)>,
    pub(super) delivered: bool,
    pub(super) dead: bool,
    pub(super) estimate: i64,
}

/// What a webhook charges. Of two the lesser counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Word {
    Marketing,
    Utility,
    Free,
    Strange,
}

impl Fate {
    /// The micros that the webhooks charge, or `None` for something that nobody knows; nothing for a
    /// message that did not arrive.
    pub(super) fn charged(&self) -> Option<Option<i64>> {
        if self.dead && !self.delivered {
            return None;
        }
        let (marketing, rest) = self.rates;
        Some(match self.word {
            None => Some(self.estimate),
            Some((_, Word::Marketing)) => Some(marketing),
            Some((_, Word::Utility)) => Some(rest),
            Some((_, Word::Free)) => Some(0),
            Some((_, Word::Strange)) => None,
        })
    }

    pub(super) fn counted_as(&self) -> RateCategory {
        match self.word {
            Some((_, Word::Marketing)) => RateCategory::Marketing,
            Some((_, Word::Utility)) => RateCategory::Utility,
            Some((_, Word::Free | Word::Strange)) | None => RateCategory::from(self.category),
        }
    }
}

/// Adds up what the webhooks charge: micros, attempts, attempts without a price.
pub(super) fn sum<'a>(fates: impl IntoIterator<Item = &'a Fate>) -> (i64, u64, u64) {
    let (mut micros, mut count, mut unknown) = (0, 0, 0);
    for charged in fates.into_iter().filter_map(Fate::charged) {
        count += 1;
        match charged {
            Some(price) => micros += price,
            None => unknown += 1,
        }
    }
    (micros, count, unknown)
}

/// What a budget keeps for an attempt in the end.
pub(super) fn kept(fate: &Fate) -> i64 {
    let (marketing, rest) = fate.rates;
    match (fate.charged(), fate.word) {
        (None, _) => 0,
        (Some(Some(price)), Some(_)) => price,
        (Some(_), _) => marketing.max(rest),
    }
}
