//! Freezing a campaign's audience, chunk by chunk.
//!
//! Invariant: a member's place in the launch decides its session and its ordinal, so the result
//! does not depend on the sizes of the chunks.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::flaws::flawed;
use super::journal::Entries;
use super::state::{CampaignRow, MessageRow, TenantRow};
use crate::model::{
    Campaign, CampaignId, CampaignState, ContactId, IdMint, MessageId, NewCampaign, SessionId, SkipReason,
    from_micros, micros, values_of,
};
use crate::port::store::{DueBody, LaunchChunk, LaunchStep};
use crate::rules::campaign;

/// Freezes the next chunk.
pub(super) fn launch(
    tenant: &mut TenantRow,
    id: CampaignId,
    chunk: &LaunchChunk,
    now: DateTime<Utc>,
    entries: &mut Entries,
) -> LaunchStep {
    let minted_at = free_millisecond(tenant, now);
    let Some(row) = tenant.campaigns.get_mut(&id) else { return LaunchStep::Missing };
    match row.campaign.state {
        // One that was held as a draft goes on as a launch that has not begun.
        CampaignState::Draft | CampaignState::Launching if row.minted_at.is_none() => {
            row.campaign.state = CampaignState::Launching;
            row.minted_at = Some(minted_at);
            row.campaign.launched_at = Some(now);
            row.last_member = tenant.lists.get(&row.campaign.list).map_or(0, |list| list.last);
            entries.moved(tenant.tenant.id, id, CampaignState::Launching);
        }
        CampaignState::Draft | CampaignState::Launching => {}
        CampaignState::Paused if flawed!(tenant, LaunchesWhilePaused) && !row.is_frozen => {}
        CampaignState::Scheduled
        | CampaignState::Running
        | CampaignState::Paused
        | CampaignState::NeedsReconcile
        | CampaignState::Completed
        | CampaignState::Cancelled => return LaunchStep::NotLaunchable(row.campaign.clone()),
    }
    flawed!(tenant, TakesLaterMembers => {
        row.last_member = tenant.lists.get(&row.campaign.list).map_or(0, |list| list.last);
    });
    let size = usize::try_from(chunk.size.max(1)).unwrap_or(usize::MAX);
    let (from, to) = (row.frozen_to + 1, row.last_member);
    let from =
        flawed!(tenant, FreezesTheBorderTwice => if size == 1 { row.frozen_to.max(1) } else { from }, from);
    let list = tenant.lists.get(&row.campaign.list);
    // An empty range would be a range that ends before it starts.
    let members = list.filter(|_| from <= to).map(|list| list.members.range(from..=to));
    let members: Vec<_> = members.into_iter().flatten().take(size).map(|(at, it)| (*at, *it)).collect();
    // The latest of them may have become one with another since.
    let is_full = members.len() == size;
    for (number, contact) in members {
        freeze(tenant, id, number, contact, chunk);
    }
    let Some(row) = tenant.campaigns.get_mut(&id) else { return LaunchStep::Missing };
    if is_full && row.frozen_to < row.last_member {
        return LaunchStep::Frozen { audience: row.audience };
    }
    row.is_frozen = true;
    row.campaign.state = campaign::launched(row.campaign.start_at, now);
    entries.moved(tenant.tenant.id, id, row.campaign.state);
    LaunchStep::Done(row.campaign.clone())
}

/// Makes one member's message.
fn freeze(tenant: &mut TenantRow, id: CampaignId, number: u64, contact: ContactId, chunk: &LaunchChunk) {
    let Some(row) = tenant.campaigns.get_mut(&id) else { return };
    let Some(contact) = tenant.contacts.get(contact) else { return };
    let Some((place, message, session)) = next_message(row, chunk) else { return };
    let session = flawed!(tenant, LaunchesOverTwoSessions => super::flaws::one_of_two(row, session), session);
    let (values, is_complete) = values_of(&row.campaign.columns(), &contact.attributes);
    row.feeds.entry(session).or_default().ids.insert(message);
    row.frozen_to = number;
    row.audience = place + 1;
    let frozen = MessageRow {
        campaign: Some(id),
        session,
        contact: Some(contact.id),
        recipient: contact.recipient.clone(),
        body: DueBody::Values(values),
        reply_to: None,
        fallback: None,
        lane: row.campaign.lane,
        valid_until: row.campaign.valid_until,
        in_doubt: None,
    };
    tenant.messages.insert(message, frozen);
    if !is_complete && !flawed!(tenant, SendsWithoutAValue) {
        tenant.close(message, SkipReason::MissingParameter);
    }
}

/// The place in the launch, the id and the session of the next message.
fn next_message(row: &CampaignRow, chunk: &LaunchChunk) -> Option<(u64, MessageId, SessionId)> {
    let sessions = &row.campaign.sessions;
    let place = row.audience;
    let width = u64::try_from(sessions.len()).ok()?;
    let turn = place.checked_rem(width)?;
    let ordinal = u32::try_from(place.checked_div(width)? + 1).ok()?;
    let session = *sessions.get(usize::try_from(turn).ok()?)?;
    let mint = IdMint::new(row.minted_at?, u16::try_from(turn).unwrap_or(IdMint::MAX_SESSIONS));
    Some((place, mint.message(ordinal, chunk.chance(place)), session))
}

/// The first millisecond from now on that no campaign of the tenant has in its ids.
fn free_millisecond(tenant: &TenantRow, now: DateTime<Utc>) -> DateTime<Utc> {
    let taken: BTreeSet<_> = tenant.campaigns.values().filter_map(|row| row.minted_at).collect();
    let mut free = from_micros(micros(now).div_euclid(1_000) * 1_000);
    while taken.contains(&free) {
        free += TimeDelta::milliseconds(1);
    }
    free
}

impl CampaignRow {
    pub(super) fn new(new: &NewCampaign, now: DateTime<Utc>) -> Self {
        Self {
            campaign: Campaign::draft(new, now),
            minted_at: None,
            last_member: 0,
            frozen_to: 0,
            audience: 0,
            is_frozen: false,
            feeds: Default::default(),
        }
    }
}
