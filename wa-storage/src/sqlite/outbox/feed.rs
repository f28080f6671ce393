//! What comes next in the feeds of a batch.

use std::collections::{BTreeMap, HashSet, VecDeque};

use rusqlite::{Connection, params};
use wa_core::model::{CampaignId, MessageId, SessionId, TenantId};
use wa_core::port::store::{BeginItem, DueSource};

use crate::common::begin::Feed;
use crate::sqlite::codec::id;
use crate::sqlite::error::Fallible;

pub(super) const FEEDS_OF: &str = "SELECT place, first_id, last_id, after_id FROM feed \
     WHERE tenant = ?1 AND campaign = ?2 AND session = ?3 AND remaining > 0 AND cancelled_at IS NULL";
pub(super) const FEED_NEXT: &str = "SELECT m.id FROM message m \
     WHERE m.tenant = ?1 AND m.id > ?2 AND m.id <= ?3 AND m.campaign = ?4 \
     AND NOT EXISTS (SELECT 1 FROM closed c WHERE c.tenant = m.tenant AND c.message = m.id) \
     ORDER BY m.id LIMIT ?5";
pub(super) const IS_CLOSED: &str = "SELECT 1 FROM closed WHERE tenant = ?1 AND message = ?2";

/// The feeds of the campaigns of a batch, each with as many of its next messages as the batch asks for.
pub(super) fn read(
    conn: &Connection,
    tenant: TenantId,
    session: SessionId,
    items: &[BeginItem],
) -> Fallible<BTreeMap<(CampaignId, i64), Feed>> {
    let mut asked: BTreeMap<CampaignId, usize> = BTreeMap::new();
    for campaign in
        items.iter().filter(|item| item.source == DueSource::Feed).filter_map(|item| item.campaign)
    {
        *asked.entry(campaign).or_default() += 1;
    }
    let mut feeds = BTreeMap::new();
    for (campaign, asked) in asked {
        let mut statement = conn.prepare_cached(FEEDS_OF)?;
        let key = params![tenant.as_bytes(), campaign.as_bytes(), session.as_bytes()];
        let found = statement.query_map(key, |row| {
            let (first, last, after) = (id(row, 1)?, id(row, 2)?, id(row, 3)?);
            Ok((row.get::<_, i64>(0)?, Feed { first, last, after, next: VecDeque::new() }))
        })?;
        for found in found {
            let (place, mut feed) = found?;
            let mut statement = conn.prepare_cached(FEED_NEXT)?;
            let most = i64::try_from(asked).unwrap_or(i64::MAX);
            let (after, last) = (feed.after.as_bytes(), feed.last.as_bytes());
            let next = statement
                .query_map(params![tenant.as_bytes(), after, last, campaign.as_bytes(), most], |row| {
                    id(row, 0)
                })?;
            feed.next = next.collect::<rusqlite::Result<_>>()?;
            feeds.insert((campaign, place), feed);
        }
    }
    Ok(feeds)
}

/// Those of a batch's messages in feeds that are closed.
pub(super) fn closed(
    conn: &Connection,
    tenant: TenantId,
    items: &[BeginItem],
    feeds: &BTreeMap<(CampaignId, i64), Feed>,
) -> Fallible<HashSet<MessageId>> {
    let open: HashSet<&MessageId> = feeds.values().flat_map(|feed| &feed.next).collect();
    let mut closed = HashSet::new();
    let of_feeds = items.iter().filter(|item| item.source == DueSource::Feed).map(|item| item.message);
    for message in of_feeds.filter(|message| !open.contains(message)) {
        let key = params![tenant.as_bytes(), message.as_bytes()];
        if conn.prepare_cached(IS_CLOSED)?.exists(key)? {
            closed.insert(message);
        }
    }
    Ok(closed)
}
