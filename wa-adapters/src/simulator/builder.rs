//! What a simulator is made of before it starts.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::Simulator;
use super::callbacks::Posting;
use super::clock::{Micros, RealClock, SECOND, SimulatorClock, length};
use super::crowd::Crowd;
use super::faults::{Fault, FaultError, checked};
use super::house::{HouseRules, Scope};
use super::line::Lines;
use super::people::People;
use super::prices::{PriceModel, Pricing, Rates, Till};
use super::profile::NumberProfile;
use super::statuses::StatusTimes;
use super::templates::{TemplateCategory, TemplateStatus, Templates};
use super::truth::{Conditions, RecipientErrors, Truth, UnknownTarget};
use super::watch::Watch;
use super::wire::{is_user_id, phone_digits};
use super::world::{Receiver, Settings, World};

/// Describes a simulator; [`start`](Self::start) checks it all and starts it.
#[must_use]
pub struct SimulatorBuilder {
    listen: SocketAddr,
    numbers: Vec<(String, NumberProfile)>,
    webhook: Option<(String, String)>,
    token: Option<String>,
    templates: Templates,
    people: Vec<(String, String)>,
    conditions: Conditions,
    pricing: Pricing,
    rules: HouseRules,
    marketing_cap: Option<u32>,
    clock: Option<Arc<dyn SimulatorClock>>,
    settings: Settings,
}

/// Why a simulator did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A fault's probability is not one.
    #[error(transparent)]
    Fault(#[from] FaultError),
    /// The simulator has no password to its controls, so it listens on loopback only.
    #[error("the simulator listens on loopback only, not on {0}")]
    NotLoopback(SocketAddr),
    /// A share of [`StatusTimes`] or [`Crowd`] is not between 0 and 1.
    #[error("a share of statuses or of users is a number from 0 to 1")]
    Share,
    /// The webhook address is not one.
    #[error("{0:?} is not an http or https address")]
    Webhook(String),
    /// The app secret is empty, so nothing could be signed.
    #[error("webhooks need an app secret to be signed with")]
    NoSecret,
    /// A number's throughput is zero or two numbers have one id.
    #[error("number {0:?} is there twice, or has a throughput of 0")]
    Number(String),
    /// One of the two names of a person is not of its kind.
    #[error("a person has a business-scoped user id and a phone number")]
    Person,
    /// The HTTP client for the webhooks could not be made.
    #[error("the HTTP client for webhooks could not be made")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The address could not be bound.
    #[error("the address could not be listened on")]
    Listen(#[source] io::Error),
    /// The log could not be opened or read, or another simulator uses it.
    #[error("the log could not be opened and reloaded")]
    Log(#[source] io::Error),
}

/// The number that a simulator has when none is given.
pub(crate) const DEFAULT_NUMBER: &str = "100000000000001";

impl SimulatorBuilder {
    pub(crate) fn new() -> Self {
        let posting = Posting {
            tick: Duration::from_millis(100),
            batch: 1_000,
            retry_first: Duration::from_millis(250),
            retry_most: Duration::from_secs(5),
            status_delay: Duration::from_secs(5),
        };
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            numbers: Vec::new(),
            webhook: None,
            token: None,
            templates: Templates::new(),
            people: Vec::new(),
            conditions: Conditions { tolerance: SECOND / 20, ..Conditions::default() },
            pricing: Pricing::default(),
            rules: HouseRules::default(),
            marketing_cap: None,
            clock: None,
            settings: Settings {
                seed: 0,
                faults: Vec::new(),
                times: StatusTimes::default(),
                posting,
                slow: Duration::from_secs(2),
                throttle_hold: Duration::from_secs(1),
                crowd: Crowd::default(),
                storm: Duration::from_secs(10),
                held: Duration::from_secs(600),
                log: None,
                remember: true,
            },
        }
    }

    /// Where to listen; a loopback address. Default: 127.0.0.1 and a free port.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// The seed of all chances. Default 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = seed;
        self
    }

    /// Adds a number. Without any there is `100000000000001` with the default profile.
    pub fn number(mut self, id: impl Into<String>, profile: NumberProfile) -> Self {
        self.numbers.push((id.into(), profile));
        self
    }

    /// Where webhooks go, and the app secret that signs them. Without it none are made.
    pub fn webhook(mut self, url: impl Into<String>, app_secret: impl Into<String>) -> Self {
        self.webhook = Some((url.into(), app_secret.into()));
        self
    }

    /// The one token that is accepted. Default: any that is not empty.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Lets something go wrong with a probability from 0 to 1; the last setting of a fault holds.
    pub fn fault(mut self, fault: Fault, probability: f64) -> Self {
        self.settings.faults.push((fault, probability));
        self
    }

    /// Adds a template with so many body parameters; it belongs to every account.
    pub fn template(
        mut self,
        name: &str,
        language: &str,
        category: TemplateCategory,
        status: TemplateStatus,
        parameters: u32,
    ) -> Self {
        self.templates.put(name, language, category, status, parameters);
        self
    }

    /// Accepts every template that was not added, with any parameters, in this category.
    pub fn any_template(mut self, category: TemplateCategory) -> Self {
        self.templates.any = Some(category);
        self
    }

    /// The state of a template that is created over HTTP. Default `PENDING`.
    pub fn new_templates_are(mut self, status: TemplateStatus) -> Self {
        self.templates.at_birth = status;
        self
    }

    /// Makes a business-scoped user id and a phone number one person: one window, one pair meter.
    pub fn person(mut self, user_id: impl Into<String>, phone: impl Into<String>) -> Self {
        self.people.push((user_id.into(), phone.into()));
        self
    }

    /// When and how often statuses come.
    pub fn statuses(mut self, times: StatusTimes) -> Self {
        self.settings.times = times;
        self
    }

    /// How long what is due is collected before it is posted, and at most how many statuses and
    /// messages at once (Meta: up to 1,000). Default 100 ms and 1,000.
    pub fn collect(mut self, tick: Duration, most: usize) -> Self {
        self.settings.posting.tick = tick;
        self.settings.posting.batch = most.clamp(1, 1_000);
        self
    }

    /// The first and the longest wait before a webhook that was not answered with 200 is posted
    /// again; the wait doubles in between. Default 250 ms and 5 s, for seven days.
    pub fn retry(mut self, first: Duration, most: Duration) -> Self {
        self.settings.posting.retry_first = first;
        self.settings.posting.retry_most = most;
        self
    }

    /// How late a reply is that [`Fault::Slow`] hits. Default 2 s.
    pub fn slow_by(mut self, delay: Duration) -> Self {
        self.settings.slow = delay;
        self
    }

    /// How late a status is that [`Fault::StatusDelayed`] hits. Default 5 s.
    pub fn status_delay(mut self, delay: Duration) -> Self {
        self.settings.posting.status_delay = delay;
        self
    }

    /// What the network may have pressed together: a number that sends more than its throughput
    /// within a second less this breaks its limit, and so does a message to one user that comes
    /// earlier than its slot by more than this. Zero is exact. Default 50 ms.
    pub fn jitter_tolerance(mut self, tolerance: Duration) -> Self {
        self.conditions.tolerance = length(tolerance);
        self
    }

    /// How a breach of the window (131047) or of an opt-out (131050) is told. Default: in the answer.
    pub fn recipient_errors(mut self, how: RecipientErrors) -> Self {
        self.conditions.recipient_errors = how;
        self
    }

    /// What becomes of a reaction to a message that the simulator does not know. Default: it fails.
    pub fn unknown_target(mut self, fate: UnknownTarget) -> Self {
        self.conditions.unknown_target = fate;
        self
    }

    /// How long the marketing endpoint does not know a template that was created over HTTP
    /// (134101); Meta takes up to ten minutes. Default: no time.
    pub fn template_sync(mut self, takes: Duration) -> Self {
        self.conditions.template_sync = length(takes);
        self
    }

    /// How many marketing messages a user takes in 24 hours, outside windows; the next one fails
    /// with 131049. Default: any number.
    pub fn marketing_cap(mut self, most: u32) -> Self {
        self.marketing_cap = Some(most);
        self
    }

    /// Messages in a scope to recipients with this beginning (of the phone's digits or the user id)
    /// are accepted and then fail with a code: 131026 for numbers without `WhatsApp`, 131049 for
    /// marketing to the United States, 130472, 131053 and the like. The first that fits holds.
    pub fn failing(mut self, beginning: impl Into<String>, scope: Scope, code: u32) -> Self {
        self.conditions.failing.push((beginning.into(), scope, code));
        self
    }

    /// What users do by themselves after a delivery. Default: nothing. With a log, what they have
    /// not done yet is not kept.
    pub fn crowd(mut self, crowd: Crowd) -> Self {
        self.settings.crowd = crowd;
        self
    }

    /// By which model messages are charged. Default: by date.
    pub fn price_model(mut self, model: PriceModel) -> Self {
        self.pricing.model = model;
        self
    }

    /// What messages cost. Without rates the statuses say what is billable, and the ledger no sums.
    pub fn rates(mut self, rates: Rates) -> Self {
        self.pricing.rates = Some(rates);
        self
    }

    /// What to add to UTC for an account's own time, by which its months and price models begin; up
    /// to 14 hours either way. Default 0.
    pub fn account_offset(mut self, account: impl Into<String>, seconds: i32) -> Self {
        let seconds = Micros::from(seconds.clamp(-14 * 3_600, 14 * 3_600));
        self.pricing.offsets.insert(account.into(), seconds * SECOND);
        self
    }

    /// How long a free entry point is open. Default 72 hours.
    pub fn entry_point(mut self, length_of: Duration) -> Self {
        self.pricing.entry_length = length(length_of);
        self
    }

    /// Leaves `billable` out of the prices, as Meta has announced to do.
    pub fn without_billable(mut self) -> Self {
        self.pricing.with_billable = false;
        self
    }

    /// The rules besides those of `WhatsApp` that the sender is held to. Default: none.
    pub fn house_rules(mut self, rules: HouseRules) -> Self {
        self.rules = rules;
        self
    }

    /// How long a sender may hold back after a throttle of [`Fault::Throttled`]: that time counts
    /// neither as used nor as lost in [`Pace`](super::Pace). Default 1 s.
    pub fn throttle_hold(mut self, hold: Duration) -> Self {
        self.settings.throttle_hold = hold;
        self
    }

    /// How much later a template is sent that [`Fault::HeldForQuality`] hits. Default 10 minutes.
    pub fn held_for(mut self, hold: Duration) -> Self {
        self.settings.held = hold;
        self
    }

    /// How long a [`Fault::ThrottleStorm`] lasts. Default 10 s.
    pub fn storms_last(mut self, lasting: Duration) -> Self {
        self.settings.storm = lasting;
        self
    }

    /// The time. Default: real time.
    pub fn clock(mut self, clock: impl SimulatorClock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Appends each accepted send to a file before it is answered, and reloads the file at start.
    pub fn log(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.log = Some(path.into());
        self
    }

    /// Keeps no list of the accepted sends in memory: for long runs with a log.
    pub fn forget_accepted(mut self) -> Self {
        self.settings.remember = false;
        self
    }

    /// Reloads the log, binds the address, and serves on the current tokio runtime.
    ///
    /// # Errors
    /// When something described above does not hold, the address is taken, or the log cannot be
    /// read or belongs to a running simulator.
    pub async fn start(mut self) -> Result<Simulator, StartError> {
        if !self.listen.ip().is_loopback() {
            return Err(StartError::NotLoopback(self.listen));
        }
        if self.numbers.is_empty() {
            self.numbers.push((DEFAULT_NUMBER.to_owned(), NumberProfile::default()));
        }
        let people = self.check()?;
        let receiver = self.webhook.take().map(|(url, secret)| receiver(url, secret)).transpose()?;
        let (people, till) = (People::new(people), Till::new(self.pricing));
        let watch = Watch::new(self.rules);
        let mut truth = Truth::new(&self.numbers, people, self.templates, till, watch, self.conditions);
        truth.marketing_cap.most = self.marketing_cap;
        let clock = self.clock.unwrap_or_else(|| Arc::new(RealClock::new()));
        let listener = tokio::net::TcpListener::bind(self.listen).await.map_err(StartError::Listen)?;
        let address = listener.local_addr().map_err(StartError::Listen)?;
        let world = World::new(self.settings, clock, receiver, truth, self.token).map_err(StartError::Log)?;
        Ok(Simulator::run(Arc::new(world), address, Lines(listener)))
    }

    fn check(&self) -> Result<HashMap<String, String>, StartError> {
        for (fault, probability) in &self.settings.faults {
            checked(*fault, *probability)?;
        }
        let StatusTimes { delivered, read, played, .. } = self.settings.times;
        let Crowd { answers, stops, .. } = self.settings.crowd;
        if ![delivered, read, played, answers, stops].iter().all(|share| (0.0..=1.0).contains(share)) {
            return Err(StartError::Share);
        }
        for (place, (id, profile)) in self.numbers.iter().enumerate() {
            let twice = self.numbers.iter().skip(place + 1).any(|(other, _)| other == id);
            if twice || profile.throughput == 0 {
                return Err(StartError::Number(id.clone()));
            }
        }
        let person = |(id, phone): &(String, String)| match phone_digits(phone) {
            Some(digits) if is_user_id(id) => Ok((id.clone(), digits)),
            _ => Err(StartError::Person),
        };
        self.people.iter().map(person).collect()
    }
}

fn receiver(url: String, secret: String) -> Result<Receiver, StartError> {
    if secret.is_empty() {
        return Err(StartError::NoSecret);
    }
    let parsed = reqwest::Url::parse(&url).ok().filter(|parsed| matches!(parsed.scheme(), "http" | "https"));
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(Duration::from_secs(10))
        .build()
        .map_err(|error| StartError::Client(Box::new(error)))?;
    Ok(Receiver { url: parsed.ok_or(StartError::Webhook(url))?, secret, client })
}

impl fmt::Debug for SimulatorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatorBuilder")
            .field("listen", &self.listen)
            .field("numbers", &self.numbers.len())
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
