//! How sessions begin, and when a breaker is news.

use chrono::{DateTime, Utc};
use wa_core::model::{
    Breaker, BreakerScope, EventBody, NewSession, Quality, Session, SessionId, SessionSettings, SessionState,
    TenantId, Throughput, Tier,
};

use super::changes::Changes;

/// A number that is new to its tenant.
pub(crate) fn added(new: &NewSession, now: DateTime<Utc>) -> Session {
    let NewSession { id, transport, number, portfolio, account, phone } = new.clone();
    Session {
        id,
        transport,
        number,
        portfolio,
        account,
        phone,
        // What a number can do until its provider says otherwise.
        state: SessionState::Connected,
        throughput: Throughput::DEFAULT,
        tier: Tier::Unlimited,
        quality: Quality::Unknown,
        created_at: now,
        checked_at: None,
        settings: SessionSettings::default(),
    }
}

/// Takes over what a number that is added again names; whether that is something new.
pub(crate) fn learn(known: &mut Session, new: &NewSession) -> bool {
    let named = new.account.as_ref().is_some_and(|account| known.account.as_ref() != Some(account));
    let is_new = named || new.phone.is_some_and(|phone| known.phone != Some(phone));
    if is_new {
        known.account = new.account.clone().or(known.account.take());
        known.phone = new.phone.or(known.phone);
    }
    is_new
}

/// What a refusal makes of a breaker, given the one that is open already, and whether that is news; `None`
/// where that one lasts as long.
pub(crate) fn tripped(known: Option<&Breaker>, breaker: Breaker) -> Option<(Breaker, bool)> {
    let lasts_longer = |known: &Breaker| match (known.until, breaker.until) {
        // What waits for a person is never shortened by what passes on its own.
        (None, _) => false,
        (Some(_), None) => true,
        (Some(known), Some(new)) => new > known,
    };
    let (is_news, since) = match known {
        Some(known) if !lasts_longer(known) => return None,
        Some(known) => (differs(known, &breaker), known.since),
        None => (true, breaker.since),
    };
    Some((Breaker { since, ..breaker }, is_news))
}

/// Whether two breakers of one scope stop it for different causes.
pub(crate) fn differs(known: &Breaker, new: &Breaker) -> bool {
    (known.reason, known.code) != (new.reason, new.code)
}

/// Says that a session was stopped; of a template there is no event.
pub(crate) fn announce(changes: &mut Changes, tenant: TenantId, breaker: &Breaker) {
    match breaker.scope {
        BreakerScope::Session(session) => {
            let body = EventBody::SessionStopped { session, reason: breaker.reason, code: breaker.code };
            changes.event(tenant, body);
        }
        BreakerScope::Template(..) => {}
    }
}

/// The key columns of a scope; a whole session has an empty template.
pub(crate) fn breaker_key(scope: &BreakerScope) -> (SessionId, &str, &str) {
    match scope {
        BreakerScope::Session(session) => (*session, "", ""),
        BreakerScope::Template(session, name, language) => (*session, name.as_str(), language.as_str()),
    }
}
