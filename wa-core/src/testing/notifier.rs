//! The conformance suite of the Notifier seam.

use std::sync::Arc;

use async_trait::async_trait;

use crate::model::{CampaignId, EventId, SessionId, TenantId, from_micros};
use crate::port::{Notice, NoticeKind, Notifier};

/// Opens notifiers for the suite.
#[async_trait]
pub trait NotifierFixture: Send + Sync {
    /// A notifier whose receiver has seen nothing yet.
    async fn open(&self) -> Arc<dyn Notifier>;

    /// The ids that the receiver shows, in order; `None` where it cannot tell repeats apart.
    async fn shown(&self, notifier: &dyn Notifier) -> Option<Vec<EventId>>;

    /// A notifier whose receiver is out of reach; `None` where that cannot be.
    async fn unreachable(&self) -> Option<Arc<dyn Notifier>>;
}

/// The clauses, each with a function of its name.
pub const CLAUSES: [&str; 2] = ["notify_can_be_repeated", "notify_says_when_it_failed"];

/// Checks every clause.
///
/// # Panics
/// When one does not hold.
pub async fn check_all(fixture: &dyn NotifierFixture) {
    notify_can_be_repeated(fixture).await;
    notify_says_when_it_failed(fixture).await;
}

/// One notice of each kind.
fn notices() -> Vec<Notice> {
    let at = from_micros(1_794_320_000_123_457);
    let campaign = CampaignId::mint(at, [3; 10]);
    let session = SessionId::mint(at, [4; 10]);
    let kinds = [
        NoticeKind::CampaignStarted { campaign },
        NoticeKind::CampaignPaused { campaign },
        NoticeKind::CampaignCompleted { campaign, counts: None },
        NoticeKind::SessionStopped { session, advice: "Add a payment method – then reset.".to_owned() },
    ];
    let tenant = TenantId::mint(at, [5; 10]);
    (1_u8..)
        .zip(kinds)
        .map(|(place, kind)| Notice { id: EventId::mint(at, [place; 10]), tenant, at, kind })
        .collect()
}

/// The same notice twice is no error and is shown once where the receiver can tell.
///
/// # Panics
/// When that does not hold.
pub async fn notify_can_be_repeated(fixture: &dyn NotifierFixture) {
    let notifier = fixture.open().await;
    let notices = notices();
    for notice in notices.iter().chain(&notices) {
        notifier.notify(notice).await.expect("a repeat is no error");
    }
    if let Some(shown) = fixture.shown(notifier.as_ref()).await {
        let expected: Vec<EventId> = notices.iter().map(|notice| notice.id).collect();
        assert_eq!(shown, expected, "each once");
    }
}

/// A notice that could not be passed on is an error, so that it comes again.
///
/// # Panics
/// When that does not hold.
pub async fn notify_says_when_it_failed(fixture: &dyn NotifierFixture) {
    let Some(notifier) = fixture.unreachable().await else { return };
    for notice in notices() {
        assert!(notifier.notify(&notice).await.is_err(), "a notice is lost silently: {notice:?}");
    }
}
