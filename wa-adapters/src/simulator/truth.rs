//! What is true in the simulated world: numbers, people, windows, meters and accepted sends.
//!
//! Invariant: judging a send changes nothing but the throughput meter (an arrival is an arrival);
//! all else is counted when the send is accepted, by the same code that reloads a log.

mod recipient;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::accepted::{Accepted, Status};
use super::clock::{Micros, micros};
use super::error::{Breach, Refusal};
use super::facts::Fact;
use super::house::Scope;
use super::ledger::Ledger;
use super::meters::{MarketingCap, Pairs, Throughput, Tier, Windows};
use super::pace::Track;
use super::people::People;
use super::prices::{Price, Sale, Till};
use super::profile::NumberProfile;
use super::templates::{TemplateCategory, Templates};
use super::trouble::{Accounts, NumberTrouble};
use super::watch::Watch;
use super::wire::{Endpoint, Message, Recipient};

/// How the simulator tells of a rule that Meta checks when it delivers: 131047 and 131050.
///
/// Meta answers the request at times, and often takes it and reports by webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RecipientErrors {
    /// The request is refused, so that the fault and its cause stand side by side.
    #[default]
    Answered,
    /// The request is accepted; a `failed` status follows. The violation counts all the same.
    Reported,
}

/// What becomes of a reaction to a message that the chat does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownTarget {
    /// Accepted, then `failed` with 131009.
    #[default]
    Fails,
    /// Delivered like any other, for clients whose earlier messages the simulator never saw.
    Delivered,
}

/// How strict the simulated world is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Conditions {
    pub(crate) tolerance: Micros,
    pub(crate) recipient_errors: RecipientErrors,
    pub(crate) unknown_target: UnknownTarget,
    /// How long the marketing endpoint takes to know a new template.
    pub(crate) template_sync: Micros,
    /// Whom messages do not reach: the beginning of the recipient, which messages, and the code.
    pub(crate) failing: Vec<(String, Scope, u32)>,
}

/// How an admissible send is accounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Judgement {
    pub(crate) user: String,
    pub(crate) account: String,
    pub(crate) in_window: bool,
    pub(crate) template: Option<TemplateCategory>,
    /// Accepted, and this follows by webhook.
    pub(crate) fails: Option<Refusal>,
    /// Accepted, and nothing follows at all.
    pub(crate) is_dropped: bool,
}

/// What accepting a send has shown.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// It repeats an earlier one that the sender had not been told to have failed.
    pub(crate) repeated: bool,
    pub(crate) broken: Vec<(Breach, String)>,
}

/// The simulated world's facts.
#[derive(Debug)]
pub(crate) struct Truth {
    pub(crate) numbers: BTreeMap<String, Number>,
    pub(crate) templates: Templates,
    pub(crate) accounts: Accounts,
    pub(crate) till: Till,
    pub(crate) ledger: Ledger,
    pub(crate) people: People,
    pub(crate) marketing_cap: MarketingCap,
    portfolios: HashMap<String, Tier>,
    watch: Watch,
    /// Fingerprints, and from when on the sender may know that the send failed; small, for long runs.
    seen: HashMap<u128, Micros>,
    /// Callback data that was accepted, with its number.
    tags: HashSet<u64>,
    /// Messages of both sides, with their number: what a reaction may be for.
    known: HashSet<u64>,
    inbound_ids: HashSet<String>,
    conditions: Conditions,
}

/// One number's facts.
#[derive(Debug)]
pub(crate) struct Number {
    pub(crate) profile: NumberProfile,
    pub(crate) track: Track,
    pub(crate) trouble: NumberTrouble,
    throughput: Throughput,
    pairs: Pairs,
    windows: Windows,
}

impl Truth {
    pub(crate) fn new(
        numbers: &[(String, NumberProfile)],
        people: People,
        templates: Templates,
        till: Till,
        watch: Watch,
        conditions: Conditions,
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
            track: Track::new(profile.throughput),
            trouble: NumberTrouble::default(),
            throughput: Throughput::new(profile.throughput, conditions.tolerance),
            pairs: Pairs::default(),
            windows: Windows::default(),
        };
        Self {
            numbers: numbers.iter().map(|(id, profile)| (id.clone(), number(profile))).collect(),
            templates,
            accounts: Accounts::new(),
            till,
            ledger: Ledger::default(),
            people,
            marketing_cap: MarketingCap::default(),
            portfolios,
            watch,
            seen: HashMap::new(),
            tags: HashSet::new(),
            known: HashSet::new(),
            inbound_ids: HashSet::new(),
            conditions,
        }
    }

    /// Whether a valid message may go out now, by every rule that the simulator knows.
    pub(crate) fn judge(
        &mut self,
        number: &str,
        endpoint: Endpoint,
        message: &Message,
        now: Micros,
    ) -> Result<Judgement, Refusal> {
        let user = self.people.key(message.to.as_str()).to_owned();
        let own = self.numbers.get_mut(number).ok_or_else(|| Refusal::no_such_object(number))?;
        if user == own.profile.display_phone_number {
            return Err(Refusal::new(131_021, "The message goes to its own sender."));
        }
        let account = own.profile.account.clone();
        let trouble = self.accounts.get(&account).copied().unwrap_or_default();
        trouble.check()?;
        own.trouble.check(now)?;
        if !own.throughput.admit(now) {
            let details = format!("The number sends at most {} messages a second.", own.profile.throughput);
            return Err(Refusal::breaking(Breach::Throughput, 130_429, details));
        }
        own.track.pass(now);
        if !own.pairs.has_room(&user, now, self.conditions.tolerance) {
            let details = "Too many messages from this number to this user; wait 4^n seconds.";
            return Err(Refusal::breaking(Breach::Pair, 131_056, details));
        }
        let in_window = own.windows.is_open(&user, now);
        let template = match &message.template {
            None => None,
            Some(used) => Some(self.templates.check(&account, used)?),
        };
        trouble.check_message(template, endpoint, in_window, now)?;
        let mut judgement = Judgement { user, account, in_window, template, fails: None, is_dropped: false };
        if matches!(message.to, Recipient::Misaddressed(_)) {
            judgement.is_dropped = true;
            return Ok(judgement);
        }
        if message.template.as_ref().is_some_and(|used| self.templates.has_max_price(used)) {
            if endpoint == Endpoint::Messages {
                let details = "A template with a maximum price goes by /marketing_messages.";
                return Err(Refusal::new(131_061, details));
            }
            if matches!(message.to, Recipient::UserId(_)) {
                let details = "A template with a maximum price goes to phone numbers only.";
                return Err(Refusal::new(131_062, details));
            }
        }
        if let (Endpoint::Marketing, Some(used)) = (endpoint, &message.template)
            && self.templates.is_syncing(used, now, self.conditions.template_sync)
        {
            return Err(Refusal::new(134_101, "The template is not known here yet; wait ten minutes."));
        }
        self.check_recipient(number, message, &mut judgement, now)?;
        Ok(judgement)
    }

    /// What a send costs that will be accepted.
    pub(crate) fn price(
        &self,
        number: &str,
        endpoint: Endpoint,
        judgement: &Judgement,
        at: Micros,
        delivered_at: Option<Micros>,
    ) -> Price {
        let Judgement { user, account, in_window, template, .. } = judgement;
        let (in_window, template) = (*in_window, *template);
        self.till.price(&Sale { number, account, user, template, endpoint, in_window, at, delivered_at })
    }

    /// Counts an accepted send in every meter, and judges the rules of the house.
    pub(crate) fn accept(&mut self, sent: &Accepted) -> Verdict {
        let at = micros(sent.at);
        let user = self.people.key(&sent.recipient).to_owned();
        let mut verdict = Verdict::default();
        if let Some(own) = self.numbers.get_mut(&sent.number) {
            own.pairs.count(&user, at);
            let account = own.profile.account.clone();
            let counts = !sent.in_window && sent.has_price();
            if let (true, Some(tier)) = (counts, self.portfolios.get_mut(&own.profile.portfolio)) {
                let fails_at =
                    sent.plan.iter().find(|step| step.status == Status::Failed).map(|step| step.at);
                tier.count(&user, at, fails_at);
            }
            if sent.has_price() {
                self.till.count(sent, &account, &user);
            }
        }
        if sent.is_marketing && !sent.in_window && sent.delivered_at.is_some() {
            self.marketing_cap.count(&user, at);
        }
        self.ledger.count(sent);
        self.known.insert(hash(&sent.number, &sent.wamid));
        verdict.broken = self.watch.broken(sent, &user, &self.ledger);
        if sent.is_marketing
            && sent.has_price()
            && self.watch.rules.stop.is_some()
            && self.people.told_at(&user).is_some()
            && self.knows_of_stop(&user, at)
        {
            verdict.broken.push((Breach::OptOut, "The user has stopped marketing by a text.".to_owned()));
        }
        self.watch.count(sent, &user);
        if let Some(tag) = &sent.callback_data
            && !self.tags.insert(hash(&sent.number, tag))
        {
            let details = "An accepted send had the same callback data.".to_owned();
            verdict.broken.push((Breach::RepeatedTag, details));
        }
        // Only a log edited by hand has a fingerprint that is no number; it repeats nothing.
        let Ok(fingerprint) = u128::from_str_radix(&sent.fingerprint, 16) else { return verdict };
        let failed = sent.plan.iter().find(|step| step.status == Status::Failed);
        let told_at = failed.map_or(Micros::MAX, |step| step.due);
        verdict.repeated = self.seen.insert(fingerprint, told_at).is_some_and(|told_at| at < told_at);
        verdict
    }

    /// Fills the throughput meter from a log: an arrival that an earlier run let pass.
    pub(crate) fn recall_arrival(&mut self, sent: &Accepted) {
        if let Some(own) = self.numbers.get_mut(&sent.number)
            && own.throughput.admit(micros(sent.at))
        {
            own.track.pass(micros(sent.at));
        }
    }

    /// Takes note of something a user did.
    pub(crate) fn note(&mut self, fact: &Fact) {
        match fact {
            Fact::Wrote { at, number, user, message_id, referred } => {
                let user = self.people.key(user).to_owned();
                if let Some(own) = self.numbers.get_mut(number) {
                    own.windows.open(&user, *at);
                }
                if *referred {
                    self.till.refer(number, &user, *at);
                }
                if let Some(id) = message_id {
                    self.known.insert(hash(number, id));
                    self.inbound_ids.insert(id.clone());
                }
            }
            Fact::Preference { user, stop } => self.people.prefer(user, *stop),
            Fact::Told { user, stop, at } => self.people.tell(user, *stop, *at),
            Fact::Met { user_id, person } => {
                if let Some(before) = self.people.meet(user_id, person) {
                    let key = self.people.key(user_id).to_owned();
                    for own in self.numbers.values_mut() {
                        own.windows.rename(&before, &key);
                        own.pairs.rename(&before, &key);
                    }
                    self.portfolios.values_mut().for_each(|tier| tier.rename(&before, &key));
                    self.till.rename(&before, &key);
                    self.marketing_cap.rename(&before, &key);
                    self.watch.rename(&before, &key);
                }
            }
            Fact::Moved { from, to } => self.people.move_on(from, to),
        }
    }

    /// The texts by which users stop as well.
    pub(crate) fn is_stop_word(&self, text: &str) -> bool {
        let words = self.watch.rules.stop.iter().flat_map(|stop| &stop.words);
        words.into_iter().any(|word| word.to_lowercase() == text.trim().to_lowercase())
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

    /// The `status` of a number's look-up.
    pub(crate) fn status_of(&self, profile: &NumberProfile, now: Micros) -> &'static str {
        match self.accounts.get(&profile.account) {
            Some(trouble) if trouble.is_banned => "BANNED",
            Some(trouble) if now < trouble.restricted_until => "RESTRICTED",
            _ => "CONNECTED",
        }
    }

    /// Another messaging limit holds for a portfolio.
    pub(crate) fn set_tier(&mut self, portfolio: &str, limit: Option<u32>) {
        if let Some(tier) = self.portfolios.get_mut(portfolio) {
            tier.set_limit(limit);
        }
    }
}

impl Number {
    /// Another throughput holds from an instant on.
    pub(crate) fn set_throughput(&mut self, from: Micros, throughput: u32) {
        self.profile.throughput = throughput;
        self.throughput.set_limit(throughput);
        self.track.limit(from, throughput);
    }
}

fn hash(number: &str, of: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (number, of).hash(&mut hasher);
    hasher.finish()
}
