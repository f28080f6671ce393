//! The tester's own paths: statistics, what happened, and what shall happen.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::clock::length;
use super::error::json_response;
use super::incoming::{Incoming, User};
use super::profile::Quality;
use super::templates::{TemplateCategory, TemplateStatus};
use super::world::{SimulatorError, World};

/// The paths.
pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/stats", get(stats))
        .route("/simulator/ledger", get(ledger))
        .route("/simulator/pace", get(pace))
        .route("/simulator/violations", get(violations))
        .route("/simulator/inbound", post(inbound))
        .route("/simulator/preference", post(preference))
        .route("/simulator/template", post(template))
        .route("/simulator/number", post(number))
}

async fn stats(State(world): State<Arc<World>>) -> Response {
    // Straight from the struct, which keeps the verdicts in front.
    match serde_json::to_string(&world.stats()) {
        Ok(body) => (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn ledger(State(world): State<Arc<World>>) -> Response {
    shown(&world.state().truth.ledger.lines())
}

async fn pace(State(world): State<Arc<World>>) -> Response {
    let state = world.state();
    let paces: BTreeMap<_, _> =
        state.truth.numbers.iter().map(|(id, number)| (id, number.track.report())).collect();
    shown(&paces)
}

async fn violations(State(world): State<Arc<World>>) -> Response {
    shown(&world.state().violations)
}

fn shown(what: &impl serde::Serialize) -> Response {
    match serde_json::to_value(what) {
        Ok(body) => json_response(StatusCode::OK, &body),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[derive(Deserialize)]
struct Inbound {
    number: Option<String>,
    from: String,
    text: Option<String>,
    /// Any other kind: `{"type": …, (type): …}`.
    message: Option<Map<String, Value>>,
    /// From an advertisement with this id.
    referral: Option<String>,
    user_id: Option<String>,
    username: Option<String>,
}

async fn inbound(State(world): State<Arc<World>>, body: Bytes) -> Response {
    control(&world, &body, |asked: Inbound, number| {
        let mut user = User::from(&asked.from);
        if let Some(user_id) = asked.user_id {
            user = user.and_id(user_id);
        }
        if let Some(username) = asked.username {
            user = user.username(username);
        }
        let mut incoming = match (asked.text, asked.message) {
            (Some(text), None) => Incoming::text(&text),
            (None, Some(message)) => {
                let kind = message.get("type").and_then(Value::as_str).unwrap_or_default();
                let body =
                    message.get(kind).cloned().ok_or(Trouble::Form("a message has a type and its object"))?;
                Incoming::raw(kind, body)
            }
            _ => return Err(Trouble::Form("either text or message is given")),
        };
        if let Some(source) = &asked.referral {
            incoming = incoming.referred(source);
        }
        let id = world.receive(&asked.number.unwrap_or(number), &user, &incoming)?;
        Ok(json!({ "id": id }))
    })
}

#[derive(Deserialize)]
struct Preference {
    number: Option<String>,
    from: String,
    /// `stop` or `resume`.
    value: Wish,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Wish {
    Stop,
    Resume,
}

async fn preference(State(world): State<Arc<World>>, body: Bytes) -> Response {
    control(&world, &body, |asked: Preference, number| {
        let stop = matches!(asked.value, Wish::Stop);
        world.preference(&asked.number.unwrap_or(number), &User::from(&asked.from), stop)?;
        Ok(json!({ "success": true }))
    })
}

#[derive(Deserialize)]
struct Template {
    name: String,
    language: String,
    status: Option<String>,
    category: Option<String>,
    quality: Option<String>,
}

async fn template(State(world): State<Arc<World>>, body: Bytes) -> Response {
    control(&world, &body, |asked: Template, _| {
        let (name, language) = (&asked.name, &asked.language);
        if let Some(status) = asked.status {
            let status = TemplateStatus::from_name(&status).ok_or(Trouble::Form("no such status"))?;
            world.template_status(name, language, status)?;
        }
        if let Some(category) = asked.category {
            let category = TemplateCategory::from_name(&category).ok_or(Trouble::Form("no such category"))?;
            world.template_category(name, language, category, true)?;
        }
        if let Some(quality) = asked.quality {
            world.template_quality(name, language, named(&quality)?)?;
        }
        Ok(json!({ "success": true }))
    })
}

#[derive(Deserialize)]
struct Number {
    number: Option<String>,
    quality: Option<String>,
    throughput: Option<u32>,
    #[serde(default)]
    outage_ms: u64,
    tier: Option<u32>,
    storm_ms: Option<u64>,
}

async fn number(State(world): State<Arc<World>>, body: Bytes) -> Response {
    control(&world, &body, |asked: Number, first| {
        let id = asked.number.unwrap_or(first);
        let micros = |ms: u64| length(Duration::from_millis(ms));
        if let Some(quality) = asked.quality {
            world.number_quality(&id, named(&quality)?)?;
        }
        if let Some(throughput) = asked.throughput {
            world.throughput(&id, throughput, micros(asked.outage_ms))?;
        }
        if let Some(tier) = asked.tier {
            world.tier(&id, Some(tier))?;
        }
        if let Some(lasting) = asked.storm_ms.map(micros) {
            let until = world.now() + lasting;
            world.trouble_number(&id, |trouble| trouble.storm_until = until, Some(lasting))?;
        }
        Ok(json!({ "success": true }))
    })
}

fn named(quality: &str) -> Result<Quality, Trouble> {
    [Quality::Green, Quality::Yellow, Quality::Red, Quality::Unknown]
        .into_iter()
        .find(|one| one.name().eq_ignore_ascii_case(quality))
        .ok_or(Trouble::Form("no such quality"))
}

/// Why a control did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{0}")]
    Form(&'static str),
    #[error(transparent)]
    World(#[from] SimulatorError),
}

/// A request of the tester to the simulator itself; without a number it means the first one.
fn control<T: for<'de> Deserialize<'de>>(
    world: &World,
    body: &[u8],
    act: impl FnOnce(T, String) -> Result<Value, Trouble>,
) -> Response {
    let first = world.state().truth.numbers.keys().next().cloned().unwrap_or_default();
    let outcome = serde_json::from_slice(body)
        .map_err(|error| error.to_string())
        .and_then(|asked| act(asked, first).map_err(|error| error.to_string()));
    match outcome {
        Ok(answer) => json_response(StatusCode::OK, &answer),
        Err(message) => json_response(StatusCode::BAD_REQUEST, &json!({ "error": { "message": message } })),
    }
}
