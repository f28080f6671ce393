//! What a request to send does.

use std::sync::Arc;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::super::accepted::Accepted;
use super::super::clock::{Micros, instant, length};
use super::super::error::{Breach, Refusal};
use super::super::faults::Fault;
use super::super::log::Entry;
use super::super::statuses::{Course, failing, plan};
use super::super::templates::TemplateCategory;
use super::super::truth::Judgement;
use super::super::violation::Violation;
use super::super::wire::{self, Endpoint, Message, Recipient, Request};
use super::{State, World};

/// How a request to send ends.
pub(crate) enum Reply {
    Answer(Value),
    /// The answer comes late.
    Late(Value),
    Refused(Refusal),
    /// An injected 502 without a Graph body.
    BadGateway,
    /// The connection closes without an answer.
    Lost,
}

/// A request to send, before it is read.
pub(crate) struct Asked<'a> {
    pub(crate) endpoint: Endpoint,
    pub(crate) number: &'a str,
    pub(crate) token: Option<&'a str>,
    pub(crate) is_json: bool,
    pub(crate) body: &'a [u8],
}

impl World {
    /// `POST /{number}/messages` and `/marketing_messages`.
    pub(crate) fn messages(&self, asked: &Asked<'_>) -> Reply {
        let request = self.admit(asked.number, asked.token).and_then(|_| {
            if asked.is_json {
                wire::parse(asked.endpoint, asked.body)
            } else {
                Err(Refusal::new(100, "The content type is application/json."))
            }
        });
        self.act_due();
        let mut state = self.state();
        if state.closed {
            return Reply::Lost;
        }
        match request {
            Err(refusal) => state.refuse(refusal),
            Ok(Request::Read { message_id }) => {
                if !state.truth.has_inbound(&message_id) {
                    return Reply::Refused(Refusal::new(100, "No user sent a message with this id."));
                }
                state.stats.read_receipts += 1;
                Reply::Answer(json!({ "success": true }))
            }
            Ok(Request::Send(message)) => {
                let reply = self.send(&mut state, asked, &message);
                drop(state);
                self.due.notify_one();
                reply
            }
        }
    }

    fn send(&self, state: &mut State, asked: &Asked<'_>, message: &Message) -> Reply {
        if state.strikes(Fault::ErrorBefore) {
            return state.server_error(true);
        }
        let now = self.now();
        if state.strikes(Fault::ThrottleStorm) {
            let until = now + length(self.settings.storm);
            if let Some(own) = state.truth.numbers.get_mut(asked.number) {
                own.trouble.storm_until = own.trouble.storm_until.max(until);
                own.track.hold(now, until);
            }
        }
        if state.strikes(Fault::Throttled) {
            if let Some(own) = state.truth.numbers.get_mut(asked.number) {
                own.track.hold(now, now + length(self.settings.throttle_hold));
            }
            return state.refuse(Refusal::new(130_429, "Injected: the number is throttled."));
        }
        let judgement = match state.truth.judge(asked.number, asked.endpoint, message, now) {
            Ok(judgement) => judgement,
            Err(refusal) => {
                if let Some(breach) = refusal.breach {
                    let (code, details) = (Some(refusal.code), refusal.details.clone());
                    state.note_violation(asked, now, breach, code, None, details);
                }
                return state.refuse(refusal);
            }
        };
        let (sent, course) = self.accepted(state, asked, message, &judgement, now);
        if let Some(Err(_)) = state.log.as_mut().map(|log| log.accepted(&sent)) {
            return state.refuse(Refusal::new(131_000, "The simulator cannot write its log."));
        }
        let is_held = course.is_held;
        if self.receiver.is_some() {
            course.struck.into_iter().for_each(|fault| state.stats.count_fault(fault));
        }
        let verdict = state.truth.accept(&sent);
        state.stats.count_accepted(verdict.repeated);
        let reported = judgement.fails.as_ref();
        let reported = reported.and_then(|fails| Some((fails.breach?, fails.details.clone())));
        let dropped = judgement.is_dropped.then(|| (Breach::Misaddressed, "A user id in `to`.".to_owned()));
        for (breach, details) in reported.into_iter().chain(dropped).chain(verdict.broken) {
            let code = judgement.fails.as_ref().map(|fails| fails.code);
            state.stats.count_breach(breach);
            state.note_violation(asked, now, breach, code, Some(&sent.wamid), details);
        }
        state.acts.draw(&sent);
        let answer = answer(message, &sent, is_held);
        let sent = Arc::new(sent);
        state.queue.push_statuses(&sent, state.next_send, |_| false);
        state.next_send += 1;
        if self.settings.remember {
            state.accepted.push(sent);
        }
        if state.strikes(Fault::ErrorAfter) {
            state.server_error(false)
        } else if state.strikes(Fault::ReplyLost) {
            Reply::Lost
        } else if state.strikes(Fault::Slow) {
            Reply::Late(answer)
        } else {
            Reply::Answer(answer)
        }
    }

    /// The line of the log: what becomes of the send, and what it costs.
    fn accepted(
        &self,
        state: &mut State,
        asked: &Asked<'_>,
        message: &Message,
        judgement: &Judgement,
        now: Micros,
    ) -> (Accepted, Course) {
        let settings = &self.settings;
        let is_sent = judgement.fails.is_none() && !judgement.is_dropped;
        let mut course = match &judgement.fails {
            Some(fails) => Course { steps: failing(now, fails.code, &settings.times), ..Course::default() },
            None if judgement.is_dropped => Course::default(),
            None => plan(now, message.is_voice, &settings.times, &settings.posting, &mut state.faults),
        };
        if message.template.is_some() && is_sent && state.strikes(Fault::HeldForQuality) {
            course.postpone(length(settings.held));
        }
        if self.receiver.is_none() {
            course.steps.clear();
        }
        let delivered_at = course.delivered_at;
        let price = state.truth.price(asked.number, asked.endpoint, judgement, now, delivered_at);
        let currency = state.truth.till.pricing.rates.as_ref().map(|rates| rates.currency().to_owned());
        let template = message.template.as_ref().map(|used| format!("{}/{}", used.name, used.language));
        let sent = Accepted {
            at: instant(now),
            wamid: self.wamid("send", state.next_send),
            number: asked.number.to_owned(),
            recipient: message.to.as_str().to_owned(),
            kind: message.kind.to_owned(),
            callback_data: message.callback_data.clone(),
            fingerprint: hex::encode(message.fingerprint(asked.number)),
            in_window: judgement.in_window,
            category: price.category.to_owned(),
            pricing_type: if is_sent { price.pricing_type.to_owned() } else { String::new() },
            amount: price.amount.filter(|_| is_sent),
            currency: currency.filter(|_| is_sent),
            delivered_at: delivered_at.map(instant),
            template,
            is_marketing: judgement.template == Some(TemplateCategory::Marketing),
            entry_until: price.entry_until,
            plan: std::mem::take(&mut course.steps),
        };
        (sent, course)
    }

    pub(super) fn wamid(&self, kind: &str, n: u64) -> String {
        let hash = Sha256::new()
            .chain_update(self.born.to_be_bytes())
            .chain_update(self.settings.seed.to_be_bytes())
            .chain_update(kind)
            .chain_update(n.to_be_bytes())
            .finalize();
        format!("wamid.HBgM{}", hex::encode_upper(hash.split_at(14).0))
    }
}

impl State {
    /// Writes a broken rule down, with the request that broke it.
    fn note_violation(
        &mut self,
        asked: &Asked<'_>,
        now: Micros,
        breach: Breach,
        code: Option<u32>,
        wamid: Option<&str>,
        details: String,
    ) {
        let violation = Violation {
            at: instant(now),
            rule: breach.name().to_owned(),
            details,
            code,
            number: asked.number.to_owned(),
            wamid: wamid.map(str::to_owned),
            request: serde_json::from_slice(asked.body).unwrap_or_default(),
        };
        let entry = Entry::Violated { violation };
        self.journal(&entry);
        if let Entry::Violated { violation } = entry
            && self.violations.len() < MOST_VIOLATIONS
        {
            self.violations.push(violation);
        }
    }
}

/// So many are kept in memory; the journal has them all.
pub(super) const MOST_VIOLATIONS: usize = 10_000;

fn answer(message: &Message, sent: &Accepted, is_held: bool) -> Value {
    let contact = match &message.to {
        Recipient::Phone(phone) => json!({ "input": message.input, "wa_id": phone }),
        Recipient::UserId(id) => json!({ "input": message.input, "wa_id": "", "user_id": id }),
        Recipient::Misaddressed(_) => json!({ "input": message.input, "wa_id": "" }),
    };
    let receipt = if message.template.is_some() {
        json!({ "id": sent.wamid, "message_status": if is_held { "held_for_quality_assessment" } else { "accepted" } })
    } else {
        json!({ "id": sent.wamid })
    };
    json!({ "messaging_product": "whatsapp", "contacts": [contact], "messages": [receipt] })
}
