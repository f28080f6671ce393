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
    /// Marketing sends refused because the user had opted out (131050).
    pub opt_out_violations: u64,
    /// Refused requests by error code.
    pub refused: BTreeMap<u32, u64>,
    /// Injected faults by name, this run only.
    pub faults: BTreeMap<&'static str, u64>,
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
    pub(crate) fn count_accepted(&mut self, repeated: bool) {
        self.requests += 1;
        self.accepted += 1;
        self.repeated += u64::from(repeated);
    }

    pub(crate) fn count_refused(&mut self, code: u32, breach: Option<Breach>) {
        self.requests += 1;
        *self.refused.entry(code).or_default() += 1;
        match breach {
            None => {}
            Some(Breach::Window) => self.window_violations += 1,
            Some(Breach::Tier) => self.tier_violations += 1,
            Some(Breach::OptOut) => self.opt_out_violations += 1,
            Some(Breach::Throughput) => {
                self.rate_violations += 1;
                self.throughput_violations += 1;
            }
            Some(Breach::Pair) => {
                self.rate_violations += 1;
                self.pair_violations += 1;
            }
        }
    }

    pub(crate) fn count_fault(&mut self, fault: Fault) {
        *self.faults.entry(fault.name()).or_default() += 1;
    }
}
