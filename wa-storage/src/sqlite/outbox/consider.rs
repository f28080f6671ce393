//! What begin would say of messages, without beginning them. Reads only.

use wa_core::model::TenantId;
use wa_core::port::store::{Consider, Considered, Judged, MAX_PAGE};
use wa_core::rules::judge::Judge;

use super::{court, reserve};
use crate::sqlite::error::Fallible;
use crate::sqlite::numbers::recent_of;
use crate::sqlite::reader::Snapshot;

pub(super) fn consider(
    snapshot: &Snapshot<'_>,
    tenant: TenantId,
    ask: &Consider,
    judge: &dyn Judge,
) -> Fallible<Considered> {
    let most = usize::try_from(MAX_PAGE).unwrap_or(usize::MAX);
    let items = ask.items.get(..ask.items.len().min(most)).unwrap_or_default();
    let opened = court::open(snapshot.conn, snapshot.now, ask.session, items)?;
    let Some((mut court, bench)) = opened.filter(|(court, _)| court.shared.tenant == tenant) else {
        return Ok(Considered::NoSession);
    };
    let mut groups = Vec::new();
    for item in items {
        if groups.iter().all(|(known, _)| *known != item.campaign) {
            groups.push((item.campaign, court.admit(judge, item.campaign)));
        }
    }
    let mut verdicts = Vec::with_capacity(items.len());
    for item in items {
        verdicts.push((item.message, court.judge(judge, item, &bench.facts(item)?)));
    }
    let recent = match ask.recent_since {
        Some(since) => recent_of(snapshot.conn, ask.session, since)?,
        None => Vec::new(),
    };
    let slots = match ask.recent_since {
        Some(_) => reserve::slot_ends(snapshot.conn, &court.shared.session, snapshot.now)?,
        None => Vec::new(),
    };
    Ok(Considered::Judged(Box::new(Judged {
        at: snapshot.now,
        session: court.shared.session,
        groups,
        verdicts,
        recent,
        slots,
    })))
}
