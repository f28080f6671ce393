//! The gate: begun messages that wait for their place in the number's throughput.
//!
//! Invariant: a permit leaves the gate at most once, at an instant that the planner allows, and
//! before its deadline; one that is too late leaves as not sent.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::planner::{Kind, Planner};
use crate::model::{CampaignId, Lane};
use crate::port::SendPermit;
use crate::rules::throughput::Micros;
use crate::rules::{pause, retry};

/// The queues of one session: one per lane and campaign, so that a slow campaign holds up no other.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    queues: BTreeMap<Key, Queue>,
    waiting: usize,
    /// The queue served last, so that queues of one lane take turns.
    turn: Option<Key>,
}

/// The lane, the campaign, and whether it is marketing.
type Key = (Lane, Option<CampaignId>, bool);

#[derive(Debug, Default)]
struct Queue {
    rate: Option<u32>,
    permits: VecDeque<SendPermit>,
}

impl Gate {
    pub(crate) fn push(&mut self, key: Key, rate: Option<u32>, permit: SendPermit) {
        let queue = self.queues.entry(key).or_default();
        queue.rate = rate;
        queue.permits.push_back(permit);
        self.waiting += 1;
    }

    /// How many permits wait.
    pub(crate) const fn len(&self) -> usize {
        self.waiting
    }

    /// How many permits of a campaign wait.
    pub(crate) fn len_of(&self, campaign: CampaignId) -> usize {
        self.count(|(_, own, _)| *own == Some(campaign))
    }

    /// How many permits of a lane wait.
    pub(crate) fn len_of_lane(&self, lane: Lane) -> usize {
        self.count(|(own, _, _)| *own == lane)
    }

    /// How many marketing permits wait.
    pub(crate) fn marketing(&self) -> usize {
        self.count(|(_, _, marketing)| *marketing)
    }

    fn count(&self, counts: impl Fn(&Key) -> bool) -> usize {
        let own = self.queues.iter().filter(|(key, _)| counts(key));
        own.map(|(_, queue)| queue.permits.len()).sum()
    }

    /// Takes out what can no longer start in time.
    pub(crate) fn expired(&mut self, now: Duration) -> Vec<SendPermit> {
        let mut late = Vec::new();
        for queue in self.queues.values_mut() {
            // Permits of one queue were begun in order, so their deadlines rise.
            while queue.permits.front().is_some_and(|permit| permit.start_by() <= now) {
                late.extend(queue.permits.pop_front());
            }
        }
        self.drop_empty(late.len());
        late
    }

    /// Takes everything out, unsent.
    pub(crate) fn drain(&mut self) -> Vec<SendPermit> {
        self.waiting = 0;
        std::mem::take(&mut self.queues).into_values().flat_map(|queue| queue.permits).collect()
    }

    /// The next permit, if the planner lets one go at `now`.
    pub(crate) fn release(
        &mut self,
        planner: &mut Planner,
        now: Micros,
        wall: DateTime<Utc>,
    ) -> Option<SendPermit> {
        let may_go = |(key, queue): &(Key, &Queue)| planner.next_at(kind(*key, queue), now) <= now;
        let (key, _) = self.in_turn().find(may_go)?;
        let queue = self.queues.get_mut(&key)?;
        let kind = kind(key, queue);
        let permit = queue.permits.pop_front()?;
        let word = || match key.1 {
            Some(_) => pause::word(permit.session().id, permit.recipient().key(), wall),
            // Only campaigns are foretold.
            None => retry::word(permit.attempt()),
        };
        planner.release(kind, now, if planner.wants_chance() { word() } else { 0 });
        self.turn = Some(key);
        self.drop_empty(1);
        Some(permit)
    }

    /// When the next permit may leave or expires, if one waits.
    pub(crate) fn next_at(&self, planner: &mut Planner, now: Micros) -> Option<Micros> {
        let queues = self.queues.iter().filter(|(_, queue)| !queue.permits.is_empty());
        queues.map(|(key, queue)| planner.next_at(kind(*key, queue), now)).min()
    }

    /// Non-empty queues: transactional before bulk, within a lane the one after the last served first.
    fn in_turn(&self) -> impl Iterator<Item = (Key, &Queue)> {
        let after = self.turn;
        Lane::ALL.iter().flat_map(move |lane| {
            let of_lane = move |(key, queue): (&Key, &Queue)| key.0 == *lane && !queue.permits.is_empty();
            let later =
                self.queues.iter().filter(move |it| of_lane(*it)).filter(move |(key, _)| Some(**key) > after);
            let earlier = self
                .queues
                .iter()
                .filter(move |it| of_lane(*it))
                .filter(move |(key, _)| Some(**key) <= after);
            later.chain(earlier).map(|(key, queue)| (*key, queue))
        })
    }

    fn drop_empty(&mut self, taken: usize) {
        self.waiting -= taken;
        if self.waiting == 0 || self.queues.len() > 64 {
            self.queues.retain(|_, queue| !queue.permits.is_empty());
        }
    }
}

fn kind(key: Key, queue: &Queue) -> Kind {
    let (lane, campaign, marketing) = key;
    Kind { lane, campaign: campaign.zip(queue.rate), marketing }
}
