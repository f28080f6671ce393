//! The judge with the facts before him: what begin and consider have in common. Reads only.
//!
//! Invariant: what the items judged so far would take lies beside what is stored, so that nothing has
//! to be written before the last of them is judged.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, params};
use wa_core::model::{
    Breaker, BreakerScope, CampaignId, CampaignState, Category, Consent, Contact, ContactId, Entitlement,
    LanguageCode, PriceBook, Recipient, Session, SessionId, TemplateName, TenantId, TenantSettings, micros,
};
use wa_core::port::store::BeginItem;
use wa_core::rules::judge::{Admission, Facts, Grant, GroupFacts, Judge, Verdict};
use wa_core::rules::touch::{self, Touch};
use wa_core::rules::warmup::{self, WarmUpFacts};

use super::pricing::Pricing;
use super::reserve::{QuotaMeter, TierMeter, portfolio_key};
use super::{lane_of, lane_rank};
use crate::sqlite::audience::contacts;
use crate::sqlite::codec::{at, column, named, opt_at, recipient, uint};
use crate::sqlite::directory::tenant_rules;
use crate::sqlite::error::{Fallible, Fault};
use crate::sqlite::inbox::window::free_until;
use crate::sqlite::numbers::{breakers, session_of_any};

const WINDOW_OF: &str = "SELECT last_user_message_at, referral_at FROM window WHERE tenant = ?1 AND session = ?2 AND contact = ?3";
const CONSENT_OF: &str = "SELECT consent, phone, bsuid FROM contact WHERE tenant = ?1 AND id = ?2";
const ZONE_OF: &str =
    "SELECT json_extract(attributes, '$.time_zone') FROM contact WHERE tenant = ?1 AND id = ?2";
const TOUCHES_OF: &str = "SELECT at, category, lane FROM touch \
     WHERE tenant = ?1 AND recipient = ?2 AND at > ?3 ORDER BY at DESC, message DESC, n DESC";
const ANY_SUPPRESSED: &str = "SELECT 1 FROM suppressed WHERE tenant = ?1 LIMIT 1";
const IS_SUPPRESSED: &str = "SELECT 1 FROM suppressed WHERE tenant = ?1 AND address = ?2";
const WARM_UP_USED: &str = "SELECT used FROM warm_up_usage WHERE session = ?1 AND day = ?2";

#[cfg(test)]
pub(in crate::sqlite) const HOT: &[&str] =
    &[WINDOW_OF, CONSENT_OF, ZONE_OF, TOUCHES_OF, ANY_SUPPRESSED, IS_SUPPRESSED, WARM_UP_USED];

/// Everything that the judge of one session is told.
pub(super) struct Court<'a> {
    conn: &'a Connection,
    now: DateTime<Utc>,
    pub(super) tenant: TenantId,
    pub(super) session: Session,
    settings: TenantSettings,
    entitlement: Entitlement,
    breaker: Option<Breaker>,
    templates: HashMap<(TemplateName, LanguageCode), Option<Breaker>>,
    any_suppressed: bool,
    pub(super) quota: QuotaMeter,
    pub(super) tier: TierMeter,
    pub(super) warm_up: Option<WarmUpFacts>,
    pub(super) pricing: Pricing,
    /// The templates of the items judged so far, by recipient, newest first.
    own: HashMap<u64, Vec<Touch>>,
}

/// A recipient who is a contact.
struct Known {
    id: ContactId,
    consent: Consent,
    recipient: Recipient,
}

/// What a contact's window hangs on.
#[derive(Clone, Copy)]
struct Heard {
    wrote_at: DateTime<Utc>,
    referral_at: Option<DateTime<Utc>>,
}

impl<'a> Court<'a> {
    /// Reads what all messages of a session share; `None` when there is no such session.
    pub(super) fn open(
        conn: &'a Connection,
        now: DateTime<Utc>,
        session: SessionId,
    ) -> Fallible<Option<Self>> {
        let Some((tenant, session)) = session_of_any(conn, session)? else { return Ok(None) };
        let (settings, entitlement) =
            tenant_rules(conn, tenant)?.ok_or(Fault::Broken("the tenant of a session is not there"))?;
        let breaker = breakers::open_at(conn, tenant, &BreakerScope::Session(session.id), now)?;
        let any_suppressed = conn.prepare_cached(ANY_SUPPRESSED)?.exists(params![tenant.as_bytes()])?;
        let quota = QuotaMeter::read(conn, tenant, &entitlement, now)?;
        let portfolio = portfolio_key(session.transport.as_str(), &session.portfolio);
        let tier = TierMeter::read(conn, portfolio, session.tier, now)?;
        let warm_up = match warmup::today(&session, &settings.time_zone, now) {
            Some(day) => {
                let key = params![session.id.as_bytes(), day.number];
                let used =
                    conn.prepare_cached(WARM_UP_USED)?.query_row(key, |row| uint(row, 0)).optional()?;
                Some(WarmUpFacts { day, used: used.unwrap_or(0) })
            }
            None => None,
        };
        let pricing = Pricing::read(conn, now, tenant, &settings, session.id)?;
        Ok(Some(Self {
            conn,
            now,
            tenant,
            session,
            settings,
            entitlement,
            breaker,
            templates: HashMap::new(),
            any_suppressed,
            quota,
            tier,
            warm_up,
            pricing,
            own: HashMap::new(),
        }))
    }

    /// The tenant's prices.
    pub(super) fn book(&self) -> Option<&PriceBook> {
        self.settings.prices.as_ref()
    }

    /// Whether a campaign, or what has none, may begin.
    pub(super) fn admit(&self, judge: &dyn Judge, campaign: Option<CampaignId>) -> Fallible<Admission> {
        let campaign = match campaign {
            Some(campaign) => self
                .conn
                .prepare_cached("SELECT state FROM campaign WHERE tenant = ?1 AND id = ?2")?
                .query_row(params![self.tenant.as_bytes(), campaign.as_bytes()], |row| {
                    named(row, 0, CampaignState::from_name)
                })
                .optional()?,
            None => None,
        };
        let facts = GroupFacts {
            tenant_paused: self.settings.paused,
            suspended: self.entitlement.suspended,
            session: self.session.state,
            breaker: self.breaker.clone(),
            campaign,
        };
        Ok(judge.admit(&facts, self.now))
    }

    /// The verdict on an item; what it takes is taken for the later ones.
    pub(super) fn judge(&mut self, judge: &dyn Judge, item: &BeginItem) -> Fallible<Verdict> {
        let known = self.known(item)?;
        let contact = known.as_ref().map(|known| known.id);
        let key = item.recipient.key();
        let touches = self.touches(key)?;
        let own_zone = match contact.filter(|_| self.settings.quiet_hours.is_some()) {
            Some(contact) => self.own_zone(contact)?,
            None => None,
        };
        let window = match contact {
            Some(contact) => self.window(contact)?,
            None => None,
        };
        let entry_point_until = match contact.zip(window) {
            // Without prices nothing is dear, and so nothing free.
            Some((contact, heard)) if self.settings.prices.is_some() => {
                free_until(self.conn, self.tenant, self.session.id, contact, heard.referral_at)?
            }
            Some(_) | None => None,
        };
        let suppressed = self.is_suppressed(&item.recipient)?
            || known.as_ref().map_or(Ok(false), |known| self.is_suppressed(&known.recipient))?;
        let template_breaker = self.template_breaker(item.template.as_ref())?;
        let fallback_breaker = self.template_breaker(item.fallback.as_ref().map(|it| &it.template))?;
        let budget = self.pricing.budget_facts(self.conn, item.campaign)?;
        let facts = Facts {
            item,
            settings: &self.settings,
            session: &self.session,
            consent: known.as_ref().map_or(Consent::Allowed, |known| known.consent),
            suppressed,
            own_zone,
            last_user_message_at: window.map(|heard| heard.wrote_at),
            template_breaker,
            fallback_breaker,
            touches: &touches,
            warm_up: self.warm_up,
            tier: self.tier.facts(self.conn, key)?,
            quota: self.quota.facts(),
            price: self.pricing.price_facts(&self.settings, entry_point_until, &item.recipient),
            budget,
        };
        let verdict = judge.judge(&facts, self.now);
        if let Verdict::Send(grant) = &verdict {
            self.take(item, grant)?;
        }
        Ok(verdict)
    }

    fn take(&mut self, item: &BeginItem, grant: &Grant) -> Fallible<()> {
        let key = item.recipient.key();
        self.quota.take();
        self.pricing.take(item.campaign, &grant.price, self.now);
        if let Some(warm_up) = &mut self.warm_up {
            warm_up.used = warm_up.used.saturating_add(1);
        }
        if grant.tier_slot {
            self.tier.take(self.conn, key)?;
        }
        if let Some(category) = item.template_category(grant.content) {
            let touch = Touch { at: self.now, category, lane: item.lane };
            self.own.entry(key).or_default().insert(0, touch);
        }
        Ok(())
    }

    /// The contact of a message; whoever is none has refused nothing.
    fn known(&self, item: &BeginItem) -> Fallible<Option<Known>> {
        // Whom a single message's address belongs to may have changed since it was read.
        if let Some(id) = item.contact.filter(|_| item.campaign.is_some()) {
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

    fn touches(&self, key: u64) -> Fallible<Vec<Touch>> {
        let Some(reach) = touch::reach(&self.settings) else { return Ok(Vec::new()) };
        let since = self.now.checked_sub_signed(reach).unwrap_or(DateTime::<Utc>::MIN_UTC);
        let mut touches = self.own.get(&key).cloned().unwrap_or_default();
        let mut statement = self.conn.prepare_cached(TOUCHES_OF)?;
        let stored = statement.query_map(
            params![self.tenant.as_bytes(), key.cast_signed(), micros(since)],
            |row| {
                Ok(Touch {
                    at: at(row, 0)?,
                    category: named(row, 1, Category::from_name)?,
                    lane: lane_of(row, 2)?,
                })
            },
        )?;
        for touch in stored {
            touches.push(touch?);
        }
        Ok(touches)
    }

    /// When a contact last wrote to the session, and when it last came by an advertisement.
    fn window(&self, contact: ContactId) -> Fallible<Option<Heard>> {
        let key = params![self.tenant.as_bytes(), self.session.id.as_bytes(), contact.as_bytes()];
        let read =
            |row: &rusqlite::Row<'_>| Ok(Heard { wrote_at: at(row, 0)?, referral_at: opt_at(row, 1)? });
        Ok(self.conn.prepare_cached(WINDOW_OF)?.query_row(key, read).optional()?)
    }

    fn template_breaker(
        &mut self,
        template: Option<&(TemplateName, LanguageCode)>,
    ) -> Fallible<Option<Breaker>> {
        let Some(template) = template else { return Ok(None) };
        if let Some(known) = self.templates.get(template) {
            return Ok(known.clone());
        }
        let (name, language) = template.clone();
        let scope = BreakerScope::Template(self.session.id, name, language);
        let breaker = breakers::open_at(self.conn, self.tenant, &scope, self.now)?;
        self.templates.insert(template.clone(), breaker.clone());
        Ok(breaker)
    }

    /// Writes what the items took of limits, once for all of them.
    pub(super) fn write_limits(&self, attempts: u64) -> Fallible<()> {
        self.quota.write(self.conn, self.tenant)?;
        self.tier.write(self.conn)?;
        if let Some(warm_up) = &self.warm_up
            && attempts > 0
        {
            self.conn
                .prepare_cached(
                    "INSERT INTO warm_up_usage (session, day, used) VALUES (?1, ?2, ?3) \
                     ON CONFLICT (session, day) DO UPDATE SET used = used + excluded.used",
                )?
                .execute(params![
                    self.session.id.as_bytes(),
                    warm_up.day.number,
                    crate::sqlite::codec::int(attempts)
                ])?;
        }
        Ok(())
    }

    /// Notes the template that a recipient gets.
    pub(super) fn write_touch(&self, item: &BeginItem, grant: &Grant) -> Fallible<()> {
        let Some(category) = item.template_category(grant.content) else { return Ok(()) };
        self.conn
            .prepare_cached(
                "INSERT INTO touch (tenant, recipient, at, message, n, category, lane) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                self.tenant.as_bytes(),
                item.recipient.key().cast_signed(),
                micros(self.now),
                item.message.as_bytes(),
                item.n,
                category.as_str(),
                lane_rank(item.lane)
            ])?;
        Ok(())
    }
}
