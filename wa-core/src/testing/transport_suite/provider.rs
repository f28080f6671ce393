//! A provider on a loopback port that does with each request what a case says.
//!
//! Invariant: every request that a client began is counted, whole or cut off, on whichever connection
//! it came. One thread serves all connections in turn; it ends when the provider is finished or
//! dropped, and after [`LONGEST_LIFE`] at the latest, so that no transport hangs for ever.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::port::{Clock, SystemClock};

const LONGEST_LIFE: Duration = Duration::from_secs(60);
/// How long the thread rests when it has looked at every connection.
const REST: Duration = Duration::from_millis(1);

/// What the provider does with one request.
#[derive(Debug, Clone)]
pub(super) enum Turn {
    /// Answers and keeps the connection open.
    Answer(Vec<u8>),
    /// Writes these bytes, which may be part of an answer or none at all, and says no more.
    AnswerAndClose(Vec<u8>),
    /// Closes the connection as soon as the request's first byte is there, and reads no more of it.
    CloseAtTheFirstByte,
    /// Is done with the answer only after this time.
    Late(Vec<u8>, Pace, Duration),
}

/// How a late answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// All of it at the end.
    AtTheEnd,
    /// Byte by byte, evenly.
    Dripping,
}

/// A provider that serves until it is finished or dropped.
#[derive(Debug)]
pub(super) struct Provider {
    origin: String,
    stop: Arc<AtomicBool>,
    serving: Option<JoinHandle<Vec<Vec<u8>>>>,
}

/// A port that nobody listens at and that nobody else can be given while this lives.
#[derive(Debug)]
pub(super) struct ClosedPort {
    origin: String,
    /// The port is the near end of a connection of our own.
    _held: (TcpStream, TcpListener),
}

impl Provider {
    /// Starts a provider that takes one turn per request, and then gives this answer for ever.
    pub(super) fn start(script: Vec<Turn>, then: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port on loopback");
        listener.set_nonblocking(true).expect("a listener can be asked without waiting");
        let origin = format!("http://{}", listener.local_addr().expect("it is bound"));
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let server = Server {
            listener,
            script: script.into(),
            then: Turn::Answer(then),
            connections: Vec::new(),
            requests: Vec::new(),
        };
        let serving = Some(thread::spawn(move || server.serve(&told)));
        Self { origin, stop, serving }
    }

    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// Ends the provider and gives the bytes of each request, in the order in which they began.
    pub(super) fn finish(mut self) -> Vec<Vec<u8>> {
        self.stop.store(true, Ordering::SeqCst);
        let serving = self.serving.take().expect("only this takes it");
        serving.join().expect("the provider does not panic")
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

impl ClosedPort {
    pub(super) fn hold() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port on loopback");
        let near = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
        let origin = format!("http://{}", near.local_addr().expect("it is connected"));
        Self { origin, _held: (near, listener) }
    }

    pub(super) fn origin(&self) -> &str {
        &self.origin
    }
}

/// An HTTP answer, whole. It leaves the connection open.
pub(super) fn encode(status: u16, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    format!("{head}\r\n{body}").into_bytes()
}

struct Server {
    listener: TcpListener,
    script: VecDeque<Turn>,
    then: Turn,
    connections: Vec<Connection>,
    requests: Vec<Vec<u8>>,
}

struct Connection {
    stream: TcpStream,
    /// The place of the request that is being read, and what is to be done with it.
    current: Option<(usize, Turn)>,
    unread: Vec<u8>,
    late: Option<LateAnswer>,
    /// Nothing is said here any more.
    is_mute: bool,
}

struct LateAnswer {
    bytes: Vec<u8>,
    written: usize,
    pace: Pace,
    from: Duration,
    over: Duration,
}

/// Whether a connection stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stays {
    Open,
    Gone,
}

impl Server {
    fn serve(mut self, stop: &AtomicBool) -> Vec<Vec<u8>> {
        let end = SystemClock.monotonic() + LONGEST_LIFE;
        while !stop.load(Ordering::SeqCst) && SystemClock.monotonic() < end {
            self.round();
            thread::sleep(REST);
        }
        // What a client wrote before the case was over is in the sockets by now.
        self.round();
        self.requests
    }

    /// Looks at every connection once.
    fn round(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            let is_ready = stream.set_nonblocking(true).is_ok() && stream.set_nodelay(true).is_ok();
            if is_ready {
                self.connections.push(Connection {
                    stream,
                    current: None,
                    unread: Vec::new(),
                    late: None,
                    is_mute: false,
                });
            }
        }
        let mut kept = Vec::new();
        for mut connection in std::mem::take(&mut self.connections) {
            if self.look_at(&mut connection) == Stays::Open {
                kept.push(connection);
            }
        }
        self.connections = kept;
    }

    /// Reads what is there, and does what the turn says once a request is whole.
    fn look_at(&mut self, connection: &mut Connection) -> Stays {
        if connection.go_on_with_a_late_answer() == Stays::Gone {
            return Stays::Gone;
        }
        loop {
            if connection.current.is_none() && self.begins(connection) == Stays::Gone {
                return Stays::Gone;
            }
            let Some((place, turn)) = connection.current.clone() else { return Stays::Open };
            let Some(length) = length_of_a_whole_request(&connection.unread) else {
                let more = connection.read_what_is_there();
                self.keep(place, &connection.unread);
                match more {
                    Ok(true) => continue,
                    Ok(false) => return Stays::Open,
                    Err(_) => return Stays::Gone,
                }
            };
            let rest = connection.unread.split_off(length);
            self.keep(place, &connection.unread);
            connection.unread = rest;
            connection.current = None;
            if connection.take(turn) == Stays::Gone {
                return Stays::Gone;
            }
        }
    }

    /// Counts the next request of a connection when its first byte is there.
    fn begins(&mut self, connection: &mut Connection) -> Stays {
        if connection.unread.is_empty() {
            let mut first = [0];
            match connection.stream.read(&mut first) {
                Ok(1..) => connection.unread.extend(first),
                Ok(0) => return Stays::Gone,
                Err(error) if is_nothing_yet(&error) => return Stays::Open,
                Err(_) => return Stays::Gone,
            }
        }
        let turn = self.script.pop_front().unwrap_or_else(|| self.then.clone());
        self.requests.push(connection.unread.clone());
        if connection.is_mute || matches!(turn, Turn::CloseAtTheFirstByte) {
            return Stays::Gone;
        }
        connection.current = Some((self.requests.len() - 1, turn));
        Stays::Open
    }

    fn keep(&mut self, place: usize, bytes: &[u8]) {
        if let Some(request) = self.requests.get_mut(place) {
            *request = bytes.to_vec();
        }
    }
}

impl Connection {
    /// Whether more may be there; an error when no more will come.
    fn read_what_is_there(&mut self) -> io::Result<bool> {
        let mut chunk = [0; 4096];
        match self.stream.read(&mut chunk) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(length) => {
                self.unread.extend_from_slice(chunk.get(..length).unwrap_or_default());
                Ok(true)
            }
            Err(error) if is_nothing_yet(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn take(&mut self, turn: Turn) -> Stays {
        let done = match turn {
            Turn::Answer(bytes) => self.stream.write_all(&bytes),
            // The near half alone is closed, so that whatever the client still writes is counted.
            Turn::AnswerAndClose(bytes) => {
                self.is_mute = true;
                self.stream.write_all(&bytes).and_then(|()| self.stream.shutdown(Shutdown::Write))
            }
            Turn::CloseAtTheFirstByte => return Stays::Gone,
            Turn::Late(bytes, pace, over) => {
                let from = SystemClock.monotonic();
                self.late = Some(LateAnswer { bytes, written: 0, pace, from, over });
                Ok(())
            }
        };
        if done.is_ok() { Stays::Open } else { Stays::Gone }
    }

    fn go_on_with_a_late_answer(&mut self) -> Stays {
        let Some(late) = &mut self.late else { return Stays::Open };
        let until = late.due(SystemClock.monotonic());
        let piece = late.bytes.get(late.written..until).unwrap_or_default();
        if self.stream.write_all(piece).is_err() {
            return Stays::Gone;
        }
        late.written = until;
        Stays::Open
    }
}

impl LateAnswer {
    /// How many bytes should be written by now.
    fn due(&self, now: Duration) -> usize {
        let elapsed = now.saturating_sub(self.from);
        if elapsed >= self.over {
            return self.bytes.len();
        }
        match self.pace {
            Pace::AtTheEnd => 0,
            Pace::Dripping => {
                let length = u128::try_from(self.bytes.len()).unwrap_or_default();
                let due = length * elapsed.as_micros() / self.over.as_micros().max(1);
                usize::try_from(due).unwrap_or_default()
            }
        }
    }
}

fn is_nothing_yet(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// The length of the first request, when all of it is there.
fn length_of_a_whole_request(bytes: &[u8]) -> Option<usize> {
    let body = after(bytes, 0, b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(bytes.get(..body)?).to_ascii_lowercase();
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    if header("transfer-encoding:").is_some_and(|coding| coding.ends_with("chunked")) {
        return after_chunks(bytes, body);
    }
    let length: usize = header("content-length:").and_then(|length| length.parse().ok()).unwrap_or(0);
    let end = body.checked_add(length)?;
    (end <= bytes.len()).then_some(end)
}

/// Where a body in chunks ends.
fn after_chunks(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let start = after(bytes, at, b"\r\n")?;
        let line = String::from_utf8_lossy(bytes.get(at..start - 2)?).into_owned();
        let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
        if size > 0 {
            at = start.checked_add(size)?.checked_add(2)?;
            continue;
        }
        // Trailers, if any, and an empty line.
        at = start;
        loop {
            let next = after(bytes, at, b"\r\n")?;
            if next == at + 2 {
                return Some(next);
            }
            at = next;
        }
    }
}

/// The place behind the first `mark` at or after `from`.
fn after(bytes: &[u8], from: usize, mark: &[u8]) -> Option<usize> {
    let place = bytes.get(from..)?.windows(mark.len()).position(|window| window == mark)?;
    Some(from + place + mark.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(stream: &mut TcpStream, request: &[u8]) -> Vec<u8> {
        stream.write_all(request).expect("it is connected");
        let mut answer = vec![0; 4096];
        let length = stream.read(&mut answer).unwrap_or(0);
        answer.truncate(length);
        answer
    }

    fn connect(provider: &Provider) -> TcpStream {
        let address = provider.origin().strip_prefix("http://").expect("an origin");
        TcpStream::connect(address).expect("it listens")
    }

    #[test]
    fn a_request_is_whole_when_its_body_is() {
        let check = |request: &str, expected: Option<usize>| {
            assert_eq!(length_of_a_whole_request(request.as_bytes()), expected, "{request:?}");
        };
        check("POST / HTTP/1.1\r\n", None);
        check("GET / HTTP/1.1\r\n\r\nGET", Some(18));
        check("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab", None);
        check("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcP", Some(41));
        check("P\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", None);
        check("P\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", None);
        check("P\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nP", Some(46));
        check("P\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\n0\r\n\r\n0\r\na: b\r\n\r\n", Some(56));
        check("P\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n", None);
    }

    #[test]
    fn every_request_is_counted_whole_or_not() {
        let refused = encode(400, &[], "no");
        let script = vec![Turn::Answer(refused.clone()), Turn::AnswerAndClose(refused.clone())];
        let provider = Provider::start(script, refused.clone());
        let request = b"POST /x HTTP/1.1\r\ncontent-length: 2\r\n\r\nhi";
        let mut one = connect(&provider);
        assert_eq!(exchange(&mut one, request), refused);
        assert_eq!(exchange(&mut one, request), refused, "the connection was kept");
        assert_eq!(exchange(&mut one, request), b"", "it says no more, but counts");
        let mut two = connect(&provider);
        assert_eq!(exchange(&mut two, request), refused);
        two.write_all(b"POST /half").expect("it is connected");
        let requests = provider.finish();
        assert_eq!(requests.len(), 5);
        assert_eq!(requests.first().map(Vec::as_slice), Some(request.as_slice()));
        assert_eq!(requests.last().map(Vec::as_slice), Some(b"POST /half".as_slice()));
    }

    #[test]
    fn nobody_listens_at_a_closed_port() {
        let port = ClosedPort::hold();
        let address = port.origin().strip_prefix("http://").expect("an origin");
        let refused = TcpStream::connect(address).expect_err("nobody listens");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    }
}
