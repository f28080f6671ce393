//! The cases, each named after its clause.

use futures::future::join_all;

use super::{NotifierFixture, tenants};
use crate::model::{CampaignCounts, CampaignId, EventId, SessionId, TenantId, from_micros};
use crate::port::{Notice, NoticeKind, Notifier};

pub(super) const NOW: i64 = 1_794_320_000_123_457;

/// Words that are longer and stranger than people expect of a name or a sentence.
fn strange(word: &str) -> String {
    format!(
        "{word} \u{2013} <b>\"Müller's\" & Søn</b> \\n {{{{1}}}} %s \u{202e}\u{1f98a} {}",
        "long ".repeat(60).trim_end()
    )
}

/// One notice of each kind, with the words that must be shown of it.
fn kinds() -> Vec<(NoticeKind, Vec<String>)> {
    let at = from_micros(NOW);
    let campaign = CampaignId::mint(at, [3; 10]);
    let session = SessionId::mint(at, [4; 10]);
    let all = [
        NoticeKind::CampaignStarted { campaign },
        NoticeKind::CampaignPaused { campaign },
        NoticeKind::CampaignCompleted { campaign, counts: None },
        NoticeKind::CampaignCompleted { campaign, counts: Some(Box::new(CampaignCounts::default())) },
        NoticeKind::CampaignFailing { campaign, failed: 31, answered: 977 },
        NoticeKind::CampaignPausedForFailures {
            campaign,
            reason: strange("failed:131026"),
            failed: 53,
            answered: 811,
        },
        NoticeKind::SessionDeaf { session, silent: 419, advice: strange("Look at the webhooks.") },
        NoticeKind::BudgetSpent { campaign },
        NoticeKind::SessionStopped { session, advice: strange("Add a payment method.") },
        NoticeKind::TemplateStopped {
            name: "a_template_with_a_name_of_its_own".to_owned(),
            language: "pt_BR".to_owned(),
            status: "DISABLED".to_owned(),
            advice: strange("Improve it."),
        },
        NoticeKind::AccountAlert {
            account: "102290129340398".to_owned(),
            name: strange("INCREASED_CAPABILITIES_ELIGIBILITY_DEFERRED"),
            detail: Some(strange("What the provider says about it.")),
            advice: strange("Open the WhatsApp Manager."),
        },
    ];
    all.into_iter().map(|kind| (kind.clone(), words(kind))).collect()
}

/// What a person needs to read of a notice. Every kind is listed above: who adds one is led here.
fn words(kind: NoticeKind) -> Vec<String> {
    match kind {
        NoticeKind::CampaignStarted { campaign: _ }
        | NoticeKind::CampaignPaused { campaign: _ }
        | NoticeKind::CampaignCompleted { campaign: _, counts: _ }
        | NoticeKind::BudgetSpent { campaign: _ } => Vec::new(),
        NoticeKind::CampaignFailing { campaign: _, failed, answered } => {
            vec![failed.to_string(), answered.to_string()]
        }
        NoticeKind::CampaignPausedForFailures { campaign: _, reason, failed, answered } => {
            vec![reason, failed.to_string(), answered.to_string()]
        }
        NoticeKind::SessionDeaf { session: _, silent, advice } => vec![silent.to_string(), advice],
        NoticeKind::SessionStopped { session: _, advice } => vec![advice],
        NoticeKind::TemplateStopped { name, language, status, advice } => {
            vec![name, language, status, advice]
        }
        NoticeKind::AccountAlert { account, name, detail, advice } => {
            [account, name, advice].into_iter().chain(detail).collect()
        }
    }
}

/// A notice of each kind to a tenant; no two of the suite have one id.
fn notices(tenant: TenantId) -> Vec<Notice> {
    let at = from_micros(NOW);
    let [one, _] = tenants();
    let id = |place: u8| EventId::mint(at, [if tenant == one { place } else { place + 100 }; 10]);
    (1..).zip(kinds()).map(|(place, (kind, _))| Notice { id: id(place), tenant, at, kind }).collect()
}

async fn tell(notifier: &dyn Notifier, notices: &[Notice]) {
    for notice in notices {
        notifier.notify(notice).await.expect("it is passed on");
    }
}

/// Checks that a tenant is shown exactly these, in order.
async fn assert_shown(fixture: &dyn NotifierFixture, tenant: TenantId, notices: &[Notice]) {
    let Some(shown) = fixture.shown(tenant).await else { return };
    let shown: Vec<EventId> = shown.iter().map(|it| it.id).collect();
    let expected: Vec<EventId> = notices.iter().map(|notice| notice.id).collect();
    assert_eq!(shown, expected, "each once, in order");
}

pub(super) async fn notify_takes_every_kind(fixture: &dyn NotifierFixture) {
    let [one, _] = tenants();
    for notice in notices(one) {
        let notifier = fixture.open().await;
        let told = notifier.notify(&notice).await;
        assert!(told.is_ok(), "{:?} is refused: {told:?}", notice.kind);
        assert_shown(fixture, one, std::slice::from_ref(&notice)).await;
    }
}

pub(super) async fn notify_keeps_every_word(fixture: &dyn NotifierFixture) {
    let [one, _] = tenants();
    for (notice, (_, words)) in notices(one).into_iter().zip(kinds()) {
        let notifier = fixture.open().await;
        // Whether every kind is taken is another clause.
        if notifier.notify(&notice).await.is_err() {
            continue;
        }
        let shown = fixture.shown(one).await.unwrap_or_default();
        let Some(shown) = shown.first() else { continue };
        for word in words {
            assert!(shown.text.contains(&word), "{word:?} is not in {:?}", shown.text);
        }
    }
}

pub(super) async fn notify_can_be_repeated(fixture: &dyn NotifierFixture) {
    let [one, _] = tenants();
    let (notifier, first) = (fixture.open().await, simple(one));
    for _ in 0..2 {
        tell(notifier.as_ref(), &first).await;
    }
    assert_shown(fixture, one, &first).await;
}

pub(super) async fn notify_at_once_is_shown_once(fixture: &dyn NotifierFixture) {
    let [one, _] = tenants();
    let (notifier, first) = (fixture.open().await, simple(one));
    for notice in &first {
        let told = join_all((0..8).map(|_| notifier.notify(notice))).await;
        assert!(told.iter().any(Result::is_ok), "nobody could pass it on");
    }
    let Some(shown) = fixture.shown(one).await else { return };
    for notice in &first {
        let times = shown.iter().filter(|it| it.id == notice.id).count();
        assert_eq!(times, 1, "{:?} is shown once", notice.kind);
    }
}

pub(super) async fn notify_keeps_tenants_apart(fixture: &dyn NotifierFixture) {
    let notifier = fixture.open().await;
    let [first, second] = tenants().map(simple);
    for (one, other) in first.iter().zip(&second) {
        notifier.notify(one).await.expect("it is passed on");
        notifier.notify(other).await.expect("it is passed on");
    }
    let [one, other] = tenants();
    assert_shown(fixture, one, &first).await;
    assert_shown(fixture, other, &second).await;
}

pub(super) async fn notify_says_when_it_failed(fixture: &dyn NotifierFixture) {
    let Some(notifier) = fixture.unreachable().await else { return };
    let [one, _] = tenants();
    for notice in notices(one) {
        assert!(notifier.notify(&notice).await.is_err(), "a notice is lost silently: {:?}", notice.kind);
    }
}

pub(super) async fn notify_fails_for_one_tenant_alone(fixture: &dyn NotifierFixture) {
    let [one, other] = tenants();
    let Some(notifier) = fixture.unreachable_for(one).await else { return };
    let (lost, told) = (simple(one), simple(other));
    for (lost, told) in lost.iter().zip(&told) {
        assert!(notifier.notify(lost).await.is_err(), "it reached nobody");
        notifier.notify(told).await.expect("another tenant's is passed on");
    }
    assert_shown(fixture, other, &told).await;
}

pub(super) async fn notify_is_shown_once_after_a_failure(fixture: &dyn NotifierFixture) {
    let Some(notifier) = fixture.stuttering().await else { return };
    let [one, _] = tenants();
    let all = simple(one);
    for notice in &all {
        let mut told = notifier.notify(notice).await;
        for _ in 0..5 {
            if told.is_ok() {
                break;
            }
            told = notifier.notify(notice).await;
        }
        told.expect("it is passed on in the end");
    }
    assert_shown(fixture, one, &all).await;
}

/// Notices of which nothing is special.
fn simple(tenant: TenantId) -> Vec<Notice> {
    notices(tenant).into_iter().take(3).collect()
}
