//! Says what a webhook body of Meta's holds: one JSON object a line for each event.
//!
//! `cargo run --example decode_webhook < body.json`; with `--secret` or `--secret-env` and
//! `--signature`, the signature is checked first. Stdin, whole and byte for byte, is one body; only
//! unsigned input that is not one JSON value is read line by line, one body a line. Exit status 2
//! and one sentence tell what is wrong.

use std::fmt::Display;
use std::io::{BufRead, BufReader, BufWriter, Cursor, ErrorKind, Read, Write};
use std::process::ExitCode;

use clap::{ArgGroup, Parser, ValueEnum};
use serde_json::{Map, Value, json};
use wa_kit::cloud::{CloudConfig, CloudWebhooks};
use wa_kit::model::{
    Echo, FailureCode, InboundEvent, InboundMessage, NamedEvent, Recipient, StatusUpdate, TemplateRef,
};
use wa_kit::port::{Clock, ReceivedWebhook, SystemClock, WebhookSource};

/// Decodes a webhook body from stdin.
#[derive(Debug, Parser)]
#[command(group(ArgGroup::new("key").args(["secret", "secret_env"])))]
struct Options {
    /// Whose webhook it is.
    #[arg(long, value_enum, default_value_t = Kind::Meta)]
    kind: Kind,
    /// The app secret that signed the body.
    #[arg(long, value_name = "S", requires = "signature")]
    secret: Option<String>,
    /// The environment variable that holds the app secret, so that no process list shows it.
    #[arg(long, value_name = "NAME", requires = "signature")]
    secret_env: Option<String>,
    /// The value of the header X-Hub-Signature-256.
    #[arg(long, value_name = "HEADER", requires = "key", allow_hyphen_values = true)]
    signature: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Meta,
}

const SIGNATURE_HEADER: &str = "X-Hub-Signature-256";
const LARGEST_BODY: usize = CloudWebhooks::LARGEST_BODY;

fn main() -> ExitCode {
    let outcome = match Options::try_parse() {
        Ok(options) => run(&options),
        // Help that was asked for.
        Err(error) if !error.use_stderr() => {
            return error.print().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
        }
        Err(error) => Err(Problem::Wrong(usage(&error.to_string()))),
    };
    match outcome {
        // Whoever reads the output has seen enough.
        Ok(()) | Err(Problem::NobodyReads) => ExitCode::SUCCESS,
        Err(Problem::Wrong(sentence)) => {
            eprintln!("decode_webhook: {sentence}.");
            ExitCode::from(2)
        }
    }
}

enum Problem {
    Wrong(String),
    NobodyReads,
}

fn wrong(what: impl Display) -> Problem {
    Problem::Wrong(what.to_string())
}

/// The sentence of a message that goes on with hints.
fn usage(message: &str) -> String {
    let sentence = message.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = sentence.trim_start_matches("error: ").split_whitespace().collect();
    words.join(" ").trim_end_matches('.').to_owned()
}

fn run(options: &Options) -> Result<(), Problem> {
    let webhooks = match options.kind {
        Kind::Meta => meta(options)?,
    };
    let mut decoder = Decoder { webhooks, out: BufWriter::new(std::io::stdout().lock()) };
    let mut input = BufReader::new(std::io::stdin().lock());
    let mut start = Vec::new();
    input.by_ref().take(upper(LARGEST_BODY + 1)).read_to_end(&mut start).map_err(unreadable)?;
    match &options.signature {
        Some(signature) => decoder.signed(signature, &start)?,
        None if start.len() <= LARGEST_BODY && is_json(&start).is_ok() => decoder.body(&start)?,
        None => decoder.lines(Cursor::new(start).chain(input))?,
    }
    decoder.out.flush().map_err(unwritable)
}

/// Only the app secret matters here: nothing is sent.
fn meta(options: &Options) -> Result<CloudWebhooks, Problem> {
    let from_env = |name: &String| std::env::var(name).map_err(|_| wrong(format!("{name} is not set")));
    let secret = match (&options.secret, &options.secret_env) {
        (Some(secret), _) => secret.clone(),
        (None, Some(name)) => from_env(name)?,
        (None, None) => "none".to_owned(),
    };
    let config = CloudConfig::builder().access_token("none").app_secret(secret).verify_token("none");
    config.build().map(|config| CloudWebhooks::new(&config)).map_err(wrong)
}

struct Decoder<W> {
    webhooks: CloudWebhooks,
    out: W,
}

impl<W: Write> Decoder<W> {
    /// One body whose signature is checked before anything else.
    fn signed(&mut self, header: &str, body: &[u8]) -> Result<(), Problem> {
        // The whole header line is taken, too.
        let value = match header.split_once(':') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case(SIGNATURE_HEADER) => value.trim(),
            _ => header,
        };
        let headers: &[(&str, &[u8])] = &[(SIGNATURE_HEADER, value.as_bytes())];
        self.webhooks.verify(&ReceivedWebhook { headers, body }).map_err(wrong)?;
        is_json(body)
            .map_err(|error| wrong(format!("the signature is right, but the body is not JSON: {error}")))?;
        self.body(body)
    }

    /// One body a line; blank lines are passed over.
    fn lines(&mut self, mut input: impl BufRead) -> Result<(), Problem> {
        let mut bodies = 0;
        for number in 1_u64.. {
            let mut line = Vec::new();
            // Room for the line's end.
            input.by_ref().take(upper(LARGEST_BODY + 2)).read_until(b'\n', &mut line).map_err(unreadable)?;
            if line.is_empty() {
                break;
            }
            let body = line.strip_suffix(b"\n").unwrap_or(&line);
            let body = body.strip_suffix(b"\r").unwrap_or(body);
            if body.len() > LARGEST_BODY {
                return Err(wrong(format!("line {number} is larger than 3 MiB")));
            }
            if body.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            bodies += 1;
            is_json(body).map_err(|error| {
                self.out
                    .flush()
                    .map_or_else(unwritable, |()| wrong(format!("line {number} is not JSON: {error}")))
            })?;
            self.body(body)?;
        }
        if bodies == 0 { Err(wrong("the input is empty")) } else { Ok(()) }
    }

    fn body(&mut self, body: &[u8]) -> Result<(), Problem> {
        for event in self.webhooks.parse(body, SystemClock.now()) {
            writeln!(self.out, "{}", line(&event)).map_err(unwritable)?;
        }
        Ok(())
    }
}

fn is_json(bytes: &[u8]) -> Result<(), serde_json::Error> {
    serde_json::from_slice::<Value>(bytes).map(|_| ())
}

fn upper(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

fn unreadable(error: std::io::Error) -> Problem {
    wrong(format!("stdin cannot be read: {error}"))
}

fn unwritable(error: std::io::Error) -> Problem {
    if error.kind() == ErrorKind::BrokenPipe {
        Problem::NobodyReads
    } else {
        wrong(format!("stdout cannot be written: {error}"))
    }
}

/// One event as an object: first what all have, then what is its own.
fn line(event: &InboundEvent) -> Value {
    let mut object = Map::new();
    let mut add = |more: Value| object.extend(more.as_object().cloned().unwrap_or_default());
    add(json!({
        "event": family(event),
        "name": event.name(),
        "at": event.at(),
        "phone_number_id": event.number(),
        "account": event.account(),
    }));
    add(match event {
        InboundEvent::Status(update) => status(update),
        InboundEvent::Message(message) => self::message(message),
        InboundEvent::Echo(echo) => self::echo(echo),
        InboundEvent::UserChanged(it) => {
            json!({ "provider_message_id": it.provider_id, "old": person(&it.old), "new": person(&it.new) })
        }
        InboundEvent::IdentityChanged(it) => {
            json!({ "provider_message_id": it.provider_id, "from": person(&it.from), "hash": it.hash })
        }
        InboundEvent::Preference(it) => {
            json!({ "recipient": person(&it.recipient), "category": it.category, "choice": it.choice })
        }
        InboundEvent::TemplateStatus(it) => json!({
            "template": template(&it.template), "status": it.event, "reason": it.reason, "title": it.title,
            "category": it.category, "description": it.description, "recommendation": it.recommendation,
            "disable_date": it.disable_date,
        }),
        InboundEvent::TemplateCategory(it) => json!({
            "template": template(&it.template), "from": it.from, "to": it.to, "is_final": it.is_final,
            "effective_at": it.effective_at,
        }),
        InboundEvent::TemplateComponents(it) => json!({
            "template": template(&it.template), "title": it.title, "body": it.body, "footer": it.footer,
            "buttons": it.buttons,
        }),
        InboundEvent::TemplateQuality(it) => {
            json!({ "template": template(&it.template), "previous": it.previous, "quality": it.new })
        }
        InboundEvent::NumberQuality(it) => json!({
            "display_phone_number": it.display_phone_number.map(|phone| phone.e164()), "change": it.event,
            "current_limit": it.current_limit, "old_limit": it.old_limit, "business_limit": it.business_limit,
        }),
        InboundEvent::NumberName(it) => json!({
            "display_phone_number": it.display_phone_number.map(|phone| phone.e164()),
            "decision": it.decision, "requested_name": it.requested_name, "reason": it.reason,
        }),
        InboundEvent::BusinessCapability(it) => json!({
            "business_limit": it.business_limit, "max_numbers": it.max_numbers,
            "max_numbers_of_account": it.max_numbers_of_account,
        }),
        InboundEvent::Account(it) => json!({
            "display_phone_number": it.display_phone_number.map(|phone| phone.e164()), "change": it.name,
            "details": it.change,
        }),
        InboundEvent::AccountAlert(it) => json!({
            "alert": it.name, "severity": it.severity, "status": it.status, "description": it.description,
            "entity": it.entity, "entity_kind": it.entity_kind,
        }),
        InboundEvent::AccountReview(it) => json!({ "decision": it.decision }),
        InboundEvent::Security(it) => json!({
            "display_phone_number": it.display_phone_number.map(|phone| phone.e164()), "change": it.event,
            "requester": it.requester,
        }),
        InboundEvent::Error(it) => {
            json!({ "error": { "code": it.code, "title": it.title, "details": it.details } })
        }
        InboundEvent::History(it)
        | InboundEvent::AppState(it)
        | InboundEvent::Standby(it)
        | InboundEvent::Other(it) => named(it),
        InboundEvent::Unknown { field } => json!({ "field": field }),
        _ => json!({}),
    });
    Value::Object(object)
}

/// The names that few distinctions need; `name` tells the rest.
fn family(event: &InboundEvent) -> &'static str {
    match event {
        InboundEvent::TemplateStatus(_)
        | InboundEvent::TemplateCategory(_)
        | InboundEvent::TemplateComponents(_) => "template",
        InboundEvent::TemplateQuality(_) | InboundEvent::NumberQuality(_) => "quality",
        InboundEvent::NumberName(_)
        | InboundEvent::BusinessCapability(_)
        | InboundEvent::Account(_)
        | InboundEvent::AccountAlert(_)
        | InboundEvent::AccountReview(_)
        | InboundEvent::Security(_) => "account",
        other => other.name(),
    }
}

fn status(update: &StatusUpdate) -> Value {
    // The title is the provider's own, the meaning is ours.
    let error = |FailureCode { code, class, title }: &FailureCode| {
        json!({
            "code": code,
            "title": update.failure_title.as_ref().unwrap_or(title),
            "details": update.failure_details,
            "meaning": title,
            "class": class,
        })
    };
    json!({
        "provider_message_id": update.provider_id,
        "status": update.fact,
        "recipient": update.recipient.as_ref().map(person),
        "recipient_user_id": update.recipient.as_ref().and_then(Recipient::bsuid),
        "group": update.group,
        "tag": update.echo,
        "error": update.failure.as_ref().map(error),
        "conversation": update.conversation,
        "pricing": update.pricing,
    })
}

fn message(message: &InboundMessage) -> Value {
    json!({
        "provider_message_id": message.provider_id,
        "from": person(&message.from),
        "from_user_id": message.from.bsuid(),
        "profile_name": message.profile_name,
        "username": message.username,
        "kind": message.kind(),
        "text": message.text(),
        "body": message.body,
        "context": message.context,
        "referral": message.referral,
        "group": message.group,
        "standby": message.standby,
        "opens_window": message.opens_window(),
    })
}

fn echo(echo: &Echo) -> Value {
    json!({
        "provider_message_id": echo.provider_id,
        "to": echo.to.as_ref().map(person),
        "kind": echo.kind(),
        "text": echo.text(),
        "body": echo.body,
    })
}

fn named(event: &NamedEvent) -> Value {
    let content =
        event.content.as_ref().and_then(|content| serde_json::from_str::<Value>(content.as_str()).ok());
    json!({ "field": event.field, "content": content })
}

/// The phone where it is known, else the business-scoped user id.
fn person(recipient: &Recipient) -> String {
    match (recipient.phone(), recipient.bsuid()) {
        (Some(phone), _) => phone.e164(),
        (None, Some(user)) => user.as_str().to_owned(),
        (None, None) => String::new(),
    }
}

fn template(template: &TemplateRef) -> Value {
    json!({ "id": template.id, "name": template.name, "language": template.language })
}
