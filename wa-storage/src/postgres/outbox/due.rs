//! What a session could begin now. Reads only.
//!
//! Invariant: every read starts at a key, so its cost does not grow with what is done already.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::Error;
use sqlx::postgres::PgRow;
use uuid::Uuid;
use wa_core::model::{CampaignContent, CampaignId, Lane, TenantId};
use wa_core::port::WorkerScope;
use wa_core::port::store::{CampaignBrief, DueBody, DueMessage, DuePage, DueQuery, DueSource, MAX_PAGE};
use wa_core::rules::pace;

use super::holds;
use crate::postgres::codec::{
    get, id, json, lane_rank, named, opt_at, opt_id, opt_json, opt_parsed, opt_uint, recipient, uint, uuids,
};
use crate::postgres::directory::settings_of;
use crate::postgres::error::{Fallible, Fault};
use crate::postgres::numbers::session_of_any;
use crate::postgres::tx::Tx;

/// The keys of due rows come from the index alone: of a campaign that is paused or passed over there may be
/// very many. A single message's contact is whoever has its address now.
const DUE_ROWS: &str = "SELECT d.tenant, d.message, d.n, d.campaign, \
     coalesce(l.contact, m.contact, p.id, b.id), m.phone, m.bsuid, m.params, \
     s.content, s.valid_until, s.reply_to, s.fallback \
     FROM (SELECT tenant, message, n, campaign, due_at FROM due \
         WHERE session = $1 AND lane = $2 AND due_at <= $3 AND (campaign IS NULL OR (campaign <> ALL ($4::uuid[]) \
         AND EXISTS (SELECT 1 FROM campaign c WHERE c.tenant = due.tenant AND c.id = due.campaign \
             AND c.state = 'running'))) ORDER BY due_at, message LIMIT $5) d \
     CROSS JOIN LATERAL (SELECT * FROM message x WHERE x.tenant = d.tenant AND x.id = d.message LIMIT 1) m \
     LEFT JOIN LATERAL (SELECT x.contact FROM contact_alias x \
         WHERE x.tenant = d.tenant AND x.alias = m.contact LIMIT 1) l ON true \
     LEFT JOIN LATERAL (SELECT x.* FROM single x \
         WHERE x.tenant = d.tenant AND x.message = d.message LIMIT 1) s ON true \
     LEFT JOIN LATERAL (SELECT x.id FROM contact x WHERE d.campaign IS NULL AND x.tenant = d.tenant \
         AND x.phone = m.phone LIMIT 1) p ON true \
     LEFT JOIN LATERAL (SELECT x.id FROM contact x WHERE d.campaign IS NULL AND x.tenant = d.tenant \
         AND x.bsuid = m.bsuid LIMIT 1) b ON true \
     ORDER BY d.due_at, d.message";

const NEXT_DUE: &str = "SELECT min(due_at) FROM due WHERE session = $1 AND lane = $2 AND due_at > $3";

const FEEDS: &str = "SELECT f.campaign, f.after_id, f.last_id FROM feed f \
     JOIN campaign c ON c.tenant = f.tenant AND c.id = f.campaign \
     WHERE f.session = $1 AND f.tenant = $2 AND f.remaining > 0 AND c.state = 'running' \
     ORDER BY f.campaign, f.place";

const FEED_MESSAGES: &str = "SELECT m.id, coalesce(l.contact, m.contact), m.phone, m.bsuid, m.params \
     FROM message m LEFT JOIN LATERAL (SELECT x.contact FROM contact_alias x \
         WHERE x.tenant = m.tenant AND x.alias = m.contact LIMIT 1) l ON true \
     WHERE m.tenant = $1 AND m.id > $2 AND m.id <= $3 AND m.campaign = $4 \
     AND NOT EXISTS (SELECT 1 FROM closed c WHERE c.tenant = m.tenant AND c.message = m.id) \
     ORDER BY m.id LIMIT $5";

const DEFINITIONS: &str = "SELECT tenant, id, content, rate, lane, valid_until, fallback FROM campaign c \
     WHERE (c.tenant, c.id) IN (SELECT * FROM unnest($1::uuid[], $2::uuid[]))";

pub(super) async fn due(tx: &mut Tx, scope: &WorkerScope, ask: &DueQuery) -> Fallible<DuePage> {
    let now = tx.now;
    let mut page = DuePage { at: now, messages: Vec::new(), next_at: None, pace: None };
    if !holds(tx.conn(), scope, ask.session, now).await? {
        return Ok(page);
    }
    let Some((tenant, session)) = session_of_any(tx.conn(), ask.session).await? else { return Ok(page) };
    let settings = settings_of(tx.conn(), tenant).await?.unwrap_or_default();
    page.pace = Some(pace::of(&session, &settings));
    let limit = usize::try_from(ask.limit.clamp(1, MAX_PAGE)).unwrap_or(usize::MAX);
    let mut reading = Reading { tx, ask, limit, campaigns: HashMap::new(), found: Vec::new() };
    let lanes: &[Lane] = match ask.lane {
        None => &[Lane::Transactional, Lane::Bulk],
        Some(Lane::Transactional) => &[Lane::Transactional],
        Some(Lane::Bulk) => &[Lane::Bulk],
    };
    for lane in lanes {
        reading.rows(*lane).await?;
        let next: Option<DateTime<Utc>> = sqlx::query_scalar(NEXT_DUE)
            .bind(ask.session.as_uuid())
            .bind(lane_rank(*lane))
            .bind(now)
            .fetch_one(reading.tx.conn())
            .await?;
        page.next_at = [page.next_at, next].into_iter().flatten().min();
    }
    reading.feeds(tenant).await?;
    page.messages = reading.found;
    Ok(page)
}

struct Reading<'a> {
    tx: &'a mut Tx,
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

impl Reading<'_> {
    fn room(&self) -> i64 {
        i64::try_from(self.limit.saturating_sub(self.found.len())).unwrap_or(i64::MAX)
    }

    async fn rows(&mut self, lane: Lane) -> Fallible<()> {
        let room = self.room();
        if room == 0 {
            return Ok(());
        }
        let rows = sqlx::query(DUE_ROWS)
            .bind(self.ask.session.as_uuid())
            .bind(lane_rank(lane))
            .bind(self.tx.now)
            .bind(uuids(self.ask.skip.iter().copied()))
            .bind(room)
            .fetch_all(self.tx.conn())
            .await?;
        let mut of = Vec::new();
        for row in &rows {
            if let Some(campaign) = opt_id(row, 3)? {
                of.push((id(row, 0)?, campaign));
            }
        }
        self.define(&of).await?;
        for row in &rows {
            let tenant = id(row, 0)?;
            let campaign: Option<CampaignId> = opt_id(row, 3)?;
            let mut message = DueMessage {
                tenant,
                id: id(row, 1)?,
                n: uint(row, 2)?,
                campaign: None,
                contact: opt_id(row, 4)?,
                recipient: recipient(row, 5)?,
                body: DueBody::Values(Vec::new()),
                reply_to: opt_parsed(row, 10)?,
                fallback: opt_json(row, 11)?,
                lane,
                valid_until: opt_at(row, 9)?,
                source: DueSource::Row,
            };
            match campaign {
                Some(campaign) => {
                    let Definition { brief, lane: _, valid_until } = self.definition(tenant, campaign)?;
                    message.body = DueBody::Values(values(row, 7)?);
                    (message.campaign, message.valid_until) = (Some(brief), valid_until);
                }
                None => message.body = DueBody::Own(json(row, 8)?),
            }
            self.found.push(message);
        }
        Ok(())
    }

    async fn feeds(&mut self, tenant: TenantId) -> Fallible<()> {
        if self.room() == 0 {
            return Ok(());
        }
        let feeds = sqlx::query(FEEDS)
            .bind(self.ask.session.as_uuid())
            .bind(tenant.as_uuid())
            .fetch_all(self.tx.conn())
            .await?;
        let ranges = feeds.iter().map(|row| Ok((id(row, 0)?, get(row, 1)?, get(row, 2)?)));
        let mut ranges: Vec<(CampaignId, Uuid, Uuid)> = ranges.collect::<Result<_, Error>>()?;
        ranges.retain(|(campaign, _, _)| {
            !self.ask.skip.contains(campaign) && !self.ask.skip_feeds.contains(campaign)
        });
        let of: Vec<_> = ranges.iter().map(|(campaign, _, _)| (tenant, *campaign)).collect();
        self.define(&of).await?;
        for (campaign, after, last) in ranges {
            let room = self.room();
            if room == 0 {
                break;
            }
            let Definition { brief, lane, valid_until } = self.definition(tenant, campaign)?;
            if self.ask.lane.is_some_and(|wanted| wanted != lane) {
                continue;
            }
            let messages = sqlx::query(FEED_MESSAGES)
                .bind(tenant.as_uuid())
                .bind(after)
                .bind(last)
                .bind(campaign.as_uuid())
                .bind(room)
                .fetch_all(self.tx.conn())
                .await?;
            for row in &messages {
                self.found.push(DueMessage {
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
                });
            }
        }
        Ok(())
    }

    /// Reads what campaigns say, those that are not known yet; all messages of a page share one value.
    async fn define(&mut self, of: &[(TenantId, CampaignId)]) -> Fallible<()> {
        let missing: std::collections::BTreeSet<_> =
            of.iter().filter(|campaign| !self.campaigns.contains_key(campaign)).copied().collect();
        if missing.is_empty() {
            return Ok(());
        }
        let (tenants, campaigns): (Vec<TenantId>, Vec<CampaignId>) = missing.into_iter().unzip();
        let rows = sqlx::query(DEFINITIONS)
            .bind(uuids(tenants))
            .bind(uuids(campaigns))
            .fetch_all(self.tx.conn())
            .await?;
        for row in &rows {
            let campaign: CampaignId = id(row, 1)?;
            let (content, fallback) = (json::<CampaignContent>(row, 2)?, opt_json(row, 6)?);
            let definition = Definition {
                brief: Arc::new(CampaignBrief::new(campaign, content, fallback, opt_uint(row, 3)?)),
                lane: named(row, 4, Lane::from_name)?,
                valid_until: opt_at(row, 5)?,
            };
            self.campaigns.insert((id(row, 0)?, campaign), definition);
        }
        Ok(())
    }

    fn definition(&self, tenant: TenantId, campaign: CampaignId) -> Fallible<Definition> {
        let known = self.campaigns.get(&(tenant, campaign)).cloned();
        known.ok_or(Fault::Broken("a due message has no campaign"))
    }
}

/// The values of a campaign's message; a content without placeholders has none stored.
fn values(row: &PgRow, index: usize) -> Result<Vec<String>, Error> {
    Ok(opt_json(row, index)?.unwrap_or_default())
}
