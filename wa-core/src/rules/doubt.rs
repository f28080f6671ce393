//! What becomes of a message that is in doubt: it is kept, sent again, or given up on.
//!
//! Invariant: nothing is sent again before its policy allows, and by [`InDoubtPolicy::AtMostOnce`] and
//! [`InDoubtPolicy::Manual`] nothing ever is; nor what another life of the store began. An attempt that is in
//! doubt stays a fact: whatever is decided
//! here, late news of it counts.

use chrono::{DateTime, TimeDelta, Utc};

use super::redrive::may_return;
use super::retry::{self, Next};
use crate::model::{
    AttemptKey, CampaignState, DeliveryFacts, Fact, FailureCode, InDoubtPolicy, RejectClass, SkipReason,
    TenantSettings,
};

/// After so long nothing more is heard of an attempt: a message lives 30 days at the provider, and a webhook
/// is repeated for 7.
///
/// Source: Meta, Templates: time-to-live (up to 30 days), and Webhooks: overview (repeated for up to 7 days;
/// another page says 36 hours), read May 2026.
pub const FINAL_AFTER: TimeDelta = TimeDelta::days(37);

/// So many other attempts must have been heard of for the silence about one to mean something.
pub const ENOUGH: u32 = 3;

/// Those that began so much earlier or later at most count. A number that is deaf for longer leaves no
/// proof; a slow number must have begun a few messages in ten minutes to have one.
pub const BESIDE: TimeDelta = TimeDelta::minutes(5);

/// So many of the attempts beside it are looked at, the earliest first.
pub const MOST_LOOKED_AT: u32 = 10_000;

/// So often a message is sent again by itself.
pub const MOST_RESENDS: usize = 3;

/// One attempt of a message.
#[derive(Debug, Clone, Copy)]
pub struct Link<'a> {
    /// Its number.
    pub n: u16,
    /// When it was begun.
    pub begun_at: DateTime<Utc>,
    /// When its request must have ended.
    pub end_by: DateTime<Utc>,
    /// Whether it was begun in another life of the store, before that was restored, copied or moved: what was heard
    /// of it, and what followed it, may have been forgotten.
    pub former: bool,
    /// What is known of it.
    pub facts: &'a DeliveryFacts,
}

/// A message that is in doubt, and all that decides about it.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The message, with the number of any attempt.
    pub key: AttemptKey,
    /// The policy that holds for it; see [`policy`].
    pub policy: InDoubtPolicy,
    /// Its attempts, oldest first.
    pub chain: &'a [Link<'a>],
    /// Whether another attempt is waited for.
    pub queued: bool,
    /// Why no further attempt is to be made, where that was decided.
    pub closed: Option<SkipReason>,
    /// The state of its campaign, if it has one.
    pub campaign: Option<CampaignState>,
    /// From when on it is not sent any more.
    pub valid_until: Option<DateTime<Utc>>,
    /// How long after its end a request may still have been under way.
    pub grace: TimeDelta,
}

/// Whether a provider is silent about a message while it speaks of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evidence {
    /// Whether webhooks of the provider are kept that were not read yet.
    pub backlog: bool,
    /// How many attempts of the same number that began at most [`BESIDE`] from it were heard of by webhook;
    /// of several attempts in doubt, for the one with the fewest. Need not be counted beyond [`ENOUGH`].
    pub heard: u32,
}

/// What becomes of a message in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It stays as it is.
    Keep {
        /// When to look again; `None` until something changes.
        look_at: Option<DateTime<Utc>>,
    },
    /// The evidence decides, and was not given.
    Ask,
    /// It is sent again, now.
    Resend,
    /// It is in doubt for good.
    GiveUp,
}

/// The policy that holds: the narrowest that is set.
#[must_use]
pub fn policy(
    message: Option<InDoubtPolicy>,
    campaign: Option<InDoubtPolicy>,
    settings: &TenantSettings,
) -> InDoubtPolicy {
    message.or(campaign).unwrap_or(settings.in_doubt)
}

/// The attempts of a chain of which nobody knows whether the provider took them.
pub fn doubtful<'a>(chain: &'a [Link<'a>]) -> impl Iterator<Item = &'a Link<'a>> {
    chain.iter().filter(|link| is_doubtful(link.facts))
}

/// Whether nobody knows if the provider took an attempt, and nothing more is waited for.
#[must_use]
pub fn is_doubtful(facts: &DeliveryFacts) -> bool {
    facts.is_settled() && !facts.is_taken() && !facts.is_definitely_undelivered()
}

/// Whether an attempt was heard of by webhook.
///
/// What a person said of it is not: only a webhook brings the provider's id with its status.
#[must_use]
pub fn is_heard_of(facts: &DeliveryFacts) -> bool {
    facts.provider_id.is_some() && super::silence::hear(facts) == super::silence::Heard::Status
}

/// Decides what becomes of a message in doubt.
///
/// Without `evidence` the answer may be [`Decision::Ask`]; with it never.
#[must_use]
pub fn decide(
    case: &Case<'_>,
    settings: &TenantSettings,
    evidence: Option<Evidence>,
    now: DateTime<Utc>,
) -> Decision {
    let Some(last) = doubtful(case.chain).last() else { return Decision::Keep { look_at: None } };
    let is_live = |facts: &DeliveryFacts| facts.is_taken() && !facts.is_definitely_undelivered();
    if case.chain.iter().any(|link| !link.facts.is_settled() || is_live(link.facts)) {
        return Decision::Keep { look_at: None };
    }
    let final_at = after(last.begun_at, FINAL_AFTER);
    let keep = |at: DateTime<Utc>| Decision::Keep { look_at: Some(at.min(final_at).max(after(now, SOON))) };
    if case.queued {
        return Decision::Keep { look_at: Some(final_at.max(after(now, TimeDelta::days(1)))) };
    }
    if case.policy == InDoubtPolicy::Manual {
        return Decision::Keep { look_at: None };
    }
    if now >= final_at {
        return Decision::GiveUp;
    }
    let Some(ripe_at) = ripe_at(case, settings, last) else { return keep(final_at) };
    let is_late = retry::comes_too_late(now.max(ripe_at), case.valid_until);
    if is_late || case.closed.is_some() || case.campaign == Some(CampaignState::Cancelled) {
        return keep(final_at);
    }
    if now < ripe_at {
        return keep(ripe_at);
    }
    match (case.policy, evidence) {
        (InDoubtPolicy::ResendAfter { after: _ }, _) => Decision::Resend,
        (InDoubtPolicy::ResendAfterProvenSilence { after: _ }, None) => Decision::Ask,
        (InDoubtPolicy::ResendAfterProvenSilence { after: _ }, Some(Evidence { backlog, heard })) => {
            if !backlog && heard >= ENOUGH {
                Decision::Resend
            } else {
                // The longer nothing comes the less likely it comes soon.
                let wait = ((now - last.end_by) / 4).clamp(TimeDelta::minutes(1), TimeDelta::hours(6));
                keep(after(now, wait))
            }
        }
        (InDoubtPolicy::AtMostOnce | InDoubtPolicy::Manual, _) => keep(final_at),
    }
}

/// Why a message in doubt may not be sent again by hand, if it may not.
#[must_use]
pub fn bars_resend(case: &Case<'_>, now: DateTime<Utc>) -> Option<SkipReason> {
    if case.campaign == Some(CampaignState::Cancelled) {
        return Some(SkipReason::Cancelled);
    }
    if retry::comes_too_late(now, case.valid_until) {
        return Some(SkipReason::Expired);
    }
    // Somebody who cancelled the next attempt may think again.
    case.closed.filter(|reason| !may_return(*reason) && *reason != SkipReason::Cancelled)
}

/// What somebody who says that it was not delivered adds to an attempt.
#[must_use]
pub fn undelivered_by_hand() -> FailureCode {
    FailureCode {
        code: 0,
        class: RejectClass::Request,
        title: "resolved by hand: not delivered".to_owned(),
        details: None,
    }
}

/// No step looks twice within this time.
const SOON: TimeDelta = TimeDelta::seconds(1);

/// From when on it may be sent again by itself; `None` for never.
fn ripe_at(case: &Case<'_>, settings: &TenantSettings, last: &Link<'_>) -> Option<DateTime<Utc>> {
    let wait = TimeDelta::from_std(case.policy.resends_after()?).unwrap_or(TimeDelta::MAX);
    // Silence about what may have been forgotten proves nothing, and it may have been sent again already.
    if doubtful(case.chain).count() > MOST_RESENDS || doubtful(case.chain).any(|link| link.former) {
        return None;
    }
    let ends = doubtful(case.chain).map(|link| link.end_by).max().unwrap_or(last.end_by);
    let ripe_at = after(ends, wait.max(case.grace));
    // What followed and definitely failed is tried again as a message is that was never in doubt.
    let tail: Vec<_> = case.chain.iter().filter(|link| link.n > last.n).map(|link| link.facts).collect();
    let Some(failed) = tail.last() else { return Some(ripe_at) };
    let at =
        [Fact::Failed, Fact::Rejected, Fact::NotSent].into_iter().filter_map(|it| failed.at(it)).min()?;
    match retry::next(&tail, settings, None, retry::word(case.key), at) {
        Next::Again { at, why: _ } => Some(ripe_at.max(at)),
        Next::Fail => None,
    }
}

fn after(at: DateTime<Utc>, wait: TimeDelta) -> DateTime<Utc> {
    at.checked_add_signed(wait).unwrap_or(DateTime::<Utc>::MAX_UTC)
}
