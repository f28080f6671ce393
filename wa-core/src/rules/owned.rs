//! Facts that outlive the store's call, so that a judge can be asked again, at another instant.

use chrono::{DateTime, Utc};

use super::judge::{Facts, QuotaFacts};
use super::tier::TierFacts;
use super::touch::Touch;
use super::warmup::WarmUpFacts;
use crate::model::{Breaker, Consent, PriceList, Session, TenantSettings};
use crate::port::store::BeginItem;
use std::sync::Arc;

/// [`Facts`] that are owned: what a judge that records them keeps.
///
/// Settings, session and prices are shared by all facts that one recording judge made. Whoever replays
/// them in another time or order changes the meters as begin would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedFacts {
    /// The message.
    pub item: BeginItem,
    /// What its tenant set.
    pub settings: Arc<TenantSettings>,
    /// The number that it goes from.
    pub session: Arc<Session>,
    /// The consent of its contact.
    pub consent: Consent,
    /// Whether one of the recipient's addresses is on the suppression list.
    pub suppressed: bool,
    /// The contact's own zone, as it is written there.
    pub own_zone: Option<String>,
    /// When the user last wrote to the session.
    pub last_user_message_at: Option<DateTime<Utc>>,
    /// The open breaker of its template.
    pub template_breaker: Option<Breaker>,
    /// The open breaker of its fallback's template.
    pub fallback_breaker: Option<Breaker>,
    /// Templates that the recipient got, newest first.
    pub touches: Vec<Touch>,
    /// The number's warm-up.
    pub warm_up: Option<WarmUpFacts>,
    /// The portfolio's messaging limit.
    pub tier: TierFacts,
    /// The plan's quota.
    pub quota: QuotaFacts,
    /// The tenant's prices.
    pub prices: Option<Arc<PriceList>>,
}

impl OwnedFacts {
    /// The facts as a judge takes them.
    #[must_use]
    pub fn as_facts(&self) -> Facts<'_> {
        let Self {
            item,
            settings,
            session,
            consent,
            suppressed,
            own_zone,
            last_user_message_at,
            template_breaker,
            fallback_breaker,
            touches,
            warm_up,
            tier,
            quota,
            prices,
        } = self;
        Facts {
            item,
            settings,
            session,
            consent: *consent,
            suppressed: *suppressed,
            own_zone: own_zone.clone(),
            last_user_message_at: *last_user_message_at,
            template_breaker: template_breaker.clone(),
            fallback_breaker: fallback_breaker.clone(),
            touches,
            warm_up: *warm_up,
            tier: *tier,
            quota: *quota,
            prices: prices.as_deref(),
        }
    }

    /// Owns facts; what equals that of `before` is shared with it.
    #[must_use]
    pub fn after(before: Option<&Self>, facts: &Facts<'_>) -> Self {
        let Facts {
            item,
            settings,
            session,
            consent,
            suppressed,
            own_zone,
            last_user_message_at,
            template_breaker,
            fallback_breaker,
            touches,
            warm_up,
            tier,
            quota,
            prices,
        } = facts;
        let known_settings = before.map(|it| &it.settings).filter(|it| it.as_ref() == *settings);
        let known_session = before.map(|it| &it.session).filter(|it| it.as_ref() == *session);
        let known_prices = before.and_then(|it| it.prices.as_ref()).filter(|it| Some(it.as_ref()) == *prices);
        Self {
            item: (*item).clone(),
            settings: known_settings.map_or_else(|| Arc::new((*settings).clone()), Arc::clone),
            session: known_session.map_or_else(|| Arc::new((*session).clone()), Arc::clone),
            consent: *consent,
            suppressed: *suppressed,
            own_zone: own_zone.clone(),
            last_user_message_at: *last_user_message_at,
            template_breaker: template_breaker.clone(),
            fallback_breaker: fallback_breaker.clone(),
            touches: touches.to_vec(),
            warm_up: *warm_up,
            tier: *tier,
            quota: *quota,
            prices: prices.map(|list| known_prices.map_or_else(|| Arc::new(list.clone()), Arc::clone)),
        }
    }
}
