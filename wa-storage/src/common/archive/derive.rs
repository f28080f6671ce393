//! What follows from records: everything that stores keep beside the facts so that no question counts them.
//!
//! Invariant: what one message contributes depends on it alone, so contributions can be added up in any order
//! and in any number of commits; and a recount gives what was kept.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use wa_core::model::{
    CampaignId, Chosen, ContactId, Estimate, Fact, Fingerprint, MessageId, MessageState, Money, Period,
    PriceBook, SessionId, TenantId,
};
use wa_core::port::store::{ArchivedAttempt, ArchivedMessage, Direction, StoredInbound};
use wa_core::rules::failure::Failure;
use wa_core::rules::price::{Quote, booking};
use wa_core::rules::rollup::Counted;

use super::Misfit;
use crate::common::changes::Changes;
use crate::common::message::{Attempt, Due, Stored};
use crate::common::prices::sold;

/// The prices of a tenant by their digests, each with its key here.
#[derive(Debug, Default)]
pub(crate) struct Books(HashMap<Fingerprint, (i64, Arc<PriceBook>)>);

impl Books {
    /// From the rows of the table.
    pub(crate) fn new(rows: Vec<(i64, String)>) -> Result<Self, Misfit> {
        let book = |(key, body): (i64, String)| {
            let book: PriceBook = serde_json::from_str(&body).map_err(|_| Misfit)?;
            Ok((Fingerprint::of_json(&book).ok_or(Misfit)?, (key, Arc::new(book))))
        };
        rows.into_iter().map(book).collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn key(&self, digest: Fingerprint) -> Option<i64> {
        self.0.get(&digest).map(|(key, _)| *key)
    }

    fn get(&self, digest: Fingerprint) -> Option<&Arc<PriceBook>> {
        self.0.get(&digest).map(|(_, book)| book)
    }
}

/// How far messages of one feed were passed over, and how many of them wait.
#[derive(Debug, Default)]
pub(crate) struct Fed {
    pub(crate) passed: Option<MessageId>,
    pub(crate) waiting: i64,
}

/// What messages contribute, added up.
#[derive(Debug, Default)]
pub(crate) struct Derived {
    /// Counts, costs, budgets, free messages and roll-ups; nothing that is to be told.
    pub(crate) changes: Changes,
    pub(crate) quota: BTreeMap<Period, i64>,
    pub(crate) warm_up: BTreeMap<(SessionId, i32), i64>,
    pub(crate) feeds: BTreeMap<(CampaignId, SessionId), Fed>,
    /// Who wrote to which session: their windows are made anew.
    pub(crate) pairs: BTreeSet<(SessionId, ContactId)>,
}

impl Derived {
    /// Adds what one message with its attempts contributes. Its failure, if it failed for good.
    pub(crate) fn message(
        &mut self,
        it: &ArchivedMessage,
        stored: &Stored,
        books: &Books,
    ) -> Result<Option<Failure>, Misfit> {
        let standing = stored.standing();
        self.changes.standing(stored.tenant, stored.campaign, None, &standing);
        if let Some(campaign) = it.campaign {
            let fed = self.feeds.entry((campaign, it.session)).or_default();
            if it.in_feed {
                fed.waiting += 1;
            } else if fed.waiting == 0 {
                fed.passed = Some(it.id);
            }
        }
        for (attempt, archived) in stored.attempts.iter().zip(&it.attempts) {
            let book = match archived.book {
                Some(digest) => Some(books.get(digest).ok_or(Misfit)?),
                None => None,
            };
            let booking = booking(&sold(attempt, &stored.recipient, book.map(AsRef::as_ref)));
            let counted = Counted { n: attempt.n, facts: &attempt.facts, booking: booking.as_ref() };
            self.changes.attempt(stored.tenant, stored.campaign, attempt, None, &counted);
            if attempt.n > 1 {
                self.changes.retry(stored.tenant, stored.campaign);
            }
            if !attempt.facts.has(Fact::Released) {
                *self.quota.entry(Period::of(attempt.begun_at)).or_default() += 1;
                if let Some(day) = attempt.warm_up_day {
                    *self.warm_up.entry((attempt.session, day)).or_default() += 1;
                }
            }
        }
        let failed = standing.state == MessageState::Failed;
        Ok(failed.then(|| Failure::of(&stored.chain())).flatten())
    }

    /// Adds what a message of a user contributes.
    pub(crate) fn inbound(&mut self, tenant: TenantId, heard: &StoredInbound) {
        if heard.direction == Direction::Inbound {
            self.changes.inbound(tenant, heard.session, heard.at);
        }
        if heard.opens_window() {
            self.pairs.insert((heard.session, heard.contact));
        }
    }
}

/// A message as the stores hold it; `None` when its record is none.
pub(crate) fn stored(tenant: TenantId, it: &ArchivedMessage) -> Option<Stored> {
    let recipient = it.recipient()?;
    let key = recipient.key().cast_signed();
    let attempts: Option<Vec<Attempt>> = it.attempts.iter().map(|attempt| one(attempt, key)).collect();
    let n = it.attempts.last().map_or(1, |attempt| attempt.n.saturating_add(1));
    Some(Stored {
        tenant,
        id: it.id,
        campaign: it.campaign,
        contact: it.contact,
        recipient,
        attempts: attempts?,
        closed: it.closed,
        due: it.due.as_ref().map(|due| Due { n, why: due.why, at: due.at }),
    })
}

fn one(it: &ArchivedAttempt, recipient: i64) -> Option<Attempt> {
    let money = |micros: Option<i64>| Some(Money { micros: micros?, currency: it.currency? });
    let estimate = Estimate {
        amount: money(it.price),
        reserve: money(it.reserve),
        reason: it.price_reason,
        counts_as_service: it.counts_as_service,
    };
    Some(Attempt {
        n: it.n,
        session: it.session,
        begun_at: it.begun_at,
        end_by: it.end_by,
        former: true,
        recipient,
        tier_slot: it.tier_slot,
        content: if it.fallback { Chosen::Fallback } else { Chosen::Own },
        warm_up_day: it.warm_up_day,
        quote: Quote { category: it.category.sent_as()?, estimate },
        book: None,
        month: it.month,
        facts: it.result.as_ref().map(|result| result.facts()).unwrap_or_default(),
    })
}
