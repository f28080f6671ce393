//! What begin is handed for a due message.

use crate::model::Content;
use crate::port::store::{Alternative, BeginItem, DueBody, DueMessage};

/// The item that the engine would make of a due message whose content needs no filling, on a transport
/// that can send everything.
///
/// # Panics
/// When a message has values and no campaign, which no store gives.
#[must_use]
#[expect(clippy::panic, reason = "a test harness tells a test that it cannot go on")]
pub fn begin_item(due: &DueMessage) -> BeginItem {
    let content = match (&due.body, &due.campaign) {
        (DueBody::Own(content), _) => content,
        (DueBody::Values(_), Some(campaign)) => campaign.content.pattern(),
        (DueBody::Values(_), None) => panic!("values without a campaign: {due:?}"),
    };
    let template = |content: &Content| content.template().map(Alternative::from);
    let of_campaign = || template(due.campaign.as_ref()?.fallback.as_ref()?.pattern());
    BeginItem {
        tenant: due.tenant,
        message: due.id,
        n: due.n,
        source: due.source,
        campaign: due.campaign.as_ref().map(|campaign| campaign.id),
        contact: due.contact,
        recipient: due.recipient.clone(),
        lane: due.lane,
        category: content.category(),
        needs_window: content.needs_window(),
        template: template(content).map(|it| it.template),
        fallback: due.fallback.as_ref().map(Alternative::from).or_else(of_campaign),
        valid_until: due.valid_until,
        unsendable: None,
    }
}
