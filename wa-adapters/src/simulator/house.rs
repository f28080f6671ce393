//! Rules that a sender sets itself, as plain data for the judge.
//!
//! `WhatsApp` knows none of them, so a send that breaks one is accepted, counted and noted. The
//! simulator judges them by code of its own: who tests a library gives it the same settings and
//! compares.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, NaiveTime, Utc};

/// The rules that the judge holds a sender to besides those of `WhatsApp`; all off by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HouseRules {
    /// How long after a stop was delivered to the webhook receiver the next marketing send is a
    /// violation; see [`Stop`].
    pub stop: Option<Stop>,
    /// When recipients want quiet.
    pub quiet: Option<QuietHours>,
    /// The least time between two templates to one recipient.
    pub cooldown: Option<Cooldown>,
    /// How many messages a recipient gets in a span of time.
    pub frequency: Option<FrequencyCap>,
    /// The most that all charged messages may cost together.
    pub budget: Option<Budget>,
    /// The only recipients: phones' digits or business-scoped user ids.
    pub only_to: Option<BTreeSet<String>>,
    /// How many messages a number sends in each stage of its warm-up.
    pub warm_up: BTreeMap<String, Vec<WarmUpStage>>,
}

/// Which sends a rule is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// All.
    #[default]
    Everything,
    /// Those to users without an open service window.
    OutsideWindows,
    /// Templates of every category.
    Templates,
    /// Marketing templates.
    Marketing,
}

impl Scope {
    pub(crate) const fn covers(self, in_window: bool, is_template: bool, is_marketing: bool) -> bool {
        match self {
            Self::Everything => true,
            Self::OutsideWindows => !in_window,
            Self::Templates => is_template,
            Self::Marketing => is_marketing,
        }
    }
}

/// When a stop binds the sender.
///
/// With it, marketing sends before the grace has passed are refused (131050) without a violation,
/// and one after it is a violation. Without it every send that is refused with 131050 is one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stop {
    /// From the receiver's 200 on.
    pub grace: Duration,
    /// Texts by which a user stops as well, compared without case and outer spaces. `WhatsApp`
    /// does not know them and refuses nothing.
    pub words: BTreeSet<String>,
}

/// When recipients want quiet: a span of each day in their own time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuietHours {
    /// The first quiet instant of the day.
    pub from: NaiveTime,
    /// The first instant that is not; before `from` it lies on the next day.
    pub until: NaiveTime,
    /// Which sends have to wait.
    pub scope: Scope,
    /// By the beginning of a phone number (or a whole user id): what time it is there. The longest
    /// beginning holds; recipients that are not named have no quiet hours.
    pub zones: BTreeMap<String, ZoneOffsets>,
}

/// What to add to UTC from an instant on, in seconds; earliest first. Before the first it is the first.
pub type ZoneOffsets = Vec<(DateTime<Utc>, i32)>;

/// The least time between two templates to one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cooldown {
    /// From one acceptance to the next.
    pub wait: Duration,
    /// Whether each template has a cooldown of its own.
    pub by_template: bool,
}

/// How many messages a recipient gets in a moving span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrequencyCap {
    /// So many.
    pub most: u32,
    /// In any span of this length.
    pub within: Duration,
    /// Which messages count, and wait.
    pub scope: Scope,
}

/// The most that all charged messages may cost together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// The currency of the simulator's rates.
    pub currency: String,
    /// In millionths of it.
    pub most: i64,
}

/// A stage of a number's warm-up; it ends where the next begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WarmUpStage {
    /// Its first instant.
    pub from: DateTime<Utc>,
    /// How many messages the number sends in it; none is no cap.
    pub most: Option<u32>,
}
