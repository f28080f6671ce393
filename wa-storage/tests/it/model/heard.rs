//! What webhooks tell in a script beside statuses, and the calls on windows and conversations.

use chrono::{DateTime, TimeDelta, Utc};
use wa_core::model::{
    AccountChange, AccountUpdate, BanState, BusinessCapability, Category, Consent, ContactId, Conversation,
    ConversationAction, ConversationId, ConversationState, Echo, InboundBody, InboundEvent, InboundMedia,
    InboundMessage, NumberEvent, NumberQuality, Preference, PreferenceChoice, Quality, Referral, Restriction,
    RestrictionKind, TemplateCategoryChange, TemplateEvent, TemplateQuality, TemplateRef, TemplateStatus,
    Tier, UserChange, UserChangeKind,
};
use wa_core::port::store::{
    Assignment, ConversationFilter, ConversationKey, ConversationMessage, ProjectedEvent, WindowEntry,
    WindowFilter,
};
use wa_core::testing::scope;

use super::script::{Script, Step};
use super::stores::every;

impl Script {
    /// An instant around now: mostly seconds ago, sometimes a day, sometimes ahead.
    fn around(&self) -> DateTime<Utc> {
        let seconds = i64::try_from(self.roll(9)).expect("small") - 6;
        let hours = if self.percent(25) { i64::try_from(self.roll(60)).expect("small") } else { 0 };
        self.now() + TimeDelta::seconds(seconds) - TimeDelta::hours(hours)
    }

    fn heard_at(&self) -> wa_core::model::NumberId {
        self.number(if self.percent(80) { self.known_number() } else { self.roll(4) })
    }

    fn body(&self) -> InboundBody {
        let target = format!("in.{}", self.roll(30));
        match self.roll(10) {
            0 => InboundBody::Other { name: "odd".to_owned() },
            1 => InboundBody::Image(InboundMedia::default()),
            2 => InboundBody::Edit { target, body: Box::new(InboundBody::text("better")) },
            3 => InboundBody::Revoke { target },
            4 => {
                let target = if self.percent(50) { self.provider_id(0) } else { target };
                InboundBody::Reaction { target, emoji: self.percent(70).then(|| "👍".to_owned()) }
            }
            _ => InboundBody::text("hello"),
        }
    }

    fn fresh(&mut self) -> ContactId {
        ContactId::from_uuid(self.uuid())
    }

    pub(super) fn written(&mut self) -> ProjectedEvent {
        let message = InboundMessage {
            profile_name: self.percent(30).then(|| format!("Name {}", self.roll(3))),
            username: self.percent(20).then(|| format!("user{}", self.roll(3))),
            referral: self.percent(20).then(Referral::default),
            group: self.percent(5).then(|| "g.1".to_owned()),
            ..InboundMessage::new(
                self.heard_at(),
                format!("in.{}", self.roll(30)),
                self.recipient(),
                self.around(),
                self.body(),
            )
        };
        let consent = match self.roll(10) {
            0 => Some(Consent::OptedOut),
            1 => Some(Consent::Allowed),
            _ => None,
        };
        ProjectedEvent::Message { message, fresh_contact: self.fresh(), consent }
    }

    pub(super) fn told_of_user(&mut self) -> ProjectedEvent {
        match self.roll(4) {
            0 => {
                let change = if self.percent(70) { UserChangeKind::Number } else { UserChangeKind::UserId };
                let (old, new) = (self.recipient(), self.recipient());
                let (number, provider_id, at) = (self.heard_at(), "system".to_owned(), self.around());
                let change = UserChange { number, provider_id, at, change, old, new };
                ProjectedEvent::UserChanged { change }
            }
            1 => {
                let choice = if self.percent(60) { PreferenceChoice::Stop } else { PreferenceChoice::Resume };
                let (number, recipient, at) = (self.heard_at(), self.recipient(), self.around());
                let preference = Preference { number, recipient, at, category: None, choice };
                ProjectedEvent::Preference { preference, fresh_contact: self.fresh() }
            }
            _ => {
                let echo = Echo {
                    number: self.heard_at(),
                    provider_id: format!("in.{}", self.roll(30)),
                    to: self.percent(90).then(|| self.recipient()),
                    at: self.around(),
                    body: self.body(),
                };
                ProjectedEvent::Echo { echo, fresh_contact: self.fresh() }
            }
        }
    }

    pub(super) fn decided(&self) -> ProjectedEvent {
        let (account, at) = (self.account(), self.around());
        let name = if self.percent(70) { "hello" } else { "receipt" };
        let template = TemplateRef {
            id: None,
            name: name.parse().ok(),
            language: Some("en_US".parse().expect("a language")),
        };
        let event = match self.roll(6) {
            0 | 1 => {
                let events = [
                    TemplateEvent::Paused,
                    TemplateEvent::Approved,
                    TemplateEvent::Disabled,
                    TemplateEvent::Flagged,
                    TemplateEvent::Reinstated,
                ];
                InboundEvent::TemplateStatus(TemplateStatus {
                    account,
                    template,
                    category: None,
                    event: self.pick(&events).expect("five").clone(),
                    reason: None,
                    title: self.percent(30).then(|| "SECOND_PAUSE".to_owned()),
                    description: None,
                    recommendation: None,
                    disable_date: None,
                    at,
                })
            }
            2 if self.percent(50) => {
                let new = *self.pick(&[Quality::Green, Quality::Red]).expect("two");
                InboundEvent::TemplateQuality(TemplateQuality { account, template, previous: None, new, at })
            }
            2 => {
                let (to, is_final) = (Category::Marketing, self.percent(60));
                let change = TemplateCategoryChange {
                    account,
                    template,
                    from: None,
                    to,
                    is_final,
                    effective_at: None,
                    at,
                };
                InboundEvent::TemplateCategory(change)
            }
            3 => {
                let events = [NumberEvent::ThroughputUpgrade, NumberEvent::Flagged, NumberEvent::Unflagged];
                InboundEvent::NumberQuality(NumberQuality {
                    account,
                    display_phone_number: self.percent(90).then(|| self.phone()),
                    event: self.pick(&events).expect("three").clone(),
                    current_limit: None,
                    old_limit: None,
                    business_limit: self.percent(20).then_some(Tier::Limited(6)),
                    at,
                })
            }
            4 => InboundEvent::BusinessCapability(BusinessCapability {
                account,
                business_limit: Some(Tier::Limited(5)),
                max_numbers: None,
                max_numbers_of_account: None,
                at,
            }),
            _ => {
                let restriction = Restriction {
                    kind: RestrictionKind::BusinessInitiated,
                    until: self.percent(80).then(|| self.now() + TimeDelta::seconds(8)),
                };
                let change = match self.roll(5) {
                    0 => AccountChange::Ban { state: BanState::Disable, date: None },
                    1 | 2 => AccountChange::Ban { state: BanState::Reinstate, date: None },
                    3 => AccountChange::Restriction { restrictions: vec![restriction] },
                    _ => AccountChange::Reconnected,
                };
                InboundEvent::Account(AccountUpdate {
                    account,
                    display_phone_number: self.percent(20).then(|| self.phone()),
                    name: "ACCOUNT_UPDATE".to_owned(),
                    change,
                    at,
                })
            }
        };
        ProjectedEvent::Decision { event }
    }

    /// A tenant that has conversations, and one of them.
    async fn conversation(&self) -> Result<Option<(wa_core::port::Scope, Conversation)>, super::Mismatch> {
        for tenant in self.tenants() {
            let of = scope::tenant(tenant);
            let every = ConversationFilter::default();
            let all = every!(self.stores, s => s.inbox().conversations(&of, &every, None, 100));
            if let Some(one) = self.pick(&all.unwrap_or_default()) {
                return Ok(Some((of, one.clone())));
            }
        }
        Ok(None)
    }

    pub(super) async fn converse(&mut self) -> Step {
        let Some((of, one)) = self.conversation().await? else { return Ok(()) };
        let id = one.id;
        match self.roll(7) {
            0 => {
                let filter = WindowFilter {
                    session: self.percent(30).then_some(id.session),
                    open_only: self.percent(50),
                };
                let limit = self.limit();
                let first = every!(self.stores, s => s.inbox().windows(&of, &filter, None, limit));
                let after = first.unwrap_or_default().last().map(WindowEntry::key);
                let page = every!(self.stores, s => s.inbox().windows(&of, &filter, after, limit));
                self.tell("windows", page.is_ok(), after);
            }
            1 => {
                let filter = ConversationFilter {
                    state: self.percent(30).then_some(ConversationState::Open),
                    assigned: self.percent(30).then_some(Assignment::Nobody),
                    session: self.percent(30).then_some(id.session),
                };
                let after = self.percent(50).then(|| ConversationKey::from(&one));
                let limit = self.limit();
                let page = every!(self.stores, s => s.inbox().conversations(&of, &filter, after, limit));
                self.tell("conversations", page.is_ok(), (filter, after));
            }
            2 => {
                let (_, contact) = self.contact();
                let id = if self.percent(70) { id } else { ConversationId { contact, ..id } };
                let found = every!(self.stores, s => s.inbox().conversation(&of, id));
                self.tell("conversation", found.is_ok_and(|it| it.is_some()), id);
            }
            3 | 4 => {
                let limit = self.limit();
                let first = every!(self.stores, s => s.inbox().conversation_messages(&of, id, None, limit));
                let after = first.unwrap_or_default().last().map(ConversationMessage::place);
                let page = every!(self.stores, s => s.inbox().conversation_messages(&of, id, after, limit));
                self.tell("conversation_messages", page.is_ok(), after);
            }
            _ => {
                let action = match self.roll(5) {
                    0 => ConversationAction::Assign(Some("ada".parse().expect("an agent"))),
                    1 => ConversationAction::Assign(None),
                    2 => ConversationAction::Reopen,
                    3 => ConversationAction::MarkRead,
                    _ => ConversationAction::Close,
                };
                let done = every!(self.stores, s => s.inbox().act_on_conversation(&of, id, &action));
                self.tell("act_on_conversation", done.is_ok_and(|it| it.is_some()), (id, action));
            }
        }
        Ok(())
    }

    pub(super) async fn templates(&mut self) -> Step {
        let (of, limit) = (self.scope(), self.limit());
        let first = every!(self.stores, s => s.numbers().templates(&of, None, limit)).unwrap_or_default();
        let after = first.last().map(|record| record.key.clone());
        let page = every!(self.stores, s => s.numbers().templates(&of, after.as_ref(), limit));
        self.tell("templates", page.is_ok(), after);
        Ok(())
    }
}
