//! Whether the items of a batch are what comes next in their feed.
//!
//! Invariant: a feed is moved by a compare-and-swap of the whole batch: items that were begun,
//! closed or cancelled meanwhile are gone, and the others must continue the feed without a gap.

use std::collections::{BTreeSet, VecDeque};

use rusqlite::{Connection, OptionalExtension, params};
use wa_core::model::{CampaignId, MessageId, SessionId, TenantId};

use crate::sqlite::codec::id;
use crate::sqlite::error::Fallible;

pub(super) const FEED_AT: &str = "SELECT place, after_id, last_id FROM feed \
     WHERE tenant = ?1 AND campaign = ?2 AND session = ?3 AND remaining > 0 \
     AND cancelled_at IS NULL AND first_id <= ?4 AND last_id >= ?4";
pub(super) const FEED_NEXT: &str = "SELECT m.id FROM message m \
     WHERE m.tenant = ?1 AND m.id > ?2 AND m.id <= ?3 AND m.campaign = ?4 \
     AND NOT EXISTS (SELECT 1 FROM closed c WHERE c.tenant = m.tenant AND c.message = m.id) \
     ORDER BY m.id LIMIT ?5";
pub(super) const IS_CLOSED: &str = "SELECT 1 FROM closed WHERE tenant = ?1 AND message = ?2";

/// Which messages of a feed a batch asks for, and whether they are its next ones.
#[derive(Debug)]
pub(super) struct FeedCheck {
    after: MessageId,
    last: MessageId,
    asked: Vec<MessageId>,
    open: BTreeSet<MessageId>,
}

/// The feed in which a message of a session waits: its place among its campaign's, and its range.
pub(super) fn find(
    conn: &Connection,
    tenant: TenantId,
    campaign: CampaignId,
    session: SessionId,
    message: MessageId,
) -> Fallible<Option<(i64, FeedCheck)>> {
    let key = params![tenant.as_bytes(), campaign.as_bytes(), session.as_bytes(), message.as_bytes()];
    let found = conn
        .prepare_cached(FEED_AT)?
        .query_row(key, |row| {
            let feed =
                FeedCheck { after: id(row, 1)?, last: id(row, 2)?, asked: Vec::new(), open: BTreeSet::new() };
            Ok((row.get(0)?, feed))
        })
        .optional()?;
    Ok(found.filter(|(_, feed)| message > feed.after))
}

impl FeedCheck {
    pub(super) fn ask(&mut self, message: MessageId) {
        self.asked.push(message);
    }

    /// Compares with what comes next in the feed; items that were closed meanwhile are passed over.
    pub(super) fn check(
        &mut self,
        conn: &Connection,
        tenant: TenantId,
        campaign: CampaignId,
    ) -> Fallible<()> {
        let mut statement = conn.prepare_cached(FEED_NEXT)?;
        let most = i64::try_from(self.asked.len()).unwrap_or(i64::MAX);
        let key = params![
            tenant.as_bytes(),
            self.after.as_bytes(),
            self.last.as_bytes(),
            campaign.as_bytes(),
            most
        ];
        let next = statement.query_map(key, |row| id(row, 0))?;
        let mut next: VecDeque<MessageId> = next.collect::<rusqlite::Result<_>>()?;
        let mut open = BTreeSet::new();
        for message in &self.asked {
            if next.front() == Some(message) {
                next.pop_front();
                open.insert(*message);
                continue;
            }
            let closed = conn
                .prepare_cached(IS_CLOSED)?
                .query_row(params![tenant.as_bytes(), message.as_bytes()], |_| Ok(()))
                .optional()?;
            if closed.is_none() {
                // Not the next one: the batch was made of another state of the feed, as a whole.
                return Ok(());
            }
        }
        self.open = open;
        Ok(())
    }

    /// Whether a message is one of those that continue the feed; to be asked after [`check`](Self::check).
    pub(super) fn continues(&self, message: MessageId) -> bool {
        self.open.contains(&message)
    }
}
