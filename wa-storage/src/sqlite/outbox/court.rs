//! Reads what the judge of a session is told.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, params};
use wa_core::model::{
    BreakerScope, BudgetOf, CampaignId, CampaignState, Category, Consent, Contact, ContactId, MessageId,
    Money, Period, Recipient, SessionId, TenantBudget, TenantId, micros,
};
use wa_core::port::store::BeginItem;
use wa_core::rules::touch::{self, Touch};
use wa_core::rules::warmup;

use super::lane_of;
use super::reserve::{self, portfolio_key, used_of};
use crate::common::booked::budget_key;
use crate::common::court::{CampaignFacts, Court, ItemFacts, Shared, goes_by_contact};
use crate::sqlite::archive;
use crate::sqlite::audience::contacts;
use crate::sqlite::codec::{at, column, named, opt_at, parsed, recipient, uint};
use crate::sqlite::directory::tenant_rules;
use crate::sqlite::error::{Fallible, Fault};
use crate::sqlite::inbox::window::free_until;
use crate::sqlite::numbers::{breakers, session_of_any};
use crate::sqlite::prices;

const WINDOW_OF: &str = "SELECT last_user_message_at, referral_at FROM window WHERE tenant = ?1 AND session = ?2 AND contact = ?3";
const CONSENT_OF: &str = "SELECT consent, phone, bsuid FROM contact WHERE tenant = ?1 AND id = ?2";
const ZONE_OF: &str =
    "SELECT json_extract(attributes, '$.time_zone') FROM contact WHERE tenant = ?1 AND id = ?2";
const TOUCHES_OF: &str = "SELECT at, category, lane FROM touch \
     WHERE tenant = ?1 AND recipient = ?2 AND at > ?3 AND message <> ?4 ORDER BY at DESC, message DESC, n DESC";
const ANY_SUPPRESSED: &str = "SELECT 1 FROM suppressed WHERE tenant = ?1 LIMIT 1";
const IS_SUPPRESSED: &str = "SELECT 1 FROM suppressed WHERE tenant = ?1 AND address = ?2";
const WARM_UP_USED: &str = "SELECT used FROM warm_up_usage WHERE session = ?1 AND day = ?2";

pub(in crate::sqlite) const SERVICE_USED: &str =
    "SELECT used FROM service_usage WHERE session = ?1 AND month = ?2";
pub(in crate::sqlite) const USED_OF: &str = "SELECT committed, open, last_begun_at FROM budget_use \
     WHERE tenant = ?1 AND of = ?2 AND currency = ?3";
const CAMPAIGN_OF: &str = "SELECT state, budget, budget_currency FROM campaign WHERE tenant = ?1 AND id = ?2";

#[cfg(test)]
pub(in crate::sqlite) const HOT: &[&str] = &[
    WINDOW_OF,
    CONSENT_OF,
    ZONE_OF,
    TOUCHES_OF,
    ANY_SUPPRESSED,
    IS_SUPPRESSED,
    WARM_UP_USED,
    SERVICE_USED,
    USED_OF,
    CAMPAIGN_OF,
];

/// Where the facts of a batch are read.
pub(super) struct Bench<'a> {
    conn: &'a Connection,
    now: DateTime<Utc>,
    tenant: TenantId,
    session: SessionId,
    portfolio: String,
    any_suppressed: bool,
    has_limit: bool,
    has_prices: bool,
    wants_zone: bool,
    since: Option<DateTime<Utc>>,
}

/// When a contact last wrote to the session, and when it last came by an advertisement.
type Heard = (DateTime<Utc>, Option<DateTime<Utc>>);

/// A recipient who is a contact.
struct Known {
    id: ContactId,
    consent: Consent,
    recipient: Recipient,
}

/// Reads what all items of a session share; `None` when there is no such session.
pub(super) fn open<'a>(
    conn: &'a Connection,
    now: DateTime<Utc>,
    session: SessionId,
    items: &[BeginItem],
) -> Fallible<Option<(Court, Bench<'a>)>> {
    let Some((tenant, session)) = session_of_any(conn, session)? else { return Ok(None) };
    let (settings, entitlement) =
        tenant_rules(conn, tenant)?.ok_or(Fault::Broken("the tenant of a session is not there"))?;
    let portfolio = portfolio_key(session.transport.as_str(), &session.portfolio);
    let has_limit = session.tier.limit().is_some();
    let (slots_used, slots) =
        if has_limit { reserve::slots(conn, &portfolio, now, items.len() + 1)? } else { (0, Vec::new()) };
    let warm_up_used = match warmup::today(&session, &settings.time_zone, now) {
        Some(day) => conn
            .prepare_cached(WARM_UP_USED)?
            .query_row(params![session.id.as_bytes(), day.number], |row| uint(row, 0))
            .optional()?,
        None => None,
    };
    let month = Period::at(now, settings.billing_offset);
    let service_used = conn
        .prepare_cached(SERVICE_USED)?
        .query_row(params![session.id.as_bytes(), month.to_string()], |row| uint(row, 0))
        .optional()?;
    let mut templates = HashMap::new();
    for template in
        items.iter().flat_map(|it| it.template.iter().chain(it.fallback.as_ref().map(|it| &it.template)))
    {
        if !templates.contains_key(template) {
            let scope = BreakerScope::Template(session.id, template.0.clone(), template.1.clone());
            templates.insert(template.clone(), breakers::open_at(conn, tenant, &scope, now)?);
        }
    }
    let mut campaigns = HashMap::new();
    for campaign in items.iter().filter_map(|item| item.campaign) {
        if let std::collections::hash_map::Entry::Vacant(place) = campaigns.entry(campaign)
            && let Some(facts) = campaign_of(conn, tenant, campaign)?
        {
            place.insert(facts);
        }
    }
    let TenantBudget { monthly, total } = settings.budget;
    let mut limits = vec![(BudgetOf::Month(month), monthly), (BudgetOf::Total, total)];
    limits.extend(campaigns.iter().map(|(id, facts)| (BudgetOf::Campaign(*id), facts.budget)));
    let mut budgets = HashMap::new();
    for (of, limit) in limits {
        let Some(Money { currency, .. }) = limit else { continue };
        let key = params![tenant.as_bytes(), budget_key(of), currency.as_str()];
        let used = conn.prepare_cached(USED_OF)?.query_row(key, |row| {
            let used = wa_core::model::BudgetUse { committed: row.get(0)?, open: row.get(1)? };
            Ok((used, opt_at(row, 2)?))
        });
        budgets.extend(used.optional()?.map(|used| ((of, currency), used)));
    }
    let bench = Bench {
        conn,
        now,
        tenant,
        session: session.id,
        any_suppressed: conn.prepare_cached(ANY_SUPPRESSED)?.exists(params![tenant.as_bytes()])?,
        portfolio,
        has_limit,
        has_prices: settings.prices.is_some(),
        wants_zone: settings.quiet_hours.is_some(),
        since: touch::reach(&settings)
            .map(|reach| now.checked_sub_signed(reach).unwrap_or(DateTime::<Utc>::MIN_UTC)),
    };
    let court = Court::new(Shared {
        now,
        awaits_reconcile: archive::need(conn)?.is_some() || archive::is_held(conn, tenant)?,
        tenant,
        breaker: breakers::open_at(conn, tenant, &BreakerScope::Session(session.id), now)?,
        templates: templates.into_iter().filter_map(|(name, breaker)| Some((name, breaker?))).collect(),
        quota_used: used_of(conn, tenant, Period::of(now))?,
        slots_used,
        slots,
        warm_up_used: warm_up_used.unwrap_or(0),
        service_used: service_used.unwrap_or(0),
        book: prices::present(conn, tenant)?,
        campaigns,
        budgets,
        session,
        settings,
        entitlement,
    });
    Ok(Some((court, bench)))
}

fn campaign_of(conn: &Connection, tenant: TenantId, campaign: CampaignId) -> Fallible<Option<CampaignFacts>> {
    let found = conn
        .prepare_cached(CAMPAIGN_OF)?
        .query_row(params![tenant.as_bytes(), campaign.as_bytes()], |row| {
            let budget = match row.get::<_, Option<i64>>(1)? {
                Some(micros) => Some(Money { micros, currency: parsed(row, 2)? }),
                None => None,
            };
            Ok(CampaignFacts { state: named(row, 0, CampaignState::from_name)?, budget })
        })
        .optional()?;
    Ok(found)
}

impl Bench<'_> {
    /// What is known of the recipient of an item.
    pub(super) fn facts(&self, item: &BeginItem) -> Fallible<ItemFacts> {
        let known = self.known(item)?;
        let contact = known.as_ref().map(|known| known.id);
        let key = item.recipient.key();
        let heard = match contact {
            Some(contact) => self.heard(contact)?,
            None => None,
        };
        Ok(ItemFacts {
            consent: known.as_ref().map(|known| known.consent),
            suppressed: self.is_suppressed(&item.recipient)?
                || known.as_ref().map_or(Ok(false), |known| self.is_suppressed(&known.recipient))?,
            own_zone: match contact.filter(|_| self.wants_zone) {
                Some(contact) => self.own_zone(contact)?,
                None => None,
            },
            wrote_at: heard.map(|(wrote_at, _)| wrote_at),
            free_until: match contact.zip(heard) {
                // Without prices nothing is dear, and so nothing free.
                Some((contact, (_, referral_at))) if self.has_prices => {
                    free_until(self.conn, self.tenant, self.session, contact, referral_at)?
                }
                Some(_) | None => None,
            },
            touches: self.touches(key, item.message)?,
            has_slot: self.has_limit && reserve::has_slot(self.conn, &self.portfolio, key, self.now)?,
        })
    }

    /// The contact of a message; whoever is none has refused nothing.
    fn known(&self, item: &BeginItem) -> Fallible<Option<Known>> {
        if let Some(id) = item.contact.filter(|_| goes_by_contact(item)) {
            let known = self
                .conn
                .prepare_cached(CONSENT_OF)?
                .query_row(params![self.tenant.as_bytes(), id.as_bytes()], |row| {
                    Ok(Known {
                        id,
                        consent: named(row, 0, Consent::from_name)?,
                        recipient: recipient(row, 1)?,
                    })
                })
                .optional()?;
            if known.is_some() {
                return Ok(known);
            }
            // It may have become one with another contact since it was read.
            if let Some(stays) = contacts::by_id(self.conn, self.tenant, id)? {
                let Contact { id, consent, recipient, .. } = stays;
                return Ok(Some(Known { id, consent, recipient }));
            }
        }
        // The contact may have come after the message, with its stop word.
        let contact = contacts::by_address(self.conn, self.tenant, &item.recipient)?;
        Ok(contact.map(|it| Known { id: it.id, consent: it.consent, recipient: it.recipient }))
    }

    fn own_zone(&self, contact: ContactId) -> Fallible<Option<String>> {
        let key = params![self.tenant.as_bytes(), contact.as_bytes()];
        Ok(self.conn.prepare_cached(ZONE_OF)?.query_row(key, column).optional()?.flatten())
    }

    fn is_suppressed(&self, who: &Recipient) -> Fallible<bool> {
        if !self.any_suppressed {
            return Ok(false);
        }
        for address in who.addresses() {
            let key = params![self.tenant.as_bytes(), address];
            if self.conn.prepare_cached(IS_SUPPRESSED)?.exists(key)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn touches(&self, key: u64, message: MessageId) -> Fallible<Vec<Touch>> {
        let Some(since) = self.since else { return Ok(Vec::new()) };
        let mut statement = self.conn.prepare_cached(TOUCHES_OF)?;
        // A message's own attempts hold it up in nothing.
        let key = params![self.tenant.as_bytes(), key.cast_signed(), micros(since), message.as_bytes()];
        let stored = statement.query_map(key, |row| {
            let category = named(row, 1, Category::from_name)?;
            Ok(Touch { at: at(row, 0)?, category, lane: lane_of(row, 2)? })
        })?;
        Ok(stored.collect::<rusqlite::Result<_>>()?)
    }

    /// When a contact last wrote to the session, and when it last came by an advertisement.
    fn heard(&self, contact: ContactId) -> Fallible<Option<Heard>> {
        let key = params![self.tenant.as_bytes(), self.session.as_bytes(), contact.as_bytes()];
        let read = |row: &rusqlite::Row<'_>| Ok((at(row, 0)?, opt_at(row, 1)?));
        Ok(self.conn.prepare_cached(WINDOW_OF)?.query_row(key, read).optional()?)
    }
}
