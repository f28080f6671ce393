//! Reading what is due.

use crate::model::{
    CampaignAction, Gap, GapSetting, Lane, MessageId, NewMessage, Quality, QualityPolicy, RejectClass,
    SessionId, SessionReport, SessionSetting, TenantSettings, Throughput, WhenRed,
};
use crate::port::WorkerScope;
use crate::port::store::{DuePage, DueQuery, DueSource};
use crate::testing::store::world::{World, found, must, only, rejected, standard};

async fn ask(w: &World, own: &WorkerScope, query: DueQuery) -> DuePage {
    must(w.outbox().due(own, &query).await)
}

fn all(session: SessionId) -> DueQuery {
    DueQuery { session, lane: None, limit: 1_000, skip: Vec::new(), skip_feeds: Vec::new() }
}

fn ids(page: &DuePage) -> Vec<MessageId> {
    page.messages.iter().map(|message| message.id).collect()
}

/// Lets the first message that is due fail in passing, and time pass until its retry is due.
async fn put_one_back(w: &World, own: &WorkerScope, session: SessionId) -> MessageId {
    let page = w.due(own, session).await.messages;
    let first = w.begin(own, session, page.get(..1).expect("one is due"), standard()).await;
    let retried = only(first.attempts).key;
    w.settle(retried, rejected(RejectClass::Retry, 131_000)).await;
    w.pass(3_600);
    retried.message
}

pub(crate) async fn due_writes_nothing(w: World) {
    let (scope, session, own) = w.one().await;
    let campaign = w.campaign(&scope, session.id, 4).await;
    for _ in 0..3 {
        w.single(&scope, session.id).await;
    }
    let before = w.snapshot(&scope).await;
    let first = w.due(&own, session.id).await;
    assert_eq!(first.messages.len(), 7);
    assert_eq!(first.at, w.now(), "the page says when it was read");
    assert_eq!(w.due(&own, session.id).await, first, "a second read gives the same page");
    assert_eq!(w.snapshot(&scope).await, before, "and nothing has changed");
    let briefs: Vec<_> = first.messages.iter().filter_map(|message| message.campaign.clone()).collect();
    assert_eq!(briefs.len(), 4);
    assert!(briefs.iter().all(|brief| brief.id == campaign.id && brief.content == campaign.content));
}

pub(crate) async fn due_gives_transactional_first(w: World) {
    let (scope, session, own) = w.one().await;
    w.pass(100);
    let of = |lane, seconds_ago: i64| NewMessage {
        lane,
        due_at: w.after(-seconds_ago),
        ..w.message(session.id, w.fresh_phone())
    };
    let in_feed = w.campaign(&scope, session.id, 2).await;
    let late_bulk = w.enqueue(&scope, &of(Lane::Bulk, 10)).await;
    let early_bulk = w.enqueue(&scope, &of(Lane::Bulk, 90)).await;
    let late_code = w.enqueue(&scope, &of(Lane::Transactional, 1)).await;
    let early_code = w.enqueue(&scope, &of(Lane::Transactional, 5)).await;

    let page = w.due(&own, session.id).await;
    let of_feed: Vec<MessageId> = w.recipients(&scope, in_feed.id).await.iter().map(|view| view.id).collect();
    let mut expected = vec![early_code, late_code, early_bulk, late_bulk];
    expected.extend(of_feed);
    assert_eq!(ids(&page), expected, "lanes, then due times, then feeds in id order");

    let codes = DueQuery { lane: Some(Lane::Transactional), ..all(session.id) };
    assert_eq!(ids(&ask(&w, &own, codes).await), [early_code, late_code]);
    let bulk = DueQuery { lane: Some(Lane::Bulk), ..all(session.id) };
    assert_eq!(ids(&ask(&w, &own, bulk).await), expected.split_off(2));
    let narrow = DueQuery { limit: 1, ..all(session.id) };
    assert_eq!(ids(&ask(&w, &own, narrow).await), [early_code], "also where only one fits");
}

pub(crate) async fn due_respects_due_at(w: World) {
    let (scope, session, own) = w.one().await;
    let at = |seconds| NewMessage { due_at: w.after(seconds), ..w.message(session.id, w.fresh_phone()) };
    let (soon, later) = (at(60), at(90));
    w.enqueue(&scope, &later).await;
    w.enqueue(&scope, &soon).await;

    let page = w.due(&own, session.id).await;
    assert!(page.messages.is_empty(), "nothing before its time: {page:?}");
    assert_eq!(page.next_at, Some(soon.due_at), "the earliest of those that wait");
    w.clock.advance(std::time::Duration::from_micros(59_999_999));
    assert!(w.due_ids(&own, session.id).await.is_empty(), "not a microsecond before");
    w.clock.advance(std::time::Duration::from_micros(1));
    let page = w.due(&own, session.id).await;
    assert_eq!(ids(&page), [soon.id], "from its instant on");
    assert_eq!(page.next_at, Some(later.due_at));
    w.pass(30);
    assert_eq!(w.due_ids(&own, session.id).await, [soon.id, later.id]);

    // A wake-up is of the lane that was asked for.
    let code = NewMessage { lane: Lane::Transactional, ..at(7) };
    w.enqueue(&scope, &code).await;
    let lane = |lane| DueQuery { lane: Some(lane), ..all(session.id) };
    assert_eq!(ask(&w, &own, lane(Lane::Transactional)).await.next_at, Some(code.due_at));
    assert_ne!(ask(&w, &own, lane(Lane::Bulk)).await.next_at, Some(code.due_at));
}

pub(crate) async fn due_leaves_out_paused_campaigns(w: World) {
    let (scope, session, own) = w.one().await;
    let campaign = w.campaign(&scope, session.id, 3).await;
    put_one_back(&w, &own, session.id).await;
    let before = w.due(&own, session.id).await.messages;
    assert_eq!(before.len(), 3, "a retry and two of the feed");

    w.act(&scope, campaign.id, CampaignAction::Pause).await;
    let single = w.single(&scope, session.id).await;
    assert_eq!(w.due_ids(&own, session.id).await, [single], "neither feed nor retry of a paused campaign");
    w.act(&scope, campaign.id, CampaignAction::Resume).await;
    let after = w.due(&own, session.id).await.messages;
    let of_campaign: Vec<_> = after.into_iter().filter(|message| message.campaign.is_some()).collect();
    assert_eq!(of_campaign, before, "after resume all of them again");
}

pub(crate) async fn due_is_bounded_by_limit(w: World) {
    let (scope, session, own) = w.one().await;
    w.campaign(&scope, session.id, 3).await;
    w.campaign(&scope, session.id, 2).await;
    for _ in 0..3 {
        w.single(&scope, session.id).await;
    }
    let whole = w.due(&own, session.id).await.messages;
    assert_eq!(whole.len(), 8);
    for limit in 1..=10 {
        let page = ask(&w, &own, DueQuery { limit, ..all(session.id) }).await.messages;
        let expected = whole.iter().take(usize::try_from(limit).expect("a small number"));
        assert_eq!(page, expected.cloned().collect::<Vec<_>>(), "the first {limit}");
    }
}

pub(crate) async fn due_skips_named_campaigns(w: World) {
    let (scope, session, own) = w.one().await;
    let skipped = w.campaign(&scope, session.id, 2).await;
    put_one_back(&w, &own, session.id).await;
    let kept = w.campaign(&scope, session.id, 2).await;
    let single = w.single(&scope, session.id).await;
    assert_eq!(w.due(&own, session.id).await.messages.len(), 5);

    let page = ask(&w, &own, DueQuery { skip: vec![skipped.id], ..all(session.id) }).await;
    let mut expected = vec![single];
    expected.extend(w.recipients(&scope, kept.id).await.iter().map(|view| view.id));
    assert_eq!(ids(&page), expected, "neither the feed nor the retry of a campaign to skip");
    let both = DueQuery { skip: vec![skipped.id, kept.id], ..all(session.id) };
    let page = ask(&w, &own, both).await;
    assert_eq!(ids(&page), [single]);
    assert!(page.messages.iter().all(|message| message.source == DueSource::Row));
}

pub(crate) async fn due_skips_named_feeds(w: World) {
    let (scope, session, own) = w.one().await;
    let stopped = w.campaign(&scope, session.id, 3).await;
    let retried = put_one_back(&w, &own, session.id).await;
    let other = w.campaign(&scope, session.id, 2).await;

    let page = ask(&w, &own, DueQuery { skip_feeds: vec![stopped.id], ..all(session.id) }).await;
    let mut expected = vec![retried];
    expected.extend(w.recipients(&scope, other.id).await.iter().map(|view| view.id));
    assert_eq!(ids(&page), expected, "the retry of the campaign whose feed is stopped, and the other feed");
}

pub(crate) async fn due_says_the_pace(w: World) {
    let (scope, session, own) = w.one().await;
    let pace = w.due(&own, session.id).await.pace.expect("the session is held");
    assert_eq!((pace.throughput, pace.marketing_percent), (session.throughput, 100));
    assert_eq!(pace.gap, GapSetting::Transport);

    let gap = GapSetting::Of(Gap { millis: 1_500, jitter_millis: 500 });
    found(w.numbers().set_session(&scope, session.id, &SessionSetting::Gap(gap)).await);
    let report = SessionReport {
        throughput: Some(Throughput::try_from(7).expect("a throughput")),
        quality: Some(Quality::Yellow),
        ..SessionReport::default()
    };
    found(w.numbers().report_session(&scope, session.id, &report).await);
    let quality = QualityPolicy { yellow_percent: 30, red: WhenRed::Hold };
    w.put_settings(&scope, &TenantSettings { quality, ..TenantSettings::default() }).await;
    let pace = w.due(&own, session.id).await.pace.expect("the session is held");
    assert_eq!((pace.throughput.per_second(), pace.marketing_percent, pace.gap), (7, 30, gap));

    let nobody = crate::testing::scope::worker(w.another_worker(), []);
    assert_eq!(w.due(&nobody, session.id).await.pace, None, "who holds nothing is told nothing");
}
