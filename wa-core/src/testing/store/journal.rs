//! The cases of the Journal room.

use std::collections::BTreeSet;

use crate::model::{CampaignAction, Event, EventId, StreamPosition};
use crate::port::store::ReaderName;
use crate::port::{Notice, NoticeKind, Scope};
use crate::testing::store::world::{World, accepted, ends, must, only, value};

/// Makes events of several kinds and tenants, a second apart.
async fn something_happens(w: &World) -> Scope {
    let (scope, session, own) = w.one().await;
    let other = w.tenant("other").await;
    let theirs = w.session(&other).await;
    let own_too = w.own().await;
    for count in 0..3 {
        w.pass(1);
        let attempt = w.begun(&scope, session.id, &own).await;
        w.pass(1);
        w.settle(attempt.key, accepted(&format!("wamid.{count}"))).await;
        w.begun(&other, theirs.id, &own_too).await;
        w.user_writes(&session, w.fresh_phone()).await;
    }
    let campaign = w.campaign(&scope, session.id, 1).await;
    w.act(&scope, campaign.id, CampaignAction::Cancel).await;
    scope
}

async fn read(w: &World, after: StreamPosition, limit: u32) -> Vec<Event> {
    must(w.journal().read(&w.admin(), after, limit).await)
}

pub(super) async fn events_are_read_in_order(w: World) {
    something_happens(&w).await;
    let all = w.events().await;
    assert!(all.len() >= 10, "{} events", all.len());
    assert!(all.is_sorted_by(|one, two| one.position < two.position), "positions rise strictly");
    assert!(all.is_sorted_by(|one, two| one.at <= two.at));
    let ids: BTreeSet<EventId> = all.iter().map(|event| event.id).collect();
    assert_eq!(ids.len(), all.len(), "ids differ");
    assert!(all.iter().all(|event| event.position > StreamPosition::default()), "the start is before all");
    for limit in [1, 3, 1_000] {
        let mut paged: Vec<Event> = Vec::new();
        loop {
            let after = paged.last().map_or(StreamPosition::default(), |event| event.position);
            let page = read(&w, after, limit).await;
            assert!(page.len() <= usize::try_from(limit).expect("a small number"));
            if page.is_empty() {
                break;
            }
            paged.extend(page);
            ends(&paged);
        }
        assert_eq!(paged, all, "in pages of {limit}");
    }
}

pub(super) async fn events_survive_a_reopen(mut w: World) {
    let scope = something_happens(&w).await;
    let before = w.events().await;
    w.reopen().await;
    let after = w.events().await;
    assert_eq!(after.get(..before.len()), Some(before.as_slice()), "the same ids and positions");
    // New ones go on behind them.
    let contact = w.contact(&scope).await;
    let consent = crate::model::Consent::Blocked;
    let source = crate::model::ConsentSource::Caller;
    must(w.audience().set_consent(&scope, contact.id, consent, source).await);
    let last = after.last().expect("there are events").position;
    assert!(only(read(&w, last, 10).await).position > last);
}

pub(super) async fn readers_stand_apart(mut w: World) {
    something_happens(&w).await;
    let (mail, hook): (ReaderName, ReaderName) = (value("mail"), value("hook"));
    let position =
        async |w: &World, reader: &ReaderName| must(w.journal().position(&w.admin(), reader).await);
    assert_eq!(position(&w, &mail).await, StreamPosition::default(), "a new reader stands at the start");
    let third = w.events().await.get(2).expect("many events").position;
    must(w.journal().acknowledge(&w.admin(), &mail, third).await);
    assert_eq!(position(&w, &mail).await, third);
    assert_eq!(position(&w, &hook).await, StreamPosition::default(), "the other one did not move");
    w.reopen().await;
    assert_eq!(position(&w, &mail).await, third, "and where it stood is kept");
}

pub(super) async fn a_reader_never_goes_back(w: World) {
    something_happens(&w).await;
    let reader: ReaderName = value("mail");
    let events = w.events().await;
    let (second, fourth) = (events.get(1).expect("many").position, events.get(3).expect("many").position);
    for (acknowledged, expected) in
        [(fourth, fourth), (second, fourth), (StreamPosition::default(), fourth), (fourth, fourth)]
    {
        must(w.journal().acknowledge(&w.admin(), &reader, acknowledged).await);
        let position = must(w.journal().position(&w.admin(), &reader).await);
        assert_eq!(position, expected, "after {acknowledged:?}");
    }
}

pub(super) async fn prune_keeps_what_a_reader_needs(w: World) {
    something_happens(&w).await;
    let (fast, slow): (ReaderName, ReaderName) = (value("fast"), value("slow"));
    let events = w.events().await;
    let (first, third, last) = (
        events.first().expect("many").position,
        events.get(2).expect("many").position,
        events.last().expect("many").position,
    );
    must(w.journal().acknowledge(&w.admin(), &fast, last).await);
    must(w.journal().acknowledge(&w.admin(), &slow, third).await);
    let young = events.first().expect("many").at;
    assert_eq!(must(w.journal().prune_events(&w.admin(), young).await), 0, "older than the instant only");
    w.pass(86_400);
    assert_eq!(must(w.journal().prune_events(&w.admin(), w.now()).await), 3, "what both have passed");
    assert_eq!(w.events().await, events.get(3..).expect("many"), "the rest is there, as it was");
    assert_eq!(must(w.journal().position(&w.admin(), &slow).await), third, "readers stand where they stood");
    assert_eq!(read(&w, first, 1).await, read(&w, third, 1).await, "a reader from before goes on behind");
    // The end of the journal may be empty; positions go on all the same.
    must(w.journal().acknowledge(&w.admin(), &slow, last).await);
    must(w.journal().prune_events(&w.admin(), w.now()).await);
    assert!(w.events().await.is_empty());
    let tenant = w.tenant("one").await;
    let contact = w.contact(&tenant).await;
    let (consent, source) = (crate::model::Consent::Blocked, crate::model::ConsentSource::Caller);
    must(w.audience().set_consent(&tenant, contact.id, consent, source).await);
    assert!(only(w.events().await).position > last, "no position is used again");
}

fn notice(w: &World, scope: &Scope) -> Notice {
    let kind = NoticeKind::SessionStopped {
        session: w.mint(crate::model::SessionId::mint),
        advice: "Add a payment method – then reset.".to_owned(),
    };
    Notice { id: w.mint(EventId::mint), tenant: scope.tenant(), at: w.now(), kind }
}

pub(super) async fn a_notice_is_kept_once(mut w: World) {
    let scope = w.tenant("one").await;
    let notice = notice(&w, &scope);
    for _ in 0..2 {
        assert!(must(w.journal().keep_notice(&scope, &notice).await));
        w.pass(1);
    }
    assert_eq!(must(w.journal().notices(&scope, None, 10).await), std::slice::from_ref(&notice));
    w.reopen().await;
    assert!(must(w.journal().keep_notice(&scope, &notice).await));
    assert_eq!(must(w.journal().notices(&scope, None, 10).await), std::slice::from_ref(&notice));
    let nobody = w.nobody();
    let theirs = Notice { tenant: nobody.tenant(), id: w.mint(EventId::mint), ..notice };
    assert!(!must(w.journal().keep_notice(&nobody, &theirs).await));
}

pub(super) async fn notices_are_paged_by_id(w: World) {
    let (a, b) = (w.tenant("a").await, w.tenant("b").await);
    let mut expected = Vec::new();
    for _ in 0..5 {
        w.pass(1);
        let mine = notice(&w, &a);
        assert!(must(w.journal().keep_notice(&a, &mine).await));
        assert!(must(w.journal().keep_notice(&b, &notice(&w, &b)).await));
        expected.push(mine);
    }
    expected.sort_by_key(|notice| notice.id);
    let mut paged: Vec<Notice> = Vec::new();
    loop {
        let page = must(w.journal().notices(&a, paged.last().map(|notice| notice.id), 2).await);
        assert!(page.len() <= 2);
        if page.is_empty() {
            break;
        }
        paged.extend(page);
        ends(&paged);
    }
    assert_eq!(paged, expected);
}
