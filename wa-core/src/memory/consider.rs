//! What begin would say of messages, without beginning them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::court::{Court, account, group};
use super::flaws::flawed;
use super::state::State;
use crate::model::TenantId;
use crate::port::store::{Consider, Considered, Judged, MAX_PAGE};
use crate::rules::judge::{GroupFacts, Judge};

pub(super) fn consider(
    state: &State,
    tenant: TenantId,
    ask: &Consider,
    judge: &dyn Judge,
    now: DateTime<Utc>,
) -> Considered {
    let Some(tenant) = state.tenants.get(&tenant) else { return Considered::NoSession };
    let Some(session) = tenant.sessions.get(&ask.session) else { return Considered::NoSession };
    let items = ask.items.iter().take(usize::try_from(MAX_PAGE).unwrap_or(usize::MAX));
    let mut groups = Vec::new();
    for item in items.clone() {
        if groups.iter().any(|(known, _)| *known == item.campaign) {
            continue;
        }
        // A campaign that is not there yet stands behind nothing that is.
        let facts = group(state, tenant, session, item.campaign, now);
        let facts = facts.or_else(|| group(state, tenant, session, None, now));
        let admission = facts.map(|facts: GroupFacts| judge.admit(&facts, now));
        groups.extend(admission.map(|admission| (item.campaign, admission)));
    }
    let mut court = Court::open(state, tenant, session, judge, now);
    let verdicts = items.map(|item| (item.message, court.judge(item))).collect();
    #[cfg(feature = "mutants")]
    let verdicts = super::flaws::considered(tenant, verdicts);
    let recent = ask.recent_since.map(|since| tenant.recent(session.id, since)).unwrap_or_default();
    let is_limited =
        ask.recent_since.is_some() && session.tier.limit().is_some() && !flawed!(tenant, TellsNoSlots);
    let taken = if is_limited { state.slots(&account(session), now) } else { BTreeMap::new() };
    let mut slots: Vec<_> = taken.into_iter().map(|(recipient, until)| (until, recipient)).collect();
    slots.sort_unstable();
    let session = session.clone();
    Considered::Judged(Box::new(Judged { at: now, session, groups, verdicts, recent, slots }))
}
