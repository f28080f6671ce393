//! What was sent to a contact and what happened over time, added up from rows.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use wa_core::model::{CampaignId, Category, Content, MessageId, Recipient};
use wa_core::port::store::{ContactSpend, LastTemplate, TrendBy, TrendPoint};
use wa_core::rules::cost;
use wa_core::rules::price::Booking;
use wa_core::rules::rollup::{self, Count};

use super::message::Attempt;

/// An attempt to a contact.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) attempt: Attempt,
    pub(crate) message: MessageId,
    pub(crate) campaign: Option<CampaignId>,
    pub(crate) recipient: Recipient,
}

/// Adds up what was sent to a contact.
#[derive(Debug, Default)]
pub(crate) struct Spending {
    spend: ContactSpend,
    last: Option<Sent>,
}

impl Spending {
    /// Counts an attempt; one without a booking does not count.
    pub(crate) fn add(&mut self, sent: Sent, booking: Option<&Booking>) {
        let Some(booking) = booking else { return };
        for (counter, n) in cost::counted_in(booking) {
            cost::apply(&mut self.spend.cost, &counter, n);
        }
        if sent.attempt.quote.category == Category::Service {
            return;
        }
        self.spend.templates += 1;
        let place = |it: &Sent| (it.attempt.begun_at, it.message);
        if self.last.as_ref().is_none_or(|known| place(known) < place(&sent)) {
            self.last = Some(sent);
        }
    }

    /// The attempt that begun last of those that were no service messages.
    pub(crate) const fn last(&self) -> Option<&Sent> {
        self.last.as_ref()
    }

    /// The sum; `content` is what the last one said.
    pub(crate) fn finish(self, content: Option<Content>) -> ContactSpend {
        let Self { mut spend, last } = self;
        if let (Some(sent), Some(Content::Template(template))) = (last, content) {
            let (name, language) = (template.name, template.language);
            spend.last_template = Some(LastTemplate { name, language, at: sent.attempt.begun_at });
        }
        spend
    }
}

/// The steps of a trend from counters by slot.
pub(crate) fn points(rows: Vec<(DateTime<Utc>, String, i64)>, by: TrendBy) -> Vec<TrendPoint> {
    let mut sums: BTreeMap<DateTime<Utc>, BTreeMap<Count, i64>> = BTreeMap::new();
    for (slot, key, n) in rows {
        // A counter of a later version is not one of ours.
        if let Some(count) = Count::from_key(&key) {
            *sums.entry(rollup::step(slot, by)).or_default().entry(count).or_default() += n;
        }
    }
    let points = sums.into_iter().map(|(start, counts)| {
        let mut point = TrendPoint::new(start);
        for (count, n) in counts.into_iter().filter(|(_, n)| *n != 0) {
            rollup::apply(&mut point, &count, n);
        }
        point
    });
    points.collect()
}
