//! Freezing an audience, chunk by chunk.
//!
//! Invariant: the members of a launch are those on the list when its first chunk was frozen, in
//! the order in which they joined; the k-th goes to session k mod n. So a chunk that was committed
//! is never frozen again, and the sizes of chunks change nothing.

use rusqlite::{Connection, OptionalExtension, params};
use wa_core::model::{
    Campaign, CampaignId, CampaignState, EventBody, ListName, SkipReason, TenantId, micros,
};
use wa_core::port::store::{LaunchChunk, LaunchStep, MAX_PAGE, Member};
use wa_core::rules::campaign::launched;

use super::{campaign, contacts};
use crate::common::audience::{Freezer, Frozen, mint};
use crate::common::changes::Changes;
use crate::sqlite::codec::{addresses, int, to_json, uint};
use crate::sqlite::error::{Fallible, Fault};
use crate::sqlite::message::put_closed;
use crate::sqlite::page_size;
use crate::sqlite::writer::Tx;

pub(in crate::sqlite) const NEXT_MEMBERS: &str = "SELECT c.id, c.phone, c.bsuid, c.attributes, c.consent, \
     c.consent_at, c.created_at, c.consent_source, c.profile_name, c.username, m.seq \
     FROM list_member m JOIN contact c ON c.tenant = ?1 AND c.id = m.contact \
     WHERE m.list = ?2 AND m.seq > ?3 AND m.seq <= ?4 ORDER BY m.seq LIMIT ?5";

/// How far a launch is.
#[derive(Debug, Clone, Copy)]
struct Cursor {
    minted_ms: i64,
    list: Option<i64>,
    bound: i64,
    seq: i64,
    audience: u64,
}

pub(super) fn launch(
    tx: &Tx<'_>,
    tenant: TenantId,
    id: CampaignId,
    chunk: LaunchChunk,
) -> Fallible<LaunchStep> {
    let Some(mut campaign) = campaign::by_id(tx.conn, tenant, id)? else { return Ok(LaunchStep::Missing) };
    let mut changes = Changes::default();
    match campaign.state {
        // One that was held as a draft goes on as a launch that has not begun.
        CampaignState::Draft | CampaignState::Launching if campaign.launched_at.is_none() => {
            open(tx, tenant, &mut campaign, &mut changes)?
        }
        CampaignState::Draft | CampaignState::Launching => {}
        CampaignState::Scheduled
        | CampaignState::Running
        | CampaignState::Paused
        | CampaignState::NeedsReconcile
        | CampaignState::Completed
        | CampaignState::Cancelled => return Ok(LaunchStep::NotLaunchable(campaign)),
    }
    let mut cursor = read_cursor(tx.conn, tenant, id)?;
    let frozen = freeze(tx, tenant, &campaign, &mut cursor, chunk, &mut changes)?;
    let done = frozen < i64::from(size(chunk)) || cursor.seq >= cursor.bound;
    if done {
        campaign.state = launched(campaign.start_at, tx.now);
        changes.event(tenant, EventBody::Campaign { campaign: id, state: campaign.state });
    }
    tx.conn
        .prepare_cached(
            "UPDATE campaign SET cursor = ?3, audience = ?4, frozen = ?5, state = ?6 \
             WHERE tenant = ?1 AND id = ?2",
        )?
        .execute(params![
            tenant.as_bytes(),
            id.as_bytes(),
            cursor.seq,
            int(cursor.audience),
            done,
            campaign.state.as_str()
        ])?;
    tx.write(changes)?;
    Ok(if done { LaunchStep::Done(campaign) } else { LaunchStep::Frozen { audience: cursor.audience } })
}

/// The first chunk: fixes who belongs to the launch, and the ids of its messages.
fn open(tx: &Tx<'_>, tenant: TenantId, campaign: &mut Campaign, changes: &mut Changes) -> Fallible<()> {
    let list = contacts::list_of(tx.conn, tenant, &campaign.list)?;
    let bound: i64 = match list {
        Some(list) => tx
            .conn
            .prepare_cached("SELECT last_seq FROM list WHERE id = ?1")?
            .query_row([list], |row| row.get(0))?,
        None => 0,
    };
    let minted_ms = free_millisecond(tx, tenant)?;
    campaign.state = CampaignState::Launching;
    campaign.launched_at = Some(tx.now);
    tx.conn
        .prepare_cached(
            "UPDATE campaign SET state = ?3, launched_at = ?4, minted_ms = ?5, list = ?6, bound = ?7 \
             WHERE tenant = ?1 AND id = ?2",
        )?
        .execute(params![
            tenant.as_bytes(),
            campaign.id.as_bytes(),
            campaign.state.as_str(),
            micros(tx.now),
            minted_ms,
            list,
            bound
        ])?;
    let mut insert = tx.conn.prepare_cached(
        "INSERT INTO feed (tenant, campaign, place, session, first_id, last_id, after_id) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?5)",
    )?;
    for (place, session) in (0_u16..).zip(&campaign.sessions) {
        let mint = mint(minted_ms, place);
        insert.execute(params![
            tenant.as_bytes(),
            campaign.id.as_bytes(),
            place,
            session.as_bytes(),
            mint.first().as_bytes(),
            mint.last().as_bytes()
        ])?;
    }
    let state = CampaignState::Launching;
    changes.event(tenant, EventBody::Campaign { campaign: campaign.id, state });
    Ok(())
}

/// A millisecond that no other campaign of the tenant has in its ids, from now on upwards, so that
/// the ranges of two campaigns that are launched at one instant lie apart.
fn free_millisecond(tx: &Tx<'_>, tenant: TenantId) -> Fallible<i64> {
    let mut free = micros(tx.now).div_euclid(1_000);
    let mut statement = tx.conn.prepare_cached(
        "SELECT minted_ms FROM campaign WHERE tenant = ?1 AND minted_ms >= ?2 ORDER BY minted_ms",
    )?;
    let taken = statement.query_map(params![tenant.as_bytes(), free], |row| row.get::<_, i64>(0))?;
    for taken in taken {
        if taken? != free {
            break;
        }
        free += 1;
    }
    Ok(free)
}

fn size(chunk: LaunchChunk) -> u32 {
    chunk.size.clamp(1, MAX_PAGE)
}

fn read_cursor(conn: &Connection, tenant: TenantId, id: CampaignId) -> Fallible<Cursor> {
    let cursor = conn
        .prepare_cached(
            "SELECT minted_ms, list, bound, cursor, audience FROM campaign WHERE tenant = ?1 AND id = ?2",
        )?
        .query_row(params![tenant.as_bytes(), id.as_bytes()], |row| {
            Ok(Cursor {
                minted_ms: row.get(0)?,
                list: row.get(1)?,
                bound: row.get(2)?,
                seq: row.get(3)?,
                audience: uint(row, 4)?,
            })
        })
        .optional()?;
    cursor.ok_or(Fault::Broken("a launched campaign has no cursor"))
}

/// A page of a list's members, in the order in which a launch would freeze them.
pub(super) fn members(
    conn: &Connection,
    tenant: TenantId,
    list: &ListName,
    after: u64,
    limit: u32,
) -> Fallible<Vec<Member>> {
    let Some(list) = contacts::list_of(conn, tenant, list)? else { return Ok(Vec::new()) };
    let mut statement = conn.prepare_cached(NEXT_MEMBERS)?;
    let page = params![tenant.as_bytes(), list, int(after), i64::MAX, page_size(limit)];
    let members = statement
        .query_map(page, |row| Ok(Member { number: uint(row, 10)?, contact: contacts::contact(row)? }))?;
    Ok(members.collect::<rusqlite::Result<_>>()?)
}

/// Freezes the next members; returns how many there were.
fn freeze(
    tx: &Tx<'_>,
    tenant: TenantId,
    campaign: &Campaign,
    cursor: &mut Cursor,
    chunk: LaunchChunk,
    changes: &mut Changes,
) -> Fallible<i64> {
    let Some(list) = cursor.list else { return Ok(0) };
    let mut freezer = Freezer::new(campaign, cursor.minted_ms, cursor.audience, chunk);
    let mut frozen = 0_i64;
    let mut statement = tx.conn.prepare_cached(NEXT_MEMBERS)?;
    let mut insert = tx.conn.prepare_cached(
        "INSERT INTO message (tenant, id, campaign, contact, phone, bsuid, params) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    let mut members =
        statement.query(params![tenant.as_bytes(), list, cursor.seq, cursor.bound, size(chunk)])?;
    while let Some(row) = members.next()? {
        let contact = contacts::contact(row)?;
        let Frozen { id, values, is_complete } = freezer
            .freeze(&contact.attributes)
            .ok_or(Fault::Broken("a campaign has more messages than ids can tell apart"))?;
        let (phone, bsuid) = addresses(&contact.recipient);
        let params = if values.is_empty() { None } else { Some(to_json(&values)?) };
        insert.execute(params![
            tenant.as_bytes(),
            id.as_bytes(),
            campaign.id.as_bytes(),
            contact.id.as_bytes(),
            phone,
            bsuid,
            params
        ])?;
        if !is_complete {
            put_closed(tx.conn, tenant, id, SkipReason::MissingParameter, tx.now)?;
        }
        cursor.seq = row.get(10)?;
        frozen += 1;
    }
    for (place, waiting) in (0_u16..).zip(&freezer.waiting).filter(|(_, waiting)| **waiting > 0) {
        tx.conn
            .prepare_cached(
                "UPDATE feed SET remaining = remaining + ?4 WHERE tenant = ?1 AND campaign = ?2 AND place = ?3",
            )?
            .execute(params![tenant.as_bytes(), campaign.id.as_bytes(), place, waiting])?;
    }
    cursor.audience = freezer.audience;
    freezer.count(changes, tenant, campaign);
    Ok(frozen)
}
