//! The verdict of the simulator in numbers.

use std::collections::BTreeMap;

use serde::Serialize;

use super::error::Breach;
use super::faults::Fault;

/// What the simulator has seen; `GET /stats` and the program's last line show it as JSON.
///
/// `requests` = `accepted` + Σ `refused` (by code, injected errors included).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Requests to send that were received, whatever became of them; read receipts not counted.
    pub requests: u64,
    /// Sends that were accepted, answered or not.
    pub accepted: u64,
    /// Accepted sends that repeat one of the same number, recipient and content, unless a `failed`
    /// status of that one was due before.
    pub repeated: u64,
    /// Free-form sends refused because no window was open (131047).
    pub window_violations: u64,
    /// Sends refused by the throughput (130429) or pair (131056) meter; injected throttles not counted.
    pub rate_violations: u64,
    /// Sends refused because the portfolio's unique users were used up (131048).
    pub tier_violations: u64,
    /// The part of `rate_violations` that is the number's throughput.
    pub throughput_violations: u64,
    /// The part of `rate_violations` that is the pair rate.
    pub pair_violations: u64,
    /// Marketing sends to users who had stopped marketing messages; with [`Stop`] only those after
    /// the grace.
    ///
    /// [`Stop`]: super::Stop
    pub opt_out_violations: u64,
    /// Sends with a business-scoped user id in `to`: answered with 200 and dropped.
    pub misaddressed: u64,
    /// Accepted sends whose callback data an accepted send had before: an attempt made twice.
    pub repeated_tags: u64,
    /// Accepted sends that broke a rule of the house, by rule.
    pub house_violations: BTreeMap<&'static str, u64>,
    /// Refused requests by error code.
    pub refused: BTreeMap<u32, u64>,
    /// Injected faults by name, this run only.
    pub faults: BTreeMap<&'static str, u64>,
    /// What delivered messages cost, by currency and category, in millionths.
    pub charged: BTreeMap<String, BTreeMap<String, i64>>,
    /// Read receipts taken, this run only.
    pub read_receipts: u64,
    /// Messages that users sent.
    pub inbound: u64,
    /// What became of the webhooks, this run only.
    pub callbacks: CallbackStats,
}

/// What became of the webhooks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CallbackStats {
    /// Requests that the receiver answered with 200.
    pub posts: u64,
    /// Requests that it did not answer with 200.
    pub failed_posts: u64,
    /// Statuses and messages delivered in them.
    pub events: u64,
    /// Statuses and messages that wait: not due yet, or to be posted again.
    pub pending: u64,
    /// Statuses and messages given up after seven days of trying.
    pub dropped: u64,
}

impl Stats {
    /// All violations together: of the rules of `WhatsApp` and of the house, and repeated tags.
    ///
    /// `repeated` is not in it: two messages may be meant to be equal.
    #[must_use]
    pub fn violations(&self) -> u64 {
        let house: u64 = self.house_violations.values().sum();
        self.window_violations
            + self.rate_violations
            + self.tier_violations
            + self.opt_out_violations
            + self.misaddressed
            + self.repeated_tags
            + house
    }

    pub(crate) fn count_accepted(&mut self, repeated: bool) {
        self.requests += 1;
        self.accepted += 1;
        self.repeated += u64::from(repeated);
    }

    pub(crate) fn count_refused(&mut self, code: u32, breach: Option<Breach>) {
        self.requests += 1;
        *self.refused.entry(code).or_default() += 1;
        if let Some(breach) = breach {
            self.count_breach(breach);
        }
    }

    pub(crate) fn count_breach(&mut self, breach: Breach) {
        match breach {
            Breach::Window => self.window_violations += 1,
            Breach::Tier => self.tier_violations += 1,
            Breach::OptOut => self.opt_out_violations += 1,
            Breach::Misaddressed => self.misaddressed += 1,
            Breach::RepeatedTag => self.repeated_tags += 1,
            Breach::Throughput => {
                self.rate_violations += 1;
                self.throughput_violations += 1;
            }
            Breach::Pair => {
                self.rate_violations += 1;
                self.pair_violations += 1;
            }
            Breach::QuietHours
            | Breach::Cooldown
            | Breach::Frequency
            | Breach::Budget
            | Breach::NotAllowed
            | Breach::WarmUp => *self.house_violations.entry(breach.name()).or_default() += 1,
        }
    }

    pub(crate) fn count_fault(&mut self, fault: Fault) {
        *self.faults.entry(fault.name()).or_default() += 1;
    }
}
