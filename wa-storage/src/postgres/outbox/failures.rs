//! The rows beside messages that failed: what lists are made of, how often they were put back, and what
//! has to be known before they wait again.
//!
//! Invariant: a message has a `failure` row exactly while its state is failed, written and removed in
//! the transaction that changes the state.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use wa_core::model::{
    AlertSettings, AttemptKey, CampaignId, CampaignState, Lane, MessageId, SessionId, TenantId, Undelivered,
};
use wa_core::rules::failure::Failure;
use wa_core::rules::silence::{Heard, hear};

use crate::postgres::codec::{campaign_key, id, opt_at, opt_named, opt_uint, ts, uuids};
use crate::postgres::error::{Fallible, Fault};
use crate::postgres::message::{Attempt, Stored};

const PUT: &str = "INSERT INTO failure (tenant, message, campaign, session, code, class, critical, at) \
     SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[], $6::text[], \
     $7::boolean[], $8::timestamptz[]) \
     ON CONFLICT (tenant, message) DO UPDATE SET session = excluded.session, code = excluded.code, \
     class = excluded.class, critical = excluded.critical, at = excluded.at";
const FORGET: &str = "DELETE FROM failure f USING unnest($1::uuid[], $2::uuid[]) AS u (tenant, message) \
     WHERE f.tenant = u.tenant AND f.message = u.message";
const BREAK_SILENCE: &str = "DELETE FROM silent s \
     USING unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS u (tenant, message, n) \
     WHERE s.tenant = u.tenant AND s.message = u.message AND s.n = u.n";
const RETURNING: &str = "SELECT u.tenant, u.message, r.attempts, c.state, coalesce(c.lane, s.lane), \
     CASE WHEN u.campaign IS NULL THEN s.valid_until ELSE c.valid_until END \
     FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS u (tenant, message, campaign) \
     LEFT JOIN LATERAL (SELECT x.attempts FROM redriven x \
         WHERE x.tenant = u.tenant AND x.message = u.message LIMIT 1) r ON true \
     LEFT JOIN LATERAL (SELECT x.state, x.lane, x.valid_until FROM campaign x \
         WHERE x.tenant = u.tenant AND x.id = u.campaign LIMIT 1) c ON true \
     LEFT JOIN LATERAL (SELECT x.lane, x.valid_until FROM single x \
         WHERE u.campaign IS NULL AND x.tenant = u.tenant AND x.message = u.message LIMIT 1) s ON true";

/// What stands in the list about a failed message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listed {
    told: Undelivered,
    session: SessionId,
    at: DateTime<Utc>,
}

impl Listed {
    /// What is to be listed of a message that failed.
    pub(super) fn of(stored: &Stored) -> Fallible<Self> {
        let none = Fault::Broken("a failed message has no failure");
        let Some((failure, last)) = Failure::of(&stored.chain()).zip(stored.attempts.last()) else {
            return Err(none);
        };
        let Failure { code, class, critical, at } = failure;
        let told = Undelivered { message: stored.id, campaign: stored.campaign, code, class, critical };
        Ok(Self { told, session: last.session, at })
    }

    /// What is to be told of it.
    pub(super) const fn told(&self) -> Undelivered {
        self.told
    }
}

/// Lists failed messages.
pub(super) async fn keep(
    conn: &mut PgConnection,
    failed: &BTreeMap<(TenantId, MessageId), Listed>,
) -> Fallible<()> {
    if failed.is_empty() {
        return Ok(());
    }
    let all = || failed.values();
    sqlx::query(PUT)
        .bind(uuids(failed.keys().map(|(tenant, _)| *tenant)))
        .bind(uuids(failed.keys().map(|(_, message)| *message)))
        .bind(all().map(|it| campaign_key(it.told.campaign)).collect::<Vec<_>>())
        .bind(uuids(all().map(|it| it.session)))
        .bind(all().map(|it| it.told.code).collect::<Vec<_>>())
        .bind(all().map(|it| it.told.class.map(|class| class.as_str())).collect::<Vec<_>>())
        .bind(all().map(|it| it.told.critical).collect::<Vec<_>>())
        .bind(all().map(|it| ts(it.at)).collect::<Vec<_>>())
        .execute(conn)
        .await?;
    Ok(())
}

pub(super) async fn forget(
    conn: &mut PgConnection,
    messages: &BTreeSet<(TenantId, MessageId)>,
) -> Fallible<()> {
    if messages.is_empty() {
        return Ok(());
    }
    sqlx::query(FORGET)
        .bind(uuids(messages.iter().map(|(tenant, _)| *tenant)))
        .bind(uuids(messages.iter().map(|(_, message)| *message)))
        .execute(conn)
        .await?;
    Ok(())
}

/// What has to be known of a message before it waits again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Returning {
    /// How many attempts it had when it was last put back by hand.
    pub(super) redriven: usize,
    /// The state of its campaign, if it has one.
    pub(super) state: Option<CampaignState>,
    lane: Option<Lane>,
    pub(super) valid_until: Option<DateTime<Utc>>,
}

impl Returning {
    pub(super) fn lane(&self) -> Fallible<Lane> {
        self.lane.ok_or(Fault::Broken("a message has neither a campaign nor content of its own"))
    }
}

/// What has to be known of messages before they wait again, in one statement.
pub(super) async fn returning(
    conn: &mut PgConnection,
    messages: &[(TenantId, MessageId, Option<CampaignId>)],
) -> Fallible<HashMap<(TenantId, MessageId), Returning>> {
    if messages.is_empty() {
        return Ok(HashMap::new());
    }
    let found: Vec<((TenantId, MessageId), Returning)> = sqlx::query(RETURNING)
        .bind(uuids(messages.iter().map(|(tenant, ..)| *tenant)))
        .bind(uuids(messages.iter().map(|(_, message, _)| *message)))
        .bind(messages.iter().map(|(.., campaign)| campaign.map(|id| id.as_uuid())).collect::<Vec<_>>())
        .try_map(|row: PgRow| {
            let returning = Returning {
                redriven: opt_uint::<u16>(&row, 2)?.map_or(0, usize::from),
                state: opt_named(&row, 3, CampaignState::from_name)?,
                lane: opt_named(&row, 4, Lane::from_name)?,
                valid_until: opt_at(&row, 5)?,
            };
            Ok(((id(&row, 0)?, id(&row, 1)?), returning))
        })
        .fetch_all(conn)
        .await?;
    Ok(found.into_iter().collect())
}

/// Whether an attempt may be on the list of silent ones and something was heard of it.
pub(super) fn breaks_silence(attempt: &Attempt, now: DateTime<Utc>) -> bool {
    // Before that no attempt can be on the list, and that is when nearly all statuses come.
    let soonest = TimeDelta::seconds(i64::from(AlertSettings::SHORTEST_SILENCE));
    now - attempt.begun_at >= soonest && hear(&attempt.facts) == Heard::Status
}

/// Takes attempts off the list of silent ones.
pub(super) async fn break_silence(conn: &mut PgConnection, heard: &[AttemptKey]) -> Fallible<()> {
    if heard.is_empty() {
        return Ok(());
    }
    sqlx::query(BREAK_SILENCE)
        .bind(uuids(heard.iter().map(|key| key.tenant)))
        .bind(uuids(heard.iter().map(|key| key.message)))
        .bind(heard.iter().map(|key| i64::from(key.n)).collect::<Vec<_>>())
        .execute(conn)
        .await?;
    Ok(())
}
