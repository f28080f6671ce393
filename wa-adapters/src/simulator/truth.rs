//! What is true in the simulated world: numbers, people, windows, meters and accepted sends.
//!
//! Invariant: judging a send changes nothing but the throughput meter (an arrival is an arrival);
//! all else is counted when the send is accepted, by the same code that reloads a log.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use chrono::{DateTime, Datelike, Utc};
use serde::{Deserialize, Serialize};

use super::clock::{Micros, SECOND, instant, micros};
use super::error::{Breach, Refusal};
use super::meters::{Pairs, Throughput, Tier, Windows};
use super::templates::{TemplateCategory, Templates};
use super::wire::{Message, Recipient};

/// How a number is doing with its readers; shown by the number look-up, without other effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quality {
    /// `GREEN`.
    Green,
    /// `YELLOW`.
    Yellow,
    /// `RED`.
    Red,
    /// `UNKNOWN`.
    Unknown,
}

impl Quality {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Green => "GREEN",
            Self::Yellow => "YELLOW",
            Self::Red => "RED",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// A number that the simulator plays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberProfile {
    /// Messages in a sliding second; Meta gives 80, 1,000 after the upgrade, 20 in coexistence.
    ///
    /// The look-up says `HIGH` from 1,000 on and else `STANDARD`, as Meta's does: a client cannot
    /// learn any other figure from it.
    pub throughput: u32,
    /// Unique users outside windows in moving 24 hours, shared by the portfolio's numbers (the
    /// lowest holds); none is unlimited.
    pub tier: Option<u32>,
    /// The quality rating in the look-up.
    pub quality: Quality,
    /// The phone number itself, digits only.
    pub display_phone_number: String,
    /// The business's name.
    pub verified_name: String,
    /// The `WhatsApp` Business account, to which templates belong.
    pub account: String,
    /// The business portfolio, to which the messaging limit belongs.
    pub portfolio: String,
}

impl Default for NumberProfile {
    /// 80 messages a second, no tier, green.
    fn default() -> Self {
        Self {
            throughput: 80,
            tier: None,
            quality: Quality::Green,
            display_phone_number: "15550100200".to_owned(),
            verified_name: "Simulated Business".to_owned(),
            account: "200000000000001".to_owned(),
            portfolio: "300000000000001".to_owned(),
        }
    }
}

/// A send that the simulator accepted: one line of its log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Accepted {
    /// When it was accepted.
    pub at: DateTime<Utc>,
    /// The id in the answer and in all statuses.
    pub wamid: String,
    /// The sending number's id.
    pub number: String,
    /// The recipient: a phone's digits or a business-scoped user id.
    pub recipient: String,
    /// The type of the message, such as `text`.
    pub kind: String,
    /// `biz_opaque_callback_data`, as it was given.
    pub callback_data: Option<String>,
    /// Equal for two sends of the same number, recipient and content, whatever the callback data.
    pub fingerprint: String,
    /// Whether the user's service window was open.
    pub in_window: bool,
    /// The category in the pricing object: marketing, utility, authentication or service.
    pub category: String,
    /// The type in the pricing object: regular or `free_customer_service`.
    pub pricing_type: String,
    /// The statuses that will be called back, drawn at acceptance.
    pub(crate) plan: Vec<Step>,
}

/// One status on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Step {
    pub(crate) status: Status,
    /// The time stamp inside.
    pub(crate) at: Micros,
    /// When it is posted.
    pub(crate) due: Micros,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    Sent,
    Delivered,
    Read,
    Failed,
}

impl Status {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Failed => "failed",
        }
    }
}

impl Accepted {
    /// The two digits by which a log line may tell recipients apart.
    fn ending(&self) -> &str {
        self.recipient.get(self.recipient.len().saturating_sub(2)..).unwrap_or_default()
    }
}

impl fmt::Debug for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accepted")
            .field("at", &self.at)
            .field("wamid", &self.wamid)
            .field("number", &self.number)
            .field("recipient", &format_args!("..{}", self.ending()))
            .field("kind", &self.kind)
            .field("category", &self.category)
            .finish_non_exhaustive()
    }
}

/// Something that changed about a person without a send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fact {
    /// The user wrote (or the window was opened by hand, without a message id).
    Wrote { at: Micros, number: String, user: String, message_id: Option<String> },
    /// The user stopped or resumed marketing messages.
    Preference { user: String, stop: bool },
}

/// How an admissible send is accounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Judgement {
    pub(crate) in_window: bool,
    pub(crate) category: &'static str,
    pub(crate) pricing_type: &'static str,
}

/// The simulated world's facts.
#[derive(Debug)]
pub(crate) struct Truth {
    pub(crate) numbers: BTreeMap<String, Number>,
    pub(crate) templates: Templates,
    portfolios: HashMap<String, Tier>,
    opted_out: HashSet<String>,
    /// Business-scoped user id to phone, where one person has both.
    people: HashMap<String, String>,
    /// Fingerprints, and from when on the sender may know that the send failed; small, for long runs.
    seen: HashMap<u128, Micros>,
    inbound_ids: HashSet<String>,
    tolerance: Micros,
}

/// One number's facts.
#[derive(Debug)]
pub(crate) struct Number {
    pub(crate) profile: NumberProfile,
    throughput: Throughput,
    pairs: Pairs,
    windows: Windows,
    /// Year and month, and how many service messages were accepted in it.
    service: ((i32, u32), u32),
}

/// Source: Meta pricing, read October 2026: since 1 October 2026 service messages are charged
/// after the first 1,000 of a number and month, and utility templates inside windows as well.
const FREE_SERVICE: u32 = 1_000;
const CHARGED_SINCE: Micros = 1_790_812_800 * SECOND;

impl Truth {
    pub(crate) fn new(
        numbers: &[(String, NumberProfile)],
        people: HashMap<String, String>,
        templates: Templates,
        tolerance: Micros,
    ) -> Self {
        let mut portfolios: HashMap<String, Tier> = HashMap::new();
        for (_, profile) in numbers {
            portfolios
                .entry(profile.portfolio.clone())
                .or_insert_with(|| Tier::new(None))
                .narrow(profile.tier);
        }
        let number = |profile: &NumberProfile| Number {
            profile: profile.clone(),
            throughput: Throughput::new(profile.throughput, tolerance),
            pairs: Pairs::default(),
            windows: Windows::default(),
            service: ((0, 0), 0),
        };
        Self {
            numbers: numbers.iter().map(|(id, profile)| (id.clone(), number(profile))).collect(),
            templates,
            portfolios,
            opted_out: HashSet::new(),
            people,
            seen: HashMap::new(),
            inbound_ids: HashSet::new(),
            tolerance,
        }
    }

    /// Whether a valid message may go out now, by every rule that the simulator knows.
    pub(crate) fn judge(
        &mut self,
        number: &str,
        message: &Message,
        now: Micros,
    ) -> Result<Judgement, Refusal> {
        let user = self.people.get(message.to.as_str()).map_or(message.to.as_str(), String::as_str);
        let own = self.numbers.get_mut(number).ok_or_else(|| Refusal::no_such_object(number))?;
        if user == own.profile.display_phone_number {
            return Err(Refusal::new(131_021, "The message goes to its own sender."));
        }
        if !own.throughput.admit(now) {
            let details = format!("The number sends at most {} messages a second.", own.profile.throughput);
            return Err(Refusal::breaking(Breach::Throughput, 130_429, details));
        }
        if !own.pairs.has_room(user, now, self.tolerance) {
            let details = "Too many messages from this number to this user; wait 4^n seconds.";
            return Err(Refusal::breaking(Breach::Pair, 131_056, details));
        }
        let in_window = own.windows.is_open(user, now);
        let template = match &message.template {
            None => None,
            Some(used) => Some(self.templates.check(&own.profile.account, used)?),
        };
        match template {
            None if !in_window => {
                let details = "More than 24 hours have passed since the user last wrote to this number.";
                return Err(Refusal::breaking(Breach::Window, 131_047, details));
            }
            Some(TemplateCategory::Authentication) if matches!(message.to, Recipient::UserId(_)) => {
                return Err(Refusal::new(131_062, "Authentication templates go to phone numbers only."));
            }
            Some(TemplateCategory::Marketing) if self.opted_out.contains(user) => {
                let details = "The user has stopped marketing messages from this business.";
                return Err(Refusal::breaking(Breach::OptOut, 131_050, details));
            }
            _ => {}
        }
        if let (false, Some(tier)) = (in_window, self.portfolios.get_mut(&own.profile.portfolio))
            && !tier.has_room(user, now)
        {
            // Unconfirmed: Meta documents no code for this; 131048 is what senders report.
            let details = "The portfolio has reached its messaging limit for 24 hours.";
            return Err(Refusal::breaking(Breach::Tier, 131_048, details));
        }
        let (category, pricing_type) = own.price(template, in_window, now);
        Ok(Judgement { in_window, category, pricing_type })
    }

    /// Counts an accepted send in every meter; true when it repeats an earlier one that the sender
    /// had not been told to have failed.
    pub(crate) fn accept(&mut self, sent: &Accepted) -> bool {
        let at = micros(sent.at);
        let user = self.people.get(&sent.recipient).unwrap_or(&sent.recipient);
        if let Some(own) = self.numbers.get_mut(&sent.number) {
            own.pairs.count(user, at);
            if sent.category == "service" {
                own.count_service(at);
            }
            if let (false, Some(tier)) = (sent.in_window, self.portfolios.get_mut(&own.profile.portfolio)) {
                tier.count(user, at);
            }
        }
        // Only a log edited by hand has a fingerprint that is no number; it repeats nothing.
        let Ok(fingerprint) = u128::from_str_radix(&sent.fingerprint, 16) else { return false };
        let failed = sent.plan.iter().find(|step| step.status == Status::Failed);
        let told_at = failed.map_or(Micros::MAX, |step| step.due);
        self.seen.insert(fingerprint, told_at).is_some_and(|told_at| at < told_at)
    }

    /// Fills the throughput meter from a log: an arrival that an earlier run let pass.
    pub(crate) fn recall_arrival(&mut self, sent: &Accepted) {
        if let Some(own) = self.numbers.get_mut(&sent.number) {
            own.throughput.admit(micros(sent.at));
        }
    }

    /// Takes note of something a user did.
    pub(crate) fn note(&mut self, fact: &Fact) {
        match fact {
            Fact::Wrote { at, number, user, message_id } => {
                let user = self.people.get(user).unwrap_or(user);
                if let Some(own) = self.numbers.get_mut(number) {
                    own.windows.open(user, *at);
                }
                self.inbound_ids.extend(message_id.clone());
            }
            Fact::Preference { user, stop } => {
                let user = self.people.get(user).unwrap_or(user);
                if *stop {
                    self.opted_out.insert(user.clone());
                } else {
                    self.opted_out.remove(user);
                }
            }
        }
    }

    /// Whether a message of a user has this id.
    pub(crate) fn has_inbound(&self, message_id: &str) -> bool {
        self.inbound_ids.contains(message_id)
    }

    /// Whether some number belongs to the account.
    pub(crate) fn has_account(&self, account: &str) -> bool {
        self.numbers.values().any(|number| number.profile.account == account)
    }

    /// The limit in force for a number.
    pub(crate) fn limit_of(&self, profile: &NumberProfile) -> Option<u32> {
        self.portfolios.get(&profile.portfolio).and_then(Tier::limit)
    }
}

impl Number {
    fn price(
        &self,
        template: Option<TemplateCategory>,
        in_window: bool,
        now: Micros,
    ) -> (&'static str, &'static str) {
        let charged = now >= CHARGED_SINCE;
        match template {
            Some(TemplateCategory::Marketing) => ("marketing", REGULAR),
            Some(TemplateCategory::Authentication) => ("authentication", REGULAR),
            Some(TemplateCategory::Utility) if in_window && !charged => ("utility", FREE),
            Some(TemplateCategory::Utility) => ("utility", REGULAR),
            None if charged && self.services_in(now) >= FREE_SERVICE => ("service", REGULAR),
            None => ("service", FREE),
        }
    }

    fn services_in(&self, now: Micros) -> u32 {
        if self.service.0 == month(now) { self.service.1 } else { 0 }
    }

    fn count_service(&mut self, at: Micros) {
        self.service = (month(at), self.services_in(at) + 1);
    }
}

pub(crate) const REGULAR: &str = "regular";
const FREE: &str = "free_customer_service";

fn month(at: Micros) -> (i32, u32) {
    let at = instant(at);
    (at.year(), at.month())
}
