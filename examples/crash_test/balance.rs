//! What came of it: the provider's file beside what the store says.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use wa_kit::model::{CampaignCounts, CampaignId, MessageId};
use wa_kit::prelude::*;

use crate::Anyhow;
use crate::points::Point;
use crate::witness::Starts;

/// What the test prints at its end.
#[derive(Debug, Default)]
pub(crate) struct Balance {
    pub(crate) kills: u32,
    pub(crate) stops: u32,
    pub(crate) server_kills: u32,
    /// How often a worker ended at each named point.
    pub(crate) points: BTreeMap<Point, u32>,
    pub(crate) audience: u64,
    pub(crate) accepted: u64,
    /// Messages with several accepted requests.
    pub(crate) duplicates: u64,
    /// Messages in no state, or accepted by the provider and shown failed or waiting.
    pub(crate) lost: u64,
    pub(crate) in_doubt: u64,
    pub(crate) max_in_doubt_after_one_kill: u64,
    pub(crate) violations: Vec<String>,
    /// When requests started.
    pub(crate) starts: Starts,
    pub(crate) seconds: u64,
}

impl Balance {
    /// Whether all went well. A policy that sends again what is in doubt may send twice, and says so.
    pub(crate) fn is_good(&self, at_most_once: bool) -> bool {
        (self.duplicates == 0 || !at_most_once)
            && self.lost == 0
            && self.starts.late == 0
            && self.violations.is_empty()
    }

    pub(crate) fn json(&self) -> Value {
        let points: BTreeMap<&str, u32> =
            self.points.iter().map(|(point, hits)| (point.name(), *hits)).collect();
        json!({
            "kills": self.kills,
            "stops": self.stops,
            "server_kills": self.server_kills,
            "points": points,
            "audience": self.audience,
            "accepted": self.accepted,
            "duplicates": self.duplicates,
            "lost": self.lost,
            "in_doubt": self.in_doubt,
            "max_in_doubt_after_one_kill": self.max_in_doubt_after_one_kill,
            "requests_in_time": self.starts.in_time,
            "refused_at_the_check": self.starts.refused,
            "begun_after_start_by": self.starts.late,
            "invariant_violations": self.violations.len(),
            "violations": self.violations,
            "seconds": self.seconds,
        })
    }

    /// Compares a campaign's messages with what the provider accepted.
    pub(crate) async fn compare(
        &mut self,
        tenant: &TenantHandle,
        campaign: CampaignId,
        truth: &BTreeMap<MessageId, u64>,
    ) -> Result<(), Anyhow> {
        let counts = tenant.campaigns().counts(campaign).await?;
        let mut recount = CampaignCounts::default();
        let mut after = None;
        loop {
            let page = tenant.campaigns().recipients(campaign, after, 1_000).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            for message in &page {
                let accepted = truth.get(&message.id).copied().unwrap_or(0);
                self.accepted += u64::from(accepted > 0);
                self.duplicates += u64::from(accepted > 1);
                recount.audience += 1;
                let agrees = match message.state {
                    MessageState::Pending | MessageState::Held => {
                        recount.pending += 1;
                        false
                    }
                    MessageState::Attempting => {
                        recount.attempting += 1;
                        false
                    }
                    MessageState::InDoubt => {
                        recount.in_doubt += 1;
                        true
                    }
                    MessageState::Accepted
                    | MessageState::Sent
                    | MessageState::Delivered
                    | MessageState::Read
                    | MessageState::Played => {
                        recount.accepted += 1;
                        accepted > 0
                    }
                    MessageState::Failed => {
                        recount.failed += 1;
                        accepted == 0
                    }
                    MessageState::Skipped => {
                        recount.skipped += 1;
                        accepted == 0
                    }
                };
                if !agrees {
                    self.lost += 1;
                    eprintln!(
                        "{} is {:?}, and the provider accepted it {accepted} times",
                        message.id, message.state
                    );
                }
            }
        }
        self.audience += recount.audience;
        self.in_doubt += recount.in_doubt;
        let shown = |it: &CampaignCounts| {
            [it.audience, it.pending, it.attempting, it.accepted, it.failed, it.in_doubt, it.skipped]
        };
        if shown(&counts) != shown(&recount) {
            self.violations.push(format!(
                "counts {:?} of {campaign} are not {:?}",
                shown(&counts),
                shown(&recount)
            ));
        }
        Ok(())
    }
}

/// How often the provider accepted each message, by the tag that came with the request.
pub(crate) fn accepted(log: &Path) -> Result<BTreeMap<MessageId, u64>, Anyhow> {
    let mut accepted = BTreeMap::new();
    for line in std::fs::read_to_string(log)?.lines() {
        let line: Value = serde_json::from_str(line)?;
        if !line.get("wamid").is_some_and(Value::is_string) {
            continue;
        }
        // wa1:<instance>:<tenant>.<message>.<n>.<batch>:<mac>
        let tag = line.get("callback_data").and_then(Value::as_str).unwrap_or_default();
        let message = tag.split(':').nth(2).and_then(|key| key.split('.').nth(1));
        let message = message.ok_or_else(|| format!("a request without a tag: {line}"))?;
        let id = MessageId::from_uuid(message.parse()?);
        *accepted.entry(id).or_default() += 1;
    }
    Ok(accepted)
}
