//! A client and a webhook receiver, written by hand so that they share nothing with the simulator.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use wa_adapters::simulator::{NumberProfile, Simulator, SimulatorBuilder, TemplateCategory};

pub(crate) const NUMBER: &str = "100";
pub(crate) const USER: &str = "4915123456789";
pub(crate) const SECRET: &str = "app-secret";

/// A simulator with one fast number, exact meters, and any utility template.
pub(crate) fn exact() -> SimulatorBuilder {
    Simulator::builder()
        .seed(7)
        .number(NUMBER, NumberProfile { throughput: 1_000, ..NumberProfile::default() })
        .any_template(TemplateCategory::Utility)
        .jitter_tolerance(Duration::ZERO)
        .collect(Duration::from_millis(50), 100)
}

/// A client of the simulated Graph API.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    origin: String,
}

/// What an answer says: HTTP status, Graph error code (0 for none), body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) code: u64,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn wamid(&self) -> &str {
        self.body.pointer("/messages/0/id").and_then(Value::as_str).expect("an accepted send")
    }
}

impl Client {
    pub(crate) fn of(simulator: &Simulator) -> Self {
        Self { http: reqwest::Client::new(), origin: simulator.origin() }
    }

    pub(crate) async fn request(
        &self,
        path: &str,
        body: Option<&Value>,
        token: &str,
    ) -> reqwest::Result<Answer> {
        let url = format!("{}{path}", self.origin);
        let request = match body {
            Some(body) => self.http.post(url).json(body),
            None => self.http.get(url),
        };
        let answer = request.bearer_auth(token).send().await?;
        let status = answer.status().as_u16();
        let body: Value = serde_json::from_slice(&answer.bytes().await?).unwrap_or_default();
        let code = body.pointer("/error/code").and_then(Value::as_u64).unwrap_or_default();
        Ok(Answer { status, code, body })
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.request(path, None, "token").await.expect("an answer")
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.request(path, Some(body), "token").await.expect("an answer")
    }

    pub(crate) async fn send(&self, body: &Value) -> Answer {
        self.post(&format!("/v26.0/{NUMBER}/messages"), body).await
    }

    /// The answer, or none when the connection ended without one.
    pub(crate) async fn try_send(&self, body: &Value) -> Option<Answer> {
        self.request(&format!("/v26.0/{NUMBER}/messages"), Some(body), "token").await.ok()
    }
}

pub(crate) fn text(to: &str, words: &str) -> Value {
    json!({ "messaging_product": "whatsapp", "to": to, "type": "text", "text": { "body": words } })
}

pub(crate) fn template(to: &str, parameters: &[&str]) -> Value {
    let parameters: Vec<_> = parameters.iter().map(|text| json!({ "type": "text", "text": text })).collect();
    json!({
        "messaging_product": "whatsapp", "to": to, "type": "template",
        "template": {
            "name": "greeting", "language": { "code": "en_US" },
            "components": [{ "type": "body", "parameters": parameters }],
        },
    })
}

/// Meta's own files, if they are here.
pub(crate) fn published() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/meta");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("absent: {}, so nothing was compared with it", folder.display());
    None
}

/// A distinct user for each n.
pub(crate) fn user(n: usize) -> String {
    format!("49151{n:08}")
}

/// One webhook request as it arrived.
#[derive(Debug)]
pub(crate) struct Post {
    pub(crate) signature: String,
    pub(crate) raw: Vec<u8>,
}

impl Post {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.raw).expect("JSON")
    }

    /// All objects under this key of all changes, in order.
    pub(crate) fn all(&self, key: &str) -> Vec<Value> {
        let list = |value: &Value, pointer: &str| -> Vec<Value> {
            value.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default()
        };
        let entries = list(&self.json(), "/entry").into_iter();
        let changes = entries.flat_map(|entry| list(&entry, "/changes"));
        changes.flat_map(|change| list(&change, &format!("/value/{key}"))).collect()
    }
}

/// A webhook receiver that answers as it is told (200 when it is told nothing).
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) url: String,
    posts: mpsc::UnboundedReceiver<Post>,
    answers: Arc<Mutex<Vec<u16>>>,
}

type Shared = (mpsc::UnboundedSender<Post>, Arc<Mutex<Vec<u16>>>);

impl Receiver {
    #[expect(clippy::disallowed_methods, reason = "the receiver is a server of the test's own")]
    pub(crate) async fn start() -> Self {
        let (sender, posts) = mpsc::unbounded_channel();
        let answers = Arc::new(Mutex::new(Vec::new()));
        let app = axum::Router::new()
            .route("/webhooks/meta", axum::routing::post(take).get(challenge))
            .with_state((sender, Arc::clone(&answers)));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/webhooks/meta", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, posts, answers }
    }

    /// The statuses of the next answers; after them 200 again.
    pub(crate) fn answer_with(&self, statuses: &[u16]) {
        *self.answers.lock().expect("no panic") = statuses.iter().rev().copied().collect();
    }

    /// The next request, which must come.
    pub(crate) async fn post(&mut self) -> Post {
        let next = tokio::time::timeout(Duration::from_secs(20), self.posts.recv()).await;
        next.expect("a webhook within 20 s").expect("the receiver lives")
    }

    /// Requests until so many objects under the key have come.
    pub(crate) async fn collect(&mut self, key: &str, count: usize) -> Vec<Value> {
        let mut all = Vec::new();
        while all.len() < count {
            all.extend(self.post().await.all(key));
        }
        all
    }

    /// What has arrived and was not looked at.
    pub(crate) fn rest(&mut self, key: &str) -> Vec<Value> {
        std::iter::from_fn(|| self.posts.try_recv().ok()).flat_map(|post| post.all(key)).collect()
    }
}

async fn take(State((posts, answers)): State<Shared>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let signature = headers.get("X-Hub-Signature-256").map(|value| value.to_str().expect("ASCII").to_owned());
    let _ = posts.send(Post { signature: signature.unwrap_or_default(), raw: body.to_vec() });
    let answer = answers.lock().expect("no panic").pop().unwrap_or(200);
    StatusCode::from_u16(answer).expect("a status")
}

async fn challenge(Query(query): Query<Vec<(String, String)>>) -> (StatusCode, String) {
    let value = |key: &str| query.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
    match (value("hub.mode").as_deref(), value("hub.verify_token").as_deref()) {
        (Some("subscribe"), Some("verify-me")) => {
            (StatusCode::OK, value("hub.challenge").unwrap_or_default())
        }
        _ => (StatusCode::FORBIDDEN, String::new()),
    }
}
