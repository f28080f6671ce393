//! The rules about whom a message goes to: windows, wishes, tiers and caps.

use super::super::clock::{Micros, length};
use super::super::error::{Breach, Refusal};
use super::super::templates::TemplateCategory;
use super::super::wire::{Message, Recipient};
use super::{Judgement, RecipientErrors, Truth, UnknownTarget, hash};

impl Truth {
    /// The rules about whom a message goes to; some are answered, some reported later.
    pub(super) fn check_recipient(
        &mut self,
        number: &str,
        message: &Message,
        judgement: &mut Judgement,
        now: Micros,
    ) -> Result<(), Refusal> {
        let Judgement { user, in_window, template, .. } = &*judgement;
        let (in_window, template) = (*in_window, *template);
        let is_marketing = template == Some(TemplateCategory::Marketing);
        if template == Some(TemplateCategory::Authentication) && matches!(message.to, Recipient::UserId(_)) {
            return Err(Refusal::new(131_062, "Authentication templates go to phone numbers only."));
        }
        let refusal = if template.is_none() && !in_window {
            let details = "More than 24 hours have passed since the user last wrote to this number.";
            Some(Refusal::breaking(Breach::Window, 131_047, details))
        } else if is_marketing && self.people.has_opted_out(user) {
            let details = "The user has stopped marketing messages from this business.";
            let breach = self.knows_of_stop(user, now).then_some(Breach::OptOut);
            Some(Refusal { breach, ..Refusal::new(131_050, details) })
        } else {
            None
        };
        if let Some(refusal) = refusal {
            return match self.conditions.recipient_errors {
                RecipientErrors::Answered => Err(refusal),
                RecipientErrors::Reported => {
                    judgement.fails = Some(refusal);
                    Ok(())
                }
            };
        }
        if !in_window {
            let own = self.numbers.get(number).ok_or_else(|| Refusal::no_such_object(number))?;
            if now < own.trouble.spam_until {
                return Err(Refusal::new(131_048, "Too many messages of this number were reported as spam."));
            }
            let tier = self.portfolios.get_mut(&own.profile.portfolio);
            if let Some(tier) = tier
                && !tier.has_room(user, now)
            {
                // Unconfirmed: Meta documents no code for this; 131048 is what senders report.
                let details = "The portfolio has reached its messaging limit for 24 hours.";
                return Err(Refusal::breaking(Breach::Tier, 131_048, details));
            }
        }
        judgement.fails = if self.people.has_left(user) {
            Some(Refusal::new(131_026, "The user has left this phone number."))
        } else if let Some((_, _, code)) = self.conditions.failing.iter().find(|(beginning, scope, _)| {
            user.starts_with(beginning.as_str()) && scope.covers(in_window, template.is_some(), is_marketing)
        }) {
            Some(Refusal::new(*code, "Set by the test: messages do not reach this recipient."))
        } else if is_marketing && !in_window && !self.marketing_cap.has_room(user, now) {
            Some(Refusal::new(131_049, "The user has had enough marketing messages today."))
        } else if self.conditions.unknown_target == UnknownTarget::Fails
            && message.reacts_to.as_ref().is_some_and(|id| !self.known.contains(&hash(number, id)))
        {
            // Unconfirmed: the code is the one that senders report for messages older than 30 days.
            Some(Refusal::new(131_009, "The chat has no message with this id."))
        } else {
            None
        };
        Ok(())
    }

    /// Whether the sender is bound by a stop already.
    pub(super) fn knows_of_stop(&self, user: &str, now: Micros) -> bool {
        let Some(stop) = &self.watch.rules.stop else { return true };
        self.people.told_at(user).is_some_and(|told| now >= told.saturating_add(length(stop.grace)))
    }
}
