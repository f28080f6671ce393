//! Facts that outlive the store's call, so that a judge can be asked again, at another instant.

use chrono::{DateTime, Utc};

use super::budget::BudgetFacts;
use super::judge::{Facts, QuotaFacts};
use super::price::PriceFacts;
use super::tier::TierFacts;
use super::touch::Touch;
use super::warmup::WarmUpFacts;
use crate::model::{Breaker, Consent, Market, PriceBook, Session, TenantSettings};
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
    /// What the price hangs on.
    pub price: OwnedPrice,
    /// The budgets that it falls under.
    pub budget: BudgetFacts,
}

/// [`PriceFacts`] that are owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedPrice {
    /// The tenant's prices.
    pub book: Option<Arc<PriceBook>>,
    /// The recipient's market.
    pub market: Market,
    /// Until when everything to this recipient is free.
    pub entry_point_until: Option<DateTime<Utc>>,
    /// Service messages of this number in this month.
    pub service_used: u64,
}

impl OwnedPrice {
    /// The facts as the rules take them.
    #[must_use]
    pub fn as_facts(&self) -> PriceFacts<'_> {
        let Self { book, market, entry_point_until, service_used } = self;
        PriceFacts {
            book: book.as_deref(),
            market: *market,
            entry_point_until: *entry_point_until,
            service_used: *service_used,
        }
    }
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
            price,
            budget,
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
            price: price.as_facts(),
            budget: *budget,
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
            price,
            budget,
        } = facts;
        let known_settings = before.map(|it| &it.settings).filter(|it| it.as_ref() == *settings);
        let known_session = before.map(|it| &it.session).filter(|it| it.as_ref() == *session);
        let known_book = before.and_then(|it| it.price.book.as_ref());
        let known_book = known_book.filter(|it| Some(it.as_ref()) == price.book);
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
            price: OwnedPrice {
                book: price.book.map(|book| known_book.map_or_else(|| Arc::new(book.clone()), Arc::clone)),
                market: price.market,
                entry_point_until: price.entry_point_until,
                service_used: price.service_used,
            },
            budget: *budget,
        }
    }
}
