//! A provider in a process of its own that accepts everything, and a bare client of it.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::routing::{any, post};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::harness::{Anyhow, used};
use crate::{Drained, provider_id};

/// The other process; it ends with this value.
#[derive(Debug)]
pub(crate) struct Provider {
    child: Child,
    pub(crate) origin: String,
}

impl Provider {
    pub(crate) async fn start() -> Result<Self, Anyhow> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.arg("--serve").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdout = tokio::process::ChildStdout::from_std(child.stdout.take().ok_or("no output")?)?;
        let origin = BufReader::new(stdout).lines().next_line().await?.ok_or("it said nothing")?;
        Ok(Self { child, origin })
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves until standard input ends.
#[expect(clippy::print_stdout, reason = "its address is what the other process waits for")]
pub(crate) async fn serve() -> Result<(), Anyhow> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    let next = Arc::new(AtomicU64::new(0));
    let answer = move |_: Bytes| {
        let id = next.fetch_add(1, Ordering::Relaxed);
        async move {
            Json(json!({
                "messaging_product": "whatsapp",
                "contacts": [{ "input": "4915100000001", "wa_id": "4915100000001" }],
                "messages": [{ "id": provider_id(id) }],
            }))
        }
    };
    let app = axum::Router::new().route("/{version}/{number}/messages", post(answer)).fallback(any(nothing));
    let mut line = String::new();
    let mut stdin = BufReader::new(tokio::io::stdin());
    tokio::select! {
        served = axum::serve(listener, app) => Ok(served?),
        _ = stdin.read_line(&mut line) => Ok(()),
    }
}

async fn nothing() -> Json<Value> {
    Json(json!({ "error": { "message": "not played here", "code": 100 } }))
}

/// The requests that the subject makes, by the same client, in a loop; with the processor time of each in
/// microseconds.
pub(crate) async fn bare(
    origin: &str,
    messages: u64,
    concurrency: usize,
) -> Result<(Drained, Option<f64>), Anyhow> {
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .build()?;
    let url: Arc<str> = format!("{origin}/v24.0/1000000/messages").into();
    let left = Arc::new(AtomicU64::new(messages));
    let (begun, cpu) = (Instant::now(), used::cpu());
    let mut loops = JoinSet::new();
    for _ in 0..concurrency {
        let (client, url, left) = (client.clone(), Arc::clone(&url), Arc::clone(&left));
        loops.spawn(async move {
            let take = || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            while let Ok(n) = take() {
                let body = json!({
                    "messaging_product": "whatsapp",
                    "recipient_type": "individual",
                    "to": (4_915_100_000_000 + n).to_string(),
                    "type": "template",
                    "template": {
                        "name": "offer",
                        "language": { "code": "en" },
                        "components": [{
                            "type": "body",
                            "parameters": [{ "type": "text", "text": format!("Ada {n}") }],
                        }],
                    },
                    "biz_opaque_callback_data": "wa1:0190c0de:0190c0de-0000-7000-8000-000000000000.1",
                });
                let request = client.post(&*url).bearer_auth("token").json(&body);
                let answer: Value = request.timeout(Duration::from_secs(30)).send().await?.json().await?;
                if answer.pointer("/messages/0/id").and_then(Value::as_str).is_none() {
                    return Err(Anyhow::from("it was not accepted"));
                }
            }
            Ok::<_, Anyhow>(())
        });
    }
    while let Some(ended) = loops.join_next().await {
        ended??;
    }
    let took = begun.elapsed();
    let cpu = used::cpu_each(cpu, messages);
    Ok((Drained { rows: messages, took, commits: 0 }, cpu))
}
