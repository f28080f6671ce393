//! The running simulator's shared state, and what each request does to it.
//!
//! Invariant: an accepted send is judged, written to the log and counted under one lock, before
//! anything is answered; so the log's order is the order in which the limits were judged.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::{Notify, watch};

use super::callbacks::{Posting, Queue, StatusTimes, metadata, plan, signature};
use super::clock::{Micros, SECOND, SimulatorClock, instant, micros};
use super::error::{Breach, Refusal};
use super::faults::{Fault, Faults};
use super::log::{Entry, Event, Log};
use super::stats::Stats;
use super::templates::TemplateStatus;
use super::truth::{Accepted, Fact, NumberProfile, Truth};
use super::wire::{self, Message, Request, is_user_id, phone_digits};

/// What does not change while the simulator runs.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) seed: u64,
    pub(crate) faults: Vec<(Fault, f64)>,
    pub(crate) times: StatusTimes,
    pub(crate) posting: Posting,
    pub(crate) slow: Duration,
    pub(crate) log: Option<PathBuf>,
    pub(crate) remember: bool,
}

/// Where webhooks go; its secret stays out of every `Debug`.
pub(crate) struct Receiver {
    pub(crate) url: reqwest::Url,
    pub(crate) secret: String,
    pub(crate) client: reqwest::Client,
}

/// The running simulator.
pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn SimulatorClock>,
    pub(crate) receiver: Option<Receiver>,
    /// Something was put into the queue of webhooks.
    pub(crate) due: Notify,
    /// A webhook was posted, with or without success.
    pub(crate) posted: Notify,
    pub(crate) stop: watch::Sender<bool>,
    /// Makes ids that no other run makes.
    born: Micros,
    state: Mutex<State>,
}

/// What changes.
pub(crate) struct State {
    pub(crate) truth: Truth,
    pub(crate) stats: Stats,
    pub(crate) queue: Queue,
    pub(crate) faults: Faults,
    /// None accepts any token that is not empty.
    pub(crate) token: Option<String>,
    pub(crate) accepted: Vec<Arc<Accepted>>,
    log: Option<Log>,
    /// The simulator is gone; connections that outlive it for a moment are not answered.
    closed: bool,
    next_send: u64,
    next_event: u64,
}

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

/// Why something cannot be done to the simulated world.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SimulatorError {
    /// No number of the simulator has this id.
    #[error("the simulator has no number {0:?}")]
    UnknownNumber(String),
    /// Neither a phone number nor a business-scoped user id.
    #[error("a user is a phone number with country code or a business-scoped user id")]
    User,
    /// There is no such template.
    #[error("the simulator has no template {name:?} in {language:?}")]
    UnknownTemplate {
        /// The name asked for.
        name: String,
        /// The language asked for.
        language: String,
    },
    /// There is no webhook receiver, or it did not answer the handshake with the challenge.
    #[error("the webhook receiver did not answer the handshake with the challenge")]
    Handshake,
}

impl World {
    /// Builds the state and reloads the log, if there is one.
    pub(crate) fn new(
        settings: Settings,
        clock: Arc<dyn SimulatorClock>,
        receiver: Option<Receiver>,
        mut truth: Truth,
        token: Option<String>,
    ) -> std::io::Result<Self> {
        let (mut stats, mut queue, mut accepted) = (Stats::default(), Queue::default(), Vec::new());
        let (mut next_send, mut next_event, mut log) = (0, 0, None);
        if let Some(path) = &settings.log {
            let mut each = |ordinal: u64, sent: Accepted, recalled: &super::log::Recalled| {
                truth.recall_arrival(&sent);
                stats.count_accepted(truth.accept(&sent));
                let sent = Arc::new(sent);
                if receiver.is_some() {
                    queue.push_statuses(&sent, ordinal, |step| recalled.called.contains(&(ordinal, step)));
                }
                if settings.remember {
                    accepted.push(sent);
                }
                next_send = ordinal + 1;
            };
            let (opened, recalled) = Log::open(path, &mut each)?;
            for (code, breach) in recalled.refused {
                let breach = Breach::ALL.into_iter().find(|known| breach.as_deref() == Some(known.name()));
                stats.count_refused(code, breach);
            }
            for fact in &recalled.facts {
                stats.inbound += u64::from(matches!(fact, Fact::Wrote { message_id: Some(_), .. }));
                truth.note(fact);
            }
            if receiver.is_some() {
                recalled.events.into_iter().for_each(|event| queue.push_event(event));
            }
            next_event = recalled.next_event;
            log = Some(opened);
        }
        let faults = Faults::new(settings.seed, stats.requests, &settings.faults);
        let state =
            State { truth, stats, queue, faults, token, accepted, log, closed: false, next_send, next_event };
        let born = micros(clock.now());
        let (due, posted, stop) = (Notify::new(), Notify::new(), watch::Sender::new(false));
        Ok(Self { settings, clock, receiver, due, posted, stop, born, state: Mutex::new(state) })
    }

    /// The state; a panic elsewhere does not silence the judge.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Micros {
        micros(self.clock.now())
    }

    /// Lets go of the log, so that the next simulator can take it at once.
    pub(crate) fn close(&self) {
        self.stop.send_replace(true);
        let mut state = self.state();
        state.closed = true;
        state.log = None;
    }

    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// The statistics as of now.
    pub(crate) fn stats(&self) -> Stats {
        let state = self.state();
        let mut stats = state.stats.clone();
        stats.callbacks.pending = u64::try_from(state.queue.pending()).unwrap_or(u64::MAX);
        stats
    }

    /// Whether a request may do anything at all, and for which number.
    pub(crate) fn admit(&self, number: &str, token: Option<&str>) -> Result<NumberProfile, Refusal> {
        self.check_token(token)?;
        let state = self.state();
        let number = state.truth.numbers.get(number).ok_or_else(|| Refusal::no_such_object(number))?;
        Ok(number.profile.clone())
    }

    pub(crate) fn check_token(&self, token: Option<&str>) -> Result<(), Refusal> {
        let state = self.state();
        match (&state.token, token) {
            (None, Some(given)) if !given.is_empty() => Ok(()),
            (Some(own), Some(given)) if own == given => Ok(()),
            _ => Err(Refusal::new(190, "The access token is missing, expired or revoked.")),
        }
    }

    /// `POST /{number}/messages`.
    pub(crate) fn messages(&self, number: &str, token: Option<&str>, is_json: bool, body: &[u8]) -> Reply {
        let request = self.admit(number, token).and_then(|_| {
            if is_json {
                wire::parse(body)
            } else {
                Err(Refusal::new(100, "The content type is application/json."))
            }
        });
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
                let reply = self.send(&mut state, number, &message);
                drop(state);
                self.due.notify_one();
                reply
            }
        }
    }

    fn send(&self, state: &mut State, number: &str, message: &Message) -> Reply {
        if state.strikes(Fault::ErrorBefore) {
            return state.server_error(true);
        }
        if state.strikes(Fault::Throttled) {
            return state.refuse(Refusal::new(130_429, "Injected: the number is throttled."));
        }
        let now = self.now();
        let judgement = match state.truth.judge(number, message, now) {
            Ok(judgement) => judgement,
            Err(refusal) => return state.refuse(refusal),
        };
        let (plan, struck) = match self.receiver {
            Some(_) => plan(now, &self.settings.times, &self.settings.posting, &mut state.faults),
            None => Default::default(),
        };
        let sent = Accepted {
            at: instant(now),
            wamid: self.wamid("send", state.next_send),
            number: number.to_owned(),
            recipient: message.to.as_str().to_owned(),
            kind: message.kind.to_owned(),
            callback_data: message.callback_data.clone(),
            fingerprint: hex::encode(message.fingerprint(number)),
            in_window: judgement.in_window,
            category: judgement.category.to_owned(),
            pricing_type: judgement.pricing_type.to_owned(),
            plan,
        };
        if let Some(Err(_)) = state.log.as_mut().map(|log| log.accepted(&sent)) {
            return state.refuse(Refusal::new(131_000, "The simulator cannot write its log."));
        }
        struck.into_iter().for_each(|fault| state.stats.count_fault(fault));
        let repeated = state.truth.accept(&sent);
        state.stats.count_accepted(repeated);
        let answer = answer(message, &sent);
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

    fn wamid(&self, kind: &str, n: u64) -> String {
        let hash = Sha256::new()
            .chain_update(self.born.to_be_bytes())
            .chain_update(self.settings.seed.to_be_bytes())
            .chain_update(kind)
            .chain_update(n.to_be_bytes())
            .finalize();
        format!("wamid.HBgM{}", hex::encode_upper(hash.split_at(14).0))
    }

    /// A user writes a text: opens the window and sends the webhook.
    pub(crate) fn inbound(&self, number: &str, from: &str, text: &str) -> Result<String, SimulatorError> {
        let user = user(from)?;
        let at = self.now();
        let mut state = self.state();
        let profile = state.profile(number)?;
        let id = self.wamid("inbound", state.next_event);
        let mut message = json!({
            "id": id, "timestamp": (at / SECOND).to_string(), "type": "text", "text": { "body": text },
        });
        let mut contact = json!({ "profile": { "name": "Simulated User" } });
        let (in_message, in_contact) =
            if is_user_id(&user) { ("from_user_id", "user_id") } else { ("from", "wa_id") };
        for (object, key) in [(&mut message, in_message), (&mut contact, in_contact)] {
            object.as_object_mut().and_then(|object| object.insert(key.to_owned(), json!(user)));
        }
        let value = json!({
            "messaging_product": "whatsapp", "metadata": metadata(number, &profile),
            "contacts": [contact], "messages": [message],
        });
        let fact = Fact::Wrote { at, number: number.to_owned(), user, message_id: Some(id.clone()) };
        state.stats.inbound += 1;
        self.happen(&mut state, at, &profile.account, "messages", value, Some(fact));
        Ok(id)
    }

    /// Opens a window without a message.
    pub(crate) fn open_window(&self, number: &str, with: &str) -> Result<(), SimulatorError> {
        let (user, at) = (user(with)?, self.now());
        let mut state = self.state();
        state.profile(number)?;
        let fact = Fact::Wrote { at, number: number.to_owned(), user, message_id: None };
        state.truth.note(&fact);
        state.journal(&Entry::Noted { fact });
        Ok(())
    }

    /// A user stops or resumes marketing messages.
    pub(crate) fn preference(&self, number: &str, of: &str, stop: bool) -> Result<(), SimulatorError> {
        let (user, at) = (user(of)?, self.now());
        let mut state = self.state();
        let profile = state.profile(number)?;
        let key = if is_user_id(&user) { "user_id" } else { "wa_id" };
        let (word, detail) = if stop {
            ("stop", "User requested to stop marketing messages")
        } else {
            ("resume", "User requested to resume marketing messages")
        };
        let value = json!({
            "messaging_product": "whatsapp", "metadata": metadata(number, &profile),
            "contacts": [{ "profile": { "name": "Simulated User" }, (key): user }],
            "user_preferences": [{
                (key): user, "detail": detail, "category": "marketing_messages", "value": word,
                "timestamp": at / SECOND,
            }],
        });
        let fact = Fact::Preference { user, stop };
        self.happen(&mut state, at, &profile.account, "user_preferences", value, Some(fact));
        Ok(())
    }

    /// Moves a template to another state, with its webhook.
    pub(crate) fn template_status(
        &self,
        name: &str,
        language: &str,
        status: TemplateStatus,
    ) -> Result<(), SimulatorError> {
        let at = self.now();
        let mut state = self.state();
        let unknown =
            || SimulatorError::UnknownTemplate { name: name.to_owned(), language: language.to_owned() };
        let template = state.truth.templates.set_status(name, language, status).ok_or_else(unknown)?;
        let value = json!({
            "event": status.name(), "message_template_id": template.id, "message_template_name": name,
            "message_template_language": language, "reason": "NONE",
            "message_template_category": template.category.name(),
        });
        let accounts: std::collections::BTreeSet<_> =
            state.truth.numbers.values().map(|number| number.profile.account.clone()).collect();
        for account in accounts {
            self.happen(&mut state, at, &account, "message_template_status_update", value.clone(), None);
        }
        Ok(())
    }

    /// Takes note of a fact and, when somebody listens, queues its webhook.
    fn happen(
        &self,
        state: &mut State,
        at: Micros,
        account: &str,
        field: &str,
        value: Value,
        fact: Option<Fact>,
    ) {
        if let Some(fact) = &fact {
            state.truth.note(fact);
        }
        let (account, field) = (account.to_owned(), field.to_owned());
        let event = Event { id: state.next_event, at, account, field, value };
        state.next_event += 1;
        if self.receiver.is_some() {
            state.journal(&Entry::Event { event: event.clone(), fact });
            state.queue.push_event(event);
            self.due.notify_one();
        } else if let Some(fact) = fact {
            state.journal(&Entry::Noted { fact });
        }
    }

    /// Posts a signed body; true when the receiver took it.
    pub(crate) async fn post_webhook(&self, body: String) -> bool {
        let Some(receiver) = &self.receiver else { return false };
        let signature = signature(&receiver.secret, body.as_bytes());
        let request = receiver
            .client
            .post(receiver.url.clone())
            .header("Content-Type", "application/json")
            .header("X-Hub-Signature-256", signature)
            .body(body);
        request.send().await.is_ok_and(|answer| answer.status() == reqwest::StatusCode::OK)
    }

    /// The subscription handshake: GET with a challenge that must come back bare.
    pub(crate) async fn handshake(&self, verify_token: &str) -> Result<(), SimulatorError> {
        const CHALLENGE: &str = "1158201444";
        let receiver = self.receiver.as_ref().ok_or(SimulatorError::Handshake)?;
        let mut url = receiver.url.clone();
        url.query_pairs_mut()
            .append_pair("hub.mode", "subscribe")
            .append_pair("hub.challenge", CHALLENGE)
            .append_pair("hub.verify_token", verify_token);
        let answer = receiver.client.get(url).send().await.map_err(|_| SimulatorError::Handshake)?;
        let ok = answer.status() == reqwest::StatusCode::OK;
        let body = answer.text().await.map_err(|_| SimulatorError::Handshake)?;
        if ok && body == CHALLENGE { Ok(()) } else { Err(SimulatorError::Handshake) }
    }
}

impl State {
    /// Writes to the journal; a failure shows at the next accepted send, which is refused.
    pub(crate) fn journal(&mut self, entry: &Entry) {
        if let Some(log) = &mut self.log {
            let _ = log.journal(entry);
        }
    }

    fn strikes(&mut self, fault: Fault) -> bool {
        let strikes = self.faults.strikes(fault);
        if strikes {
            self.stats.count_fault(fault);
        }
        strikes
    }

    fn refuse(&mut self, refusal: Refusal) -> Reply {
        self.count_refused(refusal.code, refusal.breach);
        Reply::Refused(refusal)
    }

    fn count_refused(&mut self, code: u32, breach: Option<Breach>) {
        self.stats.count_refused(code, breach);
        self.journal(&Entry::Refused { code, breach: breach.map(|breach| breach.name().to_owned()) });
    }

    /// One of the shapes in which servers fail; counted as a refusal when nothing was accepted.
    fn server_error(&mut self, refused: bool) -> Reply {
        let shape = [131_000, 2, 502].get(self.faults.below(3)).copied().unwrap_or(502);
        if refused {
            self.count_refused(shape, None);
        }
        match shape {
            502 => Reply::BadGateway,
            code => Reply::Refused(Refusal::new(code, "Injected by the simulator.")),
        }
    }

    fn profile(&self, number: &str) -> Result<NumberProfile, SimulatorError> {
        let unknown = || SimulatorError::UnknownNumber(number.to_owned());
        self.truth.numbers.get(number).map(|number| number.profile.clone()).ok_or_else(unknown)
    }
}

fn answer(message: &Message, sent: &Accepted) -> Value {
    let contact = if is_user_id(&sent.recipient) {
        json!({ "input": message.input, "wa_id": "", "user_id": sent.recipient })
    } else {
        json!({ "input": message.input, "wa_id": sent.recipient })
    };
    let receipt = if message.template.is_some() {
        json!({ "id": sent.wamid, "message_status": "accepted" })
    } else {
        json!({ "id": sent.wamid })
    };
    json!({ "messaging_product": "whatsapp", "contacts": [contact], "messages": [receipt] })
}

fn user(text: &str) -> Result<String, SimulatorError> {
    if is_user_id(text) { Ok(text.to_owned()) } else { phone_digits(text).ok_or(SimulatorError::User) }
}
