//! The provider as it really is: what it took, whom it delivered to, and what it calls back about.
//!
//! It is the oracle of a run, so it knows nothing of the store and asks nobody but its own dice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::hub::Hub;
use super::mark::Mark;
use super::plan::Plan;
use super::webhook::{Status, UserMessage};
use crate::model::{AttemptKey, Fact, FailureCode, MessageId, NumberId, Phone, RejectClass, SessionId};
use crate::rules::window;

/// One request as it leaves.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) key: AttemptKey,
    pub(super) session: SessionId,
    pub(super) number: NumberId,
    pub(super) phone: Option<Phone>,
    pub(super) needs_window: bool,
    pub(super) tag: String,
}

/// What the provider says to a request.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    Taken {
        id: String,
    },
    Refused {
        failure: FailureCode,
        retry_after: Option<Duration>,
    },
    /// An answer that proves nothing.
    Error,
}

/// What truly became of one attempt's request.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fate {
    pub(super) taken: bool,
    pub(super) failed: bool,
    pub(super) delivered: bool,
    pub(super) read: bool,
}

/// A callback on its way.
#[derive(Debug, Clone)]
pub(super) struct Mail {
    pub(super) body: String,
    /// Whether the same bytes were sent before.
    pub(super) again: bool,
}

pub(super) struct Meta {
    fates: BTreeMap<AttemptKey, Fate>,
    /// Under which ids attempts were taken, and when.
    ids: BTreeMap<String, (AttemptKey, DateTime<Utc>)>,
    taken: u64,
    /// When each user last wrote to a number.
    wrote: BTreeMap<(SessionId, Phone), DateTime<Utc>>,
    pub(super) token_is_valid: bool,
    pub(super) banned: BTreeSet<NumberId>,
    /// How many people the account may write to in 24 hours.
    pub(super) tier: Option<u32>,
    /// Whom it wrote to outside windows.
    reached: BTreeMap<Phone, DateTime<Utc>>,
    mail: BTreeMap<(Duration, u64), Mail>,
    letters: u64,
}

/// Refusals for reasons of their own, with the codes that stand for them at Meta.
const REFUSALS: [(RejectClass, i64); 12] = [
    (RejectClass::Retry, 131_000),
    (RejectClass::Retry, 131_000),
    (RejectClass::Retry, 131_000),
    (RejectClass::Recipient, 131_026),
    (RejectClass::OptedOut, 131_050),
    (RejectClass::Template, 132_001),
    (RejectClass::Request, 100),
    (RejectClass::Media, 131_053),
    (RejectClass::Later, 131_049),
    (RejectClass::TemplatePaused, 132_015),
    (RejectClass::Spam, 131_048),
    (RejectClass::Billing, 131_042),
];

impl Meta {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            fates: BTreeMap::new(),
            ids: BTreeMap::new(),
            taken: 0,
            wrote: BTreeMap::new(),
            token_is_valid: true,
            banned: BTreeSet::new(),
            tier: plan.tier,
            reached: BTreeMap::new(),
            mail: BTreeMap::new(),
            letters: 0,
        }
    }

    /// What truly became of a message's requests.
    pub(super) fn fates(&self, message: MessageId) -> impl Iterator<Item = &Fate> {
        self.fates.iter().filter(move |(key, _)| key.message == message).map(|(_, fate)| fate)
    }

    /// The attempt that was taken under an id.
    pub(super) fn sent_as(&self, id: &str) -> Option<AttemptKey> {
        self.ids.get(id).map(|(key, _)| *key)
    }

    /// When a user last wrote to a number.
    pub(super) fn last_word(&self, session: SessionId, phone: Phone) -> Option<DateTime<Utc>> {
        self.wrote.get(&(session, phone)).copied()
    }

    /// A user writes to a number; the callback about it comes so much later.
    pub(super) fn user_writes(
        &mut self,
        hub: &Hub,
        (session, number): (SessionId, &NumberId),
        phone: Phone,
        at: DateTime<Utc>,
        (text, later): (&str, Duration),
    ) {
        let last = self.wrote.entry((session, phone)).or_insert(at);
        *last = at.max(*last);
        let message = UserMessage {
            number: number.clone(),
            phone,
            at,
            id: format!("in.{}", self.letters),
            text: text.to_owned(),
        };
        self.post(hub.now() + later, message.line());
    }

    /// A request arrives.
    pub(super) fn arrive(&mut self, hub: &Hub, request: &Request) -> Reply {
        let Request { key, session, number, phone, needs_window, tag: _ } = request;
        let refused = |class, code| Reply::Refused {
            failure: FailureCode { code, class, title: "refused".to_owned(), details: None },
            retry_after: hub.strikes(300).then(|| hub.dice.millis(4_000)),
        };
        self.fates.entry(*key).or_default();
        if !self.token_is_valid {
            return refused(RejectClass::Credential, 190);
        }
        if self.banned.contains(number) {
            return refused(RejectClass::Account, 131_031);
        }
        if hub.strikes(hub.plan.throttled) {
            let class = hub.dice.one_of(&[RejectClass::Throttled, RejectClass::PairThrottled]);
            return refused(class, if class == RejectClass::Throttled { 130_429 } else { 131_056 });
        }
        let last = phone.and_then(|phone| self.wrote.get(&(*session, phone)));
        let is_open = last.is_some_and(|at| hub.wall() < window::end(*at));
        if *needs_window && !is_open {
            return refused(RejectClass::WindowClosed, 131_047);
        }
        if hub.strikes(hub.plan.refused) {
            let (class, code) = hub.dice.one_of(&REFUSALS);
            return refused(class, code);
        }
        // Who got a message although the provider said that it failed does not take it again.
        let repeats = self.fates(key.message).any(|fate| fate.failed && fate.delivered);
        if repeats && hub.strikes(900) {
            return refused(RejectClass::Recipient, 131_026);
        }
        let fails = hub.strikes(hub.plan.server_error);
        if fails && hub.dice.per_mille(500) {
            return Reply::Error;
        }
        self.fates.entry(*key).or_default().taken = true;
        // No two requests get one name, also those of one attempt in two lives of the store.
        self.taken += 1;
        let id = format!("wamid.{}.{}.{}", key.message, key.n, self.taken);
        self.ids.insert(id.clone(), (*key, hub.wall()));
        self.follow_up(hub, request, &id);
        // The provider counts whom it delivers to.
        let arrives = self.fates.get(key).is_some_and(|fate| !fate.failed);
        if let Some(phone) = phone.filter(|_| arrives && !is_open) {
            self.reached.insert(phone, hub.wall());
        }
        if fails { Reply::Error } else { Reply::Taken { id } }
    }

    /// How many people were written to outside windows in 24 hours, where that is limited.
    pub(super) fn beyond_tier(&self, now: DateTime<Utc>) -> Option<(usize, u32)> {
        let tier = self.tier?;
        let since = now - window::LENGTH;
        let count = self.reached.values().filter(|at| **at > since).count();
        (count > usize::try_from(tier).unwrap_or(usize::MAX)).then_some((count, tier))
    }

    /// Whom a restored store has forgotten does not count against it, and names that it never learned are
    /// no attempt's.
    pub(super) fn excuses_after(&mut self, backup: DateTime<Utc>) {
        self.reached.retain(|_, at| *at <= backup);
        self.ids.retain(|_, (_, at)| *at <= backup);
    }

    /// Decides what becomes of a message that was taken, and posts the callbacks about it.
    fn follow_up(&mut self, hub: &Hub, request: &Request, id: &str) {
        let now = hub.now();
        let status = |fact, after: Duration, mute: bool, failure| Status {
            tag: (!mute).then(|| request.tag.clone()),
            id: id.to_owned(),
            fact,
            number: request.number.clone(),
            at: hub.wall() + chrono::TimeDelta::from_std(after).unwrap_or_default(),
            failure,
        };
        let mut all = Vec::new();
        let mut after = hub.dice.millis(300);
        let fails = hub.strikes(hub.plan.failed);
        let mut delivers = !fails;
        if fails {
            let class = hub.dice.one_of(&[RejectClass::Retry, RejectClass::Retry, RejectClass::Recipient]);
            let failure = FailureCode { code: 131_000, class, title: "failed".to_owned(), details: None };
            let mute = hub.strikes(hub.plan.mute);
            if mute {
                hub.mark(Mark::FailedWithoutEcho);
            }
            all.push((after, status(Fact::Failed, after, mute, Some(failure))));
            delivers = hub.strikes(hub.plan.contradicted);
            after += hub.dice.millis(if delivers { 12_000 } else { 0 });
        }
        if delivers {
            if fails {
                hub.mark(Mark::DeliveredAfterFailed);
            }
            for fact in [Fact::Sent, Fact::Delivered, Fact::Read] {
                after += hub.dice.millis(1_000);
                if hub.dice.per_mille(hub.plan.statuses) || (fails && fact == Fact::Delivered) {
                    all.push((after, status(fact, after, false, None)));
                }
            }
        }
        let said = |fact| all.iter().any(|(_, status)| status.fact == fact);
        if let Some(fate) = self.fates.get_mut(&request.key) {
            fate.failed |= fails;
            fate.read |= said(Fact::Read);
            fate.delivered |= delivers;
        }
        for (after, status) in all {
            let late = if hub.strikes(hub.plan.delayed) { hub.dice.millis(15_000) } else { Duration::ZERO };
            self.post(now + after + late, status.line());
        }
    }

    /// Posts a callback.
    fn post(&mut self, at: Duration, line: String) {
        let number = self.letters;
        self.letters += 1;
        let mail = Mail { body: format!("{line}\nletter {number}"), again: false };
        self.mail.insert((at, number), mail);
    }

    /// Posts a callback once more.
    pub(super) fn post_again(&mut self, at: Duration, mail: Mail) {
        let number = self.letters;
        self.letters += 1;
        self.mail.insert((at, number), Mail { again: true, ..mail });
    }

    /// The next callback that has arrived by now.
    pub(super) fn next_mail(&mut self, now: Duration) -> Option<Mail> {
        let first = self.mail.first_entry().filter(|first| first.key().0 <= now)?;
        Some(first.remove())
    }

    pub(super) fn next_at(&self) -> Option<Duration> {
        self.mail.first_key_value().map(|((at, _), _)| *at)
    }

    /// The provider's troubles are over: what is on its way comes soon.
    pub(super) fn heal(&mut self, hub: &Hub) {
        self.token_is_valid = true;
        self.banned.clear();
        self.tier = None;
        for mail in std::mem::take(&mut self.mail).into_values() {
            self.post_again(hub.now() + hub.dice.millis(3_000), mail);
        }
    }
}
