//! The check before sending: whether a message could go now, and everything that this hangs on.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::channel::oneshot;
use serde_json::{Value, json};

use super::error::KitError;
use super::messages::Message;
use super::recording::RecordingJudge;
use super::tenant::TenantHandle;
use crate::engine::{Asked, Question, Room, compose, look_back};
use crate::model::{
    Breaker, Category, Chosen, Consent, HoldReason, MessageId, Money, PaceLimit, PriceReason, Quality,
    Recipient, SessionState, SkipReason,
};
use crate::port::store::{Consider, Considered, DueBody, DueMessage, DueSource, Judged};
use crate::rules::judge::{Admission, GroupFacts, QuotaFacts, Verdict, quiet_until};
use crate::rules::owned::OwnedFacts;
use crate::rules::tier::TierFacts;
use crate::rules::warmup::WarmUpFacts;
use crate::rules::{cooldown, fallback, frequency, pace, price, window};

/// What [`Messages::check`](super::Messages::check) found, at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendCheck {
    /// The store's time of the check.
    pub at: DateTime<Utc>,
    /// Who would get it.
    pub recipient: Recipient,
    /// Whether it could go now; if not, why, and when it is worth trying again.
    pub answer: CheckAnswer,
    /// Which of the message's contents would go; `None` when none may.
    pub content: Option<Chosen>,
    /// The category of what would go.
    pub category: Category,
    /// The 24-hour window of the recipient with this number.
    pub window: WindowCheck,
    /// When the recipient's template cooldown ends, if it holds for this message.
    pub cooldown_until: Option<DateTime<Utc>>,
    /// When the frequency cap lets it go, if it is full for this message.
    pub frequency_until: Option<DateTime<Utc>>,
    /// When the recipient's quiet hours end, if it is quiet for this message.
    pub quiet_until: Option<DateTime<Utc>>,
    /// What it would cost.
    pub cost: CostCheck,
    /// The recipient's consent; allowed for one who is no contact.
    pub consent: Consent,
    /// Whether one of the recipient's addresses is on the suppression list.
    pub suppressed: bool,
    /// The state of the number.
    pub session: SessionState,
    /// The number's rating.
    pub quality: Quality,
    /// What stopped the number, if anything.
    pub breaker: Option<Breaker>,
    /// The plan's quota.
    pub quota: QuotaFacts,
    /// The portfolio's messaging limit.
    pub tier: TierFacts,
    /// The number's warm-up, if it has one.
    pub warm_up: Option<WarmUpFacts>,
    /// When the number has room for it: throughput, gap, back-off, shares and the pair of number and
    /// recipient. Said by the engine where it runs here, else counted from the latest attempts.
    pub release_at: DateTime<Utc>,
    /// What keeps it from leaving sooner; `None` when that is now.
    pub paced_by: Option<PaceLimit>,
}

/// Whether a message could go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckAnswer {
    /// Now; it leaves when the number's pace lets it.
    Now,
    /// Not now.
    Later {
        /// Why.
        why: HoldReason,
        /// When it is worth trying again, if that is known.
        until: Option<DateTime<Utc>>,
    },
    /// Not as it is.
    Never(SkipReason),
}

/// A recipient's window with a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowCheck {
    /// Whether free-form content may go now.
    pub is_open: bool,
    /// When it closes; `None` when the person never wrote.
    pub ends_at: Option<DateTime<Utc>>,
}

/// What a message would cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CostCheck {
    /// The estimate; `None` when it is not known.
    pub price: Option<Money>,
    /// Why.
    pub reason: CostReason,
}

/// Why a message would cost what it would.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CostReason {
    /// As the tenant's prices say.
    Priced(PriceReason),
    /// Costs are not tracked.
    NotTracked,
}

impl CostReason {
    /// Its name; a price inside the window is named as the documents of the product name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Priced(PriceReason::WithinWindow) => "within_session",
            Self::Priced(PriceReason::Charged) => "category",
            Self::Priced(other) => other.as_str(),
            Self::NotTracked => "not_tracked",
        }
    }
}

impl SendCheck {
    /// Whether it could go now.
    #[must_use]
    pub const fn can_send(&self) -> bool {
        matches!(self.answer, CheckAnswer::Now)
    }

    /// The stable name of what is in its way; `rate_limited` for the template cooldown.
    #[must_use]
    pub const fn blocked_reason(&self) -> Option<&'static str> {
        match self.answer {
            CheckAnswer::Now => None,
            CheckAnswer::Later { why: HoldReason::Cooldown, .. }
            | CheckAnswer::Never(SkipReason::Cooldown) => Some("rate_limited"),
            CheckAnswer::Later { why, .. } => Some(why.as_str()),
            CheckAnswer::Never(why) => Some(why.as_str()),
        }
    }

    /// What is in its way and what can be done, in plain words.
    #[must_use]
    pub const fn advice(&self) -> Option<&'static str> {
        match self.answer {
            CheckAnswer::Now => None,
            CheckAnswer::Later { why, .. } => Some(why.advice()),
            CheckAnswer::Never(why) => Some(why.advice()),
        }
    }

    /// How long the window stays open.
    #[must_use]
    pub fn window_remaining(&self) -> Option<TimeDelta> {
        self.window.ends_at.filter(|_| self.window.is_open).map(|end| end - self.at)
    }

    /// How long the template cooldown lasts.
    #[must_use]
    pub fn cooldown_remaining(&self) -> Option<TimeDelta> {
        self.cooldown_until.map(|end| end - self.at)
    }

    /// The answer as `POST /check-send` gives it: `phone`, `session{isActive, remainingMinutes}`,
    /// `rateLimit{canSend, cooldownRemainingMinutes}`, `cost{cost, reason}`, `canSend`, `blockedReason`.
    ///
    /// Minutes are whole: those of a window are cut off, those of a cooldown counted up, so that a
    /// cooldown that holds is never 0. `phone` is without `+`, or the business-scoped user id. `cost`
    /// is in the currency's main unit, `null` when it is not known.
    #[must_use]
    pub fn to_check_send_json(&self) -> Value {
        let phone = self.recipient.phone().map(|phone| phone.digits());
        let phone = phone.or_else(|| self.recipient.bsuid().map(|id| id.as_str().to_owned()));
        let cooldown = self.cooldown_remaining().map_or(0, minutes_up);
        json!({
            "phone": phone,
            "session": {
                "isActive": self.window.is_open,
                "remainingMinutes": self.window_remaining().map_or(0, |left| left.num_minutes()),
            },
            "rateLimit": { "canSend": cooldown == 0, "cooldownRemainingMinutes": cooldown },
            "cost": { "cost": self.cost.price.map(in_main_unit), "reason": self.cost.reason.as_str() },
            "canSend": self.can_send(),
            "blockedReason": self.blocked_reason(),
        })
    }
}

/// Whole minutes, a part of one counted as one.
fn minutes_up(left: TimeDelta) -> i64 {
    let whole = left.num_minutes();
    if left > TimeDelta::minutes(whole) { whole + 1 } else { whole }
}

/// An amount as a JSON number, made from its decimal digits.
fn in_main_unit(money: Money) -> Value {
    let (whole, part) = (money.micros / 1_000_000, (money.micros % 1_000_000).unsigned_abs());
    let sign = if money.micros < 0 && whole == 0 { "-" } else { "" };
    let digits = format!("{part:06}");
    let digits = digits.trim_end_matches('0');
    let text = if digits.is_empty() { whole.to_string() } else { format!("{sign}{whole}.{digits}") };
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

/// Checks one message.
pub(super) async fn check(tenant: &TenantHandle, message: &Message) -> Result<SendCheck, KitError> {
    let inner = &tenant.kit.inner;
    let now = inner.ports.clock.now();
    let (session, transport) = tenant.sessions().reach(message.session).await?;
    let abilities = transport.capabilities();
    let id = MessageId::mint(now, inner.ports.draw());
    let (item, _) = compose(due(tenant, message, id), Some(&abilities));
    let judge = Arc::new(RecordingJudge::new(Arc::new(inner.judge)));
    let ask = Consider {
        session: session.id,
        items: vec![item],
        recent_since: Some(now - look_back(Duration::ZERO)),
    };
    let considered = inner.ports.store.outbox().consider(&tenant.scope, &ask, judge.clone()).await?;
    let Considered::Judged(judged) = considered else {
        return Err(KitError::NoSession(Some(message.session)));
    };
    let group = judge.take_groups().pop().ok_or(KitError::NoSession(Some(message.session)))?;
    let facts = judge.take_facts().pop().ok_or(KitError::NoSession(Some(message.session)))?;
    let seen = Seen::of(&facts, inner.judge.guard, judged.at);
    let asked =
        Asked::new(session.id, &message.recipient, message.lane, seen.category == Category::Marketing);
    let room = match ask_engine(tenant, asked).await {
        Some(room) => room,
        None => {
            let pace = pace::of(&judged.session, &facts.settings);
            asked.rebuilt(&judged.session, &pace, abilities.gap, &judged.recent, judged.at)
        }
    };
    Ok(seen.tell(*judged, facts, group, room))
}

/// What the running engine says, if one runs here and holds the session.
async fn ask_engine(tenant: &TenantHandle, asked: Asked) -> Option<Room> {
    let (answer, told) = oneshot::channel();
    {
        let questions = &tenant.kit.inner.questions;
        let asker = questions.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        asker.as_ref()?.unbounded_send(Question { asked, answer }).ok()?;
    }
    told.await.ok().flatten()
}

/// The message as a worker would read it.
fn due(tenant: &TenantHandle, message: &Message, id: MessageId) -> DueMessage {
    let Message {
        session: _,
        recipient,
        content,
        reply_to,
        fallback,
        lane,
        key: _,
        send_at: _,
        valid_until,
        in_doubt: _,
    } = message.clone();
    DueMessage {
        tenant: tenant.id(),
        id,
        n: 1,
        campaign: None,
        contact: None,
        recipient,
        body: DueBody::Own(content),
        reply_to,
        fallback,
        lane,
        valid_until,
        source: DueSource::Row,
    }
}

/// What the facts say of a message, each rule for itself.
struct Seen {
    content: Option<Chosen>,
    category: Category,
    window: WindowCheck,
    cooldown_until: Option<DateTime<Utc>>,
    frequency_until: Option<DateTime<Utc>>,
    quiet_until: Option<DateTime<Utc>>,
    cost: CostCheck,
}

impl Seen {
    fn of(facts: &OwnedFacts, guard: window::Guard, now: DateTime<Utc>) -> Self {
        let (item, settings) = (&facts.item, &facts.settings);
        let wrote_at = facts.last_user_message_at.filter(|_| settings.window_tracking);
        let is_open = window::is_open(wrote_at, now, guard.of(item.lane));
        let content = fallback::choose(item, settings, is_open).ok();
        let chosen = content.unwrap_or_default();
        let template = item.template_category(chosen);
        let category = template.unwrap_or(item.category);
        let cooldown_until = template.zip(settings.template_cooldown).and_then(|(category, cooldown)| {
            cooldown::ends_at(&cooldown, category, item.lane, &facts.touches, now)
        });
        let cap = template.zip(settings.frequency_cap.as_ref());
        let frequency_until =
            cap.and_then(|(category, cap)| frequency::frees_up_at(cap, category, &facts.touches, now));
        let window = WindowCheck { is_open, ends_at: wrote_at.map(window::end) };
        let quiet_until = quiet_until(&facts.as_facts(), category, now);
        let cost = cost(facts, category, is_open, now);
        Self { content, category, window, cooldown_until, frequency_until, quiet_until, cost }
    }

    fn tell(self, judged: Judged, facts: OwnedFacts, group: GroupFacts, room: Room) -> SendCheck {
        let Self { content, category, window, cooldown_until, frequency_until, quiet_until, cost } = self;
        let later = |wait: Duration| judged.at + TimeDelta::from_std(wait).unwrap_or(TimeDelta::zero());
        let admission = judged.groups.first().map(|(_, admission)| *admission);
        let verdict = judged.verdicts.first().map(|(_, verdict)| *verdict);
        let answer = match (verdict, admission) {
            // What can never go is told first: no resume helps it.
            (Some(Verdict::Skip(why)), _) => CheckAnswer::Never(why),
            (_, Some(Admission::Refuse { why, until })) => CheckAnswer::Later { why, until },
            (Some(Verdict::Wait { until, why } | Verdict::Stop { until, ask_at: _, why }), _) => {
                CheckAnswer::Later { why, until: Some(until) }
            }
            (Some(Verdict::Pause { why }), _) => CheckAnswer::Later { why, until: None },
            (Some(Verdict::Send(_)), _) if !room.pair.is_zero() => {
                CheckAnswer::Later { why: HoldReason::PairThrottled, until: Some(later(room.pair)) }
            }
            (Some(Verdict::Send(_)) | None, _) => CheckAnswer::Now,
        };
        SendCheck {
            at: judged.at,
            recipient: facts.item.recipient,
            answer,
            content,
            category,
            window,
            cooldown_until,
            frequency_until,
            quiet_until,
            cost,
            consent: facts.consent,
            suppressed: facts.suppressed,
            session: judged.session.state,
            quality: judged.session.quality,
            breaker: group.breaker,
            quota: facts.quota,
            tier: facts.tier,
            warm_up: facts.warm_up,
            release_at: later(room.wait),
            paced_by: room.why,
        }
    }
}

fn cost(facts: &OwnedFacts, category: Category, is_open: bool, now: DateTime<Utc>) -> CostCheck {
    if !facts.settings.cost_tracking {
        return CostCheck { price: None, reason: CostReason::NotTracked };
    }
    let estimate = price::estimate(&facts.price.as_facts(), category, is_open, now);
    CostCheck { price: estimate.amount, reason: CostReason::Priced(estimate.reason) }
}

#[cfg(test)]
mod tests;
