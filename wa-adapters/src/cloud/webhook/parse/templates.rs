//! Decisions about templates.

use serde_json::Value;
use wa_core::model::{
    Category, InboundEvent, TemplateCategoryChange, TemplateComponents, TemplateQuality, TemplateRef,
    TemplateStatus,
};

use super::Change;
use super::json::{instant, json, list, lower, name, note, text, word};
use crate::cloud::session::quality;

impl Change<'_> {
    pub(super) fn template_status(&self) -> Option<InboundEvent> {
        let value = self.value;
        let template = self.template()?;
        let event = lower(value, "event")?;
        let part = |part: &str, field: &str| note(value.get(part)?, field);
        Some(InboundEvent::TemplateStatus(TemplateStatus {
            account: self.account.clone(),
            template,
            category: category(value, "message_template_category"),
            event: event.into(),
            reason: name(value, "reason").filter(|reason| reason != "NONE"),
            title: part("other_info", "title"),
            description: part("other_info", "description").or_else(|| part("rejection_info", "reason")),
            recommendation: part("rejection_info", "recommendation"),
            disable_date: value.get("disable_info").and_then(|info| name(info, "disable_date")),
            at: self.at,
        }))
    }

    pub(super) fn template_quality(&self) -> Option<InboundEvent> {
        let score = |field: &str| text(self.value, field).and_then(quality);
        Some(InboundEvent::TemplateQuality(TemplateQuality {
            account: self.account.clone(),
            template: self.template()?,
            previous: score("previous_quality_score"),
            new: score("new_quality_score")?,
            at: self.at,
        }))
    }

    /// In an announcement `new_category` is the present one, and `correct_category` that to come.
    pub(super) fn template_category(&self) -> Option<InboundEvent> {
        let value = self.value;
        let named = |field: &str| category(value, field);
        let (from, to, is_final) = match named("correct_category") {
            Some(to) => (named("new_category"), to, false),
            None => (named("previous_category"), named("new_category")?, true),
        };
        Some(InboundEvent::TemplateCategory(TemplateCategoryChange {
            account: self.account.clone(),
            template: self.template()?,
            from,
            to,
            is_final,
            effective_at: instant(value, "category_update_timestamp").filter(|_| !is_final),
            at: self.at,
        }))
    }

    pub(super) fn template_components(&self) -> Option<InboundEvent> {
        let value = self.value;
        let part = |field: &str| text(value, field).map(str::to_owned);
        let components = TemplateComponents {
            account: self.account.clone(),
            template: self.template()?,
            title: part("message_template_title"),
            body: part("message_template_element"),
            footer: part("message_template_footer"),
            buttons: value.get("message_template_buttons").filter(|it| it.is_array()).map(json),
            at: self.at,
        };
        let says_something = components.title.is_some()
            || components.body.is_some()
            || components.footer.is_some()
            || !list(value, "message_template_buttons").is_empty();
        says_something.then_some(InboundEvent::TemplateComponents(components))
    }

    /// The template that the change names.
    pub(super) fn template(&self) -> Option<TemplateRef> {
        let part = |field: &str| word(self.value, field);
        let template = TemplateRef {
            id: part("message_template_id"),
            name: part("message_template_name").and_then(|name| name.parse().ok()),
            language: part("message_template_language").and_then(|language| language.parse().ok()),
        };
        (template.id.is_some() || template.name.is_some()).then_some(template)
    }
}

fn category(value: &Value, field: &str) -> Option<Category> {
    Category::from_name(&lower(value, field)?)
}
