//! Judges the rules of the house.
//!
//! Invariant: looking changes nothing; what was accepted is counted by [`Watch::count`], by the
//! same code that reloads a log. What fails (or is dropped) has reached nobody, so it starts no
//! cooldown and fills no cap, but is itself judged like any other.

use std::collections::{HashMap, VecDeque};

use chrono::NaiveTime;

use super::accepted::Accepted;
use super::clock::{Micros, SECOND, instant, length, micros};
use super::error::Breach;
use super::house::{HouseRules, QuietHours, Scope, WarmUpStage, ZoneOffsets};
use super::ledger::Ledger;

/// What the judge has to remember.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) rules: HouseRules,
    /// By person and, if it matters, template: the latest.
    templates: HashMap<(Box<str>, Box<str>), Micros>,
    /// By person: those within the cap's span.
    recent: HashMap<Box<str>, VecDeque<Micros>>,
    /// By number and stage.
    warm_up: HashMap<(Box<str>, usize), u32>,
}

impl Watch {
    pub(crate) fn new(rules: HouseRules) -> Self {
        Self { rules, templates: HashMap::new(), recent: HashMap::new(), warm_up: HashMap::new() }
    }

    /// The rules that an accepted send breaks; `charged` is the ledger with it.
    pub(crate) fn broken(&self, sent: &Accepted, user: &str, charged: &Ledger) -> Vec<(Breach, String)> {
        let mut broken = Vec::new();
        let at = micros(sent.at);
        let rules = &self.rules;
        if let Some(quiet) = &rules.quiet
            && in_scope(quiet.scope, sent)
            && let Some(local) = quiet_at(quiet, user, at)
        {
            broken.push((Breach::QuietHours, format!("It is {local} where the recipient lives.")));
        }
        if let (Some(cooldown), Some(template)) = (&rules.cooldown, &sent.template) {
            let key = (user.into(), if cooldown.by_template { template.as_str().into() } else { "".into() });
            let early = |last: &&Micros| at < **last + length(cooldown.wait);
            if let Some(last) = self.templates.get(&key).filter(early) {
                broken.push((
                    Breach::Cooldown,
                    format!("The last template was {} s ago.", (at - last) / SECOND),
                ));
            }
        }
        if let Some(cap) = &rules.frequency
            && in_scope(cap.scope, sent)
        {
            let since = at - length(cap.within);
            let count = self
                .recent
                .get(user)
                .map_or(0, |recent| recent.iter().filter(|before| **before > since).count());
            if count >= usize::try_from(cap.most).unwrap_or(usize::MAX) {
                broken.push((Breach::Frequency, format!("{count} messages in the span before.")));
            }
        }
        if let Some(budget) = &rules.budget
            && sent.delivered_at.is_some()
            && sent.amount.is_some_and(|amount| amount > 0)
        {
            let total = charged.total(&budget.currency);
            if total > budget.most {
                broken.push((Breach::Budget, format!("{total} of {} millionths.", budget.most)));
            }
        }
        if let Some(allowed) = &rules.only_to
            && !allowed.contains(user)
            && !allowed.contains(&sent.recipient)
        {
            broken.push((Breach::NotAllowed, "The recipient is not on the list.".to_owned()));
        }
        if let Some((stage, Some(most))) = self.stage(&sent.number, at)
            && self.warm_up.get(&(sent.number.as_str().into(), stage)).is_some_and(|sent| *sent >= most)
        {
            broken.push((Breach::WarmUp, format!("Stage {stage} of the warm-up has {most} messages.")));
        }
        broken
    }

    /// Counts an accepted send.
    pub(crate) fn count(&mut self, sent: &Accepted, user: &str) {
        let at = micros(sent.at);
        if sent.fails_at().is_some() || !sent.has_price() {
            return;
        }
        if let (Some(cooldown), Some(template)) = (&self.rules.cooldown, &sent.template) {
            let template = if cooldown.by_template { template.as_str() } else { "" };
            self.templates.insert((user.into(), template.into()), at);
        }
        if let Some(cap) = &self.rules.frequency
            && in_scope(cap.scope, sent)
        {
            let recent = self.recent.entry(user.into()).or_default();
            let since = at - length(cap.within);
            while recent.front().is_some_and(|before| *before <= since) {
                recent.pop_front();
            }
            recent.push_back(at);
        }
        if let Some((stage, Some(_))) = self.stage(&sent.number, at) {
            *self.warm_up.entry((sent.number.as_str().into(), stage)).or_default() += 1;
        }
    }

    /// A person has another name from now on.
    pub(crate) fn rename(&mut self, from: &str, to: &str) {
        if let Some(before) = self.recent.remove(from) {
            let own = self.recent.entry(to.into()).or_default();
            own.extend(before);
            own.make_contiguous().sort_unstable();
        }
        let keys: Vec<_> = self.templates.keys().filter(|(user, _)| **user == *from).cloned().collect();
        for (user, template) in keys {
            if let Some(last) = self.templates.remove(&(user, template.clone())) {
                let own = self.templates.entry((to.into(), template)).or_insert(last);
                *own = (*own).max(last);
            }
        }
    }

    /// The stage in which a number is, and its cap.
    fn stage(&self, number: &str, at: Micros) -> Option<(usize, Option<u32>)> {
        let stages: &[WarmUpStage] = self.rules.warm_up.get(number)?;
        let begun = stages.iter().enumerate().rfind(|(_, stage)| micros(stage.from) <= at);
        begun.map(|(place, stage)| (place, stage.most))
    }
}

fn in_scope(scope: Scope, sent: &Accepted) -> bool {
    scope.covers(sent.in_window, sent.template.is_some(), sent.is_marketing)
}

/// The recipient's time of day, if it is quiet then.
fn quiet_at(quiet: &QuietHours, user: &str, at: Micros) -> Option<NaiveTime> {
    let fitting = quiet.zones.iter().filter(|(beginning, _)| user.starts_with(beginning.as_str()));
    let (_, offsets) = fitting.max_by_key(|(beginning, _)| beginning.len())?;
    let local = instant(at + offset(offsets, at)).time();
    let inside = if quiet.from <= quiet.until {
        quiet.from <= local && local < quiet.until
    } else {
        quiet.from <= local || local < quiet.until
    };
    inside.then_some(local)
}

fn offset(offsets: &ZoneOffsets, at: Micros) -> Micros {
    let begun = offsets.iter().rfind(|(from, _)| micros(*from) <= at).or_else(|| offsets.first());
    begun.map_or(0, |(_, seconds)| Micros::from(*seconds) * SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Micros {
        micros(text.parse().unwrap())
    }

    #[test]
    fn quiet_hours_follow_the_zone_over_its_change_to_the_microsecond() {
        // Berlin 2026: +2 h until 25 October 01:00 UTC, then +1 h.
        let berlin = vec![
            ("2026-03-29T01:00:00Z".parse().unwrap(), 7_200),
            ("2026-10-25T01:00:00Z".parse().unwrap(), 3_600),
        ];
        let time = |hour| NaiveTime::from_hms_opt(hour, 0, 0).unwrap();
        let quiet = QuietHours {
            from: time(21),
            until: time(8),
            scope: Scope::Everything,
            zones: [("49".to_owned(), berlin)].into(),
        };
        let is_quiet = |text: &str| quiet_at(&quiet, "4915123456789", at(text)).is_some();
        assert!(!is_quiet("2026-10-24T18:59:59.999999Z"));
        assert!(is_quiet("2026-10-24T19:00:00Z"), "21:00 in summer");
        assert!(is_quiet("2026-10-25T06:59:59.999999Z"), "07:59 in winter");
        assert!(!is_quiet("2026-10-25T07:00:00Z"), "08:00 in winter");
        assert!(quiet_at(&quiet, "4412345678", at("2026-10-25T02:00:00Z")).is_none(), "no zone is named");
    }
}
