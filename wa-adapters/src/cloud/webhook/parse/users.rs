//! System notes about users, and what users want.

use serde_json::Value;
use wa_core::model::{IdentityChange, InboundEvent, Preference, Recipient, UserChange, UserChangeKind};

use super::Change;
use super::json::{bsuid, lower, name, phone, text, word};

impl Change<'_> {
    pub(super) fn system(&self, item: &Value) -> InboundEvent {
        let system = item.get("system").unwrap_or(&Value::Null);
        let kind = text(system, "type").unwrap_or("");
        let event = match kind {
            "user_changed_number" => self.user_changed(item, system, UserChangeKind::Number),
            "user_changed_user_id" => self.user_changed(item, system, UserChangeKind::UserId),
            "customer_identity_changed" | "user_identity_changed" => self.identity_changed(item, system),
            _ => None,
        };
        event.unwrap_or_else(|| {
            self.unknown(&if kind.is_empty() {
                "message.system".to_owned()
            } else {
                format!("message.system.{kind}")
            })
        })
    }

    fn user_changed(&self, item: &Value, system: &Value, change: UserChangeKind) -> Option<InboundEvent> {
        let (number, provider_id) = self.identified(item)?;
        let new = Recipient::new(phone(system, "wa_id"), bsuid(system, "user_id")).ok()?;
        // The author's id may be the new one already.
        let author = bsuid(item, "from_user_id").filter(|user| Some(user) != new.bsuid());
        let old = Recipient::new(
            phone(item, "from").filter(|from| change == UserChangeKind::UserId || Some(*from) != new.phone()),
            bsuid(system, "previous_user_id").or(author),
        );
        let at = self.instant(item);
        Some(InboundEvent::UserChanged(UserChange { number, provider_id, at, change, old: old.ok()?, new }))
    }

    fn identity_changed(&self, item: &Value, system: &Value) -> Option<InboundEvent> {
        let (number, provider_id) = self.identified(item)?;
        let from = self.person(phone(item, "from"), bsuid(item, "from_user_id")).0?;
        let identity = item.get("identity").or_else(|| system.get("identity"));
        Some(InboundEvent::IdentityChanged(IdentityChange {
            number,
            provider_id,
            from,
            at: self.instant(item),
            hash: identity.and_then(|identity| word(identity, "hash")),
        }))
    }

    pub(super) fn preference(&self, item: &Value) -> InboundEvent {
        // Not the only contact of the change: its will must not be taken for another's.
        let recipient = Recipient::new(phone(item, "wa_id"), bsuid(item, "user_id"));
        let (Some(number), Ok(recipient), Some(choice)) = (self.number(), recipient, lower(item, "value"))
        else {
            return self.unknown("user_preference");
        };
        InboundEvent::Preference(Preference {
            number,
            recipient,
            at: self.instant(item),
            category: name(item, "category"),
            choice: choice.into(),
        })
    }
}
