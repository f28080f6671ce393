//! What a session could begin now. Reads only.
//!
//! Invariant: every read starts at a key, so its cost does not grow with what is done already.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, Row, params};
use wa_core::model::{
    CampaignContent, CampaignId, CampaignState, ContactId, Lane, MessageId, Recipient, SessionId, TenantId,
    micros,
};
use wa_core::port::WorkerScope;
use wa_core::port::store::{CampaignBrief, DueBody, DueMessage, DuePage, DueQuery, DueSource, MAX_PAGE};

use wa_core::rules::pace;

use super::{holds, lane_rank};
use crate::sqlite::audience::contacts;
use crate::sqlite::codec::{
    id, json, named, opt_at, opt_id, opt_json, opt_parsed, opt_uint, recipient, uint,
};
use crate::sqlite::directory::settings_of;
use crate::sqlite::error::Fallible;
use crate::sqlite::numbers::session_of_any;
use crate::sqlite::reader::Snapshot;

/// Read from the index alone: of a campaign that is paused or passed over there may be very many.
pub(in crate::sqlite) const DUE_ROWS: &str = "SELECT tenant, message, campaign FROM due \
     WHERE session = ?1 AND lane = ?2 AND due_at <= ?3 ORDER BY due_at, message";
const DUE_ROW: &str = "SELECT d.tenant, d.message, d.n, d.campaign, coalesce(l.contact, m.contact), m.phone, m.bsuid, m.params, \
     s.content, s.valid_until, s.reply_to, s.fallback \
     FROM due d \
     JOIN message m ON m.tenant = d.tenant AND m.id = d.message \
     LEFT JOIN contact_alias l ON l.tenant = m.tenant AND l.alias = m.contact \
     LEFT JOIN single s ON s.tenant = d.tenant AND s.message = d.message \
     WHERE d.tenant = ?1 AND d.message = ?2";
const STATE_OF: &str = "SELECT state FROM campaign WHERE tenant = ?1 AND id = ?2";

const NEXT_DUE: &str = "SELECT min(due_at) FROM due WHERE session = ?1 AND lane = ?2 AND due_at > ?3";

const FEEDS: &str = "SELECT f.campaign, f.after_id, f.last_id FROM feed f \
     JOIN campaign c ON c.tenant = f.tenant AND c.id = f.campaign \
     WHERE f.session = ?1 AND f.tenant = ?2 AND f.remaining > 0 AND c.state = 'running' \
     ORDER BY f.campaign, f.place";

const FEED_MESSAGES: &str = "SELECT m.id, coalesce(l.contact, m.contact), m.phone, m.bsuid, m.params \
     FROM message m LEFT JOIN contact_alias l ON l.tenant = m.tenant AND l.alias = m.contact \
     WHERE m.tenant = ?1 AND m.id > ?2 AND m.id <= ?3 AND m.campaign = ?4 \
     AND NOT EXISTS (SELECT 1 FROM closed c WHERE c.tenant = m.tenant AND c.message = m.id) \
     ORDER BY m.id LIMIT ?5";

#[cfg(test)]
pub(in crate::sqlite) const HOT: &[&str] = &[DUE_ROWS, DUE_ROW, STATE_OF, NEXT_DUE, FEEDS, FEED_MESSAGES];

pub(super) fn due(snapshot: &Snapshot<'_>, scope: &WorkerScope, ask: &DueQuery) -> Fallible<DuePage> {
    let mut page = DuePage { at: snapshot.now, messages: Vec::new(), next_at: None, pace: None };
    if !holds(snapshot.conn, scope, ask.session, snapshot.now)? {
        return Ok(page);
    }
    if let Some((tenant, session)) = session_of_any(snapshot.conn, ask.session)? {
        let settings = settings_of(snapshot.conn, tenant)?.unwrap_or_default();
        page.pace = Some(pace::of(&session, &settings));
    }
    let mut reading = Reading {
        snapshot,
        ask,
        limit: usize::try_from(ask.limit.clamp(1, MAX_PAGE)).unwrap_or(usize::MAX),
        campaigns: HashMap::new(),
        found: Vec::new(),
    };
    let lanes: &[Lane] = match ask.lane {
        None => &[Lane::Transactional, Lane::Bulk],
        Some(Lane::Transactional) => &[Lane::Transactional],
        Some(Lane::Bulk) => &[Lane::Bulk],
    };
    for lane in lanes {
        reading.rows(*lane)?;
        let next: Option<DateTime<Utc>> =
            snapshot.conn.prepare_cached(NEXT_DUE)?.query_row(
                params![ask.session.as_bytes(), lane_rank(*lane), micros(snapshot.now)],
                |row| opt_at(row, 0),
            )?;
        page.next_at = [page.next_at, next].into_iter().flatten().min();
    }
    reading.feeds()?;
    page.messages = reading.found;
    Ok(page)
}

struct Reading<'a> {
    snapshot: &'a Snapshot<'a>,
    ask: &'a DueQuery,
    limit: usize,
    campaigns: HashMap<(TenantId, CampaignId), Definition>,
    found: Vec<DueMessage>,
}

#[derive(Clone)]
struct Definition {
    brief: Arc<CampaignBrief>,
    lane: Lane,
    valid_until: Option<DateTime<Utc>>,
}

struct DueRow {
    tenant: TenantId,
    message: MessageId,
    n: u16,
    campaign: Option<CampaignId>,
    contact: Option<ContactId>,
    recipient: Recipient,
}

impl Reading<'_> {
    fn rows(&mut self, lane: Lane) -> Fallible<()> {
        let conn = self.snapshot.conn;
        let mut statement = conn.prepare_cached(DUE_ROWS)?;
        let mut one = conn.prepare_cached(DUE_ROW)?;
        let mut rows = statement.query(params![
            self.ask.session.as_bytes(),
            lane_rank(lane),
            micros(self.snapshot.now)
        ])?;
        let mut wanted: HashMap<(TenantId, CampaignId), bool> = HashMap::new();
        while self.found.len() < self.limit
            && let Some(place) = rows.next()?
        {
            let (tenant, message): (TenantId, MessageId) = (id(place, 0)?, id(place, 1)?);
            if let Some(campaign) = opt_id::<CampaignId>(place, 2)? {
                let known = wanted.get(&(tenant, campaign)).copied();
                let is_wanted = known.map_or_else(|| self.is_wanted(tenant, campaign), Ok)?;
                wanted.insert((tenant, campaign), is_wanted);
                if !is_wanted {
                    continue;
                }
            }
            let mut found = one.query(params![tenant.as_bytes(), message.as_bytes()])?;
            let Some(row) = found.next()? else { continue };
            let due = due_row(row)?;
            let message = match due.campaign {
                Some(campaign) => {
                    let Definition { brief, lane: _, valid_until } = self.definition(due.tenant, campaign)?;
                    due.into_message(Some(brief), DueBody::Values(values(row, 7)?), lane, valid_until)
                }
                None => {
                    let mut message =
                        due.into_message(None, DueBody::Own(json(row, 8)?), lane, opt_at(row, 9)?);
                    let contact = contacts::by_address(conn, message.tenant, &message.recipient)?;
                    message.contact = contact.map(|contact| contact.id);
                    message.reply_to = opt_parsed(row, 10)?;
                    message.fallback = opt_json(row, 11)?;
                    message
                }
            };
            self.found.push(message);
        }
        Ok(())
    }

    /// Whether messages of a campaign are asked for.
    fn is_wanted(&self, tenant: TenantId, campaign: CampaignId) -> Fallible<bool> {
        if self.ask.skip.contains(&campaign) {
            return Ok(false);
        }
        let key = params![tenant.as_bytes(), campaign.as_bytes()];
        let state = self
            .snapshot
            .conn
            .prepare_cached(STATE_OF)?
            .query_row(key, |row| named(row, 0, CampaignState::from_name))
            .optional()?;
        Ok(state == Some(CampaignState::Running))
    }

    fn feeds(&mut self) -> Fallible<()> {
        if self.found.len() >= self.limit {
            return Ok(());
        }
        let conn = self.snapshot.conn;
        let Some(tenant) = tenant_of(self.snapshot, self.ask.session)? else { return Ok(()) };
        let mut statement = conn.prepare_cached(FEEDS)?;
        let mut feeds = statement.query(params![self.ask.session.as_bytes(), tenant.as_bytes()])?;
        while self.found.len() < self.limit
            && let Some(feed) = feeds.next()?
        {
            let campaign: CampaignId = id(feed, 0)?;
            if self.ask.skip.contains(&campaign) || self.ask.skip_feeds.contains(&campaign) {
                continue;
            }
            let Definition { brief, lane, valid_until } = self.definition(tenant, campaign)?;
            if self.ask.lane.is_some_and(|wanted| wanted != lane) {
                continue;
            }
            let (after, last): (MessageId, MessageId) = (id(feed, 1)?, id(feed, 2)?);
            let room = i64::try_from(self.limit - self.found.len()).unwrap_or(i64::MAX);
            let mut statement = conn.prepare_cached(FEED_MESSAGES)?;
            let messages = statement.query_map(
                params![tenant.as_bytes(), after.as_bytes(), last.as_bytes(), campaign.as_bytes(), room],
                |row| {
                    Ok(DueMessage {
                        tenant,
                        id: id(row, 0)?,
                        n: 1,
                        campaign: Some(Arc::clone(&brief)),
                        contact: opt_id(row, 1)?,
                        recipient: recipient(row, 2)?,
                        body: DueBody::Values(values(row, 4)?),
                        reply_to: None,
                        fallback: None,
                        lane,
                        valid_until,
                        source: DueSource::Feed,
                    })
                },
            )?;
            for message in messages {
                self.found.push(message?);
            }
        }
        Ok(())
    }

    /// What a campaign says; all messages of a page share one value.
    fn definition(&mut self, tenant: TenantId, campaign: CampaignId) -> Fallible<Definition> {
        if let Some(known) = self.campaigns.get(&(tenant, campaign)) {
            return Ok(known.clone());
        }
        let definition = self
            .snapshot
            .conn
            .prepare_cached(
                "SELECT content, rate, lane, valid_until, fallback FROM campaign WHERE tenant = ?1 AND id = ?2",
            )?
            .query_row(params![tenant.as_bytes(), campaign.as_bytes()], |row| {
                let (content, fallback) = (json::<CampaignContent>(row, 0)?, opt_json(row, 4)?);
                Ok(Definition {
                    brief: Arc::new(CampaignBrief::new(campaign, content, fallback, opt_uint(row, 1)?)),
                    lane: named(row, 2, Lane::from_name)?,
                    valid_until: opt_at(row, 3)?,
                })
            })?;
        self.campaigns.insert((tenant, campaign), definition.clone());
        Ok(definition)
    }
}

impl DueRow {
    fn into_message(
        self,
        campaign: Option<Arc<CampaignBrief>>,
        body: DueBody,
        lane: Lane,
        valid_until: Option<DateTime<Utc>>,
    ) -> DueMessage {
        let Self { tenant, message, n, campaign: _, contact, recipient } = self;
        DueMessage {
            tenant,
            id: message,
            n,
            campaign,
            contact,
            recipient,
            body,
            reply_to: None,
            fallback: None,
            lane,
            valid_until,
            source: DueSource::Row,
        }
    }
}

fn due_row(row: &Row<'_>) -> rusqlite::Result<DueRow> {
    Ok(DueRow {
        tenant: id(row, 0)?,
        message: id(row, 1)?,
        n: uint(row, 2)?,
        campaign: opt_id(row, 3)?,
        contact: opt_id(row, 4)?,
        recipient: recipient(row, 5)?,
    })
}

/// The values of a campaign's message; a content without placeholders has none stored.
fn values(row: &Row<'_>, index: usize) -> rusqlite::Result<Vec<String>> {
    Ok(opt_json(row, index)?.unwrap_or_default())
}

fn tenant_of(snapshot: &Snapshot<'_>, session: SessionId) -> Fallible<Option<TenantId>> {
    let tenant = snapshot
        .conn
        .prepare_cached("SELECT tenant FROM session WHERE id = ?1")?
        .query_row(params![session.as_bytes()], |row| id(row, 0))
        .optional()?;
    Ok(tenant)
}
