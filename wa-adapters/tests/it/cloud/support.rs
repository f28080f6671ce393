//! What the tests share: a configuration, permits, and a raw server that keeps what it was sent.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use uuid::Uuid;
use wa_adapters::cloud::{CloudConfig, CloudConfigBuilder, CloudTransport};
use wa_core::model::{
    AttemptKey, AttemptTag, BatchId, Content, InstanceId, MessageId, Phone, Recipient, SessionId, TagKey,
    TenantId, from_micros,
};
use wa_core::port::{SendPermit, SessionRef};
use wa_core::testing::{ManualClock, permit};

pub(super) const TOKEN: &str = "EAAGsecretOfTheTests";
pub(super) const APP_SECRET: &str = "app-secret-of-the-tests";
pub(super) const NUMBER: &str = "106540352242922";

/// Meta's files, which are not part of the repository; says so when they are absent.
pub(super) fn meta_data() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/meta");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("absent: ../shared/data/meta, so nothing was compared with Meta's own files");
    None
}

pub(super) fn config() -> CloudConfigBuilder {
    CloudConfig::builder().access_token(TOKEN).app_secret(APP_SECRET).verify_token("verify-me")
}

pub(super) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(from_micros(1_790_000_000_000_000)))
}

pub(super) fn transport(url: impl Into<String>) -> CloudTransport {
    let config = config().graph_url(url).connect_timeout(Duration::from_millis(300)).build();
    CloudTransport::with_clock(&config.expect("a configuration"), clock()).expect("a transport")
}

pub(super) fn session(number: &str) -> SessionRef {
    SessionRef {
        tenant: TenantId::from_uuid(Uuid::from_u128(1)),
        id: SessionId::from_uuid(Uuid::from_u128(2)),
        transport: "cloud".parse().expect("a name"),
        number: number.parse().expect("a number id"),
    }
}

pub(super) fn tag(message: u128) -> (AttemptKey, AttemptTag) {
    let tenant = TenantId::from_uuid(Uuid::from_u128(1));
    let attempt = AttemptKey { tenant, message: MessageId::from_uuid(Uuid::from_u128(message)), n: 1 };
    let (instance, batch) =
        (InstanceId::from_uuid(Uuid::from_u128(3)), BatchId::from_uuid(Uuid::from_u128(4)));
    (attempt, AttemptTag::new(instance, attempt, batch, &TagKey::new([7; 32])))
}

/// A permit that may start, with ten seconds to end.
pub(super) fn permit_to(recipient: Recipient, content: Content, message: u128) -> SendPermit {
    let (attempt, tag) = tag(message);
    let (start_by, timeout) = (Duration::from_secs(5), Duration::from_secs(10));
    permit(attempt, session(NUMBER), recipient, content, tag, start_by, timeout)
}

/// A permit for a plain text, with its own time-out and number.
pub(super) fn plain_permit(number: &str, start_by: Duration, timeout: Duration) -> SendPermit {
    let (attempt, tag) = tag(9);
    let content = Content::text("hello").expect("a text");
    permit(attempt, session(number), phone().into(), content, tag, start_by, timeout)
}

pub(super) fn phone() -> Phone {
    Phone::from_digits("15550000001").expect("a phone")
}

/// The value of `X-Hub-Signature-256`, computed here and not by the adapter.
pub(super) fn signature(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length");
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

/// An HTTP answer, whole.
pub(super) fn answer(status: u16, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n{headers}\r\n{body}").into_bytes()
}

/// A Graph error.
pub(super) fn graph_error(code: i64) -> String {
    format!(r#"{{"error":{{"message":"(#{code}) no, {TOKEN}","type":"OAuthException","code":{code}}}}}"#)
}

/// What the server does with a connection.
#[derive(Debug, Clone)]
pub(super) enum Behaviour {
    /// Gives this answer to every request, and keeps the connection.
    Answer(Vec<u8>),
    /// Gives this answer to the first request, and closes.
    AnswerAndClose(Vec<u8>),
    /// Gives this answer to the first request of a connection, and closes after reading the second.
    AnswerOnce(Vec<u8>),
    /// Reads nothing and closes.
    CloseAtOnce,
    /// Reads one request, writes these bytes, and closes.
    Cut(Vec<u8>),
    /// Writes one byte of an answer again and again.
    Drip,
    /// Reads, and never writes.
    Silent,
}

/// A server on loopback that keeps every request that it was sent, also one that was cut off.
#[derive(Debug)]
pub(super) struct Server {
    url: String,
    seen: Arc<Seen>,
    _accepting: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Seen {
    requests: Mutex<Vec<Request>>,
    connections: AtomicUsize,
}

/// One request, as it came.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Server {
    pub(super) async fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let seen = Arc::new(Seen::default());
        let mut accepting = JoinSet::new();
        let known = Arc::clone(&seen);
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                known.connections.fetch_add(1, Ordering::SeqCst);
                connections.spawn(serve(stream, behaviour.clone(), Arc::clone(&known)));
            }
        });
        Self { url, seen, _accepting: accepting }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn transport(&self) -> CloudTransport {
        transport(self.url.clone())
    }

    pub(super) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// The requests so far, whole or not.
    pub(super) fn requests(&self) -> Vec<Request> {
        self.seen.requests.lock().expect("no test panicked").clone()
    }
}

async fn serve(mut stream: TcpStream, behaviour: Behaviour, seen: Arc<Seen>) {
    let mut buffer = Vec::new();
    if matches!(behaviour, Behaviour::CloseAtOnce) {
        return;
    }
    let mut count = 0;
    while next_request(&mut stream, &mut buffer, &seen).await {
        count += 1;
        let written = match &behaviour {
            Behaviour::Answer(bytes) => stream.write_all(bytes).await,
            Behaviour::AnswerOnce(bytes) if count == 1 => stream.write_all(bytes).await,
            Behaviour::AnswerOnce(_) | Behaviour::CloseAtOnce => return,
            Behaviour::AnswerAndClose(bytes) | Behaviour::Cut(bytes) => {
                let _ = stream.write_all(bytes).await;
                return;
            }
            Behaviour::Drip => loop {
                tokio::time::sleep(Duration::from_millis(5)).await;
                if let Err(error) = stream.write_all(b"H").await {
                    break Err(error);
                }
            },
            Behaviour::Silent => Ok(()),
        };
        if written.is_err() {
            return;
        }
    }
}

/// Reads one request and keeps it, whole or cut off; `false` when no other follows.
async fn next_request(stream: &mut TcpStream, buffer: &mut Vec<u8>, seen: &Seen) -> bool {
    loop {
        if let Some((request, rest)) = split(buffer) {
            seen.requests.lock().expect("no test panicked").push(request);
            *buffer = rest;
            return true;
        }
        match stream.read_buf(buffer).await {
            Ok(read) if read > 0 => {}
            _ => {
                if !buffer.is_empty() {
                    let head = String::from_utf8_lossy(buffer).into_owned();
                    seen.requests.lock().expect("no test panicked").push(Request { head, body: Vec::new() });
                }
                return false;
            }
        }
    }
}

fn split(buffer: &[u8]) -> Option<(Request, Vec<u8>)> {
    let end = buffer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(buffer.get(..end)?).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.map_or(Ok(0), |length| length.trim().parse()).expect("a length");
    let body = buffer.get(end..end + length)?.to_vec();
    Some((Request { head, body }, buffer.get(end + length..)?.to_vec()))
}
