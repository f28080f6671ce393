//! What a world is like: drawn from its seed alone.

use chrono::{DateTime, TimeDelta, Utc};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use wa_kit::model::{Consent, Lane, Phone};

/// A world.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) starts: DateTime<Utc>,
    /// Time between what happened before and the campaign.
    pub(super) rest: TimeDelta,
    pub(super) numbers: Vec<Line>,
    pub(super) people: Vec<Person>,
    pub(super) rules: Rules,
    pub(super) campaign: Plan,
}

/// A sending number.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) throughput: u32,
    pub(super) tier: Option<u32>,
    /// In a thousand: green, yellow, red.
    pub(super) quality: u32,
    pub(super) warm_up: Option<Vec<u32>>,
    pub(super) gap: Option<(u32, u32)>,
}

/// A member of the list.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) phone: Phone,
    pub(super) named: bool,
    pub(super) zone: Option<&'static str>,
    pub(super) consent: Consent,
    pub(super) suppressed: bool,
    /// Wrote before, so many minutes before the rest begins.
    pub(super) wrote: bool,
    /// Got a template before.
    pub(super) got: bool,
}

/// What the tenant set.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) zone: &'static str,
    pub(super) quiet: Option<(&'static str, &'static str)>,
    pub(super) cooldown: Option<u8>,
    pub(super) cap: Option<(u8, u8, bool)>,
    pub(super) opt_in: bool,
    pub(super) safe_mode: bool,
    pub(super) fallback: bool,
    pub(super) priced: bool,
    pub(super) quota: Option<u64>,
    pub(super) monthly: Option<i64>,
    pub(super) total: Option<i64>,
    pub(super) slow_on_red: bool,
    pub(super) offset: i16,
}

/// What the campaign is.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) what: What,
    pub(super) with_fallback: bool,
    pub(super) lane: Lane,
    pub(super) valid_for: Option<TimeDelta>,
    pub(super) starts_in: Option<TimeDelta>,
    pub(super) rate: Option<u32>,
    pub(super) budget: Option<i64>,
}

/// What it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Marketing,
    Utility,
    Authentication,
    Text,
}

const ZONES: [&str; 6] =
    ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "America/Sao_Paulo", "UTC"];

struct Dice(StdRng);

impl Dice {
    /// True so many times in a thousand.
    fn chance(&mut self, thousandths: u32) -> bool {
        self.0.random_range(0..1_000) < thousandths
    }

    fn up_to(&mut self, most: u32) -> u32 {
        self.0.random_range(0..=most)
    }

    fn maybe<T>(&mut self, thousandths: u32, draw: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.chance(thousandths).then(|| draw(self))
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.0.random_range(0..of.len())]
    }
}

impl World {
    pub(super) fn draw(seed: u64) -> Self {
        let mut dice = Dice(StdRng::seed_from_u64(seed));
        // From 20 September 2026 on: over a change of prices, ends of months and changes of clocks.
        let starts = DateTime::from_timestamp(1_789_862_400 + i64::from(dice.up_to(60 * 86_400)), 0);
        let tier = dice.maybe(250, |dice| 5 + dice.up_to(40));
        let rules = Rules::draw(&mut dice);
        let mut campaign = Plan::draw(&mut dice);
        let mut numbers: Vec<_> = (0..1 + dice.up_to(2)).map(|_| Line::draw(&mut dice, tier)).collect();
        let people = (0..20 + dice.up_to(60)).map(|n| Person::draw(&mut dice, n)).collect();
        let rules = rules.for_campaign(&mut campaign);
        if rules.monthly.or(rules.total).or(campaign.budget).is_some() {
            // What the others may still begin at the end of a budget hangs on when prices are settled.
            numbers.truncate(1);
        }
        Self {
            seed,
            starts: starts.expect("an instant"),
            rest: TimeDelta::seconds(i64::from(dice.up_to(30 * 3_600))),
            numbers,
            people,
            rules,
            campaign,
        }
    }

    /// How far the forecast and the run look.
    pub(super) fn span(&self) -> TimeDelta {
        TimeDelta::hours(30)
    }
}

impl Line {
    fn draw(dice: &mut Dice, tier: Option<u32>) -> Self {
        Self {
            throughput: dice.one(&[80, 80, 1_000]),
            tier,
            quality: dice.up_to(999),
            warm_up: dice.maybe(200, |dice| vec![1 + dice.up_to(20), 5 + dice.up_to(20), 30]),
            gap: dice.maybe(150, |dice| (dice.up_to(3_000), dice.up_to(3_000))),
        }
    }
}

impl Person {
    fn draw(dice: &mut Dice, n: u32) -> Self {
        let digits = match dice.up_to(2) {
            0 => 4_915_100_000_000,
            1 => 12_125_550_000,
            _ => 5_511_900_000_000,
        };
        let consent = match dice.up_to(99) {
            0..5 => Consent::OptedOut,
            5..10 => Consent::NoMarketing,
            10..12 => Consent::Blocked,
            12..50 => Consent::OptedIn,
            _ => Consent::Allowed,
        };
        Self {
            phone: Phone::try_from(digits + u64::from(n)).expect("a phone"),
            named: !dice.chance(60),
            zone: dice.maybe(300, |dice| dice.one(&ZONES)),
            consent,
            suppressed: dice.chance(40),
            wrote: dice.chance(250),
            got: dice.chance(150),
        }
    }
}

impl Rules {
    fn draw(dice: &mut Dice) -> Self {
        let few = |dice: &mut Dice| i64::from(dice.up_to(40)) * 50_000;
        Self {
            zone: dice.one(&ZONES),
            quiet: dice
                .maybe(350, |dice| dice.one(&[("21:00", "08:00"), ("12:00", "15:30"), ("01:30", "09:00")])),
            cooldown: dice.maybe(600, |dice| dice.one(&[6, 12, 24, 72])),
            cap: dice.maybe(250, |dice| {
                (1 + u8::from(dice.chance(300)), 1 + u8::from(dice.chance(300)), dice.chance(500))
            }),
            opt_in: dice.chance(200),
            safe_mode: dice.chance(60),
            fallback: dice.chance(600),
            priced: !dice.chance(150),
            quota: dice.maybe(200, |dice| u64::from(10 + dice.up_to(50))),
            monthly: dice.maybe(150, few),
            total: dice.maybe(150, few),
            slow_on_red: dice.chance(500),
            offset: dice.one(&[0, 0, -480, 120]),
        }
    }

    /// A budget keeps the dearest price that a message can become until the provider has said what it
    /// charges. How long that takes is nothing that a forecast can know, so no deadline hangs on it here.
    fn for_campaign(self, campaign: &mut Plan) -> Self {
        match campaign.what {
            What::Marketing | What::Authentication => self,
            What::Utility => {
                if self.monthly.or(self.total).or(campaign.budget).is_some() {
                    campaign.valid_for = None;
                }
                self
            }
            What::Text => {
                campaign.budget = None;
                Self { monthly: None, total: None, ..self }
            }
        }
    }
}

impl Plan {
    fn draw(dice: &mut Dice) -> Self {
        Self {
            what: dice.one(&[
                What::Marketing,
                What::Marketing,
                What::Utility,
                What::Authentication,
                What::Text,
            ]),
            with_fallback: dice.chance(600),
            lane: if dice.chance(750) { Lane::Bulk } else { Lane::Transactional },
            valid_for: dice.maybe(200, |dice| TimeDelta::seconds(i64::from(1 + dice.up_to(20 * 3_600)))),
            starts_in: dice.maybe(200, |dice| TimeDelta::seconds(i64::from(1 + dice.up_to(10 * 3_600)))),
            rate: dice.maybe(200, |dice| 1 + dice.up_to(20)),
            budget: dice.maybe(200, |dice| i64::from(dice.up_to(40)) * 50_000),
        }
    }
}
