//! Messages and calls of users, and messages that a person typed on the business's own phone.
//!
//! What a user wrote to the number, alone or in a group, is a `Message`; system notes are events of
//! their own. A message from the number itself came under the wrong name and is an `Echo`.

use serde_json::Value;
use wa_core::model::{
    Echo, InboundBody, InboundContext, InboundEvent, InboundMessage, NumberId, Recipient, Referral,
    ReferredProduct,
};

use super::body::{body, kind};
use super::json::{bsuid, flag, name, note, phone, text, word};
use super::{Change, Contact};

impl Change<'_> {
    pub(super) fn message(&self, item: &Value) -> InboundEvent {
        let kind = kind(item);
        let unknown = || self.unknown(&format!("message.{kind}"));
        if kind == "system" {
            return self.system(item);
        }
        // Somebody opened the chat and has not said anything.
        if matches!(kind, "request_welcome" | "") {
            return unknown();
        }
        let (from, contact) = self.person(phone(item, "from"), bsuid(item, "from_user_id"));
        let (Some((number, provider_id)), Some(from)) = (self.identified(item), from) else {
            return unknown();
        };
        if self.is_own_number(&from) {
            return self.echo(item);
        }
        InboundEvent::Message(self.written(item, number, provider_id, from, contact, body(item, kind)))
    }

    /// What a user did, with everything that the item and the user's contact say of it.
    fn written(
        &self,
        item: &Value,
        number: NumberId,
        provider_id: String,
        from: Recipient,
        contact: Option<&Contact<'_>>,
        body: InboundBody,
    ) -> InboundMessage {
        let profile = contact.and_then(|contact| contact.value.get("profile"));
        let parent = bsuid(item, "from_parent_user_id");
        InboundMessage {
            number,
            provider_id,
            from,
            parent: parent.or_else(|| bsuid(contact?.value, "parent_user_id")),
            profile_name: profile.and_then(|profile| text(profile, "name")).map(str::to_owned),
            username: profile.and_then(|profile| text(profile, "username")).map(str::to_owned),
            at: self.instant(item),
            body,
            context: item.get("context").and_then(context),
            referral: item.get("referral").and_then(referral),
            group: word(item, "group_id"),
            standby: self.field == "standby",
        }
    }

    /// A call by a user, once: when it rings. How it goes on is another product's.
    pub(super) fn call(&self, item: &Value) -> Option<InboundEvent> {
        let is_new =
            text(item, "direction") == Some("USER_INITIATED") && text(item, "event") == Some("connect");
        let (number, provider_id) = self.identified(item).filter(|_| is_new)?;
        let (from, contact) = self.person(phone(item, "from"), bsuid(item, "from_user_id"));
        Some(InboundEvent::Message(self.written(
            item,
            number,
            provider_id,
            from?,
            contact,
            InboundBody::Call,
        )))
    }

    pub(super) fn echo(&self, item: &Value) -> InboundEvent {
        let kind = kind(item);
        let Some((number, provider_id)) = self.identified(item) else {
            return self.unknown(&format!("echo.{kind}"));
        };
        InboundEvent::Echo(Echo {
            number,
            provider_id,
            to: self.addressee(item),
            at: self.instant(item),
            body: body(item, kind),
        })
    }

    /// Who an echo went to. Edits and deletions may have both sides swapped.
    fn addressee(&self, item: &Value) -> Option<Recipient> {
        let named = Recipient::new(phone(item, "to"), bsuid(item, "to_user_id")).ok();
        let swapped = || Recipient::new(phone(item, "from"), bsuid(item, "from_user_id")).ok();
        let other = |side: &Recipient| !self.is_own_number(side);
        let side = named.filter(other).or_else(|| swapped().filter(other));
        let phone = side.as_ref().and_then(Recipient::phone);
        let user = side.as_ref().and_then(Recipient::bsuid).cloned();
        self.person(phone, user).0
    }
}

fn context(value: &Value) -> Option<InboundContext> {
    let context = InboundContext {
        quoted: word(value, "id"),
        forwarded: flag(value, "forwarded").unwrap_or(false),
        frequently_forwarded: flag(value, "frequently_forwarded").unwrap_or(false),
        product: value.get("referred_product").and_then(product),
    };
    (context != InboundContext::default()).then_some(context)
}

fn product(value: &Value) -> Option<ReferredProduct> {
    let product =
        ReferredProduct { catalog: word(value, "catalog_id"), product: word(value, "product_retailer_id") };
    (product != ReferredProduct::default()).then_some(product)
}

fn referral(value: &Value) -> Option<Referral> {
    let referral = Referral {
        source_id: word(value, "source_id"),
        source_type: name(value, "source_type"),
        source_url: text(value, "source_url").map(str::to_owned),
        headline: note(value, "headline"),
        body: note(value, "body"),
        ctwa_clid: text(value, "ctwa_clid").map(str::to_owned),
    };
    (referral != Referral::default()).then_some(referral)
}
