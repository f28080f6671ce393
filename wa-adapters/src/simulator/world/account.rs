//! What Meta does to templates, numbers and accounts, each with its webhook.
//!
//! Source: Meta, webhook references of `message_template_status_update`,
//! `message_template_quality_update`, `template_category_update`, `phone_number_quality_update`,
//! `business_capability_update` and `account_update`, read December 2025.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::clock::{DAY, Micros, SECOND, instant};
use super::super::profile::{NumberProfile, Quality, tier_name};
use super::super::templates::{Template, TemplateCategory, TemplateStatus};
use super::super::trouble::{AccountTrouble, NumberTrouble};
use super::super::truth::Number;
use super::{News, SimulatorError, State, World};

impl World {
    /// Moves a template to another state, with its webhook.
    pub(crate) fn template_status(
        &self,
        name: &str,
        language: &str,
        status: TemplateStatus,
    ) -> Result<(), SimulatorError> {
        let at = self.now();
        let mut state = self.state();
        let template = state.template(name, language)?;
        let before = std::mem::replace(&mut template.status, status);
        let pause = if before == TemplateStatus::Paused { "UNPAUSE" } else { "FIRST_PAUSE" };
        let is_back = before == TemplateStatus::Disabled && status == TemplateStatus::Approved;
        let mut value = template.named();
        let Some(object) = value.as_object_mut() else { return Ok(()) };
        object.insert("event".to_owned(), json!(if is_back { "REINSTATED" } else { status.name() }));
        object.insert(
            "reason".to_owned(),
            json!(if status == TemplateStatus::Rejected { "INVALID_FORMAT" } else { "NONE" }),
        );
        object.insert("message_template_category".to_owned(), json!(template.category.name()));
        match status {
            TemplateStatus::Approved if before == TemplateStatus::Paused => {
                let other = json!({ "title": pause, "description": "The template can be sent again." });
                object.insert("other_info".to_owned(), other);
            }
            TemplateStatus::Paused => {
                let other = json!({ "title": pause, "description": "The template got bad feedback." });
                object.insert("other_info".to_owned(), other);
            }
            TemplateStatus::Disabled => {
                let other = json!({ "title": "DISABLED", "description": "The template got bad feedback." });
                object.insert("other_info".to_owned(), other);
                let date = json!({ "disable_date": (at / SECOND).to_string() });
                object.insert("disable_info".to_owned(), date);
            }
            TemplateStatus::Rejected => {
                let why = json!({
                    "reason": "Simulated: the format is not valid.", "recommendation": "Create another one.",
                });
                object.insert("rejection_info".to_owned(), why);
            }
            TemplateStatus::Approved | TemplateStatus::Pending => {}
        }
        self.tell_all(&mut state, at, "message_template_status_update", &value);
        Ok(())
    }

    /// Readers rate a template.
    pub(crate) fn template_quality(
        &self,
        name: &str,
        language: &str,
        quality: Quality,
    ) -> Result<(), SimulatorError> {
        let at = self.now();
        let mut state = self.state();
        let template = state.template(name, language)?;
        let before = std::mem::replace(&mut template.quality, quality.name());
        let mut value = template.named();
        if let Some(object) = value.as_object_mut() {
            object.insert("previous_quality_score".to_owned(), json!(before));
            object.insert("new_quality_score".to_owned(), json!(quality.name()));
        }
        self.tell_all(&mut state, at, "message_template_quality_update", &value);
        Ok(())
    }

    /// A template will be of another category in 24 hours, or is from now on.
    pub(crate) fn template_category(
        &self,
        name: &str,
        language: &str,
        category: TemplateCategory,
        is_final: bool,
    ) -> Result<(), SimulatorError> {
        let at = self.now();
        let mut state = self.state();
        let template = state.template(name, language)?;
        let before = template.category;
        let mut value = template.named();
        let Some(object) = value.as_object_mut() else { return Ok(()) };
        if is_final {
            template.category = category;
            object.insert("previous_category".to_owned(), json!(before.name()));
            object.insert("new_category".to_owned(), json!(category.name()));
        } else {
            object.insert("new_category".to_owned(), json!(before.name()));
            object.insert("correct_category".to_owned(), json!(category.name()));
            object.insert("category_update_timestamp".to_owned(), json!((at + DAY) / SECOND));
        }
        self.tell_all(&mut state, at, "template_category_update", &value);
        Ok(())
    }

    /// Readers rate a number.
    ///
    /// Unconfirmed: `FLAGGED` and `UNFLAGGED` are of older versions; `current_limit` was to go.
    pub(crate) fn number_quality(&self, number: &str, quality: Quality) -> Result<(), SimulatorError> {
        let at = self.now();
        let mut state = self.state();
        let own = state.number(number)?;
        let before = std::mem::replace(&mut own.profile.quality, quality);
        let profile = own.profile.clone();
        let event = match (before == Quality::Red, quality == Quality::Red) {
            (false, true) => "FLAGGED",
            (true, false) => "UNFLAGGED",
            // Meta sends nothing about a rating between the two.
            _ => return Ok(()),
        };
        self.tell_number(&mut state, at, &profile, event);
        Ok(())
    }

    /// A number's throughput is raised; until the outage ends its sends are answered 131057.
    pub(crate) fn throughput(
        &self,
        number: &str,
        throughput: u32,
        outage: Micros,
    ) -> Result<(), SimulatorError> {
        let at = self.now();
        let mut state = self.state();
        let own = state.number(number)?;
        own.trouble.maintenance_until = at + outage;
        own.track.hold(at, at + outage);
        own.set_throughput(at + outage, throughput.max(1));
        let profile = own.profile.clone();
        self.tell_number(&mut state, at + outage, &profile, "THROUGHPUT_UPGRADE");
        Ok(())
    }

    /// Another messaging limit for a number's portfolio.
    pub(crate) fn tier(&self, number: &str, limit: Option<u32>) -> Result<(), SimulatorError> {
        let at = self.now();
        let mut state = self.state();
        let portfolio = state.number(number)?.profile.portfolio.clone();
        state.truth.set_tier(&portfolio, limit);
        let own = state.truth.numbers.values().filter(|own| own.profile.portfolio == portfolio);
        let accounts: BTreeSet<_> = own.map(|own| own.profile.account.clone()).collect();
        let value = json!({ "max_daily_conversations_per_business": tier_name(limit) });
        for account in accounts {
            let (field, value) = ("business_capability_update", value.clone());
            self.happen(&mut state, News { at, account: &account, field, value, fact: None, wish: None });
        }
        Ok(())
    }

    /// Something befalls a number, without a webhook.
    pub(crate) fn trouble_number(
        &self,
        number: &str,
        change: impl FnOnce(&mut NumberTrouble),
        held: Option<Micros>,
    ) -> Result<(), SimulatorError> {
        let at = self.now();
        let mut state = self.state();
        let own = state.number(number)?;
        change(&mut own.trouble);
        if let Some(held) = held {
            own.track.hold(at, at + held);
        }
        Ok(())
    }

    /// Something befalls an account; the webhook is an `account_update`.
    pub(crate) fn trouble_account(
        &self,
        account: &str,
        change: impl FnOnce(&mut AccountTrouble, Micros) -> Option<Value>,
    ) -> Result<(), SimulatorError> {
        let at = self.now();
        let mut state = self.state();
        if !state.truth.has_account(account) {
            return Err(SimulatorError::UnknownAccount(account.to_owned()));
        }
        let told = change(state.truth.accounts.entry(account.to_owned()).or_default(), at);
        if let Some(value) = told {
            let field = "account_update";
            self.happen(&mut state, News { at, account, field, value, fact: None, wish: None });
        }
        Ok(())
    }

    /// Templates that the builder made belong to every account.
    fn tell_all(&self, state: &mut State, at: Micros, field: &str, value: &Value) {
        let numbers = state.truth.numbers.values();
        let accounts: BTreeSet<_> = numbers.map(|number| number.profile.account.clone()).collect();
        for account in accounts {
            let value = value.clone();
            self.happen(state, News { at, account: &account, field, value, fact: None, wish: None });
        }
    }

    fn tell_number(&self, state: &mut State, at: Micros, profile: &NumberProfile, event: &str) {
        let tier = tier_name(state.truth.limit_of(profile));
        let value = json!({
            "display_phone_number": profile.display_phone_number, "event": event, "current_limit": tier,
            "max_daily_conversations_per_business": tier,
        });
        let (account, field) = (&profile.account, "phone_number_quality_update");
        self.happen(state, News { at, account, field, value, fact: None, wish: None });
    }
}

impl State {
    fn template(&mut self, name: &str, language: &str) -> Result<&mut Template, SimulatorError> {
        let unknown =
            || SimulatorError::UnknownTemplate { name: name.to_owned(), language: language.to_owned() };
        self.truth.templates.find(name, language).ok_or_else(unknown)
    }

    fn number(&mut self, number: &str) -> Result<&mut Number, SimulatorError> {
        let unknown = || SimulatorError::UnknownNumber(number.to_owned());
        self.truth.numbers.get_mut(number).ok_or_else(unknown)
    }
}

impl Template {
    /// The keys by which a webhook names it.
    fn named(&self) -> Value {
        json!({
            "message_template_id": self.id, "message_template_name": self.name,
            "message_template_language": self.language,
        })
    }
}

/// The `account_update` of a restriction.
pub(crate) fn restriction(until: Micros) -> Value {
    json!({
        "event": "ACCOUNT_RESTRICTION",
        "restriction_info": [{
            "restriction_type": "RESTRICTED_BIZ_INITIATED_MESSAGING", "expiration": until / SECOND,
        }],
    })
}

/// The `account_update` of a ban, or of its end.
pub(crate) fn ban(is_banned: bool, at: Micros) -> Value {
    json!({
        "event": "DISABLED_UPDATE",
        "ban_info": {
            "waba_ban_state": if is_banned { "DISABLE" } else { "REINSTATE" },
            "waba_ban_date": instant(at).format("%B %d, %Y").to_string(),
        },
    })
}
