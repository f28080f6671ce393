//! The engine's settings and their defaults.

use std::time::Duration;

/// How the engine works; every field has a default.
///
/// ```
/// use wa_core::service::EngineConfig;
/// let config = EngineConfig { max_in_doubt_per_crash: 1_024, ..EngineConfig::default() };
/// assert!(config.validate().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineConfig {
    /// How long one request to a provider may take. Default 30 s.
    pub request_timeout: Duration,
    /// How long after its begin a request may start. Default 5 s.
    pub start_within: Duration,
    /// How long a session is held without heartbeat. Default 15 s.
    pub lease: Duration,
    /// How often leases are prolonged. Default 5 s; at most a third of the lease.
    pub heartbeat: Duration,
    /// How long after its request must have ended an attempt becomes in doubt. Default 10 s.
    pub grace: Duration,
    /// Requests under way at once. Default 64.
    pub concurrency: usize,
    /// Messages begun in one transaction. Default 1,000.
    pub begin_batch: usize,
    /// Messages begun and not settled at any moment: so many can be in doubt after a crash of this
    /// process. Throughput and worst case are traded here. Default 64.
    pub max_in_doubt_per_crash: usize,
    /// Outcomes written in one transaction. Default 500.
    pub settle_batch: usize,
    /// Outcomes are written once none has come in for this long. Default 20 ms.
    pub settle_idle: Duration,
    /// Outcomes are written at the latest after this long. Default 1 s.
    pub settle_latest: Duration,
    /// Webhook bodies stored in one transaction. Default 500.
    pub intake_batch: usize,
    /// How long a body waits for others to be stored with. Default 10 ms.
    pub intake_wait: Duration,
    /// How often stored bodies are applied while more keep coming. Default 100 ms.
    pub project_every: Duration,
    /// How long raw bodies are kept once applied. Default 72 h.
    pub keep_raw: Duration,
    /// How long events are kept once every reader has passed them. Default 7 days.
    pub keep_events: Duration,
    /// How often a provider is asked about a number. Default 5 min.
    pub health_every: Duration,
    /// How often the store is asked for work when nothing announces any. Default 1 s.
    pub poll_every: Duration,
    /// Sessions that this worker holds at most. Default 10,000.
    pub max_sessions: u32,
    /// Of two workers the one with more sessions hands them to the other one by one: how long one may be
    /// nobody's before whoever notices takes it. Default 10 s.
    pub handover_wait: Duration,
    /// Per cent of a number's throughput that bulk messages leave free. 0 to 90, default 0.
    pub transactional_share: u32,
    /// What is broken in the engine, for tests of its tests.
    #[cfg(feature = "mutants")]
    pub mutant: Option<crate::testing::Mutant>,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(30),
            start_within: Duration::from_secs(5),
            lease: Duration::from_secs(15),
            heartbeat: Duration::from_secs(5),
            grace: Duration::from_secs(10),
            concurrency: 64,
            begin_batch: 1_000,
            max_in_doubt_per_crash: 64,
            settle_batch: 500,
            settle_idle: Duration::from_millis(20),
            settle_latest: Duration::from_secs(1),
            intake_batch: 500,
            intake_wait: Duration::from_millis(10),
            project_every: Duration::from_millis(100),
            keep_raw: Duration::from_secs(72 * 3_600),
            keep_events: Duration::from_secs(7 * 24 * 3_600),
            health_every: Duration::from_secs(300),
            poll_every: Duration::from_secs(1),
            max_sessions: 10_000,
            handover_wait: Duration::from_secs(10),
            transactional_share: 0,
            #[cfg(feature = "mutants")]
            mutant: None,
        }
    }
}

/// A setting that is out of range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting} must be {rule}")]
pub struct ConfigError {
    setting: &'static str,
    rule: &'static str,
}

impl ConfigError {
    pub(crate) const fn new(setting: &'static str, rule: &'static str) -> Self {
        Self { setting, rule }
    }
}

impl EngineConfig {
    /// The longest time from a message's begin to the end of its request.
    pub(crate) const fn under_way(&self) -> Duration {
        self.start_within.saturating_add(self.request_timeout)
    }

    /// Checks every range.
    ///
    /// # Errors
    /// The first setting that is out of range, and what it must be.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let second = Duration::from_secs(1);
        let checks = [
            (
                self.request_timeout >= second && self.request_timeout <= 600 * second,
                "request_timeout",
                "1 to 600 seconds",
            ),
            (
                self.start_within >= second / 10 && self.start_within <= 60 * second,
                "start_within",
                "0.1 to 60 seconds",
            ),
            (self.lease >= second && self.lease <= 600 * second, "lease", "1 to 600 seconds"),
            (
                !self.heartbeat.is_zero() && self.heartbeat <= self.lease / 3,
                "heartbeat",
                "at most a third of the lease",
            ),
            (self.grace <= 3_600 * second, "grace", "at most an hour"),
            ((1..=10_000).contains(&self.concurrency), "concurrency", "1 to 10,000"),
            ((1..=10_000).contains(&self.begin_batch), "begin_batch", "1 to 10,000"),
            ((1..=100_000).contains(&self.max_in_doubt_per_crash), "max_in_doubt_per_crash", "1 to 100,000"),
            ((1..=10_000).contains(&self.settle_batch), "settle_batch", "1 to 10,000"),
            (self.settle_idle <= second, "settle_idle", "at most a second"),
            (self.settle_latest <= 10 * second, "settle_latest", "at most 10 seconds"),
            ((1..=10_000).contains(&self.intake_batch), "intake_batch", "1 to 10,000"),
            (self.intake_wait <= second, "intake_wait", "at most a second"),
            (self.project_every <= 60 * second, "project_every", "at most a minute"),
            (self.health_every >= second, "health_every", "at least a second"),
            (
                self.poll_every >= second / 100 && self.poll_every <= 60 * second,
                "poll_every",
                "0.01 to 60 seconds",
            ),
            (self.max_sessions >= 1, "max_sessions", "at least 1"),
            (
                self.handover_wait >= second / 10 && self.handover_wait <= 600 * second,
                "handover_wait",
                "0.1 to 600 seconds",
            ),
            (self.transactional_share <= 90, "transactional_share", "0 to 90 per cent"),
        ];
        match checks.into_iter().find(|(holds, _, _)| !holds) {
            Some((_, setting, rule)) => Err(ConfigError::new(setting, rule)),
            None => Ok(()),
        }
    }
}
