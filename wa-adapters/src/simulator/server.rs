//! The HTTP face: which path is what, and nothing else.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Map, Value, json};

use super::clock::{instant, length};
use super::controls;
use super::error::{Refusal, json_response};
use super::line::{Line, Lines};
use super::profile::{NumberProfile, tier_name};
use super::wire::Endpoint;
use super::world::{Asked, Reply, World};

/// Serves until the simulator stops.
pub(crate) async fn serve(listener: Lines, world: Arc<World>) {
    let mut stopping = world.stopping();
    let app = router(world).into_make_service_with_connect_info::<Line>();
    let stopped = async move {
        // An error means that the simulator is gone, which is a stop as well.
        let _ = stopping.wait_for(|stop| *stop).await;
    };
    // Listeners of axum do not fail; they log and go on.
    let _ = axum::serve(listener, app).with_graceful_shutdown(stopped).await;
}

fn router(world: Arc<World>) -> Router {
    Router::new()
        .route("/{version}/{id}", get(node))
        .route("/{version}/{id}/messages", post(messages))
        .route("/{version}/{id}/marketing_messages", post(marketing_messages))
        .route("/{version}/{id}/message_templates", get(list_templates).post(create_template))
        .route("/{version}/{id}/phone_numbers", get(list_numbers))
        .merge(controls::routes())
        .fallback(|| async { Refusal::new(2500, "The simulator does not play this path.") })
        .with_state(world)
}

type Node = Path<(String, String)>;
type Parameters = Query<Vec<(String, String)>>;

async fn messages(
    state: State<Arc<World>>,
    line: ConnectInfo<Line>,
    node: Node,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    take(Endpoint::Messages, state, line, node, headers, body).await
}

async fn marketing_messages(
    state: State<Arc<World>>,
    line: ConnectInfo<Line>,
    node: Node,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    take(Endpoint::Marketing, state, line, node, headers, body).await
}

async fn take(
    endpoint: Endpoint,
    State(world): State<Arc<World>>,
    ConnectInfo(line): ConnectInfo<Line>,
    Path((version, number)): Node,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Err(refusal) = check_version(&version) {
        return refusal.into_response();
    }
    let is_json = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.trim_start().to_ascii_lowercase().starts_with("application/json"));
    let asked = Asked { endpoint, number: &number, token: bearer(&headers), is_json, body: &body };
    match world.messages(&asked) {
        Reply::Answer(answer) => json_response(StatusCode::OK, &answer),
        Reply::Refused(refusal) => refusal.into_response(),
        Reply::BadGateway => {
            (StatusCode::BAD_GATEWAY, [(header::CONTENT_TYPE, "text/html")], "<h1>502 Bad Gateway</h1>")
                .into_response()
        }
        Reply::Lost => {
            line.cut();
            StatusCode::OK.into_response()
        }
        Reply::Late(answer) => {
            let until = instant(world.now() + length(world.settings.slow));
            let mut stopping = world.stopping();
            tokio::select! {
                () = world.clock.wait_until(until) => {}
                _ = stopping.wait_for(|stop| *stop) => {}
            }
            json_response(StatusCode::OK, &answer)
        }
    }
}

async fn node(
    State(world): State<Arc<World>>,
    Path((version, id)): Node,
    Query(query): Parameters,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    check_version(&version)?;
    match world.admit(&id, bearer(&headers)) {
        Ok(profile) => Ok(json_response(StatusCode::OK, &look_up(&world, &id, &profile, &query)?)),
        Err(refusal) if refusal.code == 100 => {
            let found = world.state().truth.templates.get(&id);
            found.map(|template| json_response(StatusCode::OK, &template)).ok_or(refusal)
        }
        Err(refusal) => Err(refusal),
    }
}

async fn list_numbers(
    State(world): State<Arc<World>>,
    Path((version, account)): Node,
    Query(query): Parameters,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    check_account(&world, &version, &account, &headers)?;
    let numbers: Vec<(String, NumberProfile)> = {
        let state = world.state();
        let own = state.truth.numbers.iter().filter(|(_, number)| number.profile.account == account);
        own.map(|(id, number)| (id.clone(), number.profile.clone())).collect()
    };
    let data: Result<Vec<_>, _> =
        numbers.iter().map(|(id, profile)| look_up(&world, id, profile, &query)).collect();
    Ok(json_response(StatusCode::OK, &json!({ "data": data? })))
}

async fn list_templates(
    State(world): State<Arc<World>>,
    Path((version, account)): Node,
    Query(query): Parameters,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    check_account(&world, &version, &account, &headers)?;
    let page = world.state().truth.templates.list(&account, &query)?;
    Ok(json_response(StatusCode::OK, &page))
}

async fn create_template(
    State(world): State<Arc<World>>,
    Path((version, account)): Node,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    check_account(&world, &version, &account, &headers)?;
    let now = world.now();
    let answer = world.state().truth.templates.create(&account, now, &body)?;
    Ok(json_response(StatusCode::OK, &answer))
}

fn look_up(
    world: &World,
    id: &str,
    profile: &NumberProfile,
    query: &[(String, String)],
) -> Result<Value, Refusal> {
    let asked = query.iter().find(|(key, _)| key == "fields").map(|(_, fields)| fields.as_str());
    let mut answer = Map::new();
    for field in asked.unwrap_or(DEFAULT_FIELDS).split(',').map(str::trim).filter(|field| !field.is_empty()) {
        let value = match field {
            "id" => json!(id),
            "display_phone_number" => json!(profile.display_phone_number),
            "verified_name" => json!(profile.verified_name),
            "quality_rating" => json!(profile.quality.name()),
            "throughput" => json!({ "level": if profile.throughput >= 1_000 { "HIGH" } else { "STANDARD" } }),
            "whatsapp_business_manager_messaging_limit" | "messaging_limit_tier" => {
                json!(tier_name(world.state().truth.limit_of(profile)))
            }
            "status" => json!(world.state().truth.status_of(profile, world.now())),
            "name_status" => json!("APPROVED"),
            "code_verification_status" => json!("VERIFIED"),
            "platform_type" => json!("CLOUD_API"),
            "account_mode" => json!("LIVE"),
            unknown => {
                let details = format!("Tried accessing nonexisting field ({unknown})");
                return Err(Refusal::new(100, details));
            }
        };
        answer.insert(field.to_owned(), value);
    }
    answer.insert("id".to_owned(), json!(id));
    Ok(Value::Object(answer))
}

const DEFAULT_FIELDS: &str = "verified_name,code_verification_status,display_phone_number,quality_rating,id";

fn check_account(world: &World, version: &str, account: &str, headers: &HeaderMap) -> Result<(), Refusal> {
    check_version(version)?;
    world.check_token(bearer(headers))?;
    if world.state().truth.has_account(account) { Ok(()) } else { Err(Refusal::no_such_object(account)) }
}

/// `v26.0` and the like.
fn check_version(version: &str) -> Result<(), Refusal> {
    let known = version
        .strip_prefix('v')
        .and_then(|version| version.split_once('.'))
        .is_some_and(|(major, minor)| [major, minor].iter().all(|part| part.parse::<u16>().is_ok()));
    if known {
        Ok(())
    } else {
        Err(Refusal::new(2500, format!("{version:?} is not a version such as v26.0.")))
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ").map(str::trim)
}
