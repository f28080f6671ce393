//! What people, Meta and the application do while campaigns run, by the instant.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use wa_kit::model::{Content, Location, MessageId};
use wa_kit::simulator::{Quality, TemplateStatus};

use super::people::Person;
use super::world::{NUMBERS, STOP_WORDS, World, template};

/// Something that happens; `by` is the place of the number.
#[derive(Debug, Clone)]
pub(super) enum Act {
    Write { by: usize, who: Person, text: String },
    Prefer { by: usize, who: Person },
    Code { by: usize, who: Person },
    Receipt { by: usize, who: Person },
    Reply { by: usize, who: Person, count: usize },
    Storm { by: usize, seconds: u64 },
    Template { template: &'static str, status: TemplateStatus },
    Quality { by: usize, quality: Quality },
}

/// What will happen, and what has.
#[derive(Debug, Default)]
pub(super) struct Script {
    ahead: BTreeMap<DateTime<Utc>, Vec<Act>>,
    /// Single messages that were handed in.
    pub(super) singles: Vec<MessageId>,
    /// Who wrote a stop word, first when.
    pub(super) stopped: BTreeMap<String, DateTime<Utc>>,
    /// How often people wrote, stopped by a word, and stopped by the app's menu.
    pub(super) wrote: [u64; 3],
}

impl Script {
    pub(super) fn put(&mut self, when: DateTime<Utc>, act: Act) {
        self.ahead.entry(when).or_default().push(act);
    }

    /// Lets everything happen that lies before an instant, which is then now.
    pub(super) async fn play(&mut self, world: &mut World, until: DateTime<Utc>) {
        while let Some(entry) = self.ahead.first_entry().filter(|entry| *entry.key() < until) {
            let (when, acts) = entry.remove_entry();
            world.run_until(when).await;
            let mut is_news = false;
            for act in acts {
                is_news |= self.perform(world, act).await;
            }
            if is_news {
                world.hear().await;
            }
        }
        world.run_until(until).await;
    }

    /// Whether Meta has something to tell.
    async fn perform(&mut self, world: &World, act: Act) -> bool {
        let simulator = &world.simulator;
        match act {
            Act::Write { by, who, text } => {
                simulator.inbound(NUMBERS[by], &who.digits, &text).expect("a user writes");
                self.wrote[0] += 1;
                if STOP_WORDS.contains(&text.as_str()) {
                    self.wrote[1] += 1;
                    self.stopped.entry(who.digits).or_insert(world.now());
                }
            }
            Act::Prefer { by, who } => {
                simulator.opt_out(NUMBERS[by], who.digits.as_str()).expect("a user stops");
                self.wrote[2] += 1;
            }
            Act::Code { by, who } => {
                let code = Content::Template(template("code", &format!("{:06}", self.singles.len())));
                self.singles.push(world.send(by, &who, code).await);
                return false;
            }
            Act::Receipt { by, who } => {
                let receipt = Content::Template(template("receipt", &format!("R{}", self.singles.len())));
                self.singles.push(world.send(by, &who, receipt).await);
                return false;
            }
            Act::Reply { by, who, count } => {
                for _ in 0..count {
                    let place = Location::new("52.5", "13.4").expect("a place");
                    let place = place.with_name(format!("Shop {}", self.singles.len())).expect("a name");
                    self.singles.push(world.send(by, &who, Content::Location(place)).await);
                }
                return false;
            }
            Act::Storm { by, seconds } => {
                let lasting = TimeDelta::seconds(i64::try_from(seconds).expect("it fits"));
                simulator.throttle_storm(NUMBERS[by], lasting.to_std().expect("it fits")).expect("a number");
                return false;
            }
            Act::Template { template, status } => {
                simulator.set_template_status(template, "en", status).expect("a template");
            }
            Act::Quality { by, quality } => simulator.set_quality(NUMBERS[by], quality).expect("a number"),
        }
        true
    }
}

/// Chances of one seed (`SplitMix64`).
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// 0 or more, less than `end`.
    pub(super) fn below(&mut self, end: i64) -> i64 {
        i64::try_from(self.roll() >> 1).expect("63 bits") % end
    }

    pub(super) fn chance(&mut self, percent: i64) -> bool {
        self.below(100) < percent
    }
}
