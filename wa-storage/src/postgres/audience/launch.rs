//! Freezing an audience, chunk by chunk.
//!
//! Invariant: the members of a launch are those on the list when its first chunk was frozen, in
//! the order in which they joined; the k-th goes to session k mod n. So a chunk that was committed
//! is never frozen again, and the sizes of chunks change nothing. A chunk takes the same few statements
//! whatever its size.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;
use wa_core::model::{
    Campaign, CampaignId, CampaignState, EventBody, ListName, MessageId, SkipReason, TenantId, micros,
};
use wa_core::port::store::{LaunchChunk, LaunchStep, MAX_PAGE, Member};
use wa_core::rules::campaign::launched;

use super::{campaign, contacts};
use crate::common::audience::{Freezer, mint};
use crate::common::changes::Changes;
use crate::postgres::codec::{addresses, get, int, to_json, uint, uuids};
use crate::postgres::error::{Fallible, Fault};
use crate::postgres::page_size;
use crate::postgres::tx::Tx;

/// Each contact is looked up by its key: joined in any other way, every chunk might read all contacts.
const NEXT_MEMBERS: &str = "SELECT c.id, c.phone, c.bsuid, c.attributes, c.consent, c.consent_at, \
     c.created_at, c.consent_source, c.profile_name, c.username, m.seq \
     FROM list_member m \
     CROSS JOIN LATERAL (SELECT * FROM contact WHERE tenant = $1 AND id = m.contact LIMIT 1) c \
     WHERE m.tenant = $1 AND m.list = $2 AND m.seq > $3 AND m.seq <= $4 ORDER BY m.seq LIMIT $5";

/// How far a launch is.
#[derive(Debug, Clone, Copy)]
struct Cursor {
    minted_ms: i64,
    list: Option<i64>,
    bound: i64,
    seq: i64,
    audience: u64,
}

pub(super) async fn launch(
    tx: &mut Tx,
    tenant: TenantId,
    id: CampaignId,
    chunk: LaunchChunk,
) -> Fallible<LaunchStep> {
    let Some(mut campaign) = campaign::by_id(tx.conn(), tenant, id).await? else {
        return Ok(LaunchStep::Missing);
    };
    let mut changes = Changes::default();
    match campaign.state {
        // One that was held as a draft goes on as a launch that has not begun.
        CampaignState::Draft | CampaignState::Launching if campaign.launched_at.is_none() => {
            open(tx, tenant, &mut campaign, &mut changes).await?;
        }
        CampaignState::Draft | CampaignState::Launching => {}
        CampaignState::Scheduled
        | CampaignState::Running
        | CampaignState::Paused
        | CampaignState::NeedsReconcile
        | CampaignState::Completed
        | CampaignState::Cancelled => return Ok(LaunchStep::NotLaunchable(campaign)),
    }
    let mut cursor = read_cursor(tx.conn(), tenant, id).await?;
    let frozen = freeze(tx, tenant, &campaign, &mut cursor, chunk, &mut changes).await?;
    let done = frozen < i64::from(size(chunk)) || cursor.seq >= cursor.bound;
    if done {
        campaign.state = launched(campaign.start_at, tx.now);
        changes.event(tenant, EventBody::Campaign { campaign: id, state: campaign.state });
    }
    sqlx::query(
        "UPDATE campaign SET cursor = $3, audience = $4, frozen = $5, state = $6 \
         WHERE tenant = $1 AND id = $2",
    )
    .bind(tenant.as_uuid())
    .bind(id.as_uuid())
    .bind(cursor.seq)
    .bind(int(cursor.audience))
    .bind(done)
    .bind(campaign.state.as_str())
    .execute(tx.conn())
    .await?;
    tx.write(changes).await?;
    Ok(if done { LaunchStep::Done(campaign) } else { LaunchStep::Frozen { audience: cursor.audience } })
}

/// The first chunk: fixes who belongs to the launch, and the ids of its messages.
async fn open(tx: &mut Tx, tenant: TenantId, campaign: &mut Campaign, changes: &mut Changes) -> Fallible<()> {
    let now = tx.now;
    let list = contacts::list_of(tx.conn(), tenant, &campaign.list).await?;
    let bound = match list {
        Some(list) => last_of(tx.conn(), tenant, list).await?,
        None => 0,
    };
    let minted_ms = free_millisecond(tx, tenant).await?;
    campaign.state = CampaignState::Launching;
    campaign.launched_at = Some(now);
    sqlx::query(
        "UPDATE campaign SET state = $3, launched_at = $4, minted_ms = $5, list = $6, bound = $7 \
         WHERE tenant = $1 AND id = $2",
    )
    .bind(tenant.as_uuid())
    .bind(campaign.id.as_uuid())
    .bind(campaign.state.as_str())
    .bind(now)
    .bind(minted_ms)
    .bind(list)
    .bind(bound)
    .execute(tx.conn())
    .await?;
    let places: Vec<u16> = (0_u16..).zip(&campaign.sessions).map(|(place, _)| place).collect();
    let mints = places.iter().map(|place| mint(minted_ms, *place));
    sqlx::query(
        "INSERT INTO feed (tenant, campaign, place, session, first_id, last_id, after_id) \
         SELECT $1, $2, u.place, u.session, u.first, u.last, u.first \
         FROM unnest($3::bigint[], $4::uuid[], $5::uuid[], $6::uuid[]) AS u (place, session, first, last)",
    )
    .bind(tenant.as_uuid())
    .bind(campaign.id.as_uuid())
    .bind(places.iter().copied().map(i64::from).collect::<Vec<_>>())
    .bind(uuids(campaign.sessions.iter().copied()))
    .bind(uuids(mints.clone().map(|mint| mint.first())))
    .bind(uuids(mints.map(|mint| mint.last())))
    .execute(tx.conn())
    .await?;
    let state = CampaignState::Launching;
    changes.event(tenant, EventBody::Campaign { campaign: campaign.id, state });
    Ok(())
}

/// A millisecond that no other campaign of the tenant has in its ids, from now on upwards, so that
/// the ranges of two campaigns that are launched at one instant lie apart.
async fn free_millisecond(tx: &mut Tx, tenant: TenantId) -> Fallible<i64> {
    let mut free = micros(tx.now).div_euclid(1_000);
    let taken: Vec<i64> = sqlx::query_scalar(
        "SELECT minted_ms FROM campaign WHERE tenant = $1 AND minted_ms >= $2 ORDER BY minted_ms",
    )
    .bind(tenant.as_uuid())
    .bind(free)
    .fetch_all(tx.conn())
    .await?;
    for taken in taken {
        if taken != free {
            break;
        }
        free += 1;
    }
    Ok(free)
}

fn size(chunk: LaunchChunk) -> u32 {
    chunk.size.clamp(1, MAX_PAGE)
}

async fn read_cursor(conn: &mut PgConnection, tenant: TenantId, id: CampaignId) -> Fallible<Cursor> {
    let cursor = sqlx::query(
        "SELECT minted_ms, list, bound, cursor, audience FROM campaign WHERE tenant = $1 AND id = $2",
    )
    .bind(tenant.as_uuid())
    .bind(id.as_uuid())
    .try_map(|row| {
        Ok(Cursor {
            minted_ms: get(&row, 0)?,
            list: get(&row, 1)?,
            bound: get(&row, 2)?,
            seq: get(&row, 3)?,
            audience: uint(&row, 4)?,
        })
    })
    .fetch_optional(conn)
    .await?;
    cursor.ok_or(Fault::Broken("a launched campaign has no cursor"))
}

/// A page of a list's members, in the order in which a launch would freeze them.
pub(super) async fn members(
    conn: &mut PgConnection,
    tenant: TenantId,
    list: &ListName,
    after: u64,
    limit: u32,
) -> Fallible<Vec<Member>> {
    let Some(list) = contacts::list_of(conn, tenant, list).await? else { return Ok(Vec::new()) };
    let last = last_of(conn, tenant, list).await?;
    next_members(conn, tenant, list, int(after)..=last, page_size(limit)).await
}

/// The members whose numbers lie behind the start of a span, up to its end.
async fn next_members(
    conn: &mut PgConnection,
    tenant: TenantId,
    list: i64,
    numbers: std::ops::RangeInclusive<i64>,
    limit: i64,
) -> Fallible<Vec<Member>> {
    let (mut after, last) = numbers.into_inner();
    let (mut found, mut width, mut room) = (Vec::new(), limit, limit);
    // Read by spans of numbers: there are gaps only where contacts were merged. Given the whole rest of the
    // list, the planner may sort all of it for every page.
    while room > 0 && after < last {
        let upto = after.saturating_add(width).min(last);
        let members = sqlx::query(NEXT_MEMBERS)
            .bind(tenant.as_uuid())
            .bind(list)
            .bind(after)
            .bind(upto)
            .bind(room)
            .try_map(|row| Ok(Member { number: uint(&row, 10)?, contact: contacts::contact(&row)? }))
            .fetch_all(&mut *conn)
            .await?;
        room = room.saturating_sub(int(u64::try_from(members.len()).unwrap_or(u64::MAX)));
        found.extend(members);
        (after, width) = (upto, width.saturating_mul(2));
    }
    Ok(found)
}

/// The number of the member who joined last.
async fn last_of(conn: &mut PgConnection, tenant: TenantId, list: i64) -> Fallible<i64> {
    let last = sqlx::query_scalar("SELECT last_seq FROM list WHERE tenant = $1 AND id = $2");
    Ok(last.bind(tenant.as_uuid()).bind(list).fetch_one(conn).await?)
}

/// Freezes the next members; returns how many there were.
async fn freeze(
    tx: &mut Tx,
    tenant: TenantId,
    campaign: &Campaign,
    cursor: &mut Cursor,
    chunk: LaunchChunk,
    changes: &mut Changes,
) -> Fallible<i64> {
    let Some(list) = cursor.list else { return Ok(0) };
    let numbers = cursor.seq..=cursor.bound;
    let members = next_members(tx.conn(), tenant, list, numbers, i64::from(size(chunk))).await?;
    let mut freezer = Freezer::new(campaign, cursor.minted_ms, cursor.audience, chunk);
    let mut rows = Rows::default();
    let mut incomplete = Vec::new();
    for Member { number, contact } in members {
        let frozen = freezer
            .freeze(&contact.attributes)
            .ok_or(Fault::Broken("a campaign has more messages than ids can tell apart"))?;
        let (phone, bsuid) = addresses(&contact.recipient);
        rows.ids.push(frozen.id.as_uuid());
        rows.contacts.push(contact.id.as_uuid());
        rows.phones.push(phone);
        rows.bsuids.push(bsuid.map(str::to_owned));
        rows.params.push(if frozen.values.is_empty() { None } else { Some(to_json(&frozen.values)?) });
        if !frozen.is_complete {
            incomplete.push(frozen.id);
        }
        cursor.seq = int(number);
    }
    let frozen = i64::try_from(rows.ids.len()).unwrap_or(i64::MAX);
    rows.put(tx.conn(), tenant, campaign.id).await?;
    let now = tx.now;
    close_all(tx.conn(), tenant, &incomplete, SkipReason::MissingParameter, now).await?;
    put_waiting(tx.conn(), tenant, campaign.id, &freezer.waiting).await?;
    cursor.audience = freezer.audience;
    freezer.count(changes, tenant, campaign);
    Ok(frozen)
}

/// Messages to insert, as columns.
#[derive(Default)]
struct Rows {
    ids: Vec<Uuid>,
    contacts: Vec<Uuid>,
    phones: Vec<Option<i64>>,
    bsuids: Vec<Option<String>>,
    params: Vec<Option<String>>,
}

impl Rows {
    async fn put(self, conn: &mut PgConnection, tenant: TenantId, campaign: CampaignId) -> Fallible<()> {
        let Self { ids, contacts, phones, bsuids, params } = self;
        if ids.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "INSERT INTO message (tenant, id, campaign, contact, phone, bsuid, params) \
             SELECT $1, u.id, $2, u.contact, u.phone, u.bsuid, u.params \
             FROM unnest($3::uuid[], $4::uuid[], $5::bigint[], $6::text[], $7::text[]) \
             AS u (id, contact, phone, bsuid, params)",
        )
        .bind(tenant.as_uuid())
        .bind(campaign.as_uuid())
        .bind(ids)
        .bind(contacts)
        .bind(phones)
        .bind(bsuids)
        .bind(params)
        .execute(conn)
        .await?;
        Ok(())
    }
}

/// Closes messages, unless they are closed already.
pub(super) async fn close_all(
    conn: &mut PgConnection,
    tenant: TenantId,
    messages: &[MessageId],
    reason: SkipReason,
    now: DateTime<Utc>,
) -> Fallible<()> {
    if messages.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO closed (tenant, message, reason, at) SELECT $1, u.message, $3, $4 \
         FROM unnest($2::uuid[]) AS u (message) ON CONFLICT DO NOTHING",
    )
    .bind(tenant.as_uuid())
    .bind(uuids(messages.iter().copied()))
    .bind(reason.as_str())
    .bind(now)
    .execute(conn)
    .await?;
    Ok(())
}

/// Adds to what waits in a campaign's feeds, by their places.
async fn put_waiting(
    conn: &mut PgConnection,
    tenant: TenantId,
    campaign: CampaignId,
    waiting: &[i64],
) -> Fallible<()> {
    let (places, counts): (Vec<i64>, Vec<i64>) =
        (0_i64..).zip(waiting.iter().copied()).filter(|(_, n)| *n > 0).unzip();
    if places.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE feed f SET remaining = f.remaining + u.n FROM unnest($3::bigint[], $4::bigint[]) AS u (place, n) \
         WHERE f.tenant = $1 AND f.campaign = $2 AND f.place = u.place",
    )
    .bind(tenant.as_uuid())
    .bind(campaign.as_uuid())
    .bind(places)
    .bind(counts)
    .execute(conn)
    .await?;
    Ok(())
}
