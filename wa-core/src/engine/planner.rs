//! The planner of one session: when one more message may be released, and why not sooner.
//!
//! It holds every meter that hangs on the number: throughput, its back-off after throttles, the
//! pair rate of each recipient, and the rates of campaigns. Times are microseconds of the
//! monotonic clock.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::model::{CampaignId, Lane, Throughput, micros};
use crate::port::store::{DispatchState, RecentAttempt};
use crate::rules::adapt::Backoff;
use crate::rules::pair::Meter;
use crate::rules::throughput::{Micros, Ring};

/// How many pair meters may pile up before the empty ones are thrown away.
const PRUNE_AT: usize = 4_096;

/// How many campaigns' rates are kept.
const MOST_CAMPAIGNS: usize = 256;

#[derive(Debug)]
pub(crate) struct Planner {
    nominal: Throughput,
    backoff: Backoff,
    ring: Ring,
    /// Bulk's own ring, when a share of the throughput is kept free for the other lane.
    bulk: Option<Ring>,
    share: u32,
    campaigns: BTreeMap<CampaignId, Ring>,
    // Looked up by key only: no decision depends on its order.
    pairs: HashMap<u64, Meter>,
    prune_at: usize,
    quiet_until: Micros,
}

impl Planner {
    /// A planner for a session that nobody used just now.
    pub(crate) fn new(nominal: Throughput, transactional_share: u32) -> Self {
        let bulk = (transactional_share > 0).then(|| Ring::new(bulk_rate(nominal, transactional_share)));
        Self {
            nominal,
            backoff: Backoff::default(),
            ring: Ring::new(nominal),
            bulk,
            share: transactional_share,
            campaigns: BTreeMap::new(),
            pairs: HashMap::new(),
            prune_at: PRUNE_AT,
            quiet_until: 0,
        }
    }

    /// Takes over from a former owner: its releases if it passed them on, else a full ring.
    pub(crate) fn take_over(
        &mut self,
        passed_on: Option<&DispatchState>,
        recent: &[RecentAttempt],
        now: Micros,
        wall: DateTime<Utc>,
    ) {
        let on_our_clock = |at: i64| {
            let ago = u64::try_from(micros(wall).saturating_sub(at)).unwrap_or(0);
            now.saturating_sub(ago)
        };
        match passed_on {
            Some(state) => state.releases.iter().for_each(|at| self.ring.restore(on_our_clock(*at))),
            None if recent.is_empty() => {}
            None => self.ring = Ring::full(self.nominal, now),
        }
        for attempt in recent {
            self.pairs.entry(attempt.recipient).or_default().take(on_our_clock(micros(attempt.begun_at)));
        }
    }

    /// Nothing is released before.
    pub(crate) fn keep_quiet_until(&mut self, until: Micros) {
        self.quiet_until = self.quiet_until.max(until);
    }

    /// Until when nothing may be released at all.
    pub(crate) fn idle_until(&self) -> Micros {
        self.quiet_until.max(self.backoff.hold_until())
    }

    /// Counts a message that went through the number without this planner: one that came in, or one that
    /// a person typed on the business's own phone. The provider counts all of them together.
    ///
    /// Source: Meta, Throughput, read May 2026: inbound and outbound.
    pub(crate) fn overheard(&mut self, at: DateTime<Utc>, now: Micros, wall: DateTime<Utc>) {
        let ago = u64::try_from(micros(wall).saturating_sub(micros(at))).unwrap_or(0);
        if ago < 1_000_000 {
            self.ring.count(now.saturating_sub(ago));
        }
    }

    pub(crate) fn set_throughput(&mut self, nominal: Throughput) {
        self.nominal = nominal;
    }

    /// How many messages a second may go at present.
    pub(crate) fn rate(&self, now: Micros) -> u32 {
        self.backoff.effective(self.nominal, now).per_second()
    }

    /// Takes the pair's next place, or says when there is one.
    pub(crate) fn take_pair(&mut self, recipient: u64, now: Micros) -> Result<(), Micros> {
        if self.pairs.len() >= self.prune_at {
            self.pairs.retain(|_, meter| !meter.is_empty(now));
            // Doubling keeps the work per message constant however many recipients are busy.
            self.prune_at = (self.pairs.len() * 2).max(PRUNE_AT);
        }
        let meter = self.pairs.entry(recipient).or_default();
        let next_at = meter.next_at(now);
        if next_at > now {
            return Err(next_at);
        }
        meter.take(now);
        Ok(())
    }

    pub(crate) fn give_pair_back(&mut self, recipient: u64) {
        if let Some(meter) = self.pairs.get_mut(&recipient) {
            meter.give_back();
        }
    }

    pub(crate) fn hold_pair(&mut self, recipient: u64, until: Micros) {
        self.pairs.entry(recipient).or_default().hold(until);
    }

    pub(crate) fn throttled(&mut self, now: Micros, retry_after: Option<Duration>) {
        self.backoff.throttled(now, retry_after);
    }

    /// The earliest instant from `now` on at which one more message of this kind may leave.
    pub(crate) fn next_at(&mut self, lane: Lane, campaign: Option<(CampaignId, u32)>, now: Micros) -> Micros {
        self.adjust(now);
        let mut at = now.max(self.idle_until()).max(self.ring.next_at(now));
        if let (Lane::Bulk, Some(bulk)) = (lane, &self.bulk) {
            at = at.max(bulk.next_at(now));
        }
        if let Some((campaign, rate)) = campaign {
            at = at.max(self.campaign_ring(campaign, rate).next_at(now));
        }
        at
    }

    /// Counts a release at `at`.
    pub(crate) fn release(&mut self, lane: Lane, campaign: Option<(CampaignId, u32)>, at: Micros) {
        self.ring.release(at);
        if let (Lane::Bulk, Some(bulk)) = (lane, &mut self.bulk) {
            bulk.release(at);
        }
        if let Some((campaign, rate)) = campaign {
            self.campaign_ring(campaign, rate).release(at);
        }
    }

    /// What the next owner needs.
    pub(crate) fn pass_on(&self, now: Micros, wall: DateTime<Utc>) -> DispatchState {
        let ago = |at: Micros| i64::try_from(now.saturating_sub(at)).unwrap_or(i64::MAX);
        let releases = self.ring.recent(now).map(|at| micros(wall).saturating_sub(ago(at))).collect();
        DispatchState { releases }
    }

    fn adjust(&mut self, now: Micros) {
        let effective = self.backoff.effective(self.nominal, now);
        if effective.per_second() != self.ring.per_second() {
            self.ring.set(effective);
            if let Some(bulk) = &mut self.bulk {
                bulk.set(bulk_rate(effective, self.share));
            }
        }
    }

    fn campaign_ring(&mut self, campaign: CampaignId, rate: u32) -> &mut Ring {
        let rate = Throughput::try_from(rate.clamp(1, 10_000)).unwrap_or(self.nominal);
        if self.campaigns.len() > MOST_CAMPAIGNS && !self.campaigns.contains_key(&campaign) {
            // The oldest by id is most likely over; if not, its even pace starts anew.
            self.campaigns.pop_first();
        }
        let ring = self.campaigns.entry(campaign).or_insert_with(|| Ring::new(rate));
        if ring.per_second() != rate.per_second() {
            ring.set(rate);
        }
        ring
    }
}

fn bulk_rate(nominal: Throughput, share: u32) -> Throughput {
    let kept_free = nominal.per_second().saturating_mul(share).div_ceil(100);
    Throughput::try_from(nominal.per_second().saturating_sub(kept_free).max(1)).unwrap_or(nominal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::from_micros;

    fn planner(per_second: u32, share: u32) -> Planner {
        Planner::new(Throughput::try_from(per_second).expect("a throughput"), share)
    }

    #[test]
    fn a_share_is_kept_free_for_the_transactional_lane() {
        let mut planner = planner(10, 20);
        let mut now = 0;
        for _ in 0..50 {
            now = planner.next_at(Lane::Bulk, None, now);
            planner.release(Lane::Bulk, None, now);
        }
        // Eight a second for bulk, and the other lane finds room at once.
        assert!(now >= 49 * 1_000_000 / 8, "{now}");
        let bulk = planner.next_at(Lane::Bulk, None, now);
        assert!(planner.next_at(Lane::Transactional, None, now) < bulk);
    }

    #[test]
    fn a_taken_over_session_without_state_waits_a_second() {
        let mut fresh = planner(10, 0);
        let wall = from_micros(1_790_000_000_000_000);
        let recent = [RecentAttempt { recipient: 1, begun_at: wall }];
        fresh.take_over(None, &recent, 5_000_000, wall);
        assert!(fresh.next_at(Lane::Bulk, None, 5_000_000) >= 6_000_000);
    }

    #[test]
    fn a_handed_over_session_goes_on_without_a_pause() {
        let wall = from_micros(1_790_000_000_000_000);
        let mut former = planner(10, 0);
        former.release(Lane::Bulk, None, 1_000_000);
        let state = former.pass_on(1_050_000, wall);
        let mut next = planner(10, 0);
        next.take_over(Some(&state), &[], 77_000_000, wall);
        let at = next.next_at(Lane::Bulk, None, 77_000_000);
        assert!((77_050_000..77_060_000).contains(&at), "{at}");
    }

    #[test]
    fn a_pair_that_is_full_says_when() {
        let mut planner = planner(1_000, 0);
        for _ in 0..45 {
            assert_eq!(planner.take_pair(7, 0), Ok(()));
        }
        assert_eq!(planner.take_pair(7, 0), Err(6_000_000));
        assert_eq!(planner.take_pair(8, 0), Ok(()));
        planner.give_pair_back(7);
        assert_eq!(planner.take_pair(7, 0), Ok(()));
    }

    #[test]
    fn a_throttle_slows_down_and_recovers() {
        let mut planner = planner(100, 0);
        planner.throttled(0, None);
        assert_eq!(planner.rate(0), 50);
        assert_eq!(planner.next_at(Lane::Bulk, None, 0), 1_000_000);
        assert_eq!(planner.rate(6_000_000), 100);
    }

    #[test]
    fn pair_meters_of_finished_recipients_are_forgotten() {
        let mut planner = planner(1_000, 0);
        for recipient in 0..100_000_u64 {
            assert_eq!(planner.take_pair(recipient, recipient * 1_000), Ok(()));
        }
        assert!(planner.pairs.len() < 20_000, "{}", planner.pairs.len());
    }
}
