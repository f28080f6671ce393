//! The running simulator's shared state, and what each request does to it.
//!
//! Invariant: an accepted send is judged, written to the log and counted under one lock, before
//! anything is answered; so the log's order is the order in which the limits were judged.

mod account;
mod people;
mod send;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Notify, watch};

use super::accepted::Accepted;
use super::callbacks::{Posting, Queue, signature};
use super::clock::{Micros, SimulatorClock, micros};
use super::crowd::{Acts, Crowd};
use super::error::{Breach, Refusal};
use super::facts::Fact;
use super::faults::{Fault, Faults};
use super::log::{Entry, Event, Log};
use super::profile::NumberProfile;
use super::stats::Stats;
use super::statuses::StatusTimes;
use super::truth::Truth;
use super::violation::Violation;

pub(crate) use account::{ban, restriction};
pub(crate) use send::{Asked, Reply};

/// What does not change while the simulator runs.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) seed: u64,
    pub(crate) faults: Vec<(Fault, f64)>,
    pub(crate) times: StatusTimes,
    pub(crate) posting: Posting,
    pub(crate) slow: Duration,
    /// How long a sender may hold back after an injected throttle; its pace does not count then.
    pub(crate) throttle_hold: Duration,
    pub(crate) crowd: Crowd,
    /// How much later a held template is sent.
    pub(crate) held: Duration,
    /// How long a storm of throttling lasts.
    pub(crate) storm: Duration,
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
    /// What users will do by themselves.
    pub(crate) acts: Acts,
    /// None accepts any token that is not empty.
    pub(crate) token: Option<String>,
    pub(crate) accepted: Vec<Arc<Accepted>>,
    /// The first of them.
    pub(crate) violations: Vec<Violation>,
    log: Option<Log>,
    /// The simulator is gone; connections that outlive it for a moment are not answered.
    closed: bool,
    next_send: u64,
    next_event: u64,
}

/// Something that a webhook tells.
struct News<'a> {
    at: Micros,
    account: &'a str,
    field: &'a str,
    value: Value,
    fact: Option<Fact>,
    /// The user whose wish the receiver then knows: true for a stop.
    wish: Option<(String, bool)>,
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
    /// No account of the simulator has this id.
    #[error("the simulator has no account {0:?}")]
    UnknownAccount(String),
    /// No accepted send has this id (or accepted sends are not kept).
    #[error("the simulator accepted no message {0:?}")]
    UnknownMessage(String),
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
        let (mut next_send, mut next_event, mut log, mut violations) = (0, 0, None, Vec::new());
        if let Some(path) = &settings.log {
            let mut each = |ordinal: u64, sent: Accepted, recalled: &super::log::Recalled| {
                if ordinal == 0 {
                    let met = recalled.facts.iter().filter(|fact| matches!(fact, Fact::Met { .. }));
                    met.for_each(|fact| truth.note(fact));
                }
                truth.recall_arrival(&sent);
                stats.count_accepted(truth.accept(&sent).repeated);
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
                stats.count_refused(code, breach.as_deref().and_then(Breach::named));
            }
            for fact in &recalled.facts {
                stats.inbound += u64::from(matches!(fact, Fact::Wrote { message_id: Some(_), .. }));
                truth.note(fact);
            }
            if receiver.is_some() {
                recalled.events.into_iter().for_each(|event| queue.push_event(event));
            }
            for violation in recalled.violations {
                // Those of refused requests are counted with the refusals.
                if let (Some(breach), Some(_)) = (Breach::named(&violation.rule), &violation.wamid) {
                    stats.count_breach(breach);
                }
                if violations.len() < send::MOST_VIOLATIONS {
                    violations.push(violation);
                }
            }
            next_event = recalled.next_event;
            log = Some(opened);
        }
        let faults = Faults::new(settings.seed, stats.requests, &settings.faults);
        let acts = Acts::new(settings.crowd, settings.seed, stats.requests);
        let state = State {
            truth,
            stats,
            queue,
            faults,
            acts,
            token,
            accepted,
            violations,
            log,
            closed: false,
            next_send,
            next_event,
        };
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
        stats.charged = BTreeMap::new();
        for line in state.truth.ledger.lines().into_iter().filter(|line| !line.currency.is_empty()) {
            let sum = stats.charged.entry(line.currency).or_default().entry(line.category).or_default();
            *sum = sum.saturating_add(line.amount);
        }
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

    /// Takes note of facts without a webhook.
    fn note(&self, state: &mut State, fact: Fact) {
        state.truth.note(&fact);
        state.journal(&Entry::Noted { fact });
    }

    /// Takes note of a fact and, when somebody listens, queues its webhook.
    fn happen(&self, state: &mut State, news: News<'_>) {
        let News { at, account, field, value, fact, wish } = news;
        if let Some(fact) = &fact {
            state.truth.note(fact);
        }
        let (account, field) = (account.to_owned(), field.to_owned());
        let event = Event { id: state.next_event, at, account, field, value, wish };
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
