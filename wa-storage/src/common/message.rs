//! One message as a store holds it, and the state that follows from that.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use wa_core::model::{
    AttemptView, CampaignId, CampaignState, Chosen, ContactId, DeliveryFacts, HoldReason, MessageId,
    MessageState, MessageView, Period, PriceBook, Recipient, SessionId, SkipReason, TenantId,
};
use wa_core::rules::price::{self, Quote, Sold, booking};
use wa_core::rules::redrive::{self, Redrive};
use wa_core::rules::rollup::Counted;
use wa_core::rules::status::{self, MessageFacts};
use wa_core::rules::tally::Standing;

use super::changes::Changes;
use super::prices::sold;

/// The place of a message that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) n: u16,
    pub(crate) why: Option<HoldReason>,
    pub(crate) at: DateTime<Utc>,
}

/// One attempt as stored.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub(crate) n: u16,
    pub(crate) session: SessionId,
    pub(crate) begun_at: DateTime<Utc>,
    pub(crate) end_by: DateTime<Utc>,
    /// Whether another life of the store began it.
    pub(crate) former: bool,
    pub(crate) recipient: i64,
    pub(crate) tier_slot: bool,
    pub(crate) content: Chosen,
    /// The day of its session's warm-up that it counts in.
    pub(crate) warm_up_day: Option<i32>,
    pub(crate) quote: Quote,
    /// The version of the prices by which it is settled.
    pub(crate) book: Option<i64>,
    /// The month on the account's clock at its begin.
    pub(crate) month: Period,
    pub(crate) facts: DeliveryFacts,
}

/// One message as stored, without its content.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) tenant: TenantId,
    pub(crate) id: MessageId,
    pub(crate) campaign: Option<CampaignId>,
    pub(crate) contact: Option<ContactId>,
    pub(crate) recipient: Recipient,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) closed: Option<SkipReason>,
    pub(crate) due: Option<Due>,
}

impl Stored {
    /// The facts of its attempts, oldest first.
    pub(crate) fn chain(&self) -> Vec<&DeliveryFacts> {
        self.attempts.iter().map(|attempt| &attempt.facts).collect()
    }

    pub(crate) fn standing(&self) -> Standing {
        let chain = self.chain();
        let state = status::message_state(&MessageFacts {
            attempts: &chain,
            closed: self.closed,
            queued: self.due.map(|due| due.why),
        });
        Standing::new(state, self.closed, &chain).waiting(self.due.is_some())
    }

    /// The message as a report shows it; `books` are the prices of its attempts, one for each.
    pub(crate) fn view(
        self,
        session: SessionId,
        books: &[Option<Arc<PriceBook>>],
        given_up_at: Option<DateTime<Utc>>,
    ) -> MessageView {
        let state = self.standing().state;
        let attempts = self.attempts.into_iter().zip(books).map(|(attempt, book)| {
            let price = price::shown(&sold(&attempt, &self.recipient, book.as_deref()));
            let Attempt { n, begun_at, end_by, content, facts, .. } = attempt;
            AttemptView { n, begun_at, end_by, content, facts, price }
        });
        MessageView {
            id: self.id,
            campaign: self.campaign,
            session,
            attempts: attempts.collect(),
            recipient: self.recipient,
            state,
            skipped: self.closed.filter(|_| state == MessageState::Skipped),
            held: self.due.and_then(|due| Some((due.why?, due.at))),
            given_up_at,
        }
    }

    /// Counts what an attempt costs now in the place of what it cost before.
    pub(crate) fn book(
        &self,
        place: usize,
        before: &DeliveryFacts,
        book: Option<&PriceBook>,
        changes: &mut Changes,
    ) {
        let Some(attempt) = self.attempts.get(place) else { return };
        let sold = sold(attempt, &self.recipient, book);
        let (old, new) = (booking(&Sold { facts: before, ..sold }), booking(&sold));
        changes.attempt(
            self.tenant,
            self.campaign,
            attempt,
            Some(&Counted { n: attempt.n, facts: before, booking: old.as_ref() }),
            &Counted { n: attempt.n, facts: &attempt.facts, booking: new.as_ref() },
        );
    }

    /// Puts it back by hand, where the rule says so: it waits for its next attempt. Otherwise the state in
    /// which it stays.
    pub(crate) fn redrive(
        &mut self,
        campaign: Option<CampaignState>,
        now: DateTime<Utc>,
        changes: &mut Changes,
    ) -> Result<Due, MessageState> {
        let old = self.standing();
        let at = match redrive::decide(old.state, self.closed, &self.chain(), campaign, now) {
            Redrive::Never => return Err(old.state),
            Redrive::Again(at) => at,
        };
        let due = Due { n: self.attempts.last().map_or(0, |attempt| attempt.n) + 1, why: None, at };
        self.closed = None;
        self.due = Some(due);
        let new = self.standing();
        changes.standing(self.tenant, self.campaign, Some(&old), &new);
        changes.state(self.tenant, self.id, old.state, new.state);
        Ok(due)
    }
}
