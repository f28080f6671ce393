//! What users do: they write, react to what they got, change their names and their minds.
//!
//! Source: Meta, Messages webhook reference and its pages per kind, read December 2025;
//! business-scoped user ids, read August 2026.

use serde_json::{Map, Value, json};

use super::super::accepted::{Accepted, Status, Step};
use super::super::callbacks::metadata;
use super::super::clock::SECOND;
use super::super::facts::Fact;
use super::super::incoming::{Incoming, Names, User};
use super::super::statuses::status;
use super::{News, SimulatorError, State, World};

impl World {
    /// A user writes: opens the window and sends the webhook.
    pub(crate) fn receive(
        &self,
        number: &str,
        from: &User,
        incoming: &Incoming,
    ) -> Result<String, SimulatorError> {
        let names = from.names().ok_or(SimulatorError::User)?;
        let at = self.now();
        let mut state = self.state();
        let profile = state.profile(number)?;
        self.meet(&mut state, &names);
        let id = self.wamid("inbound", state.next_event);
        let mut message = incoming.message(&id, at / SECOND);
        sender(&mut message, &names);
        let value = json!({
            "messaging_product": "whatsapp", "metadata": metadata(number, &profile),
            "contacts": [from.contact(&names)], "messages": [message],
        });
        let user = names.main().to_owned();
        let stops = incoming.words().is_some_and(|words| state.truth.is_stop_word(words));
        let wish = stops.then(|| (user.clone(), true));
        let (number, referred) = (number.to_owned(), incoming.is_referred());
        let fact = Fact::Wrote { at, number, user, message_id: Some(id.clone()), referred };
        state.stats.inbound += 1;
        let account = &profile.account;
        let news = News { at, account, field: "messages", value, fact: Some(fact), wish };
        self.happen(&mut state, news);
        Ok(id)
    }

    /// Opens a window without a message.
    pub(crate) fn open_window(&self, number: &str, with: &User) -> Result<(), SimulatorError> {
        let names = with.names().ok_or(SimulatorError::User)?;
        let mut state = self.state();
        state.profile(number)?;
        self.meet(&mut state, &names);
        let (at, number, user) = (self.now(), number.to_owned(), names.main().to_owned());
        self.note(&mut state, Fact::Wrote { at, number, user, message_id: None, referred: false });
        Ok(())
    }

    /// A user stops or resumes marketing messages.
    pub(crate) fn preference(&self, number: &str, of: &User, stop: bool) -> Result<(), SimulatorError> {
        let names = of.names().ok_or(SimulatorError::User)?;
        let at = self.now();
        let mut state = self.state();
        let profile = state.profile(number)?;
        self.meet(&mut state, &names);
        let (word, detail) = if stop {
            ("stop", "User requested to stop marketing messages")
        } else {
            ("resume", "User requested to resume marketing messages")
        };
        let mut preference = Map::from_iter([
            ("detail".to_owned(), json!(detail)),
            ("category".to_owned(), json!("marketing_messages")),
            ("value".to_owned(), json!(word)),
            ("timestamp".to_owned(), json!(at / SECOND)),
        ]);
        preference.extend(names.phone.as_ref().map(|phone| ("wa_id".to_owned(), json!(phone))));
        preference.extend(names.user_id.as_ref().map(|id| ("user_id".to_owned(), json!(id))));
        let value = json!({
            "messaging_product": "whatsapp", "metadata": metadata(number, &profile),
            "contacts": [of.contact(&names)], "user_preferences": [preference],
        });
        let user = names.main().to_owned();
        let (fact, wish) = (Some(Fact::Preference { user: user.clone(), stop }), Some((user, stop)));
        let account = &profile.account;
        self.happen(&mut state, News { at, account, field: "user_preferences", value, fact, wish });
        Ok(())
    }

    /// A user takes another phone number; the windows of the old one stay behind.
    pub(crate) fn change_number(&self, number: &str, from: &User, to: &User) -> Result<(), SimulatorError> {
        let (old, new) = (from.names().ok_or(SimulatorError::User)?, to.names().ok_or(SimulatorError::User)?);
        let (Some(before), Some(after)) = (&old.phone, &new.phone) else { return Err(SimulatorError::User) };
        let fact = Fact::Moved { from: before.clone(), to: after.clone() };
        let mut system = json!({
            "body": format!("User {} changed from {before} to {after}", from.display()), "wa_id": after,
            "type": "user_changed_number",
        });
        if let (Some(id), Some(system)) = (&new.user_id, system.as_object_mut()) {
            system.insert("user_id".to_owned(), json!(id));
        }
        self.system(number, &old, system, fact)?;
        let mut state = self.state();
        self.meet(&mut state, &new);
        Ok(())
    }

    /// A user gets another business-scoped user id and stays the same person.
    ///
    /// Unconfirmed: where the new id stands; `previous_user_id` is documented.
    pub(crate) fn change_user_id(&self, number: &str, from: &User, to: &str) -> Result<(), SimulatorError> {
        let old = from.names().ok_or(SimulatorError::User)?;
        let new = User::from(to).names().and_then(|names| names.user_id).ok_or(SimulatorError::User)?;
        let before = old.user_id.clone().ok_or(SimulatorError::User)?;
        let system = json!({
            "body": format!("User {} changed their user id", from.display()), "user_id": new,
            "previous_user_id": before, "type": "user_changed_user_id",
        });
        let fact = Fact::Met { user_id: new.clone(), person: old.main().to_owned() };
        self.system(number, &Names { phone: old.phone.clone(), user_id: Some(new) }, system, fact)
    }

    fn system(&self, number: &str, names: &Names, system: Value, fact: Fact) -> Result<(), SimulatorError> {
        let at = self.now();
        let mut state = self.state();
        let profile = state.profile(number)?;
        self.meet(&mut state, names);
        let id = self.wamid("inbound", state.next_event);
        let mut message = Incoming::raw("system", system).message(&id, at / SECOND);
        sender(&mut message, names);
        let value = json!({
            "messaging_product": "whatsapp", "metadata": metadata(number, &profile), "messages": [message],
        });
        let account = &profile.account;
        let news = News { at, account, field: "messages", value, fact: Some(fact), wish: None };
        self.happen(&mut state, news);
        Ok(())
    }

    /// Somebody of the business writes by the phone app of a number in coexistence.
    pub(crate) fn echo(&self, number: &str, to: &User, sent: &Incoming) -> Result<String, SimulatorError> {
        let names = to.names().ok_or(SimulatorError::User)?;
        let at = self.now();
        let mut state = self.state();
        let profile = state.profile(number)?;
        self.meet(&mut state, &names);
        let id = self.wamid("echo", state.next_event);
        let mut echo = sent.message(&id, at / SECOND);
        echo.insert("from".to_owned(), json!(profile.display_phone_number));
        echo.extend(names.phone.as_ref().map(|phone| ("to".to_owned(), json!(phone))));
        echo.extend(names.user_id.as_ref().map(|id| ("to_user_id".to_owned(), json!(id))));
        let value = json!({
            "messaging_product": "whatsapp", "metadata": metadata(number, &profile),
            "contacts": [to.contact(&names)], "message_echoes": [echo],
        });
        let account = &profile.account;
        let news = News { at, account, field: "smb_message_echoes", value, fact: None, wish: None };
        self.happen(&mut state, news);
        Ok(id)
    }

    /// A user reads or plays a message by hand of the test: the status is told now.
    pub(crate) fn report(&self, wamid: &str, what: Status) -> Result<(), SimulatorError> {
        let at = self.now();
        let mut state = self.state();
        let unknown = || SimulatorError::UnknownMessage(wamid.to_owned());
        let sent = state.accepted.iter().rfind(|sent| sent.wamid == wamid).cloned().ok_or_else(unknown)?;
        let profile = state.profile(&sent.number)?;
        let step = Step { status: what, at, due: at, code: None };
        let told = Accepted { plan: vec![step], ..(*sent).clone() };
        let mut status = status(&told, &step, state.truth.till.pricing.with_billable);
        if let Some(status) = status.as_object_mut() {
            // The statuses of the plan have said the price.
            status.remove("pricing");
        }
        let value = json!({
            "messaging_product": "whatsapp", "metadata": metadata(&sent.number, &profile),
            "statuses": [status],
        });
        let account = &profile.account;
        self.happen(&mut state, News { at, account, field: "messages", value, fact: None, wish: None });
        Ok(())
    }

    /// Lets users do what is due.
    pub(crate) fn act_due(&self) {
        loop {
            let Some(act) = self.state().acts.pop_due(self.now()) else { return };
            let user = User::from(&act.user);
            // Both fail only for a number or a user that is none, and no send was accepted for these.
            let _ = if act.stops {
                self.preference(&act.number, &user, true)
            } else {
                self.receive(&act.number, &user, &Incoming::text("An answer of the simulator")).map(drop)
            };
        }
    }

    /// Two names in one webhook are one person.
    fn meet(&self, state: &mut State, names: &Names) {
        if let (Some(phone), Some(user_id)) = (&names.phone, &names.user_id)
            && state.truth.people.key(user_id) != phone
        {
            self.note(state, Fact::Met { user_id: user_id.clone(), person: phone.clone() });
        }
    }
}

fn sender(message: &mut Map<String, Value>, names: &Names) {
    message.extend(names.phone.as_ref().map(|phone| ("from".to_owned(), json!(phone))));
    message.extend(names.user_id.as_ref().map(|id| ("from_user_id".to_owned(), json!(id))));
}
