//! Trends, against a recount of every attempt.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::{Fact, MessageView, Outcome, RejectClass, Session, StatusUpdate, UtcOffset};
use crate::port::store::{StoredInbound, TrendBy, TrendPoint, TrendQuery};
use crate::port::{Scope, WorkerScope};
use crate::testing::store::ledger::{at_metas_prices, heard, pricing, recount};
use crate::testing::store::world::{World, accepted, must, rejected};

/// The trend that a report of these messages makes, counted anew.
fn told(
    views: &[MessageView],
    inbound: &[StoredInbound],
    start_of: impl Fn(DateTime<Utc>) -> DateTime<Utc>,
) -> Vec<TrendPoint> {
    let mut points: BTreeMap<DateTime<Utc>, TrendPoint> = BTreeMap::new();
    let mut by_start: BTreeMap<DateTime<Utc>, Vec<MessageView>> = BTreeMap::new();
    for view in views {
        for attempt in &view.attempts {
            let start = start_of(attempt.begun_at);
            let point = points.entry(start).or_insert_with(|| TrendPoint::new(start));
            let has = |fact| attempt.facts.has(fact);
            point.begun += 1;
            let undelivered = attempt.facts.is_definitely_undelivered();
            point.failed += u64::from(undelivered);
            point.attempting += u64::from(!attempt.facts.is_settled());
            let accepted = attempt.facts.is_taken() && !undelivered;
            point.accepted += u64::from(accepted);
            point.retried += u64::from(attempt.n > 1);
            point.retries_accepted += u64::from(attempt.n > 1 && accepted);
            point.in_doubt += u64::from(attempt.facts.is_settled() && !undelivered && !accepted);
            let read = has(Fact::Read) || has(Fact::Played);
            let delivered = read || has(Fact::Delivered);
            point.sent += u64::from(accepted && (delivered || has(Fact::Sent)));
            point.delivered += u64::from(accepted && delivered);
            point.read += u64::from(accepted && read);
            let alone = MessageView { attempts: vec![attempt.clone()], ..view.clone() };
            by_start.entry(start).or_default().push(alone);
        }
    }
    for it in inbound {
        let start = start_of(it.at);
        points.entry(start).or_insert_with(|| TrendPoint::new(start)).inbound += 1;
    }
    for (start, point) in &mut points {
        point.cost = recount(by_start.get(start).into_iter().flatten());
    }
    points.into_values().collect()
}

/// The hours or days on a clock that is ahead of UTC.
fn floor(at: DateTime<Utc>, ahead: TimeDelta, length: TimeDelta) -> DateTime<Utc> {
    let day = TimeDelta::days(1);
    let mut start = DateTime::<Utc>::UNIX_EPOCH - ahead - day;
    start += day * i32::try_from((at - start).num_days()).expect("this century");
    while start + length <= at {
        start += length;
    }
    start
}

/// Attempts with every kind of fate over two days, on two sessions; their messages.
async fn two_days(w: &World, scope: &Scope, sessions: [&Session; 2], own: &WorkerScope) -> Vec<MessageView> {
    at_metas_prices(w, scope).await;
    let mut ids = Vec::new();
    for round in 0..9_u64 {
        let session = if round % 3 == 1 { sessions[1] } else { sessions[0] };
        w.user_writes(session, w.fresh_phone()).await;
        let mut keys = Vec::new();
        for _ in 0..5 {
            keys.push(w.begun(scope, session.id, own).await.key);
        }
        w.pass(1 + round * 1_117);
        for (place, key) in keys.iter().enumerate() {
            let name = format!("wamid.{}.{}", key.message, key.n);
            ids.push(key.message);
            match place {
                0 => {}
                1 => drop(w.settle(*key, rejected(RejectClass::Recipient, 131_026)).await),
                2 => drop(w.settle(*key, Outcome::Ambiguous).await),
                _ => {
                    w.settle(*key, accepted(&name)).await;
                    for fact in [Fact::Sent, Fact::Delivered, Fact::Read].into_iter().take(place - 2) {
                        let pricing = Some(pricing("regular", "utility"));
                        heard(w, StatusUpdate { pricing, ..w.status(session, &name, fact) }).await;
                    }
                }
            }
        }
    }
    let mut views = Vec::new();
    for id in ids {
        views.push(w.view(scope, id).await);
    }
    views
}

pub(in crate::testing::store) async fn trend_equals_a_recount(w: World) {
    let (scope, first, own) = w.one().await;
    let start = w.now();
    let views = two_days(&w, &scope, [&first, &first], &own).await;
    let inbound = must(w.inbox().inbound(&scope, None, 1_000).await);
    let (from, to) = (start - TimeDelta::days(1), start + TimeDelta::days(3));
    let trend = async |from, to, by| {
        must(w.reports().trend(&scope, &TrendQuery { from, to, by, session: None }).await)
    };
    for minutes in [0, 330, -570, 765] {
        let offset = UtcOffset::from_minutes(minutes).expect("an offset");
        let ahead = TimeDelta::minutes(minutes.into());
        for (by, length) in
            [(TrendBy::Hour(offset), TimeDelta::hours(1)), (TrendBy::Day(offset), TimeDelta::days(1))]
        {
            let expected = told(&views, &inbound, |at| floor(at, ahead, length));
            assert_eq!(trend(from, to, by).await, expected, "{by:?}");
        }
    }
    let hours = trend(from, to, TrendBy::Hour(UtcOffset::UTC)).await;
    assert!(hours.len() > 5, "over several hours: {}", hours.len());
    let begun: u64 = hours.iter().map(|point| point.begun).sum();
    let cut = start + TimeDelta::hours(2);
    let (before, after) = (
        trend(from, cut, TrendBy::Hour(UtcOffset::UTC)).await,
        trend(cut, to, TrendBy::Hour(UtcOffset::UTC)).await,
    );
    let parts = before.iter().chain(&after).map(|point| point.begun).sum::<u64>();
    assert_eq!(parts, begun, "parts add up");
    assert!(must(w.audience().advance(&w.admin()).await).moved.is_empty());
    assert_eq!(trend(from, to, TrendBy::Hour(UtcOffset::UTC)).await, hours, "whatever was folded");
}

pub(in crate::testing::store) async fn trend_is_of_one_session_or_all(w: World) {
    let scope = w.tenant("one").await;
    let (first, second) = (w.session(&scope).await, w.session(&scope).await);
    let own = w.own().await;
    let start = w.now();
    let views = two_days(&w, &scope, [&first, &second], &own).await;
    let inbound = must(w.inbox().inbound(&scope, None, 1_000).await);
    let (from, to, by) = (start, start + TimeDelta::days(3), TrendBy::Day(UtcOffset::UTC));
    for session in [None, Some(first.id), Some(second.id), Some(w.mint(crate::model::SessionId::mint))] {
        let is_of = |of| session.is_none_or(|session| session == of);
        let views: Vec<_> = views.iter().filter(|view| is_of(view.session)).cloned().collect();
        let inbound: Vec<_> = inbound.iter().filter(|it| is_of(it.session)).cloned().collect();
        let expected = told(&views, &inbound, |at| floor(at, TimeDelta::zero(), TimeDelta::days(1)));
        let ask = TrendQuery { from, to, by, session };
        assert_eq!(must(w.reports().trend(&scope, &ask).await), expected, "{session:?}");
    }
}
