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
    Fault, NumberProfile, Simulator, SimulatorBuilder, StatusTimes, TemplateCategory, TemplateStatus,
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
    let simulator = options.builder().start().await?;
    eprintln!("simulator listening on {}", simulator.origin());
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    let stats = simulator.stop().await;
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&stats)?)?;
    Ok(())
}
