//! A way to the server that breaks where a test wants it to.
//!
//! Connections pass through as they are, in the clear; one is cut for each cut that was ordered.

use std::sync::{Arc, Mutex};

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// Where a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// When the client has sent so many bytes; those before them arrive.
    Sent(usize),
    /// When the server has answered so many bytes; those before them arrive.
    Answered(usize),
    /// At the next COMMIT, which does not arrive.
    BeforeCommit,
    /// Right behind the next COMMIT, without waiting for what the server makes of it.
    WithCommit,
    /// When the server has answered the next COMMIT; its answer does not arrive.
    AfterCommit,
}

#[derive(Debug, Default)]
struct State {
    ordered: Mutex<Option<Cut>>,
    made: Mutex<Vec<Cut>>,
    bytes: Mutex<(usize, usize)>,
}

/// A port that leads to a server.
#[derive(Debug)]
pub(super) struct Proxy {
    url: String,
    state: Arc<State>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// A port that leads to the server of a database's URL.
    pub(super) async fn to(url: &str) -> Self {
        let options: PgConnectOptions = url.parse().expect("a URL");
        let server = (options.get_host().to_owned(), options.get_port());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let url =
            options.host("127.0.0.1").port(port).ssl_mode(PgSslMode::Disable).to_url_lossy().to_string();
        let state = Arc::new(State::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, server, Arc::clone(&state)));
        Self { url, state, _tasks: tasks }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Cuts a connection, once, and counts bytes from here.
    pub(super) fn order(&self, cut: Cut) {
        *self.state.ordered.lock().expect("no panic") = Some(cut);
        *self.state.bytes.lock().expect("no panic") = (0, 0);
    }

    /// Takes back what was ordered, if it was not made; the cuts made since the last call.
    pub(super) fn made(&self) -> Vec<Cut> {
        *self.state.ordered.lock().expect("no panic") = None;
        std::mem::take(&mut *self.state.made.lock().expect("no panic"))
    }

    /// The bytes sent and answered since the last order.
    pub(super) fn bytes(&self) -> (usize, usize) {
        *self.state.bytes.lock().expect("no panic")
    }
}

impl State {
    fn ordered(&self) -> Option<Cut> {
        *self.ordered.lock().expect("no panic")
    }

    fn make(&self, cut: Cut) {
        *self.ordered.lock().expect("no panic") = None;
        self.made.lock().expect("no panic").push(cut);
    }
}

async fn serve(listener: TcpListener, server: (String, u16), state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.expect("a client");
        let up = TcpStream::connect((server.0.as_str(), server.1)).await.expect("the server");
        connections.spawn(pass(client, up, Arc::clone(&state)));
        while connections.try_join_next().is_some() {}
    }
}

/// Passes both ways until one end is gone or the connection is cut, which closes both.
async fn pass(client: TcpStream, server: TcpStream, state: Arc<State>) {
    client.set_nodelay(true).expect("a socket");
    server.set_nodelay(true).expect("a socket");
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    // Set when the answer to the COMMIT that went through is to be lost.
    let committing = (Mutex::new(false), Notify::new());
    tokio::select! {
        () = up(from_client, to_server, &state, &committing) => {}
        () = down(from_server, to_client, &state, &committing) => {}
    }
}

async fn up(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    state: &State,
    committing: &(Mutex<bool>, Notify),
) {
    let mut frames = Frames::default();
    let mut buffer = vec![0; 16_384];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else { return };
        let bytes = &buffer[..read];
        let before = {
            let mut counted = state.bytes.lock().expect("no panic");
            counted.0 += read;
            counted.0 - read
        };
        let commit = frames.take(bytes);
        match (state.ordered(), commit) {
            (Some(cut @ Cut::Sent(at)), _) if before + read > at => {
                state.make(cut);
                // Whoever is cut off may have been heard so far.
                drop(to.write_all(&bytes[..at.saturating_sub(before).min(read)]).await);
                return;
            }
            (Some(cut @ Cut::BeforeCommit), true) => return state.make(cut),
            (Some(cut @ Cut::WithCommit), true) => {
                state.make(cut);
                drop(to.write_all(bytes).await);
                return;
            }
            (Some(cut @ Cut::AfterCommit), true) => {
                state.make(cut);
                *committing.0.lock().expect("no panic") = true;
                drop(to.write_all(bytes).await);
                committing.1.notified().await;
                return;
            }
            _ => {}
        }
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
}

async fn down(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    state: &State,
    committing: &(Mutex<bool>, Notify),
) {
    let mut buffer = vec![0; 16_384];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else { return };
        if *committing.0.lock().expect("no panic") {
            return committing.1.notify_one();
        }
        let before = {
            let mut counted = state.bytes.lock().expect("no panic");
            counted.1 += read;
            counted.1 - read
        };
        if let Some(cut @ Cut::Answered(at)) = state.ordered()
            && before + read > at
        {
            state.make(cut);
            drop(to.write_all(&buffer[..at.saturating_sub(before).min(read)]).await);
            return;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

/// Finds the messages in what a client sends: the first has no kind, all others a kind and a length.
#[derive(Debug, Default)]
struct Frames {
    is_past_first: bool,
    rest: Vec<u8>,
}

impl Frames {
    /// Takes the next bytes; whether a COMMIT ends in them.
    fn take(&mut self, bytes: &[u8]) -> bool {
        self.rest.extend_from_slice(bytes);
        let mut is_commit = false;
        loop {
            let head = usize::from(self.is_past_first);
            let Some(length) = self.rest.get(head..head + 4) else { return is_commit };
            let length: [u8; 4] = length.try_into().expect("four bytes");
            let end = head + usize::try_from(u32::from_be_bytes(length)).expect("a length");
            let Some(message) = self.rest.get(..end) else { return is_commit };
            is_commit |= self.is_past_first && message[0] == b'Q' && message[5..].starts_with(b"COMMIT");
            self.rest.drain(..end);
            self.is_past_first = true;
        }
    }
}
