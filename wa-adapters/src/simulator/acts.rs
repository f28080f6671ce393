//! What a test makes people, Meta and the network do while the simulator runs.

use std::time::Duration;

use super::accepted::Status;
use super::clock::length;
use super::incoming::{Incoming, User};
use super::profile::Quality;
use super::templates::{TemplateCategory, TemplateStatus};
use super::world::{SimulatorError, ban, restriction};
use super::{Rates, Simulator};

/// What users do. A user is a phone number with country code, or a business-scoped user id; see
/// [`User`].
impl Simulator {
    /// A user writes a text to a number: opens the window and sends the webhook.
    ///
    /// `from` is a phone number with country code or a business-scoped user id. Returns the
    /// message's id, which a read receipt may name.
    ///
    /// # Errors
    /// When there is no such number, or `from` is neither.
    pub fn inbound(&self, number: &str, from: &str, text: &str) -> Result<String, SimulatorError> {
        self.world.receive(number, &User::from(from), &Incoming::text(text))
    }

    /// A user sends a message of any kind; as [`inbound`](Self::inbound).
    ///
    /// # Errors
    /// As [`inbound`](Self::inbound).
    pub fn receive(
        &self,
        number: &str,
        from: impl Into<User>,
        message: &Incoming,
    ) -> Result<String, SimulatorError> {
        self.world.receive(number, &from.into(), message)
    }

    /// Opens a service window for 24 hours without a message or webhook.
    ///
    /// # Errors
    /// As [`inbound`](Self::inbound).
    pub fn open_window(&self, number: &str, user: &str) -> Result<(), SimulatorError> {
        self.world.open_window(number, &User::from(user))
    }

    /// A user stops marketing messages in the app: sends the webhook, and marketing templates to
    /// the user are refused (131050) from now on.
    ///
    /// # Errors
    /// As [`inbound`](Self::inbound).
    pub fn opt_out(&self, number: &str, user: impl Into<User>) -> Result<(), SimulatorError> {
        self.world.preference(number, &user.into(), true)
    }

    /// A user wants marketing messages again.
    ///
    /// # Errors
    /// As [`inbound`](Self::inbound).
    pub fn opt_in(&self, number: &str, user: impl Into<User>) -> Result<(), SimulatorError> {
        self.world.preference(number, &user.into(), false)
    }

    /// A user takes another phone number: sends the system message. The old number reaches nobody
    /// (131026), its windows stay behind, and what the user wants goes along.
    ///
    /// Unconfirmed: whether Meta carries windows over; that they are not is the stricter reading.
    ///
    /// # Errors
    /// As [`inbound`](Self::inbound), and when one of the two has no phone number.
    pub fn change_number(
        &self,
        number: &str,
        from: impl Into<User>,
        to: impl Into<User>,
    ) -> Result<(), SimulatorError> {
        self.world.change_number(number, &from.into(), &to.into())
    }

    /// A user gets another business-scoped user id: sends the system message. The person, with
    /// windows and wishes, stays the same.
    ///
    /// # Errors
    /// As [`inbound`](Self::inbound), and when the user has no id now or `to` is none.
    pub fn change_user_id(
        &self,
        number: &str,
        from: impl Into<User>,
        to: &str,
    ) -> Result<(), SimulatorError> {
        self.world.change_user_id(number, &from.into(), to)
    }

    /// Somebody of the business writes to a user by the phone app: sends the echo and returns its id.
    ///
    /// # Errors
    /// As [`inbound`](Self::inbound).
    pub fn echo(&self, number: &str, to: impl Into<User>, sent: &Incoming) -> Result<String, SimulatorError> {
        self.world.echo(number, &to.into(), sent)
    }

    /// The user reads a message now, whatever its statuses said.
    ///
    /// # Errors
    /// When no send was accepted under this id, or accepted sends are not kept.
    pub fn read(&self, wamid: &str) -> Result<(), SimulatorError> {
        self.world.report(wamid, Status::Read)
    }

    /// The user plays a voice message now.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn played(&self, wamid: &str) -> Result<(), SimulatorError> {
        self.world.report(wamid, Status::Played)
    }
}

/// What Meta does to templates.
impl Simulator {
    /// Adds or replaces a template with so many body parameters; it belongs to every account.
    pub fn template(
        &self,
        name: &str,
        language: &str,
        category: TemplateCategory,
        status: TemplateStatus,
        parameters: u32,
    ) {
        self.world.state().truth.templates.put(name, language, category, status, parameters);
    }

    /// Moves a template to another state and sends the webhook: a pause says `FIRST_PAUSE`, its end
    /// `UNPAUSE`, the end of a disablement `REINSTATED`.
    ///
    /// # Errors
    /// When there is no such template.
    pub fn set_template_status(
        &self,
        name: &str,
        language: &str,
        status: TemplateStatus,
    ) -> Result<(), SimulatorError> {
        self.world.template_status(name, language, status)
    }

    /// Gives a template another quality score and sends the webhook.
    ///
    /// # Errors
    /// When there is no such template.
    pub fn set_template_quality(
        &self,
        name: &str,
        language: &str,
        quality: Quality,
    ) -> Result<(), SimulatorError> {
        self.world.template_quality(name, language, quality)
    }

    /// Warns that a template will be of another category in 24 hours; nothing changes yet.
    ///
    /// # Errors
    /// When there is no such template.
    pub fn announce_template_category(
        &self,
        name: &str,
        language: &str,
        category: TemplateCategory,
    ) -> Result<(), SimulatorError> {
        self.world.template_category(name, language, category, false)
    }

    /// Moves a template to another category and sends the webhook; it costs accordingly.
    ///
    /// # Errors
    /// When there is no such template.
    pub fn set_template_category(
        &self,
        name: &str,
        language: &str,
        category: TemplateCategory,
    ) -> Result<(), SimulatorError> {
        self.world.template_category(name, language, category, true)
    }
}

/// What Meta does to numbers and accounts. None of it outlives the simulator, log or not.
impl Simulator {
    /// Gives a number another quality; the webhook comes when it turns red or leaves red.
    ///
    /// # Errors
    /// When there is no such number.
    pub fn set_quality(&self, number: &str, quality: Quality) -> Result<(), SimulatorError> {
        self.world.number_quality(number, quality)
    }

    /// Changes a number's throughput. Sends are answered 131057 for `outage`, which Meta keeps
    /// under a minute; then comes the webhook.
    ///
    /// # Errors
    /// When there is no such number.
    pub fn upgrade_throughput(
        &self,
        number: &str,
        throughput: u32,
        outage: Duration,
    ) -> Result<(), SimulatorError> {
        self.world.throughput(number, throughput, length(outage))
    }

    /// Changes the messaging limit of the number's portfolio and sends the webhook. Users who were
    /// written to while there was no limit do not count.
    ///
    /// # Errors
    /// When there is no such number.
    pub fn set_tier(&self, number: &str, limit: Option<u32>) -> Result<(), SimulatorError> {
        self.world.tier(number, limit)
    }

    /// The number's sends outside windows are answered 131048 for a while: too much spam.
    ///
    /// # Errors
    /// When there is no such number.
    pub fn limit_spam(&self, number: &str, lasting: Duration) -> Result<(), SimulatorError> {
        let until = self.world.now() + length(lasting);
        self.world.trouble_number(number, |trouble| trouble.spam_until = until, None)
    }

    /// Every send of the number is answered 130429 for a while, whatever its rate; no violation,
    /// and no time in which anything was allowed.
    ///
    /// # Errors
    /// When there is no such number.
    pub fn throttle_storm(&self, number: &str, lasting: Duration) -> Result<(), SimulatorError> {
        let lasting = length(lasting);
        let until = self.world.now() + lasting;
        self.world.trouble_number(number, |trouble| trouble.storm_until = until, Some(lasting))
    }

    /// Restricts an account and sends the webhook: sends outside windows are answered 368 for a while.
    ///
    /// # Errors
    /// When no number belongs to the account.
    pub fn restrict_account(&self, account: &str, lasting: Duration) -> Result<(), SimulatorError> {
        self.world.trouble_account(account, |trouble, now| {
            trouble.restricted_until = now + length(lasting);
            Some(restriction(trouble.restricted_until))
        })
    }

    /// Bans an account (131031), or ends the ban, and sends the webhook.
    ///
    /// # Errors
    /// When no number belongs to the account.
    pub fn set_banned(&self, account: &str, is_banned: bool) -> Result<(), SimulatorError> {
        self.world.trouble_account(account, |trouble, now| {
            trouble.is_banned = is_banned;
            Some(ban(is_banned, now))
        })
    }

    /// Tells of a violation such as `ADULT`, without other effect.
    ///
    /// # Errors
    /// When no number belongs to the account.
    pub fn report_violation(&self, account: &str, kind: &str) -> Result<(), SimulatorError> {
        let value = serde_json::json!({
            "event": "ACCOUNT_VIOLATION", "violation_info": { "violation_type": kind },
        });
        self.world.trouble_account(account, |_, _| Some(value))
    }

    /// Utility templates of an account are answered 131064 for a while: some were misclassified.
    ///
    /// # Errors
    /// When no number belongs to the account.
    pub fn limit_misclassified(&self, account: &str, lasting: Duration) -> Result<(), SimulatorError> {
        self.world.trouble_account(account, |trouble, now| {
            trouble.misclassified_until = now + length(lasting);
            None
        })
    }

    /// Whether an account's marketing templates are refused on `/messages` (131063).
    ///
    /// # Errors
    /// When no number belongs to the account.
    pub fn refuse_marketing_on_messages(&self, account: &str, refuse: bool) -> Result<(), SimulatorError> {
        self.world.trouble_account(account, |trouble, _| {
            trouble.refuses_marketing = refuse;
            None
        })
    }

    /// Whether an account may use `/marketing_messages`; without it that answers 134102.
    ///
    /// # Errors
    /// When no number belongs to the account.
    pub fn allow_marketing_endpoint(&self, account: &str, allow: bool) -> Result<(), SimulatorError> {
        self.world.trouble_account(account, |trouble, _| {
            trouble.has_no_endpoint = !allow;
            None
        })
    }

    /// From now on messages cost this.
    pub fn set_rates(&self, rates: Rates) {
        self.world.state().truth.till.pricing.rates = Some(rates);
    }

    /// From now on a user takes so many marketing messages in 24 hours, outside windows; the next
    /// one fails with 131049. Those sent while there was no cap do not count.
    pub fn set_marketing_cap(&self, most: Option<u32>) {
        self.world.state().truth.marketing_cap.most = most;
    }
}
