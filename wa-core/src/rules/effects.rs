//! Effects: what follows from a provider's decisions about accounts, numbers and templates.
//!
//! An event becomes a list of effects; a store carries them out on the sessions of the event's account,
//! in the transaction of the event. Of two pieces of news about one [`Topic`] the one with the later
//! instant counts, by the provider's clock: a store drops an effect on a topic that is older than
//! what it has heard.
//!
//! Source: Meta, Webhooks reference (`account_*`, `phone_number_*`, `business_capability_update`,
//! `message_template_*`, `template_category_update`, `security`), read December 2025; Template
//! pausing, read December 2025: three hours, six hours, then disabled.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::model::{
    AccountAlert, AccountChange, AccountReview, AccountUpdate, BanState, BusinessCapability, Category,
    Decision, InboundEvent, NumberEvent, NumberName, NumberQuality, Phone, Quality, RestrictionKind,
    SecurityEvent, Session, SessionReport, SessionState, TemplateCategoryChange, TemplateComponents,
    TemplateEvent, TemplateQuality, TemplateRecord, TemplateRef, TemplateStatus, Throughput,
};

/// The code with which a provider refuses a locked account.
const LOCKED: i64 = 131_031;
/// The code with which a provider refuses an account that is restricted for a time.
const RESTRICTED: i64 = 368;
/// The codes with which a provider refuses a template: paused, disabled, not approved.
const PAUSED: i64 = 132_015;
const DISABLED: i64 = 132_016;
const NOT_THERE: i64 = 132_001;

/// What an event decides, and about whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    /// The account.
    pub account: String,
    /// When, by the provider's clock.
    pub at: DateTime<Utc>,
    /// The number that the effects on [`Whose::Number`] are about.
    pub phone: Option<Phone>,
    /// What follows, in order.
    pub effects: Vec<Effect>,
}

/// Which sessions of the account an effect is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// All of them.
    Account,
    /// The one with the number that the event names.
    Number,
}

/// Things that news can be about, each with an order of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// A number's throughput.
    Throughput,
    /// A number's rating.
    Quality,
    /// A number's messaging limit.
    Tier,
    /// Whether the account may send.
    Account,
}

/// What follows from an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The stored values of sessions change as by a provider's report.
    Report {
        /// Of which sessions.
        whose: Whose,
        /// What it is news of.
        topic: Topic,
        /// The values.
        report: SessionReport,
    },
    /// Sessions stop; it is news of [`Topic::Account`].
    Stop {
        /// Which.
        whose: Whose,
        /// Whether they count as banned.
        banned: bool,
        /// The code with which the provider would refuse them.
        code: i64,
        /// Until when, if not until the provider or an operator says otherwise.
        until: Option<DateTime<Utc>>,
    },
    /// Sessions that were stopped for their account go on; it is news of [`Topic::Account`].
    Resume {
        /// Which.
        whose: Whose,
    },
    /// Something is known of a template.
    Template {
        /// Which.
        template: TemplateRef,
        /// What.
        news: TemplateNews,
    },
    /// The tenant is told.
    Tell {
        /// A stable name in snake case, or the provider's.
        name: String,
        /// More about it, in the provider's words.
        detail: Option<String>,
        /// Whether an operator must act.
        urgent: bool,
    },
}

/// What is known of a template.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TemplateNews {
    /// What happened to it.
    pub status: Option<TemplateEvent>,
    /// Why, as the provider wrote it.
    pub reason: Option<String>,
    /// Its rating.
    pub quality: Option<Quality>,
    /// Its category.
    pub category: Option<Category>,
    /// Whether its parts were edited.
    pub edited: bool,
    /// What becomes of its messages; goes with the status.
    pub gate: Gate,
}

/// What becomes of a template's messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Gate {
    /// Nothing.
    #[default]
    Leave,
    /// They stop.
    Stop {
        /// The code with which the provider would refuse them.
        code: i64,
        /// Until when, if not until the provider or an operator says otherwise.
        until: Option<DateTime<Utc>>,
    },
    /// They go on.
    Release,
}

/// What follows from an event; `None` for one that decides nothing about an account.
#[must_use]
pub fn ruling(event: &InboundEvent) -> Option<Ruling> {
    let (account, at, phone, effects) = match event {
        InboundEvent::TemplateStatus(it) => (&it.account, it.at, None, template_status(it)),
        InboundEvent::TemplateQuality(it) => (&it.account, it.at, None, template_quality(it)),
        InboundEvent::TemplateCategory(it) => (&it.account, it.at, None, template_category(it)),
        InboundEvent::TemplateComponents(it) => (&it.account, it.at, None, template_edited(it)),
        InboundEvent::NumberQuality(it) => (&it.account, it.at, it.display_phone_number, number_quality(it)),
        InboundEvent::NumberName(it) => (&it.account, it.at, it.display_phone_number, number_name(it)),
        InboundEvent::BusinessCapability(it) => (&it.account, it.at, None, capability(it)),
        InboundEvent::Account(it) => (&it.account, it.at, it.display_phone_number, account_update(it)),
        InboundEvent::AccountAlert(it) => (&it.account, it.at, None, account_alert(it)),
        InboundEvent::AccountReview(it) => (&it.account, it.at, None, account_review(it)),
        InboundEvent::Security(it) => (&it.account, it.at, it.display_phone_number, security(it)),
        InboundEvent::Status(_)
        | InboundEvent::Message(_)
        | InboundEvent::UserChanged(_)
        | InboundEvent::IdentityChanged(_)
        | InboundEvent::Preference(_)
        | InboundEvent::Echo(_)
        | InboundEvent::Error(_)
        | InboundEvent::History(_)
        | InboundEvent::AppState(_)
        | InboundEvent::Standby(_)
        | InboundEvent::Other(_)
        | InboundEvent::Unknown { .. } => return None,
    };
    Some(Ruling { account: account.clone(), at, phone, effects })
}

/// The sessions that an effect is about, of those of the account.
///
/// An event names a number as people dial it. Where no session is known by it, the only one of the
/// account is meant.
#[must_use]
pub fn concerned(whose: Whose, phone: Option<Phone>, of_account: &[Session]) -> Vec<&Session> {
    match (whose, phone) {
        (Whose::Account, _) => of_account.iter().collect(),
        (Whose::Number, phone) => {
            let named: Vec<_> =
                of_account.iter().filter(|it| it.phone.is_some() && it.phone == phone).collect();
            match of_account {
                [only] if named.is_empty() && (only.phone.is_none() || phone.is_none()) => vec![only],
                _ => named,
            }
        }
    }
}

/// Whether a session was stopped for its account's sake and not for its own.
#[must_use]
pub const fn after_resume(state: SessionState) -> Option<SessionState> {
    match state {
        SessionState::Banned => Some(SessionState::Connected),
        SessionState::Connected | SessionState::Disconnected | SessionState::Deleted => None,
    }
}

/// What a ban makes of a session; a deleted one stays deleted.
#[must_use]
pub const fn after_ban(state: SessionState) -> Option<SessionState> {
    match state {
        SessionState::Connected | SessionState::Disconnected => Some(SessionState::Banned),
        SessionState::Banned | SessionState::Deleted => None,
    }
}

/// Adds news to what is known of a template; the gate that follows, if the news is the latest of its kind.
pub fn learn(record: &mut TemplateRecord, news: &TemplateNews, at: DateTime<Utc>) -> Gate {
    let TemplateNews { status, reason, quality, category, edited, gate } = news;
    let is_later = |known: Option<DateTime<Utc>>| known.is_none_or(|known| at >= known);
    let mut follows = Gate::Leave;
    if let Some(status) = status.as_ref().filter(|_| is_later(record.status.as_ref().map(|(at, _)| *at))) {
        record.status = Some((at, status.clone()));
        record.reason.clone_from(reason);
        follows = *gate;
    }
    if let Some(quality) = quality.filter(|_| is_later(record.quality.map(|(at, _)| at))) {
        record.quality = Some((at, quality));
    }
    if let Some(category) = category.filter(|_| is_later(record.category.map(|(at, _)| at))) {
        record.category = Some((at, category));
    }
    if *edited {
        record.edited_at = record.edited_at.max(Some(at));
    }
    follows
}

/// What to do about news that an operator must act on, in plain words.
#[must_use]
pub const fn advice() -> &'static str {
    "Open the WhatsApp Manager and see what it says about the account."
}

/// What to do about a template that was stopped, in plain words; `None` where it was not.
#[must_use]
pub fn template_advice(status: &TemplateEvent) -> Option<&'static str> {
    Some(match status {
        TemplateEvent::Paused => "People disliked it: it is paused for hours. Improve it or send it less.",
        TemplateEvent::Flagged => "Its quality is low: it will be disabled unless that gets better.",
        TemplateEvent::Rejected => "Change what the reason says and submit it again.",
        TemplateEvent::Disabled => "It cannot be used any more: write another one, or appeal.",
        TemplateEvent::Deleted | TemplateEvent::PendingDeletion => "It was deleted: use another one.",
        TemplateEvent::LimitExceeded => "The account has too many templates: delete some.",
        TemplateEvent::Approved
        | TemplateEvent::Pending
        | TemplateEvent::Reinstated
        | TemplateEvent::Archived
        | TemplateEvent::Unarchived
        | TemplateEvent::Locked
        | TemplateEvent::InAppeal
        | TemplateEvent::Other(_) => return None,
    })
}

fn tell(name: impl Into<String>, detail: Option<String>, urgent: bool) -> Effect {
    Effect::Tell { name: name.into(), detail, urgent }
}

fn later(at: DateTime<Utc>, by: TimeDelta) -> DateTime<Utc> {
    at.checked_add_signed(by).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

fn template_status(event: &TemplateStatus) -> Vec<Effect> {
    let stop = |code, until| Gate::Stop { code, until };
    let paused = |hours| stop(PAUSED, Some(later(event.at, TimeDelta::hours(hours))));
    let gate = match (&event.event, event.title.as_deref()) {
        (_, Some("UNPAUSE")) | (TemplateEvent::Approved | TemplateEvent::Reinstated, _) => Gate::Release,
        (TemplateEvent::Disabled, _) | (TemplateEvent::Paused, Some("DISABLED")) => stop(DISABLED, None),
        (TemplateEvent::Paused, Some("SECOND_PAUSE")) => paused(6),
        (TemplateEvent::Paused, _) => paused(3),
        (TemplateEvent::Rejected | TemplateEvent::Deleted | TemplateEvent::PendingDeletion, _) => {
            stop(NOT_THERE, None)
        }
        (
            TemplateEvent::Pending
            | TemplateEvent::Flagged
            | TemplateEvent::Archived
            | TemplateEvent::Unarchived
            | TemplateEvent::Locked
            | TemplateEvent::LimitExceeded
            | TemplateEvent::InAppeal
            | TemplateEvent::Other(_),
            _,
        ) => Gate::Leave,
    };
    let news = TemplateNews {
        status: Some(event.event.clone()),
        reason: event.reason.clone().or_else(|| event.title.clone()),
        category: event.category,
        gate,
        ..TemplateNews::default()
    };
    vec![Effect::Template { template: event.template.clone(), news }]
}

fn template_quality(event: &TemplateQuality) -> Vec<Effect> {
    let news = TemplateNews { quality: Some(event.new), ..TemplateNews::default() };
    vec![Effect::Template { template: event.template.clone(), news }]
}

fn template_category(event: &TemplateCategoryChange) -> Vec<Effect> {
    if event.is_final {
        let news = TemplateNews { category: Some(event.to), ..TemplateNews::default() };
        return vec![Effect::Template { template: event.template.clone(), news }];
    }
    let name = event.template.name.as_ref().map_or("", |name| name.as_str());
    let detail = format!("{name} becomes {}", event.to.as_str());
    vec![tell("template_category_announced", Some(detail), true)]
}

fn template_edited(event: &TemplateComponents) -> Vec<Effect> {
    let news = TemplateNews { edited: true, ..TemplateNews::default() };
    vec![Effect::Template { template: event.template.clone(), news }]
}

fn number_quality(event: &NumberQuality) -> Vec<Effect> {
    let report = |whose, topic, report| Effect::Report { whose, topic, report };
    let rated = |quality| {
        let quality = SessionReport { quality: Some(quality), ..SessionReport::default() };
        report(Whose::Number, Topic::Quality, quality)
    };
    let mut effects = match &event.event {
        NumberEvent::ThroughputUpgrade => {
            let throughput = Some(Throughput::UPGRADED);
            let upgraded = SessionReport { throughput, ..SessionReport::default() };
            vec![report(Whose::Number, Topic::Throughput, upgraded)]
        }
        NumberEvent::Flagged => vec![rated(Quality::Red), tell("number_flagged", None, true)],
        NumberEvent::Unflagged => vec![rated(Quality::Yellow), tell("number_unflagged", None, false)],
        NumberEvent::Onboarding => vec![tell("number_onboarded", None, false)],
        NumberEvent::Upgrade => vec![tell("number_limit_raised", None, false)],
        NumberEvent::Downgrade => vec![tell("number_limit_lowered", None, true)],
        NumberEvent::Other(name) => vec![tell(name.as_str(), None, false)],
    };
    let limit = |tier| SessionReport { tier: Some(tier), ..SessionReport::default() };
    match (event.business_limit, event.current_limit) {
        (Some(tier), _) => effects.push(report(Whose::Account, Topic::Tier, limit(tier))),
        (None, Some(tier)) => effects.push(report(Whose::Number, Topic::Tier, limit(tier))),
        (None, None) => {}
    }
    effects
}

fn capability(event: &BusinessCapability) -> Vec<Effect> {
    let tier = |tier| Effect::Report {
        whose: Whose::Account,
        topic: Topic::Tier,
        report: SessionReport { tier: Some(tier), ..SessionReport::default() },
    };
    event.business_limit.map(tier).into_iter().collect()
}

fn decided(decision: &Decision) -> &str {
    decision.as_str()
}

fn number_name(event: &NumberName) -> Vec<Effect> {
    let urgent = event.decision == Decision::Rejected;
    vec![tell(format!("number_name_{}", decided(&event.decision)), event.reason.clone(), urgent)]
}

fn account_review(event: &AccountReview) -> Vec<Effect> {
    let urgent = event.decision == Decision::Rejected;
    vec![tell(format!("account_review_{}", decided(&event.decision)), None, urgent)]
}

fn security(event: &SecurityEvent) -> Vec<Effect> {
    // Whoever did not ask for it has to know at once.
    vec![tell(event.event.as_str(), None, true)]
}

fn account_alert(event: &AccountAlert) -> Vec<Effect> {
    let name = event.name.clone().unwrap_or_else(|| "account_alert".to_owned());
    let is_bad = |text: &str| ["CRITICAL", "WARNING"].iter().any(|bad| text.eq_ignore_ascii_case(bad));
    vec![tell(name, event.description.clone(), event.severity.as_deref().is_some_and(is_bad))]
}

fn account_update(event: &AccountUpdate) -> Vec<Effect> {
    let whose = if event.display_phone_number.is_some() { Whose::Number } else { Whose::Account };
    let stop = |banned, code, until| Effect::Stop { whose, banned, code, until };
    let told = |detail, urgent| tell(event.name.as_str(), detail, urgent);
    match &event.change {
        AccountChange::Violation { policy } => vec![told(policy.clone(), true)],
        AccountChange::Restriction { restrictions } => {
            let binds = |kind: &RestrictionKind| match kind {
                RestrictionKind::BusinessInitiated | RestrictionKind::CustomerInitiated => true,
                RestrictionKind::AddNumbers | RestrictionKind::Other(_) => false,
            };
            let ends: Vec<_> = restrictions.iter().filter(|it| binds(&it.kind)).map(|it| it.until).collect();
            // One without an end outlasts all others.
            let until = if ends.contains(&None) { None } else { ends.iter().copied().flatten().max() };
            let stops = (!ends.is_empty()).then(|| stop(false, RESTRICTED, until));
            stops.into_iter().chain([told(None, true)]).collect()
        }
        AccountChange::Ban { state, date } => match state {
            BanState::Disable => vec![stop(true, LOCKED, None), told(date.clone(), true)],
            BanState::Reinstate => vec![Effect::Resume { whose }, told(date.clone(), false)],
            BanState::ScheduleForDisable | BanState::Other(_) => vec![told(date.clone(), true)],
        },
        AccountChange::Deleted => vec![stop(true, LOCKED, None), told(None, true)],
        AccountChange::Offboarded => vec![stop(false, LOCKED, None), told(None, true)],
        AccountChange::Reconnected => vec![Effect::Resume { whose }, told(None, false)],
        AccountChange::Partner(change) => vec![told(change.reason.clone(), false)],
        AccountChange::Certification { business: _, decision, reasons } => {
            let refused = *decision == Some(Decision::Rejected);
            vec![told(reasons.first().cloned(), refused)]
        }
        AccountChange::PricingTier(_)
        | AccountChange::AuthenticationInternational { .. }
        | AccountChange::Country { .. }
        | AccountChange::MarketingTermsSigned
        | AccountChange::AdAccountLinked { .. }
        | AccountChange::Other => vec![told(None, false)],
    }
}

impl Topic {
    /// Its name, as stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
            Self::Quality => "quality",
            Self::Tier => "tier",
            Self::Account => "account",
        }
    }

    /// What a provider's own report is news of.
    pub fn of(report: &SessionReport) -> impl Iterator<Item = Self> + use<> {
        let SessionReport { state: _, throughput, tier, quality, phone: _ } = report;
        let said =
            [throughput.map(|_| Self::Throughput), quality.map(|_| Self::Quality), tier.map(|_| Self::Tier)];
        said.into_iter().flatten()
    }
}
