//! The campaign as it really runs, counted in the terms of a preflight.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use wa_kit::model::{CampaignState, Currency, HoldReason, MessageState, SessionId, SkipReason};
use wa_kit::service::Preflight;

use super::Sum;
use super::stage::Stage;
use super::world::{What, World};

/// What a campaign came to.
#[derive(Debug)]
pub(super) struct Played {
    pub(super) audience: u64,
    pub(super) go: u64,
    pub(super) by_session: BTreeMap<SessionId, u64>,
    pub(super) blocked: BTreeMap<SkipReason, u64>,
    pub(super) held: u64,
    /// The same by reason; `None` when nobody knows one of some of them, or the campaign is paused.
    pub(super) held_for: Option<BTreeMap<HoldReason, u64>>,
    pub(super) unpriced: u64,
    pub(super) cost: BTreeMap<Currency, i64>,
    /// What the simulator charges for the messages of the campaign.
    pub(super) cost_by_provider: BTreeMap<Currency, i64>,
    pub(super) starts_at: Option<DateTime<Utc>>,
    pub(super) ends_at: Option<DateTime<Utc>>,
    /// How far the two instants may be away from those that were said.
    pub(super) tolerance: TimeDelta,
}

impl Stage {
    pub(super) async fn play(&self, world: &World) -> Played {
        let before = self.simulator.accepted().len();
        let campaigns = self.tenant.campaigns();
        let campaign = campaigns.create(self.spec(world)).await.expect("a campaign").id;
        campaigns.launch(campaign, |_| {}).await.expect("a launch");
        self.run_for(world.span()).await;
        let mut played = Played {
            audience: 0,
            go: 0,
            by_session: BTreeMap::new(),
            blocked: BTreeMap::new(),
            held: 0,
            held_for: Some(BTreeMap::new()),
            unpriced: 0,
            cost: BTreeMap::new(),
            cost_by_provider: BTreeMap::new(),
            starts_at: None,
            ends_at: None,
            tolerance: tolerance(world),
        };
        let stopped = self.driver.lock().await.status().stopped;
        let stopped_for = |session: SessionId| {
            let mut own =
                stopped.iter().filter(|(id, of, _)| *id == session && of.is_none_or(|of| of == campaign));
            own.next().map(|(_, _, why)| *why)
        };
        for view in campaigns.recipients(campaign, None, 1_000).await.expect("recipients") {
            played.audience += 1;
            match view.state {
                MessageState::Accepted
                | MessageState::Sent
                | MessageState::Delivered
                | MessageState::Read => {
                    played.go += 1;
                    *played.by_session.entry(view.session).or_default() += 1;
                }
                MessageState::Skipped => {
                    *played.blocked.entry(view.skipped.expect("a reason")).or_default() += 1;
                }
                MessageState::Pending | MessageState::Held => {
                    played.held += 1;
                    // What waits in the feed waits for what stopped its first message.
                    let why = view.held.map(|(why, _)| why).or_else(|| stopped_for(view.session));
                    match (why, &mut played.held_for) {
                        (Some(why), Some(held_for)) => *held_for.entry(why).or_default() += 1,
                        (_, held_for) => *held_for = None,
                    }
                }
                state => panic!("{state}: {view:?}\n{world:?}"),
            }
        }
        if campaigns.get(campaign).await.expect("a campaign").state == CampaignState::Paused {
            played.held_for = None;
        }
        let counts = campaigns.counts(campaign).await.expect("counts");
        played.unpriced = counts.unpriced;
        let cost = counts.cost.into_iter().map(|(currency, micros)| (currency.parse().expect("ISO"), micros));
        played.cost = cost.collect();
        for sent in self.simulator.accepted().iter().skip(before) {
            played.starts_at = played.starts_at.into_iter().chain([sent.at]).min();
            played.ends_at = played.ends_at.max(Some(sent.at));
            if let (Some(currency), Some(micros @ 1..)) = (&sent.currency, sent.amount) {
                let sum = played.cost_by_provider.entry(currency.parse().expect("ISO")).or_default();
                *sum += micros;
            }
        }
        assert_eq!(u64::try_from(self.simulator.accepted().len() - before), Ok(played.go), "{played:?}");
        assert_eq!(self.simulator.violations(), [], "no limit is passed");
        played
    }
}

/// A message that finds no room in a budget is looked at again after five polls.
fn tolerance(world: &World) -> TimeDelta {
    let rules = &world.rules;
    let limited = rules.monthly.or(rules.total).or(world.campaign.budget).is_some();
    match world.campaign.what {
        What::Utility if limited => TimeDelta::hours(12),
        What::Utility | What::Marketing | What::Authentication | What::Text => TimeDelta::seconds(6),
    }
}

impl Sum {
    pub(super) fn add(&mut self, said: &Preflight, played: &Played) {
        self.audience += said.audience;
        self.go += said.go;
        self.held += played.held;
        self.held_for += played.held_for.iter().flat_map(BTreeMap::values).sum::<u64>();
        self.unpriced += said.unpriced;
        for (why, count) in &said.blocked {
            *self.blocked.entry(*why).or_default() += count;
        }
        for (why, waiting) in &said.waits {
            *self.waited.entry(why.as_str().to_owned()).or_default() += waiting.messages;
        }
        for (currency, micros) in &said.cost {
            *self.cost.entry(*currency).or_default() += micros;
        }
        let away = said.ends_at.zip(played.ends_at).map(|(said, really)| (said - really).abs());
        if played.tolerance < TimeDelta::minutes(1) {
            self.latest = self.latest.max(away.unwrap_or_default());
        }
    }

    /// The line that is printed.
    pub(super) fn line(&self, worlds: u64, differences: usize) -> String {
        let list = |counts: Vec<(String, u64)>| {
            counts.into_iter().map(|(why, n)| format!("{why} {n}")).collect::<Vec<_>>().join(", ")
        };
        let blocked = list(self.blocked.iter().map(|(why, n)| (why.as_str().to_owned(), *n)).collect());
        let waited = list(self.waited.iter().map(|(why, n)| (why.clone(), *n)).collect());
        let cost: Vec<_> =
            self.cost.iter().map(|(currency, micros)| format!("{micros} micros {currency}")).collect();
        format!(
            "preflight = outcome in {worlds} campaigns: audience {}, go {}, held {} ({} compared by reason), blocked {} ({blocked}); \
             waited ({waited}); cost {} and unpriced {}; differences {differences}; ends at most {} ms apart",
            self.audience,
            self.go,
            self.held,
            self.held_for,
            self.blocked.values().sum::<u64>(),
            cost.join(", "),
            self.unpriced,
            self.latest.num_milliseconds(),
        )
    }
}
