//! A message with all that was tried, as a record.

use chrono::{DateTime, Utc};

use super::record::record;
use crate::model::{
    BatchId, Bsuid, CampaignId, ContactId, Content, Currency, DeliveryFacts, Fact, FailureCode,
    FailureDetails, Fingerprint, HoldReason, InDoubtPolicy, Lane, MessageId, Period, Phone, PriceReason,
    ProviderMessageId, RateCategory, Recipient, RejectClass, SendKey, SessionId, SkipReason, TemplateContent,
};

record! {
    /// A message with all that was tried.
    ArchivedMessage {
        /// Its id.
        id: MessageId,
        /// The session that sends it.
        session: SessionId,
        /// Whether it waits in its campaign's feed.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        in_feed: bool,
        /// What was tried, oldest first.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        attempts: Vec<ArchivedAttempt>,
        ;
        /// The campaign that it belongs to.
        campaign: CampaignId,
        /// The contact that it was frozen for.
        contact: ContactId,
        /// The recipient's phone.
        phone: Phone,
        /// The recipient's business-scoped user id.
        bsuid: Bsuid,
        /// The values of a campaign's placeholders.
        values: Vec<String>,
        /// What only a message without campaign has.
        single: ArchivedSingle,
        /// Where it waits, outside of a feed.
        due: ArchivedDue,
        /// Why it was closed.
        closed: SkipReason,
        /// What is decided about it while it is in doubt.
        doubt: ArchivedDoubt,
        /// How many attempts it had when it was last put back by hand.
        redriven: u16,
    }
}

record! {
    /// What only a message without campaign has.
    ArchivedSingle {
        /// Its lane.
        lane: Lane,
        /// What it says.
        content: Content,
        ;
        /// The message that it quotes.
        reply_to: ProviderMessageId,
        /// Until when it is of use.
        valid_until: DateTime<Utc>,
        /// The caller's own key.
        key: SendKey,
        /// The fallback outside windows.
        fallback: TemplateContent,
        /// What becomes of it in doubt.
        in_doubt: InDoubtPolicy,
    }
}

record! {
    /// Where a message waits.
    ArchivedDue {
        /// Until when.
        at: DateTime<Utc>,
        ;
        /// Why.
        why: HoldReason,
    }
}

record! {
    /// What is decided about a message in doubt.
    ArchivedDoubt {
        ;
        /// When it is looked at.
        look_at: DateTime<Utc>,
        /// Since when nothing more is expected.
        given_up_at: DateTime<Utc>,
    }
}

record! {
    /// One attempt.
    ArchivedAttempt {
        /// Its number, from 1.
        n: u16,
        /// The session.
        session: SessionId,
        /// The epoch under which it was begun.
        epoch: u64,
        /// The batch in which it was begun.
        batch: BatchId,
        /// When it was begun.
        begun_at: DateTime<Utc>,
        /// When its request must have ended.
        end_by: DateTime<Utc>,
        /// Whether it took a slot of the messaging limit.
        tier_slot: bool,
        /// The category that it was sent in.
        category: RateCategory,
        /// Why it costs what it costs.
        price_reason: PriceReason,
        /// Whether it counts among the free service messages.
        counts_as_service: bool,
        /// Whether the fallback went.
        fallback: bool,
        /// The month on the account's clock.
        month: Period,
        /// Further ids that the provider gave it, in order.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        other_ids: Vec<String>,
        /// Whether it was found silent.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        silent: bool,
        ;
        /// What it was estimated to cost, in micros.
        price: i64,
        /// The dearest that it can become, in micros.
        reserve: i64,
        /// The currency of both.
        currency: Currency,
        /// The prices by which it is settled.
        #[serde(with = "super::record::opt_hex_form")]
        book: Fingerprint,
        /// The day of its session's warm-up.
        warm_up_day: i32,
        /// What is known of its fate.
        result: ArchivedResult,
    }
}

record! {
    /// What is known of an attempt: the earliest instant of each fact.
    ArchivedResult {
        ;
        /// It was not sent.
        not_sent_at: DateTime<Utc>,
        /// The provider refused it.
        rejected_at: DateTime<Utc>,
        /// The provider took it.
        accepted_at: DateTime<Utc>,
        /// It came into doubt.
        in_doubt_at: DateTime<Utc>,
        /// It was sent.
        sent_at: DateTime<Utc>,
        /// It was delivered.
        delivered_at: DateTime<Utc>,
        /// It was read.
        read_at: DateTime<Utc>,
        /// It was played.
        played_at: DateTime<Utc>,
        /// It failed.
        failed_at: DateTime<Utc>,
        /// What it took was given back.
        released_at: DateTime<Utc>,
        /// The provider's code.
        code: i64,
        /// What the code means.
        class: RejectClass,
        /// The code's name.
        title: String,
        /// The provider's own words.
        details: FailureDetails,
        /// The provider's message id.
        provider_id: String,
        /// What it charges, in the form of [`Charge::key`](crate::model::Charge::key).
        charge: String,
    }
}

impl ArchivedMessage {
    /// Whom it goes to; `None` when the record names nobody.
    #[must_use]
    pub fn recipient(&self) -> Option<Recipient> {
        Recipient::new(self.phone, self.bsuid.clone()).ok()
    }
}

impl ArchivedResult {
    /// The record of facts; `None` when nothing is known.
    #[must_use]
    pub fn of(facts: &DeliveryFacts) -> Option<Self> {
        let failure = facts.failure.as_ref();
        let result = Self {
            not_sent_at: facts.at(Fact::NotSent),
            rejected_at: facts.at(Fact::Rejected),
            accepted_at: facts.at(Fact::Accepted),
            in_doubt_at: facts.at(Fact::InDoubt),
            sent_at: facts.at(Fact::Sent),
            delivered_at: facts.at(Fact::Delivered),
            read_at: facts.at(Fact::Read),
            played_at: facts.at(Fact::Played),
            failed_at: facts.at(Fact::Failed),
            released_at: facts.at(Fact::Released),
            code: failure.map(|failure| failure.code),
            class: failure.map(|failure| failure.class),
            title: failure.map(|failure| failure.title.clone()),
            details: failure.and_then(|failure| failure.details.clone()),
            provider_id: facts.provider_id.clone(),
            charge: facts.charge.map(crate::model::Charge::key),
        };
        (*facts != DeliveryFacts::default()).then_some(result)
    }

    /// The facts.
    #[must_use]
    pub fn facts(&self) -> DeliveryFacts {
        let mut facts = DeliveryFacts::default();
        let at = [
            (Fact::NotSent, self.not_sent_at),
            (Fact::Rejected, self.rejected_at),
            (Fact::Accepted, self.accepted_at),
            (Fact::InDoubt, self.in_doubt_at),
            (Fact::Sent, self.sent_at),
            (Fact::Delivered, self.delivered_at),
            (Fact::Read, self.read_at),
            (Fact::Played, self.played_at),
            (Fact::Failed, self.failed_at),
            (Fact::Released, self.released_at),
        ];
        for (fact, at) in at {
            if let Some(at) = at {
                facts.add(fact, at);
            }
        }
        facts.failure = self.class.map(|class| FailureCode {
            code: self.code.unwrap_or(0),
            class,
            title: self.title.clone().unwrap_or_default(),
            details: self.details.clone(),
        });
        facts.provider_id.clone_from(&self.provider_id);
        facts.charge = self.charge.as_deref().and_then(crate::model::Charge::from_key);
        facts
    }
}
