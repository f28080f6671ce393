//! The planner of one session: when one more message may be released, and why not sooner.
//!
//! It holds every meter that hangs on the number: throughput, its back-off after throttles, the
//! pair rate of each recipient, and the rates of campaigns. Times are microseconds of the
//! monotonic clock.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::model::{CampaignId, Gap, Lane, PaceLimit, Throughput, micros};
use crate::port::store::{DispatchState, RecentAttempt};
use crate::rules::adapt::Backoff;
use crate::rules::pace::Pace;
use crate::rules::pair::{Meter, UnderWay};
use crate::rules::pause;
use crate::rules::throughput::{Micros, Ring};

/// How many pair meters may pile up before the empty ones are thrown away.
const PRUNE_AT: usize = 4_096;

/// When a place beside messages under way is asked for again.
const PAIR_AGAIN: Micros = 1_000_000;

/// How many campaigns' rates are kept.
const MOST_CAMPAIGNS: usize = 256;

/// What the planner must know of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) lane: Lane,
    /// Its campaign and that campaign's own rate, if it has one.
    pub(crate) campaign: Option<(CampaignId, u32)>,
    pub(crate) marketing: bool,
}

/// When one more message may leave, and what keeps it from leaving sooner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct When {
    pub(crate) at: Micros,
    /// `None` when it may leave now.
    pub(crate) why: Option<PaceLimit>,
}

impl When {
    /// The later of the two; of two limits that end together the one that was there first.
    fn not_before(self, at: Micros, limit: PaceLimit) -> Self {
        if at > self.at { Self { at, why: Some(limit) } } else { self }
    }
}

#[derive(Debug)]
pub(crate) struct Planner {
    nominal: Throughput,
    backoff: Backoff,
    ring: Ring,
    /// Bulk's own ring, when a share of the throughput is kept free for the other lane.
    bulk: Option<Ring>,
    share: u32,
    /// Marketing's own ring, while the number's quality leaves it only a share.
    marketing: Option<Ring>,
    marketing_percent: u8,
    gap: Option<Gap>,
    /// When the gap after the latest release ends.
    gap_until: Micros,
    campaigns: BTreeMap<CampaignId, Ring>,
    // Looked up by key only: no decision depends on its order.
    pairs: HashMap<u64, Meter>,
    /// How many messages to each recipient are begun and not known to have left or not; few.
    under_way: HashMap<u64, u64>,
    /// How long that takes at most.
    within: Micros,
    prune_at: usize,
    quiet_until: Micros,
}

impl Planner {
    /// A planner for a session that nobody used just now; `within` is the longest time from a message's begin to the
    /// end of its request.
    pub(crate) fn new(nominal: Throughput, transactional_share: u32, within: Micros) -> Self {
        let bulk = (transactional_share > 0).then(|| Ring::new(bulk_rate(nominal, transactional_share)));
        Self {
            nominal,
            backoff: Backoff::default(),
            ring: Ring::new(nominal),
            bulk,
            share: transactional_share,
            marketing: None,
            marketing_percent: 100,
            gap: None,
            gap_until: 0,
            campaigns: BTreeMap::new(),
            pairs: HashMap::new(),
            under_way: HashMap::new(),
            within,
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
        // As if the hand-over were now: clocks differ, and nobody knows by how much.
        let before_now = |ago: i64| now.saturating_sub(u64::try_from(ago).unwrap_or(0));
        match passed_on {
            Some(state) => state.releases.iter().for_each(|ago| self.ring.restore(before_now(*ago))),
            None if recent.is_empty() => {}
            None => self.ring = Ring::full(self.nominal, now),
        }
        for attempt in recent {
            let arrived = on_our_clock(micros(attempt.begun_at)).saturating_add(self.within);
            self.pairs.entry(attempt.recipient).or_default().take(arrived);
        }
    }

    /// Nothing is released before.
    pub(crate) fn keep_quiet_until(&mut self, until: Micros) {
        self.quiet_until = self.quiet_until.max(until);
    }

    /// Until when nothing may be released at all.
    pub(crate) fn idle_until(&self) -> Micros {
        self.quiet_until.max(self.backoff.hold_until()).max(self.gap_until)
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

    /// Takes over how fast the number may go; `transport` is the gap that its transport asks for.
    pub(crate) fn set_pace(&mut self, pace: &Pace, transport: Option<Gap>, now: Micros) {
        let Pace { throughput, marketing_percent, gap } = *pace;
        self.nominal = throughput;
        self.gap = gap.or(transport);
        if self.gap.is_none() {
            self.gap_until = 0;
        }
        if marketing_percent != self.marketing_percent {
            self.marketing_percent = marketing_percent;
            let effective = self.backoff.effective(self.nominal, now);
            // A share that begins now starts from a full ring: who knows what marketing had before.
            self.marketing = (marketing_percent < 100)
                .then(|| Ring::full(percent_of(effective, u32::from(marketing_percent)), now));
        }
    }

    /// Whether the next release needs a word that stands for chance.
    pub(crate) fn wants_chance(&self) -> bool {
        self.gap.is_some_and(|gap| gap.jitter_millis > 0)
    }

    /// How many messages should wait at the gate: what leaves within `lead`, at least one.
    pub(crate) fn horizon(&self, lead: Duration, now: Micros) -> usize {
        let by_rate = horizon(self.rate(now), lead);
        let Some(gap) = self.gap else { return by_rate };
        let pause = u128::from(gap.millis) + u128::from(gap.jitter_millis).div_ceil(2);
        let by_gap = lead.as_millis().checked_div(pause).unwrap_or(u128::MAX);
        by_rate.min(usize::try_from(by_gap).unwrap_or(usize::MAX)).max(1)
    }

    /// How many marketing messages should; `None` while marketing has the whole throughput.
    pub(crate) fn marketing_horizon(&self, lead: Duration) -> Option<usize> {
        self.marketing.as_ref().map(|ring| horizon(ring.per_second(), lead))
    }

    /// How many messages a second may go at present.
    pub(crate) fn rate(&self, now: Micros) -> u32 {
        self.backoff.effective(self.nominal, now).per_second()
    }

    /// Takes the pair's next place, or says when to ask again.
    pub(crate) fn take_pair(&mut self, recipient: u64, now: Micros) -> Result<(), Micros> {
        let next_at = self.pair_at(recipient, now);
        if next_at > now {
            // Where it hangs on those under way, they will mostly have arrived long before they must.
            let alone = self.pairs.get(&recipient).map_or(now, |meter| meter.next_at(now));
            return Err(next_at.min(now.saturating_add(PAIR_AGAIN)).max(alone));
        }
        *self.under_way.entry(recipient).or_default() += 1;
        Ok(())
    }

    /// Gives a place back: its message never left.
    pub(crate) fn give_pair_back(&mut self, recipient: u64) {
        if let Entry::Occupied(mut count) = self.under_way.entry(recipient) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    /// Counts a message that has left: it was there by now, unless it is lost.
    ///
    /// The provider counts from when it gets a message, and nobody knows how long it waited for its place and was
    /// on its way; so it is counted at the end of its request, and beside those that are under way as if
    /// they came as late as can be.
    pub(crate) fn pair_left(&mut self, recipient: u64, now: Micros) {
        self.give_pair_back(recipient);
        if self.pairs.len() >= self.prune_at {
            self.pairs.retain(|_, meter| !meter.is_empty(now));
            // Doubling keeps the work per message constant however many recipients are busy.
            self.prune_at = (self.pairs.len() * 2).max(PRUNE_AT);
        }
        self.pairs.entry(recipient).or_default().take(now);
    }

    pub(crate) fn hold_pair(&mut self, recipient: u64, until: Micros) {
        self.pairs.entry(recipient).or_default().hold(until);
    }

    pub(crate) fn throttled(&mut self, now: Micros, retry_after: Option<Duration>) {
        self.backoff.throttled(now, retry_after);
    }

    /// The earliest instant from `now` on at which one more message of this kind may leave.
    pub(crate) fn next_at(&mut self, kind: Kind, now: Micros) -> Micros {
        self.when(kind, now).at
    }

    /// When one more message of this kind may leave, and why not sooner.
    pub(crate) fn when(&mut self, kind: Kind, now: Micros) -> When {
        self.adjust(now);
        let mut when = When { at: now, why: None }
            .not_before(self.quiet_until, PaceLimit::Handover)
            .not_before(self.backoff.hold_until(), PaceLimit::BackOff)
            .not_before(self.gap_until, PaceLimit::Gap)
            .not_before(self.ring.next_at(now), PaceLimit::Throughput);
        if let (Lane::Bulk, Some(bulk)) = (kind.lane, &self.bulk) {
            when = when.not_before(bulk.next_at(now), PaceLimit::BulkShare);
        }
        if let (true, Some(marketing)) = (kind.marketing, &self.marketing) {
            when = when.not_before(marketing.next_at(now), PaceLimit::MarketingShare);
        }
        if let Some((campaign, rate)) = kind.campaign {
            when = when.not_before(self.campaign_ring(campaign, rate).next_at(now), PaceLimit::CampaignRate);
        }
        when
    }

    /// The same for a message to one recipient.
    pub(crate) fn when_to(&mut self, kind: Kind, recipient: u64, now: Micros) -> When {
        self.when(kind, now).not_before(self.pair_at(recipient, now), PaceLimit::PairRate)
    }

    /// Waits out the longest gap after a release of which only the instant is known.
    pub(crate) fn gap_since(&mut self, released_at: Micros) {
        if let Some(gap) = self.gap {
            self.gap_until = released_at.saturating_add(pause::after(gap, u64::MAX));
        }
    }

    /// When the pair's next place is free.
    pub(crate) fn pair_at(&self, recipient: u64, now: Micros) -> Micros {
        let count = self.under_way.get(&recipient).copied().unwrap_or_default();
        let meter = self.pairs.get(&recipient).copied().unwrap_or_default();
        meter.next_beside(UnderWay { count, within: self.within }, now)
    }

    /// Counts a release at `at`; `chance` decides how long the gap after it is.
    pub(crate) fn release(&mut self, kind: Kind, at: Micros, chance: u64) {
        self.ring.release(at);
        if let (Lane::Bulk, Some(bulk)) = (kind.lane, &mut self.bulk) {
            bulk.release(at);
        }
        if let (true, Some(marketing)) = (kind.marketing, &mut self.marketing) {
            marketing.release(at);
        }
        if let Some((campaign, rate)) = kind.campaign {
            self.campaign_ring(campaign, rate).release(at);
        }
        if let Some(gap) = self.gap {
            self.gap_until = at.saturating_add(pause::after(gap, chance));
        }
    }

    /// What the next owner needs.
    pub(crate) fn pass_on(&self, now: Micros) -> DispatchState {
        let ago = |at: Micros| i64::try_from(now.saturating_sub(at)).unwrap_or(i64::MAX);
        DispatchState { releases: self.ring.recent(now).map(ago).collect() }
    }

    fn adjust(&mut self, now: Micros) {
        let effective = self.backoff.effective(self.nominal, now);
        if effective.per_second() != self.ring.per_second() {
            self.ring.set(effective);
            if let Some(bulk) = &mut self.bulk {
                bulk.set(bulk_rate(effective, self.share));
            }
            if let Some(marketing) = &mut self.marketing {
                marketing.set(percent_of(effective, u32::from(self.marketing_percent)));
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

/// How many messages a rate lets out in this time, at least one.
pub(crate) fn horizon(rate: u32, lead: Duration) -> usize {
    let horizon = u128::from(rate).saturating_mul(lead.as_millis()) / 1_000;
    usize::try_from(horizon).unwrap_or(usize::MAX).max(1)
}

fn percent_of(nominal: Throughput, percent: u32) -> Throughput {
    let share = nominal.per_second().saturating_mul(percent) / 100;
    Throughput::try_from(share.max(1)).unwrap_or(nominal)
}

fn bulk_rate(nominal: Throughput, share: u32) -> Throughput {
    let kept_free = nominal.per_second().saturating_mul(share).div_ceil(100);
    Throughput::try_from(nominal.per_second().saturating_sub(kept_free).max(1)).unwrap_or(nominal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{GapSetting, from_micros};

    fn planner(per_second: u32, share: u32) -> Planner {
        Planner::new(Throughput::try_from(per_second).expect("a throughput"), share, 12_000_000)
    }

    fn of(lane: Lane) -> Kind {
        Kind { lane, campaign: None, marketing: false }
    }

    /// How many marketing messages leave in ten seconds, after the first.
    fn marketing_in_ten_seconds(planner: &mut Planner) -> u32 {
        let kind = Kind { marketing: true, ..of(Lane::Bulk) };
        let start = planner.next_at(kind, 20_000_000);
        let (mut at, mut count) = (start, 0);
        while at < start + 10_000_000 {
            planner.release(kind, at, 0);
            count += 1;
            at = planner.next_at(kind, at);
        }
        count
    }

    #[test]
    fn a_bad_rating_leaves_marketing_its_share_and_others_the_rest() {
        let pace = Pace { throughput: Throughput::DEFAULT, marketing_percent: 25, gap: GapSetting::Off };
        let mut slow = planner(80, 0);
        slow.set_pace(&pace, None, 0);
        let count = marketing_in_ten_seconds(&mut slow);
        assert!((195..=200).contains(&count), "a quarter of 80 a second: {count}");
        let mut now = 60_000_000;
        let marketing = Kind { marketing: true, ..of(Lane::Bulk) };
        for _ in 0..3 {
            now = slow.next_at(marketing, now);
            slow.release(marketing, now, 0);
        }
        assert!(slow.next_at(of(Lane::Bulk), now) < slow.next_at(marketing, now), "others need not wait");
        slow.set_pace(&Pace { marketing_percent: 100, ..pace }, None, now);
        let count = marketing_in_ten_seconds(&mut slow);
        assert!((790..=800).contains(&count), "and all of it once the rating is good: {count}");
    }

    #[test]
    fn a_gap_keeps_messages_apart_and_jitter_spreads_them() {
        let gap = Gap { millis: 1_500, jitter_millis: 1_000 };
        let mut openwa = planner(80, 0);
        openwa.set_pace(&Pace::default(), Some(gap), 0);
        assert!(openwa.wants_chance());
        let mut ends = std::collections::BTreeSet::new();
        let mut at = 0;
        for chance in 0..500_u64 {
            openwa.release(of(Lane::Bulk), at, chance.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let next = openwa.next_at(of(Lane::Transactional), at);
            assert!((1_500_000..=2_500_000).contains(&(next - at)), "{}", next - at);
            ends.insert((next - at) / 10_000);
            at = next;
        }
        assert!(ends.len() > 80, "the words decide: {}", ends.len());
        assert_eq!(openwa.horizon(Duration::from_secs(2), at), 1, "no crowd waits behind a gap");
        openwa.set_pace(&Pace { gap: GapSetting::Off, ..Pace::default() }, Some(gap), at);
        assert!(openwa.next_at(of(Lane::Bulk), at) < at + 20_000, "a session can do without");
        assert!(!openwa.wants_chance());
    }

    #[test]
    fn a_share_is_kept_free_for_the_transactional_lane() {
        let mut planner = planner(10, 20);
        let mut now = 0;
        for _ in 0..50 {
            now = planner.next_at(of(Lane::Bulk), now);
            planner.release(of(Lane::Bulk), now, 0);
        }
        // Eight a second for bulk, and the other lane finds room at once.
        assert!(now >= 49 * 1_000_000 / 8, "{now}");
        let bulk = planner.next_at(of(Lane::Bulk), now);
        assert!(planner.next_at(of(Lane::Transactional), now) < bulk);
    }

    #[test]
    fn each_limit_is_named_while_it_is_the_one_that_binds() {
        let mut planner = planner(100, 20);
        let bulk = Kind { campaign: Some((CampaignId::from_uuid(uuid::Uuid::nil()), 2)), ..of(Lane::Bulk) };
        let marketing = Kind { marketing: true, ..of(Lane::Transactional) };
        let why = |planner: &mut Planner, kind, now| planner.when_to(kind, 7, now).why;
        assert_eq!(planner.when_to(bulk, 7, 5), When { at: 5, why: None }, "nobody used it just now");

        let mut now = 10_000_000;
        planner.release(bulk, now, 0);
        assert_eq!(why(&mut planner, of(Lane::Transactional), now), Some(PaceLimit::Throughput));
        assert_eq!(why(&mut planner, of(Lane::Bulk), now), Some(PaceLimit::BulkShare), "it ends later");
        assert_eq!(why(&mut planner, bulk, now), Some(PaceLimit::CampaignRate));
        now += 1_000_000;
        assert_eq!(why(&mut planner, bulk, now), None);

        let half = Pace { throughput: planner.nominal, marketing_percent: 50, gap: GapSetting::Off };
        planner.set_pace(&half, None, now);
        assert_eq!(why(&mut planner, marketing, now), Some(PaceLimit::MarketingShare));
        now += 2_000_000;
        let pause = GapSetting::Of(Gap { millis: 300, jitter_millis: 0 });
        planner.set_pace(&Pace { gap: pause, ..half }, None, now);
        planner.release(of(Lane::Transactional), now, 0);
        assert_eq!(why(&mut planner, of(Lane::Transactional), now), Some(PaceLimit::Gap));
        planner.keep_quiet_until(now + 400_000);
        assert_eq!(why(&mut planner, of(Lane::Transactional), now), Some(PaceLimit::Handover));
        planner.throttled(now, None);
        assert_eq!(why(&mut planner, of(Lane::Transactional), now), Some(PaceLimit::BackOff));
        planner.hold_pair(7, now + 60_000_000);
        let when = planner.when_to(of(Lane::Transactional), 7, now);
        assert_eq!(when, When { at: now + 60_000_000, why: Some(PaceLimit::PairRate) });
    }

    #[test]
    fn a_taken_over_session_without_state_waits_a_second() {
        let mut fresh = planner(10, 0);
        let wall = from_micros(1_790_000_000_000_000);
        let recent = [RecentAttempt { recipient: 1, begun_at: wall }];
        fresh.take_over(None, &recent, 5_000_000, wall);
        assert!(fresh.next_at(of(Lane::Bulk), 5_000_000) >= 6_000_000);
    }

    #[test]
    fn a_handed_over_session_goes_on_without_a_pause() {
        let wall = from_micros(1_790_000_000_000_000);
        let mut former = planner(10, 0);
        former.release(of(Lane::Bulk), 1_000_000, 0);
        let state = former.pass_on(1_050_000);
        let mut next = planner(10, 0);
        // Its clock is an hour behind, which is nobody's business.
        next.take_over(Some(&state), &[], 77_000_000, wall - chrono::TimeDelta::hours(1));
        let at = next.next_at(of(Lane::Bulk), 77_000_000);
        assert!((77_050_000..77_060_000).contains(&at), "{at}");
    }

    #[test]
    fn a_pair_that_is_full_says_when() {
        let mut planner = planner(1_000, 0);
        for at in 0..45 {
            assert_eq!(planner.take_pair(7, at), Ok(()));
            planner.pair_left(7, at);
        }
        assert_eq!(planner.take_pair(7, 44), Err(6_000_000));
        assert_eq!(planner.take_pair(8, 44), Ok(()));
    }

    #[test]
    fn a_pair_counts_from_the_end_of_its_requests() {
        let mut planner = planner(1_000, 0);
        // Begun at once; within twelve seconds they are there, so two fewer than the burst and one to come.
        for _ in 0..43 {
            assert_eq!(planner.take_pair(7, 0), Ok(()));
        }
        assert_eq!(planner.pair_at(7, 0), 6_000_000);
        assert_eq!(planner.take_pair(7, 0), Err(1_000_000), "they may be there much sooner");
        planner.give_pair_back(7);
        assert_eq!(planner.take_pair(7, 0), Ok(()));
        for _ in 0..43 {
            planner.pair_left(7, 5_000_000);
        }
        // These came five seconds late, and so does the burst's end.
        for _ in 0..2 {
            assert_eq!(planner.take_pair(7, 5_000_000), Ok(()));
            planner.pair_left(7, 5_000_000);
        }
        assert_eq!(planner.take_pair(7, 5_000_000), Err(11_000_000));
    }

    #[test]
    fn a_throttle_slows_down_and_recovers() {
        let mut planner = planner(100, 0);
        planner.throttled(0, None);
        assert_eq!(planner.rate(0), 50);
        assert_eq!(planner.next_at(of(Lane::Bulk), 0), 1_000_000);
        assert_eq!(planner.rate(6_000_000), 100);
    }

    #[test]
    fn pair_meters_of_finished_recipients_are_forgotten() {
        let mut planner = planner(1_000, 0);
        for recipient in 0..100_000_u64 {
            assert_eq!(planner.take_pair(recipient, recipient * 1_000), Ok(()));
            planner.pair_left(recipient, recipient * 1_000);
        }
        assert!(planner.under_way.is_empty());
        assert!(planner.pairs.len() < 20_000, "{}", planner.pairs.len());
    }
}
