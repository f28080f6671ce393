//! Judges that say what they were told, so that the facts are compared too.

use std::sync::Mutex;

use chrono::{DateTime, TimeDelta, Utc};
use wa_core::model::{HoldReason, SkipReason};
use wa_core::rules::judge::{Admission, Facts, GroupFacts, Judge, StandardJudge, Verdict};

/// The standard judge or, with a mood, one that says now this and now that of a message.
#[derive(Debug)]
pub(crate) struct Listener {
    mood: Option<u128>,
    heard: Mutex<Vec<String>>,
}

impl Listener {
    pub(crate) fn new(mood: Option<u128>) -> Self {
        Self { mood, heard: Mutex::new(Vec::new()) }
    }

    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().expect("no judge panics").clone()
    }

    fn hear(&self, what: String) {
        self.heard.lock().expect("no judge panics").push(what);
    }
}

impl Judge for Listener {
    fn admit(&self, group: &GroupFacts, now: DateTime<Utc>) -> Admission {
        self.hear(format!("{group:?} {now}"));
        StandardJudge::default().admit(group, now)
    }

    fn judge(&self, facts: &Facts<'_>, now: DateTime<Utc>) -> Verdict {
        self.hear(format!("{facts:?} {now}"));
        let verdict = StandardJudge::default().judge(facts, now);
        let Some(mood) = self.mood else { return verdict };
        let until = now + TimeDelta::seconds(7);
        match (facts.item.message.as_uuid().as_u128() ^ mood) % 7 {
            0 => Verdict::Wait { until, why: HoldReason::Poison },
            1 => Verdict::Stop { until, ask_at: now + TimeDelta::seconds(3), why: HoldReason::PairThrottled },
            2 => Verdict::Skip(SkipReason::Unsupported),
            _ => verdict,
        }
    }
}
