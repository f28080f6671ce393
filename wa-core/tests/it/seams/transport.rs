//! A small transport over blocking sockets, and the ways in which it can be wrong.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures::executor::block_on;
use wa_core::model::{
    Content, ContentKind, ContentKinds, FailureCode, RejectClass, SessionId, SessionReport, TenantId,
};
use wa_core::port::{
    Acknowledge, Capabilities, Clock, SendOutcome, SendPermit, SessionRef, SystemClock, Transport,
    TransportError, TransportErrorKind,
};
use wa_core::testing::transport_suite::{self, ProviderAnswer, Refusal, TransportFixture};

/// What is wrong with a transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    AsksAgainWhenAReplyIsLost,
    AsksAgainWhenThrottled,
    AsksAgainOnAStaleConnection,
    FollowsRedirects,
    IgnoresTheDeadline,
    IgnoresTheTimeout,
    TimesEachReadAlone,
    CallsATimeoutNotSent,
    MakesUpIds,
    CallsALostReplyNotSent,
    CallsHalfARefusalRejected,
    CallsARefusedConnectionAmbiguous,
    CallsAServerErrorRejected,
    CallsAnyOkAccepted,
    CallsARefusalAmbiguous,
    MixesClassesUp,
    LeavesTheTagOut,
    ChangesTheTag,
    RepeatsTheFirstTag,
}

/// Speaks HTTP by hand; answers in the form of [`Fixture`].
#[derive(Debug)]
struct Blocking {
    fault: Fault,
    address: String,
    clock: Arc<dyn Clock>,
    /// The connection that was kept, for the fault that uses one.
    kept: std::sync::Mutex<Option<TcpStream>>,
    first_tag: std::sync::OnceLock<String>,
}

struct Answer {
    status: u16,
    location: bool,
    body: Result<String, io::Error>,
}

enum Failure {
    Connect,
    TimedOut,
    Lost,
}

impl Blocking {
    fn tag(&self, permit: &SendPermit) -> String {
        let own = permit.tag().as_str().to_owned();
        match self.fault {
            Fault::LeavesTheTagOut => String::new(),
            Fault::ChangesTheTag => own.to_ascii_uppercase(),
            Fault::RepeatsTheFirstTag => self.first_tag.get_or_init(|| own).clone(),
            _ => own,
        }
    }

    fn exchange(&self, path: &str, permit: &SendPermit) -> Result<Answer, Failure> {
        let kept = self.kept.lock().expect("a lock").take();
        let is_kept = kept.is_some();
        let stream =
            kept.map_or_else(|| TcpStream::connect(&self.address), Ok).map_err(|_| Failure::Connect)?;
        let timeout = (self.fault != Fault::IgnoresTheTimeout).then_some(permit.timeout());
        match self.ask(stream, path, permit, timeout) {
            Err(Failure::Lost) if is_kept => {
                let stream = TcpStream::connect(&self.address).map_err(|_| Failure::Connect)?;
                self.ask(stream, path, permit, timeout)
            }
            other => other,
        }
    }

    fn ask(
        &self,
        mut stream: TcpStream,
        path: &str,
        permit: &SendPermit,
        timeout: Option<Duration>,
    ) -> Result<Answer, Failure> {
        let body = format!(r#"{{"tag":"{}"}}"#, self.tag(permit));
        let request = format!("POST {path} HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let end = timeout.map(|timeout| SystemClock.monotonic() + timeout);
        stream.write_all(request.as_bytes()).map_err(|_| Failure::Lost)?;
        let mut read = Vec::new();
        loop {
            let left = match (end, self.fault) {
                (Some(_), Fault::TimesEachReadAlone) => timeout,
                (Some(end), _) => match end.saturating_sub(SystemClock.monotonic()) {
                    Duration::ZERO => return Err(Failure::TimedOut),
                    left => Some(left),
                },
                (None, _) => None,
            };
            stream.set_read_timeout(left).map_err(|_| Failure::Lost)?;
            let mut chunk = [0; 512];
            let more = match stream.read(&mut chunk) {
                Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => Ok(length),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    return Err(Failure::TimedOut);
                }
                Err(error) => Err(error),
            };
            if let Ok(length) = &more {
                read.extend_from_slice(chunk.get(..*length).expect("it fits"));
            }
            match answer(&read, more.err()) {
                None => {}
                Some(Err(_)) => return Err(Failure::Lost),
                Some(Ok(answer)) => {
                    if self.fault == Fault::AsksAgainOnAStaleConnection && answer.body.is_ok() {
                        *self.kept.lock().expect("a lock") = Some(stream);
                    }
                    return Ok(answer);
                }
            }
        }
    }

    fn outcome(&self, result: Result<Answer, Failure>) -> SendOutcome {
        let ambiguous = |why: &str| SendOutcome::Ambiguous { why: why.to_owned() };
        let not_sent = |why: &str| SendOutcome::NotSent { why: why.to_owned() };
        let rejected = |class| SendOutcome::Rejected {
            failure: FailureCode { code: 0, class, title: "refused".to_owned(), details: None },
            retry_after: None,
        };
        let answer = match result {
            Ok(answer) => answer,
            Err(Failure::Connect) if self.fault == Fault::CallsARefusedConnectionAmbiguous => {
                return ambiguous("no connection");
            }
            Err(Failure::Connect) => return not_sent("no connection"),
            Err(Failure::TimedOut) if self.fault == Fault::CallsATimeoutNotSent => {
                return not_sent("too slow");
            }
            Err(Failure::TimedOut) => return ambiguous("too slow"),
            Err(Failure::Lost) if self.fault == Fault::CallsALostReplyNotSent => return not_sent("lost"),
            Err(Failure::Lost) => return ambiguous("lost"),
        };
        let is_rejection = answer.status == 400;
        let Ok(body) = answer.body else {
            return match self.fault {
                Fault::CallsALostReplyNotSent => not_sent("lost"),
                Fault::CallsHalfARefusalRejected if is_rejection => rejected(RejectClass::Recipient),
                _ => ambiguous("lost"),
            };
        };
        let id = body.strip_prefix("taken ").filter(|_| answer.status == 200);
        let class = match body.as_str() {
            _ if !is_rejection => None,
            "no such user" => Some(RejectClass::Recipient),
            "too fast" => Some(RejectClass::Throttled),
            _ => None,
        };
        match (self.fault, id, class) {
            (Fault::MakesUpIds, Some(_), _) => SendOutcome::Accepted { provider_id: "mine".to_owned() },
            (_, Some(id), _) => SendOutcome::Accepted { provider_id: id.to_owned() },
            (Fault::CallsAnyOkAccepted, None, None) if answer.status == 200 && body.contains("html") => {
                SendOutcome::Accepted { provider_id: body }
            }
            (Fault::CallsARefusalAmbiguous, _, Some(_)) => ambiguous("who knows"),
            (Fault::MixesClassesUp, _, Some(_)) => rejected(RejectClass::Throttled),
            (_, _, Some(class)) => rejected(class),
            (Fault::CallsAServerErrorRejected, _, None) if answer.status == 500 => {
                rejected(RejectClass::Retry)
            }
            (_, None, None) => ambiguous("it says neither"),
        }
    }
}

#[async_trait::async_trait]
impl Transport for Blocking {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            content: ContentKinds::of(&[ContentKind::Text]),
            quotes: false,
            codes_to_user_ids: false,
            windows: false,
            echo: true,
            read_receipts: false,
            gap: None,
        }
    }

    fn advice(&self, _: i64) -> Option<&'static str> {
        None
    }

    async fn send(&self, permit: SendPermit) -> SendOutcome {
        if self.clock.monotonic() >= permit.start_by() && self.fault != Fault::IgnoresTheDeadline {
            return SendOutcome::NotSent { why: "too late".to_owned() };
        }
        let first = self.exchange("/send", &permit);
        let asks_again = match (&first, self.fault) {
            (Ok(answer), Fault::AsksAgainWhenThrottled) => answer.status == 429,
            (Ok(answer), Fault::FollowsRedirects) => answer.location,
            (Ok(answer), Fault::AsksAgainWhenAReplyIsLost) => answer.body.is_err(),
            (Err(Failure::Lost), Fault::AsksAgainWhenAReplyIsLost) => true,
            _ => false,
        };
        self.outcome(if asks_again { self.exchange("/again", &permit) } else { first })
    }

    async fn session(&self, _session: &SessionRef) -> Result<SessionReport, TransportError> {
        Err(TransportError::new(TransportErrorKind::Refused, "this provider tells nothing", None))
    }

    async fn acknowledge(&self, _session: &SessionRef, _read: &Acknowledge) -> Result<(), TransportError> {
        Err(TransportError::new(TransportErrorKind::Refused, "this provider marks nothing", None))
    }
}

/// The answer that was read, as far as it goes; `None` while more of it is to come.
fn answer(read: &[u8], end: Option<io::Error>) -> Option<Result<Answer, io::Error>> {
    let text = String::from_utf8_lossy(read).into_owned();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return end.map(Err) };
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let length: usize = header("content-length:").expect("a length").parse().expect("a number");
    let body = match (body.len() >= length, end) {
        (true, _) => Ok(body.to_owned()),
        (false, Some(end)) => Err(end),
        (false, None) => return None,
    };
    let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
    Some(Ok(Answer { status, location: header("location:").is_some(), body }))
}

struct Fixture(Fault);

impl TransportFixture for Fixture {
    fn transport(&self, origin: &str, clock: Arc<dyn Clock>) -> Arc<dyn Transport> {
        Arc::new(Blocking {
            fault: self.0,
            address: origin.strip_prefix("http://").expect("an origin").to_owned(),
            clock,
            kept: std::sync::Mutex::default(),
            first_tag: std::sync::OnceLock::new(),
        })
    }

    fn session(&self) -> SessionRef {
        SessionRef {
            tenant: TenantId::from_uuid(uuid::Uuid::from_u128(1)),
            id: SessionId::from_uuid(uuid::Uuid::from_u128(2)),
            transport: "blocking".parse().expect("a name"),
            number: "1".parse().expect("a number"),
        }
    }

    fn content(&self) -> Content {
        Content::text("hello").expect("a text")
    }

    fn accepted(&self, n: u32) -> (ProviderAnswer, String) {
        (ProviderAnswer { status: 200, body: format!("taken id-{n}") }, format!("id-{n}"))
    }

    fn refusals(&self) -> Vec<Refusal> {
        [("no such user", RejectClass::Recipient), ("too fast", RejectClass::Throttled)]
            .map(|(body, class)| Refusal {
                answer: ProviderAnswer { status: 400, body: body.to_owned() },
                class,
            })
            .into()
    }

    fn unproven(&self) -> Vec<ProviderAnswer> {
        vec![ProviderAnswer { status: 400, body: "nobody knows".to_owned() }]
    }
}

/// The clauses that a transport with this fault breaks.
async fn broken(fault: Fault) -> BTreeSet<&'static str> {
    let mut broken = BTreeSet::new();
    let fixture = Fixture(fault);
    for case in transport_suite::cases() {
        if !super::holds(transport_suite::check(&fixture, case.clause)).await {
            broken.insert(case.clause);
        }
    }
    broken
}

const ONE_REQUEST: &str = "send_makes_at_most_one_request";
const DEADLINE: &str = "send_after_the_deadline_does_not_leave";
const TIMEOUT: &str = "send_ends_within_the_timeout";
const ACCEPTED: &str = "send_reports_acceptance_with_an_id";
const LOST: &str = "send_calls_a_lost_reply_ambiguous";
const REFUSED_CONNECTION: &str = "send_calls_a_refused_connection_not_sent";
const SERVER_ERROR: &str = "send_calls_a_server_error_ambiguous";
const REFUSAL: &str = "send_calls_a_proven_refusal_rejected";
const TAG: &str = "send_passes_the_tag_on";

/// Each fault with the clauses that it breaks, and no other.
///
/// Who asks again after a lost reply, or takes any answer for an acceptance, breaks two promises.
const FAULTS: [(Fault, &[&str]); 19] = [
    (Fault::AsksAgainWhenAReplyIsLost, &[ONE_REQUEST, LOST]),
    (Fault::AsksAgainWhenThrottled, &[ONE_REQUEST]),
    (Fault::AsksAgainOnAStaleConnection, &[ONE_REQUEST, LOST]),
    (Fault::FollowsRedirects, &[ONE_REQUEST]),
    (Fault::IgnoresTheDeadline, &[DEADLINE]),
    (Fault::IgnoresTheTimeout, &[TIMEOUT]),
    (Fault::TimesEachReadAlone, &[TIMEOUT]),
    (Fault::CallsATimeoutNotSent, &[TIMEOUT]),
    (Fault::MakesUpIds, &[ACCEPTED]),
    (Fault::CallsALostReplyNotSent, &[LOST]),
    (Fault::CallsHalfARefusalRejected, &[LOST]),
    (Fault::CallsARefusedConnectionAmbiguous, &[REFUSED_CONNECTION]),
    (Fault::CallsAServerErrorRejected, &[SERVER_ERROR]),
    (Fault::CallsAnyOkAccepted, &[ONE_REQUEST, SERVER_ERROR]),
    (Fault::CallsARefusalAmbiguous, &[REFUSAL]),
    (Fault::MixesClassesUp, &[REFUSAL]),
    (Fault::LeavesTheTagOut, &[TAG]),
    (Fault::ChangesTheTag, &[TAG]),
    (Fault::RepeatsTheFirstTag, &[TAG]),
];

#[test]
fn the_transport_suite_tells_each_fault_by_its_clause() {
    // Most of the time goes by while a provider is late, so the faults are tried side by side.
    thread::scope(|scope| {
        let trials: Vec<_> = FAULTS
            .iter()
            .map(|(fault, clauses)| (fault, clauses, scope.spawn(|| block_on(broken(*fault)))))
            .collect();
        for (fault, clauses, trial) in trials {
            let broken = trial.join().expect("a broken clause does not end its thread");
            assert_eq!(broken, clauses.iter().copied().collect(), "{fault:?}");
        }
    });
    let told: BTreeSet<&str> = FAULTS.iter().flat_map(|(_, clauses)| clauses.iter().copied()).collect();
    let all: BTreeSet<&str> = transport_suite::cases().iter().map(|case| case.clause).collect();
    assert_eq!(told, all, "each clause has a fault that breaks it");
}

mod a_right_one {
    use super::{Fault, Fixture};

    wa_core::transport_conformance!(Fixture(Fault::None));
}
