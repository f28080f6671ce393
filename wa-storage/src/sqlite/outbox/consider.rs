//! What begin would say of messages, without beginning them. Reads only.

use wa_core::model::TenantId;
use wa_core::port::store::{Consider, Considered, Judged, MAX_PAGE};
use wa_core::rules::judge::Judge;

use super::court::Court;
use super::reserve;
use crate::sqlite::error::Fallible;
use crate::sqlite::numbers::recent_of;
use crate::sqlite::reader::Snapshot;

pub(super) fn consider(
    snapshot: &Snapshot<'_>,
    tenant: TenantId,
    ask: &Consider,
    judge: &dyn Judge,
) -> Fallible<Considered> {
    let court = Court::open(snapshot.conn, snapshot.now, ask.session)?;
    let Some(mut court) = court.filter(|court| court.tenant == tenant) else {
        return Ok(Considered::NoSession);
    };
    let most = usize::try_from(MAX_PAGE).unwrap_or(usize::MAX);
    let mut groups = Vec::new();
    for item in ask.items.iter().take(most) {
        if groups.iter().all(|(known, _)| *known != item.campaign) {
            groups.push((item.campaign, court.admit(judge, item.campaign)?));
        }
    }
    let mut verdicts = Vec::with_capacity(ask.items.len().min(most));
    for item in ask.items.iter().take(most) {
        verdicts.push((item.message, court.judge(judge, item)?));
    }
    let recent = match ask.recent_since {
        Some(since) => recent_of(snapshot.conn, ask.session, since)?,
        None => Vec::new(),
    };
    let slots = match ask.recent_since {
        Some(_) => reserve::slot_ends(snapshot.conn, &court.session, snapshot.now)?,
        None => Vec::new(),
    };
    Ok(Considered::Judged(Box::new(Judged {
        at: snapshot.now,
        session: court.session,
        groups,
        verdicts,
        recent,
        slots,
    })))
}
