//! The statuses of a send: drawn when it is accepted, told by webhook.
//!
//! Source: Meta, Status messages webhook reference, read December 2025: pricing on `sent` and on one
//! of `delivered` and `read`; `played` for voice messages since November 2025.

use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::accepted::{Accepted, Status, Step};
use super::callbacks::Posting;
use super::clock::{Micros, SECOND, length};
use super::error::title;
use super::faults::{Fault, Faults};
use super::prices::REGULAR;
use super::wire::is_user_id;

/// When and how often the statuses of an accepted message come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StatusTimes {
    /// From acceptance to `sent`.
    pub sent_after: Duration,
    /// From acceptance to `delivered`.
    pub delivered_after: Duration,
    /// From acceptance to `read`.
    pub read_after: Duration,
    /// The share of messages that is delivered, 0 to 1.
    pub delivered: f64,
    /// The share of the delivered ones that is read, 0 to 1.
    pub read: f64,
    /// From acceptance to `played`, which read voice messages are.
    pub played_after: Duration,
    /// The share of the read voice messages that is played, 0 to 1.
    pub played: f64,
}

impl Default for StatusTimes {
    /// Sent at once, all delivered after 50 ms, a third of them read after 200 ms, half of the
    /// voice messages among these played after 400 ms.
    fn default() -> Self {
        Self {
            sent_after: Duration::ZERO,
            delivered_after: Duration::from_millis(50),
            read_after: Duration::from_millis(200),
            delivered: 1.0,
            read: 1.0 / 3.0,
            played_after: Duration::from_millis(400),
            played: 0.5,
        }
    }
}

/// What becomes of a send.
#[derive(Debug, Default)]
pub(crate) struct Course {
    pub(crate) steps: Vec<Step>,
    pub(crate) struck: Vec<Fault>,
    /// When it is delivered, whatever the statuses say.
    pub(crate) delivered_at: Option<Micros>,
    /// It is answered as held for quality assessment.
    pub(crate) is_held: bool,
}

/// Draws the statuses of a send: the undisturbed course, then what the faults make of it.
pub(crate) fn plan(
    now: Micros,
    is_voice: bool,
    times: &StatusTimes,
    posting: &Posting,
    faults: &mut Faults,
) -> Course {
    let step = |status, after: Duration| {
        let at = now + length(after);
        Step { status, at, due: at, code: None }
    };
    let mut steps = vec![step(Status::Sent, times.sent_after)];
    let mut struck = Vec::new();
    let mut delivered_at = None;
    if faults.strikes(Fault::FailedAfterSent) {
        struck.push(Fault::FailedAfterSent);
        let code = match faults.below(3) {
            0 => 131_026,
            1 => 131_049,
            _ => 131_000,
        };
        steps.push(Step { code: Some(code), ..step(Status::Failed, times.delivered_after) });
    } else if faults.happens(times.delivered) {
        steps.push(step(Status::Delivered, times.delivered_after));
        delivered_at = Some(now + length(times.delivered_after));
        if faults.happens(times.read) {
            steps.push(step(Status::Read, times.read_after));
            if is_voice && faults.happens(times.played) {
                steps.push(step(Status::Played, times.played_after));
            }
        }
    }
    if steps.len() > 1 && faults.strikes(Fault::StatusShuffled) {
        struck.push(Fault::StatusShuffled);
        // The same instants, the statuses rotated over them: a rotation moves every status, so a
        // shuffle never leaves the order as it was, not even between equal instants.
        let mut dues: Vec<_> = steps.iter().map(|step| step.due).collect();
        dues.sort_unstable();
        let by = 1 + faults.below(steps.len() - 1);
        steps.rotate_left(by);
        for (step, due) in steps.iter_mut().zip(dues) {
            step.due = due;
        }
    }
    let mut late = Vec::new();
    steps.retain_mut(|step| {
        if faults.strikes(Fault::StatusMissing) {
            struck.push(Fault::StatusMissing);
            return false;
        }
        if faults.strikes(Fault::StatusDelayed) {
            struck.push(Fault::StatusDelayed);
            step.due += length(posting.status_delay);
        }
        if faults.strikes(Fault::StatusDuplicated) {
            struck.push(Fault::StatusDuplicated);
            late.push(Step { due: step.due + length(posting.tick), ..*step });
        }
        true
    });
    steps.extend(late);
    Course { steps, struck, delivered_at, is_held: false }
}

impl Course {
    /// Everything happens later by this.
    pub(crate) fn postpone(&mut self, by: Micros) {
        for step in &mut self.steps {
            step.at += by;
            step.due += by;
        }
        self.delivered_at = self.delivered_at.map(|at| at + by);
        self.is_held = true;
    }
}

/// The course of a send that fails for a reason of the rules: nothing but that.
pub(crate) fn failing(now: Micros, code: u32, times: &StatusTimes) -> Vec<Step> {
    let at = now + length(times.sent_after);
    vec![Step { status: Status::Failed, at, due: at, code: Some(code) }]
}

/// The status object of a webhook.
pub(crate) fn status(send: &Accepted, step: &Step, with_billable: bool) -> Value {
    let mut status = json!({
        "id": send.wamid, "status": step.status.name(), "timestamp": (step.at / SECOND).to_string(),
    });
    let Some(object) = status.as_object_mut() else { return status };
    let key = if is_user_id(&send.recipient) { "recipient_user_id" } else { "recipient_id" };
    object.insert(key.to_owned(), json!(send.recipient));
    if let Some(data) = &send.callback_data {
        object.insert("biz_opaque_callback_data".to_owned(), json!(data));
    }
    let priced = step.status == Status::Sent || step.status == send.priced_again_by();
    if priced && send.has_price() {
        let mut pricing =
            json!({ "pricing_model": "PMP", "type": send.pricing_type, "category": send.category });
        if let (true, Some(pricing)) = (with_billable, pricing.as_object_mut()) {
            pricing.insert("billable".to_owned(), json!(send.pricing_type == REGULAR));
        }
        object.insert("pricing".to_owned(), pricing);
    }
    if let (true, Some(until)) = (send.has_price(), send.entry_until) {
        object.insert("conversation".to_owned(), conversation(send, step, until));
    }
    if let Some(code) = step.code {
        let error = json!({
            "code": code, "title": title(code), "message": title(code),
            "error_data": { "details": "Reported by the simulator." },
            "href": "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/",
        });
        object.insert("errors".to_owned(), json!([error]));
    }
    status
}

/// Only inside a free entry point, as since v24; the end stands on `sent` alone.
fn conversation(send: &Accepted, step: &Step, until: Micros) -> Value {
    let id = hex::encode(Sha256::digest(format!("{} {} {until}", send.number, send.recipient)));
    let mut conversation = json!({
        "id": id.get(..32).unwrap_or_default(), "origin": { "type": "referral_conversion" },
    });
    if let (Status::Sent, Some(conversation)) = (step.status, conversation.as_object_mut()) {
        conversation.insert("expiration_timestamp".to_owned(), json!((until / SECOND).to_string()));
    }
    conversation
}
