//! A judge that keeps what he was told.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};

use crate::rules::judge::{Admission, Facts, GroupFacts, Judge, Verdict};
use crate::rules::owned::OwnedFacts;

/// Passes every question on to another judge, and keeps the facts for whoever wants to ask again.
#[derive(Debug)]
pub struct RecordingJudge {
    rules: Arc<dyn Judge>,
    groups: Mutex<Vec<GroupFacts>>,
    facts: Mutex<Vec<OwnedFacts>>,
}

impl RecordingJudge {
    /// A judge that says what `rules` say.
    #[must_use]
    pub fn new(rules: Arc<dyn Judge>) -> Self {
        Self { rules, groups: Mutex::default(), facts: Mutex::default() }
    }

    /// The facts of each message so far, in order; they are taken out.
    #[must_use]
    pub fn take_facts(&self) -> Vec<OwnedFacts> {
        std::mem::take(&mut *self.facts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The facts of each group so far, in order; they are taken out.
    #[must_use]
    pub fn take_groups(&self) -> Vec<GroupFacts> {
        std::mem::take(&mut *self.groups.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Judge for RecordingJudge {
    fn admit(&self, group: &GroupFacts, now: DateTime<Utc>) -> Admission {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).push(group.clone());
        self.rules.admit(group, now)
    }

    fn judge(&self, facts: &Facts<'_>, now: DateTime<Utc>) -> Verdict {
        let mut kept = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        let owned = OwnedFacts::after(kept.last(), facts);
        kept.push(owned);
        drop(kept);
        self.rules.judge(facts, now)
    }
}
