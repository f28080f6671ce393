//! The simulator as a program: a Graph API on loopback that judges, logs and misbehaves on demand.
//!
//! `cargo run --example simulator -- --listen 127.0.0.1:8090 --log /tmp/simulator.log`; see
//! `docs/simulator.md`. At SIGTERM or SIGINT it prints its verdict as one line of JSON and exits 0.

use std::error::Error;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use clap::Parser;
use tokio::signal::unix::{Signal, SignalKind, signal};
use wa_kit::simulator::{
    Budget, Cooldown, Fault, FrequencyCap, HouseRules, NumberProfile, PriceModel, Rates, RecipientErrors,
    Scope, Simulator, SimulatorBuilder, StatusTimes, Stop, TemplateCategory, TemplateStatus,
};

/// Plays the WhatsApp Cloud API on loopback.
#[derive(Debug, Parser)]
struct Options {
    /// The loopback address to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where webhooks are posted.
    #[arg(long, value_name = "URL", requires = "app_secret")]
    webhook: Option<String>,
    /// The secret that signs webhooks.
    #[arg(long, value_name = "S")]
    app_secret: Option<String>,
    /// Appends each accepted send to this file before it is answered, and reloads it at start.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// The seed of all chances.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Lets something go wrong with a probability, such as reply-lost=0.1; may be repeated.
    #[arg(long = "fault", value_name = "NAME=P", value_parser = Fault::parse_setting)]
    faults: Vec<(Fault, f64)>,
    /// The sending number's id.
    #[arg(long, value_name = "ID", default_value = "100000000000001")]
    number: String,
    /// Messages that the number may send in a second.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    throughput: u32,
    /// Unique users outside windows in 24 hours; unlimited when not given.
    #[arg(long, value_name = "N")]
    tier: Option<u32>,
    /// The only token that is accepted; any when not given.
    #[arg(long, value_name = "T")]
    token: Option<String>,
    /// An approved template with so many body parameters; may be repeated.
    #[arg(long = "template", value_name = "NAME:LANGUAGE:CATEGORY:PARAMETERS")]
    templates: Vec<Template>,
    /// The category of all templates when none is given.
    #[arg(long, value_name = "CATEGORY", default_value = "marketing", value_parser = category)]
    any_template: TemplateCategory,
    /// The share of messages that is delivered.
    #[arg(long, value_name = "P", default_value_t = 1.0)]
    delivered: f64,
    /// The share of delivered messages that is read.
    #[arg(long, value_name = "P", default_value_t = 1.0 / 3.0)]
    read: f64,
    /// By how much the network may press messages together without breaking a limit.
    #[arg(long, value_name = "MS", default_value_t = 50)]
    jitter_tolerance: u64,
    /// How late a reply is that the fault `slow` hits.
    #[arg(long, value_name = "MS", default_value_t = 2_000)]
    slow_by: u64,
    /// How late a status is that the fault `status-delayed` hits.
    #[arg(long, value_name = "MS", default_value_t = 5_000)]
    status_delay: u64,
    /// How long a storm of the fault `throttle-storm` lasts.
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    storm: u64,
    /// Tells of closed windows and opt-outs by webhook after a 200, instead of in the answer.
    #[arg(long)]
    report_recipient_errors: bool,
    /// How many marketing messages a user takes in 24 hours (131049 follows); any number when not given.
    #[arg(long, value_name = "N")]
    marketing_cap: Option<u32>,
    /// Refuses marketing templates on /messages (131063).
    #[arg(long)]
    refuse_marketing_on_messages: bool,
    /// Writes the pace of the number and the ledger to stderr at the end.
    #[arg(long)]
    report: bool,
    #[command(flatten)]
    money: Money,
    #[command(flatten)]
    house: House,
}

/// What messages cost.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Prices")]
struct Money {
    /// The price model: by-date, july-2025 or october-2026.
    #[arg(long, value_name = "MODEL", default_value = "by-date", value_parser = price_model)]
    price_model: PriceModel,
    /// What a message costs in millionths, such as marketing:49=136500 or utility:*=7700; may be repeated.
    #[arg(long = "rate", value_name = "CATEGORY:MARKET=MICROS")]
    rates: Vec<Rate>,
    /// The currency of the rates.
    #[arg(long, value_name = "CODE", default_value = "USD")]
    currency: String,
    /// What to add to UTC for the account's own months.
    #[arg(long, value_name = "SECONDS", default_value_t = 0, allow_negative_numbers = true)]
    account_offset: i32,
}

/// The rules besides those of WhatsApp that a sender is judged by; all off by default.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Rules of the house")]
struct House {
    /// Counts marketing to users who stopped it only so long after their stop was delivered.
    #[arg(long, value_name = "MS")]
    stop_grace: Option<u64>,
    /// A text by which users stop as well; may be repeated.
    #[arg(long = "stop-word", value_name = "TEXT", requires = "stop_grace")]
    stop_words: Vec<String>,
    /// The least time between two templates to one recipient.
    #[arg(long, value_name = "SECONDS")]
    cooldown: Option<u64>,
    /// How many messages a recipient gets in so many seconds.
    #[arg(long, value_name = "N/SECONDS", value_parser = frequency)]
    frequency_cap: Option<FrequencyCap>,
    /// The most that all messages may cost, in millionths.
    #[arg(long, value_name = "MICROS")]
    budget: Option<i64>,
    /// The only recipients; may be repeated.
    #[arg(long = "only-to", value_name = "PHONE")]
    only_to: Vec<String>,
}

impl House {
    fn rules(self, currency: &str) -> HouseRules {
        let words = self.stop_words.into_iter().collect();
        HouseRules {
            stop: self.stop_grace.map(|grace| Stop { grace: Duration::from_millis(grace), words }),
            cooldown: self
                .cooldown
                .map(|wait| Cooldown { wait: Duration::from_secs(wait), by_template: false }),
            frequency: self.frequency_cap,
            budget: self.budget.map(|most| Budget { currency: currency.to_owned(), most }),
            only_to: (!self.only_to.is_empty()).then(|| self.only_to.into_iter().collect()),
            ..HouseRules::default()
        }
    }
}

#[derive(Debug, Clone)]
struct Rate {
    category: String,
    market: String,
    amount: i64,
}

impl FromStr for Rate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "a rate is written CATEGORY:MARKET=MICROS, such as marketing:49=136500";
        let (name, amount) = text.split_once('=').ok_or(FORM)?;
        let (category, market) = name.split_once(':').ok_or(FORM)?;
        let amount = amount.parse().ok().filter(|amount| *amount >= 0).ok_or(FORM)?;
        Ok(Self { category: category.to_owned(), market: market.to_owned(), amount })
    }
}

fn price_model(name: &str) -> Result<PriceModel, &'static str> {
    match name {
        "by-date" => Ok(PriceModel::ByDate),
        "july-2025" => Ok(PriceModel::July2025),
        "october-2026" => Ok(PriceModel::October2026),
        _ => Err("a price model is by-date, july-2025 or october-2026"),
    }
}

fn frequency(text: &str) -> Result<FrequencyCap, &'static str> {
    const FORM: &str = "a frequency cap is written N/SECONDS, such as 2/86400";
    let (most, seconds) = text.split_once('/').ok_or(FORM)?;
    Ok(FrequencyCap {
        most: most.parse().map_err(|_| FORM)?,
        within: Duration::from_secs(seconds.parse().map_err(|_| FORM)?),
        scope: Scope::Everything,
    })
}

#[derive(Debug, Clone)]
struct Template {
    name: String,
    language: String,
    category: TemplateCategory,
    parameters: u32,
}

impl FromStr for Template {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str =
            "a template is written NAME:LANGUAGE:CATEGORY:PARAMETERS, such as hello:en_US:utility:1";
        let parts: Vec<_> = text.split(':').collect();
        let [name, language, of, parameters] = parts.as_slice() else { return Err(FORM) };
        Ok(Self {
            name: (*name).to_owned(),
            language: (*language).to_owned(),
            category: category(of)?,
            parameters: parameters.parse().map_err(|_| FORM)?,
        })
    }
}

fn category(name: &str) -> Result<TemplateCategory, &'static str> {
    TemplateCategory::from_name(name).ok_or("a category is marketing, utility or authentication")
}

impl Options {
    fn builder(self) -> SimulatorBuilder {
        let profile =
            NumberProfile { throughput: self.throughput, tier: self.tier, ..NumberProfile::default() };
        let mut builder = Simulator::builder()
            .listen(self.listen)
            .seed(self.seed)
            .number(self.number, profile)
            .statuses(StatusTimes { delivered: self.delivered, read: self.read, ..StatusTimes::default() })
            .jitter_tolerance(Duration::from_millis(self.jitter_tolerance))
            .slow_by(Duration::from_millis(self.slow_by))
            .status_delay(Duration::from_millis(self.status_delay))
            .storms_last(Duration::from_millis(self.storm))
            .price_model(self.money.price_model)
            .account_offset(NumberProfile::default().account, self.money.account_offset)
            .house_rules(self.house.rules(&self.money.currency))
            .new_templates_are(TemplateStatus::Approved)
            // The log has them; a long run needs no second copy in memory.
            .forget_accepted();
        for (fault, probability) in self.faults {
            builder = builder.fault(fault, probability);
        }
        if self.templates.is_empty() {
            builder = builder.any_template(self.any_template);
        }
        for one in &self.templates {
            let status = TemplateStatus::Approved;
            builder = builder.template(&one.name, &one.language, one.category, status, one.parameters);
        }
        if let (Some(url), Some(secret)) = (self.webhook, self.app_secret) {
            builder = builder.webhook(url, secret);
        }
        if !self.money.rates.is_empty() {
            let rates = self.money.rates.iter().fold(Rates::new(self.money.currency), |rates, one| {
                rates.rate(&one.category, &one.market, one.amount)
            });
            builder = builder.rates(rates);
        }
        if self.report_recipient_errors {
            builder = builder.recipient_errors(RecipientErrors::Reported);
        }
        if let Some(most) = self.marketing_cap {
            builder = builder.marketing_cap(most);
        }
        if let Some(token) = self.token {
            builder = builder.token(token);
        }
        if let Some(path) = self.log {
            builder = builder.log(path);
        }
        builder
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut message = error.to_string();
            let mut source = error.source();
            while let Some(cause) = source {
                message = format!("{message}: {cause}");
                source = cause.source();
            }
            eprintln!("simulator: {message}");
            ExitCode::from(2)
        }
    }
}

async fn run(options: Options) -> Result<(), Box<dyn Error>> {
    // Before the address is printed: who reads it may stop us at once.
    let (mut term, mut int): (Signal, Signal) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (number, refuse, report) =
        (options.number.clone(), options.refuse_marketing_on_messages, options.report);
    let simulator = options.builder().start().await?;
    simulator.refuse_marketing_on_messages(&NumberProfile::default().account, refuse)?;
    eprintln!("simulator listening on {}", simulator.origin());
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    if report {
        let pace = simulator.pace(&number)?;
        eprintln!(
            "pace: {} sends, {} in the busiest second, {} of {} that the limits allowed",
            pace.passed, pace.busiest_second, pace.achieved, pace.allowed
        );
        for line in simulator.ledger() {
            eprintln!("ledger: {}", serde_json::to_string(&line)?);
        }
    }
    let stats = simulator.stop().await;
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&stats)?)?;
    Ok(())
}
