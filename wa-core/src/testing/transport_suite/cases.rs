//! The cases: what a transport must say and do while its provider misbehaves.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::provider::{ClosedPort, Pace, Provider, Turn, encode};
use super::{ProviderAnswer, TransportFixture};
use crate::model::{AttemptKey, AttemptTag, BatchId, InstanceId, MessageId, Phone, TagKey, from_micros};
use crate::port::{Clock, SendOutcome, SendPermit, SystemClock, Transport};
use crate::testing::{ManualClock, permit};

/// Until when permits may start, on a clock that stands at zero.
const START_BY: Duration = Duration::from_secs(5);
/// Longer than any case takes that is not about time-outs.
const AMPLE: Duration = Duration::from_secs(10);
/// The time-out where it is to strike.
const SHORT: Duration = Duration::from_millis(300);
/// What a busy machine may add to it.
const ALLOWANCE: Duration = Duration::from_secs(2);

pub(super) async fn send_makes_at_most_one_request(fixture: &dyn TransportFixture) {
    let taken = whole(&fixture.accepted(1).0);
    let (outcome, requests) = once(fixture, Turn::Answer(taken.clone())).await;
    assert!(matches!(outcome, SendOutcome::Accepted { .. }), "an acceptance: {outcome:?}");
    assert_eq!(requests, 1, "an acceptance");

    for (what, turn) in temptations(fixture) {
        let (outcome, requests) = once(fixture, turn).await;
        assert!(requests <= 1, "{what}: {requests} requests for one permit, and {outcome:?}");
        let is_accepted = matches!(outcome, SendOutcome::Accepted { .. });
        assert!(!is_accepted, "{what}: the provider took nothing, but {outcome:?}");
    }

    // A connection that was kept, and is closed while nobody looks.
    let mut stage = Stage::set(fixture, vec![Turn::AnswerAndClose(taken.clone())]);
    stage.send_accepted().await;
    let outcome = stage.send(AMPLE).await;
    let requests = stage.requests().len();
    let is_possible = match &outcome {
        SendOutcome::Accepted { .. } => requests == 2,
        SendOutcome::NotSent { .. } => requests == 1,
        SendOutcome::Ambiguous { .. } => requests <= 2,
        SendOutcome::Rejected { .. } => false,
    };
    assert!(is_possible, "two permits and a connection closed between: {requests} requests, {outcome:?}");

    // A connection that was kept, and breaks under the second request.
    for turn in [Turn::CloseAtTheFirstByte, Turn::AnswerAndClose(Vec::new())] {
        let mut stage = Stage::set(fixture, vec![Turn::Answer(taken.clone()), turn]);
        stage.send_accepted().await;
        let outcome = stage.send(AMPLE).await;
        let requests = stage.requests().len();
        assert_eq!(requests, 2, "one request for each permit; the second: {outcome:?}");
    }
}

pub(super) async fn send_after_the_deadline_does_not_leave(fixture: &dyn TransportFixture) {
    let late = START_BY + Duration::from_micros(1);
    let mut stage = Stage::set(fixture, Vec::new());
    stage.clock.advance(late);
    stage.send_too_late().await;
    assert_eq!(stage.requests().len(), 0, "a late permit left");

    // Nor does it leave when there is a connection already.
    let mut stage = Stage::set(fixture, Vec::new());
    stage.send_accepted().await;
    stage.clock.advance(late);
    stage.send_too_late().await;
    assert_eq!(stage.requests().len(), 1, "a late permit left");
}

pub(super) async fn send_ends_within_the_timeout(fixture: &dyn TransportFixture) {
    let over = SHORT + ALLOWANCE;
    for pace in [Pace::AtTheEnd, Pace::Dripping] {
        let mut stage = Stage::set(fixture, vec![Turn::Late(whole(&fixture.accepted(1).0), pace, over)]);
        let from = SystemClock.monotonic();
        let outcome = stage.send(SHORT).await;
        let took = SystemClock.monotonic() - from;
        assert!(took < over, "an answer that is {pace:?}: it took {took:?} instead of {SHORT:?}");
        assert!(is_ambiguous(&outcome), "an answer that is {pace:?}: {outcome:?}");
        assert_eq!(stage.requests().len(), 1, "an answer that is {pace:?}");
    }
}

pub(super) async fn send_reports_acceptance_with_an_id(fixture: &dyn TransportFixture) {
    let answers: Vec<_> = (1..=3).map(|n| fixture.accepted(n)).collect();
    let script = answers.iter().map(|(answer, _)| Turn::Answer(whole(answer))).collect();
    let mut stage = Stage::set(fixture, script);
    for (_, id) in answers {
        assert_eq!(stage.send(AMPLE).await, SendOutcome::Accepted { provider_id: id });
    }
    assert_eq!(stage.requests().len(), 3, "one for each permit");
}

pub(super) async fn send_calls_a_lost_reply_ambiguous(fixture: &dyn TransportFixture) {
    let taken = whole(&fixture.accepted(1).0);
    for (what, turn) in lost_replies(fixture) {
        let (outcome, requests) = once(fixture, turn.clone()).await;
        assert!(is_ambiguous(&outcome), "{what}: {outcome:?}");
        assert_eq!(requests, 1, "{what}");

        let mut stage = Stage::set(fixture, vec![Turn::Answer(taken.clone()), turn]);
        stage.send_accepted().await;
        let outcome = stage.send(AMPLE).await;
        assert!(is_ambiguous(&outcome), "{what}, after an acceptance: {outcome:?}");
        assert_eq!(stage.requests().len(), 2, "{what}, after an acceptance");
    }
}

pub(super) async fn send_calls_a_refused_connection_not_sent(fixture: &dyn TransportFixture) {
    let port = ClosedPort::hold();
    let clock = clock();
    let transport = fixture.transport(port.origin(), clock);
    for n in 1..=2 {
        let outcome = transport.send(a_permit(fixture, n, AMPLE)).await;
        assert!(matches!(outcome, SendOutcome::NotSent { .. }), "nobody listens: {outcome:?}");
    }
}

pub(super) async fn send_calls_a_server_error_ambiguous(fixture: &dyn TransportFixture) {
    for answer in unproven(fixture) {
        let (outcome, requests) = once(fixture, Turn::Answer(whole(&answer))).await;
        assert!(is_ambiguous(&outcome), "{answer:?}: {outcome:?}");
        assert_eq!(requests, 1, "{answer:?}");
    }
}

pub(super) async fn send_calls_a_proven_refusal_rejected(fixture: &dyn TransportFixture) {
    let refusals = fixture.refusals();
    assert!(!refusals.is_empty(), "the fixture names a refusal");
    for refusal in refusals {
        let (outcome, requests) = once(fixture, Turn::Answer(whole(&refusal.answer))).await;
        let class = match &outcome {
            SendOutcome::Rejected { failure, .. } => Some(failure.class),
            SendOutcome::NotSent { .. } | SendOutcome::Accepted { .. } | SendOutcome::Ambiguous { .. } => {
                None
            }
        };
        assert_eq!(class, Some(refusal.class), "{:?}: {outcome:?}", refusal.answer);
        assert_eq!(requests, 1, "{:?}", refusal.answer);
    }
}

pub(super) async fn send_passes_the_tag_on(fixture: &dyn TransportFixture) {
    let mut stage = Stage::set(fixture, Vec::new());
    if !stage.transport.capabilities().echo {
        return;
    }
    stage.send_accepted().await;
    stage.send_accepted().await;
    let requests = stage.requests();
    assert_eq!(requests.len(), 2, "one for each permit");
    for (own, request) in (1..).zip(&requests) {
        for n in 1..=2 {
            let tag = tag(fixture, n).1;
            let text = tag.as_str().as_bytes();
            let is_there = request.windows(text.len()).any(|window| window == text);
            assert_eq!(is_there, n == own, "tag {n} in request {own}: {}", String::from_utf8_lossy(request));
        }
    }
}

/// A transport, its provider and its clock, for one case.
struct Stage<'a> {
    fixture: &'a dyn TransportFixture,
    clock: Arc<ManualClock>,
    provider: Provider,
    transport: Arc<dyn Transport>,
    permits: u32,
}

impl<'a> Stage<'a> {
    /// After the script the provider accepts whatever comes: a repeat would be rewarded.
    fn set(fixture: &'a dyn TransportFixture, script: Vec<Turn>) -> Self {
        let provider = Provider::start(script, whole(&fixture.accepted(9).0));
        let clock = clock();
        let transport = fixture.transport(provider.origin(), clock.clone());
        Self { fixture, clock, provider, transport, permits: 0 }
    }

    async fn send(&mut self, timeout: Duration) -> SendOutcome {
        self.permits += 1;
        self.transport.send(a_permit(self.fixture, self.permits, timeout)).await
    }

    async fn send_accepted(&mut self) {
        let outcome = self.send(AMPLE).await;
        assert!(matches!(outcome, SendOutcome::Accepted { .. }), "the provider took it, but {outcome:?}");
    }

    async fn send_too_late(&mut self) {
        let outcome = self.send(AMPLE).await;
        assert!(matches!(outcome, SendOutcome::NotSent { .. }), "its time to start was over: {outcome:?}");
    }

    fn requests(self) -> Vec<Vec<u8>> {
        self.provider.finish()
    }
}

/// What becomes of one permit, and how many requests.
async fn once(fixture: &dyn TransportFixture, turn: Turn) -> (SendOutcome, usize) {
    let mut stage = Stage::set(fixture, vec![turn]);
    let outcome = stage.send(AMPLE).await;
    (outcome, stage.requests().len())
}

/// What other clients take as a reason to ask again.
fn temptations(fixture: &dyn TransportFixture) -> Vec<(String, Turn)> {
    let mut turns = Vec::new();
    let mut answer = |status, headers: &[(&str, &str)]| {
        turns.push((format!("{status} {headers:?}"), Turn::Answer(encode(status, headers, ""))));
    };
    for status in [301, 302, 303, 307, 308] {
        answer(status, &[("location", "/elsewhere")]);
    }
    for status in [408, 425, 429, 503] {
        answer(status, &[("retry-after", "0")]);
    }
    answer(401, &[("www-authenticate", "Basic realm=\"x\"")]);
    answer(421, &[]);
    let refusals = fixture.refusals().into_iter().map(|refusal| refusal.answer);
    let answers = refusals.chain(unproven(fixture));
    turns.extend(answers.map(|answer| (format!("{answer:?}"), Turn::Answer(whole(&answer)))));
    turns.extend(lost_replies(fixture).into_iter().map(|(what, turn)| (what.to_owned(), turn)));
    turns
}

/// Ways in which a reply is lost.
fn lost_replies(fixture: &dyn TransportFixture) -> Vec<(&'static str, Turn)> {
    let taken = fixture.accepted(1).0;
    let refused = fixture.refusals().into_iter().next().expect("the fixture names a refusal").answer;
    let half_a_body = |answer: &ProviderAnswer| {
        let bytes = whole(answer);
        let cut = bytes.len() - answer.body.len().div_ceil(2);
        Turn::AnswerAndClose(bytes.get(..cut).unwrap_or_default().to_vec())
    };
    let half_a_head = whole(&taken).get(..20).unwrap_or_default().to_vec();
    vec![
        ("closed after the first byte", Turn::CloseAtTheFirstByte),
        ("closed without an answer", Turn::AnswerAndClose(Vec::new())),
        ("closed in the answer's head", Turn::AnswerAndClose(half_a_head)),
        ("closed in the body of an acceptance", half_a_body(&taken)),
        ("closed in the body of a refusal", half_a_body(&refused)),
    ]
}

/// Answers that prove nothing.
fn unproven(fixture: &dyn TransportFixture) -> Vec<ProviderAnswer> {
    let page = "<html><body>bad gateway</body></html>";
    let mut answers: Vec<_> =
        [(500, ""), (502, page), (503, ""), (504, page), (200, ""), (200, "{}"), (200, page)]
            .map(|(status, body)| ProviderAnswer { status, body: body.to_owned() })
            .into();
    // A refusal that a failing server speaks of is not proved.
    let of_a_failing_server = |body| ProviderAnswer { status: 500, body };
    answers.extend(fixture.refusals().into_iter().map(|refusal| of_a_failing_server(refusal.answer.body)));
    answers.extend(fixture.unproven());
    answers
}

fn whole(answer: &ProviderAnswer) -> Vec<u8> {
    encode(answer.status, &[], &answer.body)
}

fn is_ambiguous(outcome: &SendOutcome) -> bool {
    matches!(outcome, SendOutcome::Ambiguous { .. })
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(from_micros(1_794_320_000_123_457)))
}

fn a_permit(fixture: &dyn TransportFixture, n: u32, timeout: Duration) -> SendPermit {
    let (attempt, tag) = tag(fixture, n);
    let to = Phone::from_digits("15550000001").expect("a phone");
    permit(attempt, fixture.session(), to.into(), fixture.content(), tag, START_BY, timeout)
}

fn tag(fixture: &dyn TransportFixture, n: u32) -> (AttemptKey, AttemptTag) {
    let message = MessageId::from_uuid(Uuid::from_u128(u128::from(n)));
    let attempt = AttemptKey { tenant: fixture.session().tenant, message, n: 1 };
    let (instance, batch) =
        (InstanceId::from_uuid(Uuid::from_u128(3)), BatchId::from_uuid(Uuid::from_u128(4)));
    (attempt, AttemptTag::new(instance, attempt, batch, &TagKey::new([7; 32])))
}
