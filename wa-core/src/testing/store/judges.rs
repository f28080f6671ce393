//! Judges for cases: one with a verdict per message, one that remembers the facts it was given.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};

use crate::model::{CampaignId, Chosen, Estimate, HoldReason, MessageId};
use crate::rules::judge::{Admission, Facts, Grant, GroupFacts, Judge, StandardJudge, Verdict};
use crate::rules::owned::OwnedFacts;

/// Lets everything begin, except what a case decides otherwise.
#[derive(Debug, Default)]
pub(super) struct Scripted {
    verdicts: BTreeMap<MessageId, Verdict>,
}

impl Scripted {
    pub(super) fn new(verdicts: impl IntoIterator<Item = (MessageId, Verdict)>) -> Self {
        Self { verdicts: verdicts.into_iter().collect() }
    }
}

impl Judge for Scripted {
    fn admit(&self, _group: &GroupFacts, _now: DateTime<Utc>) -> Admission {
        Admission::Admit
    }

    fn judge(&self, facts: &Facts<'_>, _now: DateTime<Utc>) -> Verdict {
        let price = Estimate::unknown();
        let send = Verdict::Send(Grant { tier_slot: false, content: Chosen::Own, price });
        self.verdicts.get(&facts.item.message).copied().unwrap_or(send)
    }
}

/// Refuses every group.
#[derive(Debug)]
pub(super) struct RefusesAll(pub(super) HoldReason, pub(super) DateTime<Utc>);

impl Judge for RefusesAll {
    fn admit(&self, _group: &GroupFacts, _now: DateTime<Utc>) -> Admission {
        Admission::Refuse { why: self.0, until: Some(self.1) }
    }

    fn judge(&self, facts: &Facts<'_>, _now: DateTime<Utc>) -> Verdict {
        panic!("a message of a refused group is judged: {:?}", facts.item.message);
    }
}

/// Keeps the standard rules and remembers what it was told.
#[derive(Debug, Default)]
pub(super) struct Remembering {
    groups: Mutex<Vec<(GroupFacts, DateTime<Utc>)>>,
    messages: Mutex<Vec<Seen>>,
}

/// What a judge was told about one message.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) message: MessageId,
    pub(super) campaign: Option<CampaignId>,
    pub(super) facts: OwnedFacts,
    pub(super) now: DateTime<Utc>,
}

impl Remembering {
    pub(super) fn groups(&self) -> Vec<(GroupFacts, DateTime<Utc>)> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn messages(&self) -> Vec<Seen> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The instants at which it was asked, each once.
    pub(super) fn instants(&self) -> BTreeSet<DateTime<Utc>> {
        let groups = self.groups().into_iter().map(|(_, now)| now);
        groups.chain(self.messages().into_iter().map(|seen| seen.now)).collect()
    }
}

impl Judge for Remembering {
    fn admit(&self, group: &GroupFacts, now: DateTime<Utc>) -> Admission {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).push((group.clone(), now));
        StandardJudge::default().admit(group, now)
    }

    fn judge(&self, facts: &Facts<'_>, now: DateTime<Utc>) -> Verdict {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        let facts_kept = OwnedFacts::after(None, facts);
        messages.push(Seen {
            message: facts.item.message,
            campaign: facts.item.campaign,
            facts: facts_kept,
            now,
        });
        drop(messages);
        StandardJudge::default().judge(facts, now)
    }
}
