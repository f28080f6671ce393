//! What a tenant can set, and what can be set for one number.
//!
//! Invariant: stored settings of an earlier version can be read; what they do not name has its default.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::alert::{AlertSettings, RetryBackoff};
use super::budget::TenantBudget;
use super::civil::TimeZone;
use super::content::Category;
use super::doubt::InDoubtPolicy;
use super::offset::UtcOffset;
use super::price::PriceBook;
use super::quiet::QuietSettings;
use super::recipient::Recipient;
use super::value::ValueError;

/// What a tenant can set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TenantSettings {
    /// The master switch: nothing of this tenant begins while it is set.
    pub paused: bool,
    /// How often a message may be tried again after a passing, definite failure: 0 to 10.
    pub max_retries: u8,
    /// Seconds before each retry; the last one repeats.
    pub retry_after_seconds: Vec<u32>,
    /// Waits that grow instead of the fixed ones in `retry_after_seconds`.
    pub retry_backoff: Option<RetryBackoff>,
    /// How often a message is tried again by itself after "not now for this recipient", a day later
    /// and then twice as long each time: 0 to 5. Meta punishes accounts that repeat these too eagerly.
    pub later_retries: u8,
    /// When somebody is told that something goes wrong, and when a campaign is paused for it.
    pub alerts: AlertSettings,
    /// What messages cost; `None` while nothing is known. A new tenant has none: an estimate in
    /// somebody else's currency or contract would be worse than none.
    pub prices: Option<PriceBook>,
    /// The clock of the account's bills: its months are those of a budget and of the free messages.
    pub billing_offset: UtcOffset,
    /// What may be spent; nothing is begun that would pass it.
    pub budget: TenantBudget,
    /// How long a recipient gets no second template; `None` switches it off.
    pub template_cooldown: Option<TemplateCooldown>,
    /// Whether windows decide anything. They are recorded either way.
    pub window_tracking: bool,
    /// Whether messages are priced.
    pub cost_tracking: bool,
    /// What becomes of free-form content outside the window.
    pub outside_window: OutsideWindow,
    /// How many messages of some categories a recipient gets at most; `None` for any number.
    pub frequency_cap: Option<FrequencyCap>,
    /// What a number's quality rating does to marketing.
    pub quality: QualityPolicy,
    /// Whether marketing needs a recorded opt-in.
    pub require_opt_in: bool,
    /// The zone of civil times that say no other, and of recipients whose own is not known.
    pub time_zone: TimeZone,
    /// When recipients are left alone; `None` for never.
    pub quiet_hours: Option<QuietSettings>,
    /// Where set, only these are written to: at most [`MOST_ALLOWED`](Self::MOST_ALLOWED).
    pub safe_mode: Option<BTreeSet<Recipient>>,
    /// What becomes of messages of which nobody knows whether they were sent, unless they or their
    /// campaigns say otherwise. A change holds also for those that are in doubt already.
    pub in_doubt: InDoubtPolicy,
}

/// How long a recipient gets no second template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TemplateCooldown {
    /// Hours from the begin of one template to the next: 1 to 72.
    pub hours: u8,
    /// Whether authentication templates keep and start it too.
    pub authentication: Included,
    /// Whether templates of the transactional lane keep and start it too.
    pub transactional: Included,
}

/// Whether something takes part in a rule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Included {
    /// It does not: it neither waits nor makes others wait.
    #[default]
    Exempt,
    /// It does.
    Included,
}

/// What becomes of free-form content outside the window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutsideWindow {
    /// It is skipped, whatever fallback it has.
    #[default]
    Block,
    /// Its template fallback goes instead; without one it is skipped.
    Fallback,
    /// It goes as it is. The Cloud API refuses it; for providers that know no windows.
    Send,
}

/// How many messages of some categories a recipient gets at most, over all campaigns and numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FrequencyCap {
    /// At most so many: 1 to 100.
    pub times: u8,
    /// In any so many times 24 hours: 1 to 90.
    pub days: u8,
    /// Of these categories together, 1 or more of marketing, utility and authentication.
    pub categories: BTreeSet<Category>,
    /// What becomes of a message beyond it.
    pub beyond: BeyondCap,
}

/// What becomes of a message beyond the frequency cap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BeyondCap {
    /// It waits until the cap lets it go.
    #[default]
    Wait,
    /// It is skipped.
    Skip,
}

/// What a number's quality rating does to marketing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct QualityPolicy {
    /// The share of the throughput that marketing may use while the rating is yellow, in percent: 1 to 100.
    pub yellow_percent: u8,
    /// What becomes of marketing while the rating is red.
    pub red: WhenRed,
}

/// What becomes of marketing while a number's rating is red.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenRed {
    /// It waits for a better rating.
    #[default]
    Hold,
    /// It goes, with the share that it has while the rating is yellow.
    Slow,
}

/// What can be set for one number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionSettings {
    /// How many messages a day it may send while it is new; `None` for any number.
    pub warm_up: Option<WarmUp>,
    /// The pause between two of its messages.
    pub gap: GapSetting,
}

/// A change of a number's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionSetting {
    /// Sets or ends its warm-up.
    WarmUp(Option<WarmUp>),
    /// Sets the pause between two of its messages.
    Gap(GapSetting),
}

/// How many messages a day a new number may begin: one cap per civil day in the tenant's zone.
///
/// Every message counts, whatever its lane, and every message beyond the cap waits for the next day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarmUp {
    /// Its first day is the one that holds this instant; the day on which the session was added if `None`.
    #[serde(default)]
    pub since: Option<DateTime<Utc>>,
    /// The cap of each day, 1 to 365 days of 1 or more messages; without cap from then on.
    pub caps: Vec<u32>,
}

/// The pause between two messages of a number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapSetting {
    /// What its transport asks for.
    #[default]
    Transport,
    /// None.
    Off,
    /// This one.
    Of(Gap),
}

/// A pause between two messages: a fixed part, and one on top that looks like chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Milliseconds at least: 0 to 600,000.
    pub millis: u32,
    /// Up to so many milliseconds more, evenly spread: 0 to 600,000. After a campaign's message they follow
    /// from number, recipient and day, so that a preflight knows them.
    pub jitter_millis: u32,
}

impl Default for TenantSettings {
    /// Not paused; up to 3 retries after 5, 10 and 15 seconds; no prices, no budget, bills in UTC; 12 hours between templates;
    /// windows and costs tracked; free-form content outside the window is blocked; no frequency cap;
    /// marketing at half speed on yellow and held on red; no opt-in needed; UTC; no quiet hours; no safe mode;
    /// what is in doubt is never sent again.
    fn default() -> Self {
        Self {
            paused: false,
            max_retries: 3,
            retry_after_seconds: vec![5, 10, 15],
            retry_backoff: None,
            later_retries: 0,
            alerts: AlertSettings::default(),
            prices: None,
            billing_offset: UtcOffset::UTC,
            budget: TenantBudget::default(),
            template_cooldown: Some(TemplateCooldown::default()),
            window_tracking: true,
            cost_tracking: true,
            outside_window: OutsideWindow::default(),
            frequency_cap: None,
            quality: QualityPolicy::default(),
            require_opt_in: false,
            time_zone: TimeZone::UTC,
            quiet_hours: None,
            safe_mode: None,
            in_doubt: InDoubtPolicy::AtMostOnce,
        }
    }
}

impl TenantSettings {
    /// The most recipients that safe mode may allow.
    pub const MOST_ALLOWED: usize = 1_000;

    /// Checks the ranges.
    ///
    /// # Errors
    /// Which setting is out of range, and what its range is.
    pub fn validate(&self) -> Result<(), ValueError> {
        let Self {
            paused: _,
            max_retries,
            retry_after_seconds,
            retry_backoff,
            later_retries,
            alerts,
            prices: _,
            billing_offset: _,
            budget,
            template_cooldown,
            window_tracking: _,
            cost_tracking: _,
            outside_window: _,
            frequency_cap,
            quality,
            require_opt_in: _,
            time_zone: _,
            quiet_hours,
            safe_mode,
            in_doubt,
        } = self;
        if *max_retries > 10 {
            return Err(ValueError::new("max_retries", "0 to 10"));
        }
        if let Some(backoff) = retry_backoff {
            backoff.validate()?;
        }
        if *later_retries > 5 {
            return Err(ValueError::new("later_retries", "0 to 5"));
        }
        alerts.validate()?;
        let waits_fit = retry_after_seconds.iter().all(|seconds| (1..=86_400).contains(seconds));
        if retry_after_seconds.is_empty() || retry_after_seconds.len() > 10 || !waits_fit {
            return Err(ValueError::new("retry_after_seconds", "1 to 10 waits of 1 to 86,400 seconds"));
        }
        let TenantBudget { monthly, total } = budget;
        if [monthly, total].into_iter().flatten().any(|limit| limit.micros < 0) {
            return Err(ValueError::new("a budget", "0 or more"));
        }
        if template_cooldown.is_some_and(|it| !(1..=72).contains(&it.hours)) {
            return Err(ValueError::new("template_cooldown.hours", "1 to 72"));
        }
        if let Some(cap) = frequency_cap {
            cap.validate()?;
        }
        if !(1..=100).contains(&quality.yellow_percent) {
            return Err(ValueError::new("quality.yellow_percent", "1 to 100"));
        }
        if let Some(quiet) = quiet_hours {
            quiet.validate()?;
        }
        in_doubt.validate()?;
        let allowed = safe_mode.iter().flatten();
        let addressed = allowed.clone().all(|it| it.phone().is_some() || it.bsuid().is_some());
        if allowed.count() > Self::MOST_ALLOWED || !addressed {
            return Err(ValueError::new("safe_mode", "at most 1,000 recipients, each with an address"));
        }
        Ok(())
    }
}

impl Default for TemplateCooldown {
    /// 12 hours; authentication and the transactional lane are exempt.
    fn default() -> Self {
        Self { hours: 12, authentication: Included::Exempt, transactional: Included::Exempt }
    }
}

impl Default for FrequencyCap {
    /// Two marketing messages a week; what is beyond waits.
    fn default() -> Self {
        Self { times: 2, days: 7, categories: [Category::Marketing].into(), beyond: BeyondCap::Wait }
    }
}

impl FrequencyCap {
    fn validate(&self) -> Result<(), ValueError> {
        let Self { times, days, categories, beyond: _ } = self;
        if !(1..=100).contains(times) {
            return Err(ValueError::new("frequency_cap.times", "1 to 100"));
        }
        if !(1..=90).contains(days) {
            return Err(ValueError::new("frequency_cap.days", "1 to 90"));
        }
        // Free-form messages answer a user, so nobody gets too many.
        if categories.is_empty() || categories.contains(&Category::Service) {
            return Err(ValueError::new(
                "frequency_cap.categories",
                "one or more of marketing, utility, authentication",
            ));
        }
        Ok(())
    }
}

impl Default for QualityPolicy {
    /// Marketing at half speed on yellow, held on red.
    fn default() -> Self {
        Self { yellow_percent: 50, red: WhenRed::Hold }
    }
}

impl SessionSetting {
    /// Checks the ranges.
    ///
    /// # Errors
    /// Which setting is out of range, and what its range is.
    pub fn validate(&self) -> Result<(), ValueError> {
        match self {
            Self::WarmUp(Some(WarmUp { since: _, caps })) => {
                let fits = (1..=365).contains(&caps.len()) && caps.iter().all(|cap| *cap > 0);
                if fits { Ok(()) } else { Err(ValueError::new("warm_up.caps", "1 to 365 caps of 1 or more")) }
            }
            Self::Gap(GapSetting::Of(Gap { millis, jitter_millis })) => {
                let fits = *millis <= 600_000 && *jitter_millis <= 600_000;
                if fits { Ok(()) } else { Err(ValueError::new("a gap", "0 to 600,000 milliseconds")) }
            }
            Self::WarmUp(None) | Self::Gap(GapSetting::Transport | GapSetting::Off) => Ok(()),
        }
    }
}

impl SessionSettings {
    /// Takes one change over.
    pub fn apply(&mut self, change: &SessionSetting) {
        match change {
            SessionSetting::WarmUp(warm_up) => self.warm_up.clone_from(warm_up),
            SessionSetting::Gap(gap) => self.gap = *gap,
        }
    }
}

impl GapSetting {
    /// The gap that holds, given what the transport asks for.
    #[must_use]
    pub const fn or(self, transport: Option<Gap>) -> Option<Gap> {
        match self {
            Self::Transport => transport,
            Self::Off => None,
            Self::Of(gap) => Some(gap),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_an_earlier_version_are_read() {
        let old = r#"{"paused":true,"max_retries":2,"retry_after_seconds":[7],"prices":null}"#;
        let read: TenantSettings = serde_json::from_str(old).expect("settings");
        let expected = TenantSettings {
            paused: true,
            max_retries: 2,
            retry_after_seconds: vec![7],
            ..TenantSettings::default()
        };
        assert_eq!(read, expected);
        let off: TenantSettings = serde_json::from_str(r#"{"template_cooldown":null}"#).expect("settings");
        assert_eq!(off.template_cooldown, None);
        assert_eq!(serde_json::from_str::<SessionSettings>("{}").ok(), Some(SessionSettings::default()));
    }

    #[test]
    fn what_is_out_of_range_is_named_with_its_range() {
        let cooldown = |hours| TenantSettings {
            template_cooldown: Some(TemplateCooldown { hours, ..TemplateCooldown::default() }),
            ..TenantSettings::default()
        };
        let cap = |change: fn(&mut FrequencyCap)| {
            let mut cap = FrequencyCap::default();
            change(&mut cap);
            TenantSettings { frequency_cap: Some(cap), ..TenantSettings::default() }
        };
        let yellow = |yellow_percent| TenantSettings {
            quality: QualityPolicy { yellow_percent, ..QualityPolicy::default() },
            ..TenantSettings::default()
        };
        let check = |settings: TenantSettings, expected: Option<(&str, &str)>| {
            let said = settings.validate().err().map(|error| error.to_string());
            match expected {
                None => assert_eq!(said, None),
                Some((name, range)) => {
                    let said = said.expect("out of range");
                    assert!(said.contains(name) && said.contains(range), "{said}");
                }
            }
        };
        check(cooldown(1), None);
        check(cooldown(72), None);
        check(cooldown(0), Some(("template_cooldown.hours", "1 to 72")));
        check(cooldown(73), Some(("template_cooldown.hours", "1 to 72")));
        check(cap(|_| {}), None);
        check(cap(|cap| cap.times = 0), Some(("frequency_cap.times", "1 to 100")));
        check(cap(|cap| cap.days = 91), Some(("frequency_cap.days", "1 to 90")));
        check(cap(|cap| cap.categories.clear()), Some(("frequency_cap.categories", "marketing")));
        check(yellow(0), Some(("quality.yellow_percent", "1 to 100")));
        check(yellow(101), Some(("quality.yellow_percent", "1 to 100")));
        let allow = |count: u64| {
            let phone = |n: u64| crate::model::Phone::try_from(15_550_000_000 + n).expect("a phone");
            let allowed = (0..count).map(|n| Recipient::from(phone(n))).collect();
            TenantSettings { safe_mode: Some(allowed), ..TenantSettings::default() }
        };
        check(allow(1_000), None);
        check(allow(1_001), Some(("safe_mode", "1,000")));
        let warm_up = |caps: Vec<u32>| SessionSetting::WarmUp(Some(WarmUp { since: None, caps })).validate();
        assert!(warm_up(vec![50, 100]).is_ok());
        for bad in [vec![], vec![50, 0], vec![1; 366]] {
            assert!(warm_up(bad).is_err());
        }
        let gap = |millis| SessionSetting::Gap(GapSetting::Of(Gap { millis, jitter_millis: 0 })).validate();
        assert!(gap(600_000).is_ok() && gap(600_001).is_err());
    }
}
