//! A schedule: a campaign that is sent again and again, each time to whoever is on its list then.
//!
//! Invariant: each slot of its recurrence becomes at most one campaign, whose name is the schedule's
//! with the slot's civil time. So a run that is begun twice is the same run.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::campaign::{CampaignContent, CampaignName, NewCampaign};
use super::contact::ListName;
use super::doubt::InDoubtPolicy;
use super::fingerprint::Fingerprint;
use super::ids::{CampaignId, ScheduleId, SessionId};
use super::message::{Lane, names};
use super::money::Money;
use super::recurrence::{Recurrence, Slot};
use super::time::whole_micros;
use super::value::{ValueError, is_label, text_value};

/// A schedule's name, unique per tenant: 1 to 180 characters, none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ScheduleName(String);

/// What a schedule does at each of its slots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleSpec {
    /// What its campaigns say.
    pub content: CampaignContent,
    /// The template that goes instead outside the window, as for a campaign.
    #[serde(default)]
    pub fallback: Option<CampaignContent>,
    /// Whose members get it, as they are when a run begins.
    pub list: ListName,
    /// The sending numbers, as for a campaign.
    pub sessions: Vec<SessionId>,
    /// The lane of its campaigns.
    pub lane: Lane,
    /// Messages not begun so long after the slot are skipped as expired; whole seconds count.
    pub valid_for: Option<Duration>,
    /// At most this many messages a second and session.
    pub rate: Option<u32>,
    /// What each of its campaigns may cost.
    #[serde(default)]
    pub budget: Option<Money>,
    /// What becomes of messages of which nobody knows whether they were sent, as for a campaign.
    #[serde(default)]
    pub in_doubt: Option<InDoubtPolicy>,
    /// When it runs.
    pub recurrence: Recurrence,
    /// What becomes of runs whose time passed while nothing ran.
    pub missed: MissedRuns,
}

/// What becomes of runs whose time passed while nothing ran. All that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissedRuns {
    /// They are skipped; five minutes late is still in time.
    Skip,
    /// The latest one is made up for if it is not later than this; the ones before are skipped.
    RunLatest {
        /// How late it may be.
        within: Duration,
    },
    /// Each is made up for, one after the other, that is not later than this.
    RunAll {
        /// How late it may be.
        within: Duration,
    },
}

/// A schedule as a caller defines it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSchedule {
    /// Its id, minted by the kit; kept only if the name is new.
    pub id: ScheduleId,
    /// Its name, unique per tenant.
    pub name: ScheduleName,
    /// What it does.
    pub spec: ScheduleSpec,
}

/// The states of a schedule. All that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleState {
    /// It runs at its slots.
    Active,
    /// It does not run until it is resumed; what passes meanwhile is not made up for.
    Paused,
    /// It has no slot left, or was ended.
    Ended,
}

/// What a caller can do with a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleAction {
    /// Run no more until resumed.
    Pause,
    /// Go on with the next slot from now on.
    Resume,
    /// Run never again.
    End,
}

/// A stored schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Its id.
    pub id: ScheduleId,
    /// Its name.
    pub name: ScheduleName,
    /// What it does.
    pub spec: ScheduleSpec,
    /// Its state.
    pub state: ScheduleState,
    /// The slot that comes next, while it is active.
    pub next: Option<Slot>,
    /// When that is.
    pub next_at: Option<DateTime<Utc>>,
    /// How many campaigns it has made.
    pub runs: u64,
    /// How many of its slots were skipped.
    pub skipped: u64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

/// A run: the campaign of one slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleRun {
    /// The slot.
    pub slot: Slot,
    /// When the slot was.
    pub due_at: DateTime<Utc>,
    /// The campaign.
    pub campaign: CampaignId,
    /// When it was made.
    pub made_at: DateTime<Utc>,
}

/// Why slots of a schedule became no campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SkippedRun {
    /// Their time passed while nothing ran.
    Missed,
    /// Another campaign has the name.
    NameTaken,
    /// A session is not the tenant's.
    NoSession,
}

names!(ScheduleState { Active = "active", Paused = "paused", Ended = "ended" });

impl ScheduleSpec {
    /// Checks the ranges.
    ///
    /// # Errors
    /// Which part is out of range.
    pub fn validate(&self) -> Result<(), ValueError> {
        let Self {
            content: _,
            fallback: _,
            list: _,
            sessions: _,
            lane: _,
            valid_for,
            rate,
            recurrence,
            budget: _,
            in_doubt,
            missed,
        } = self;
        in_doubt.map_or(Ok(()), InDoubtPolicy::validate)?;
        if valid_for.is_some_and(|span| span < Duration::from_secs(1) || span > LONGEST) {
            return Err(ValueError::new("the validity of a run", "1 second to 1,000 days"));
        }
        if *rate == Some(0) {
            return Err(ValueError::new("a rate", "at least 1 message a second"));
        }
        match missed {
            MissedRuns::Skip => {}
            MissedRuns::RunLatest { within } | MissedRuns::RunAll { within } => {
                if *within > LONGEST {
                    return Err(ValueError::new("the lateness of a run", "at most 1,000 days"));
                }
            }
        }
        recurrence.validate()
    }
}

const LONGEST: Duration = Duration::from_secs(1_000 * 86_400);

impl Default for MissedRuns {
    /// The latest run is made up for if it is not more than an hour late.
    fn default() -> Self {
        Self::RunLatest { within: Duration::from_secs(3_600) }
    }
}

impl NewSchedule {
    /// The digest of what is asked for; the id is not part of it.
    #[must_use]
    pub fn definition(&self) -> Fingerprint {
        let Self { id: _, name, spec } = self;
        Fingerprint::of_json(&(name, spec)).unwrap_or_else(|| Fingerprint::of(b"no JSON form"))
    }
}

impl Schedule {
    /// A new schedule as it is stored first.
    #[must_use]
    pub fn start(new: &NewSchedule, first: Option<(Slot, DateTime<Utc>)>, now: DateTime<Utc>) -> Self {
        let NewSchedule { id, name, spec } = new.clone();
        let state = ScheduleState::Active;
        let (next, next_at) = (None, None);
        let mut made = Self { id, name, spec, state, next, next_at, runs: 0, skipped: 0, created_at: now };
        made.go_on(state, first);
        made
    }

    /// Puts it into a state; what is active without a slot to come has ended.
    pub fn go_on(&mut self, state: ScheduleState, next: Option<(Slot, DateTime<Utc>)>) {
        let next = next.filter(|_| state == ScheduleState::Active);
        self.state = match state {
            ScheduleState::Active if next.is_none() => ScheduleState::Ended,
            ScheduleState::Active | ScheduleState::Paused | ScheduleState::Ended => state,
        };
        (self.next, self.next_at) = next.unzip();
    }

    /// The campaign of a slot: the same at every call but for its id.
    ///
    /// # Errors
    /// None for a name that was valid when it was made.
    pub fn campaign(
        &self,
        id: CampaignId,
        slot: &Slot,
        due_at: DateTime<Utc>,
    ) -> Result<NewCampaign, ValueError> {
        let ScheduleSpec {
            content,
            fallback,
            list,
            sessions,
            lane,
            valid_for,
            rate,
            recurrence: _,
            budget,
            in_doubt,
            missed: _,
        } = self.spec.clone();
        let span = valid_for.map(|span| TimeDelta::from_std(span).unwrap_or(TimeDelta::MAX));
        Ok(NewCampaign {
            id,
            name: self.campaign_name(slot)?,
            content,
            fallback,
            list,
            sessions,
            lane,
            valid_until: span.and_then(|span| due_at.checked_add_signed(span)).map(whole_micros),
            start_at: None,
            rate,
            budget,
            in_doubt,
        })
    }

    /// The name of a slot's campaign: the schedule's and what the clocks show then.
    ///
    /// # Errors
    /// None for a name that was valid when it was made.
    pub fn campaign_name(&self, slot: &Slot) -> Result<CampaignName, ValueError> {
        format!("{} {}", self.name.as_str(), slot.civil).parse()
    }
}

text_value!(ScheduleName, "a schedule name", "1 to 180 characters without control characters", |text| {
    is_label(text) && text.chars().count() <= 180
});

impl fmt::Display for ScheduleState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
