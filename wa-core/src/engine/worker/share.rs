//! How numbers share the room that `max_in_doubt_per_crash` leaves.
//!
//! What has begun waits at its number's gate and takes room until it has left. A slow number may fill
//! its gate for seconds, so without a rule it would soon hold all of the room and make every faster
//! number as slow as itself. Therefore each number may let wait what it lets out in the same time as
//! the others; what it does not need goes to those that do.
//!
//! Tenants take turns: where not all can begin at once, the tenant that has waited longest goes first, with
//! one number; so a tenant with many numbers and a long backlog holds up none with a few messages.

use std::collections::BTreeMap;

use crate::model::{MessageId, SessionId, TenantId};
use crate::rules::throughput::Micros;

/// What one number asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) session: SessionId,
    pub(super) tenant: TenantId,
    /// Since when the oldest message that was read is known to be due.
    pub(super) due_since: Micros,
    /// Begun messages that wait at its gate.
    pub(super) waiting: usize,
    /// Messages that were read and could begin.
    pub(super) read: usize,
    /// Whether more than these are due.
    pub(super) more: bool,
    /// How many messages the gate lets out in good time, at least one.
    pub(super) horizon: usize,
    /// Whether a message of the transactional lane is among those read, and none waits at the gate: the
    /// next one would overtake nobody there.
    pub(super) urgent: bool,
    /// The oldest message read.
    pub(super) oldest: Option<MessageId>,
}

/// What one number may begin now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) session: SessionId,
    /// How many messages it may begin, at least one.
    pub(super) most: usize,
    /// Whether nothing waits at its gate.
    pub(super) starved: bool,
    /// Whether something of it is in a hurry.
    pub(super) urgent: bool,
    horizon: usize,
}

impl Claim {
    /// How many messages it would let wait if the room were its own.
    fn demand(&self) -> usize {
        let known = self.waiting.saturating_add(self.read);
        if self.more { self.horizon.max(self.waiting) } else { known.min(self.horizon.max(self.waiting)) }
    }

    /// How many messages it may begin when so many may wait.
    fn may_begin(&self, wait: usize) -> usize {
        let wait = wait.min(self.horizon);
        let room = wait.saturating_sub(self.waiting);
        let room = if self.urgent { room.max(1) } else { room };
        // A begin for each place that frees up would cost a commit per message.
        let all_fit = !self.more && room >= self.read;
        if room >= wait.div_ceil(2) || all_fit || self.urgent { self.read.min(room) } else { 0 }
    }

    /// How full its gate is, in thousandths of what it lets out in good time.
    fn fill(&self) -> usize {
        self.waiting.saturating_mul(1_000) / self.horizon.max(1)
    }
}

/// What each number may begin under a bound, in the order of their turns: who has something urgent
/// first, then whose gate is empty; among these one number of each tenant, then a second one of each, and so
/// on. Of a tenant's numbers that with the emptiest gate and the oldest message comes first, and of the tenants
/// the one that has waited longest since it began something or had something to begin.
pub(super) fn shares(claims: &[Claim], bound: usize, served: &BTreeMap<TenantId, Micros>) -> Vec<Share> {
    let mut waits_since = BTreeMap::<TenantId, Micros>::new();
    for claim in claims {
        let since = waits_since.entry(claim.tenant).or_insert(claim.due_since);
        *since = claim.due_since.min(*since);
    }
    for (tenant, since) in &mut waits_since {
        *since = served.get(tenant).map_or(*since, |served| *served.max(since));
    }
    let mut claims: Vec<_> = claims.iter().zip(waits(claims, bound)).collect();
    let class = |claim: &Claim| (!claim.urgent, claim.waiting > 0);
    claims.sort_by_key(|(claim, _)| (class(claim), claim.fill(), claim.oldest));
    let mut places = BTreeMap::<_, usize>::new();
    let mut in_turn: Vec<_> = claims
        .into_iter()
        .map(|(claim, wait)| {
            let place = places.entry((class(claim), claim.tenant)).or_default();
            *place += 1;
            ((class(claim), *place, waits_since.get(&claim.tenant).copied()), claim, wait)
        })
        .collect();
    in_turn.sort_by_key(|(key, claim, _)| (*key, claim.fill(), claim.oldest));
    let claims = in_turn.into_iter().map(|(_, claim, wait)| (claim, wait));
    let shares = claims.map(|(claim, wait)| Share {
        session: claim.session,
        most: claim.may_begin(wait),
        starved: claim.waiting == 0,
        urgent: claim.urgent,
        horizon: claim.horizon,
    });
    shares.filter(|share| share.most > 0).collect()
}

/// Divides what is free just now among them in proportion to their speed; the rest in their order.
pub(super) fn divide(shares: &[Share], free: usize) -> Vec<(SessionId, usize)> {
    let all: usize = shares.iter().map(|share| share.horizon).sum();
    let mut left = free;
    let mut divided = Vec::with_capacity(shares.len());
    for share in shares {
        let even = (free.saturating_mul(share.horizon) / all.max(1)).max(1);
        let most = even.min(share.most).min(left);
        left -= most;
        divided.push((share.session, most));
    }
    for ((_, most), share) in divided.iter_mut().zip(shares) {
        let more = (share.most - *most).min(left);
        left -= more;
        *most += more;
    }
    divided.retain(|(_, most)| *most > 0);
    divided
}

/// How many messages of each claim may wait at its gate: in proportion to its speed, but nobody gets
/// more than it asks for, and everybody who asks may have one.
fn waits(claims: &[Claim], bound: usize) -> Vec<usize> {
    let mut waits: Vec<_> = claims.iter().map(Claim::demand).collect();
    let speeds = claims.iter().map(|claim| claim.horizon);
    let mut speed: usize = speeds.clone().sum();
    // Those that ask for the least in proportion to their speed are served first, so that what each
    // leaves is known when the next has its turn.
    let mut order: Vec<_> = speeds.zip(&mut waits).collect();
    order.sort_by(|(horizon, wait), (other, theirs)| {
        wait.saturating_mul(*other).cmp(&theirs.saturating_mul(*horizon))
    });
    let mut left = bound;
    for (horizon, wait) in order {
        let share = left.saturating_mul(horizon).div_ceil(speed.max(1));
        *wait = (*wait).min(share.max(1));
        left = left.saturating_sub(*wait);
        speed -= horizon;
    }
    waits
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;

    fn session(n: u8) -> SessionId {
        SessionId::mint(DateTime::<Utc>::UNIX_EPOCH, [n; 10])
    }

    fn tenant(n: u8) -> TenantId {
        TenantId::mint(DateTime::<Utc>::UNIX_EPOCH, [n; 10])
    }

    fn claim(n: u8, horizon: usize, waiting: usize) -> Claim {
        Claim {
            session: session(n),
            tenant: tenant(0),
            due_since: 0,
            waiting,
            read: 256,
            more: true,
            horizon,
            urgent: false,
            oldest: None,
        }
    }

    fn shares(claims: &[Claim], bound: usize) -> Vec<Share> {
        super::shares(claims, bound, &BTreeMap::new())
    }

    fn most(shares: &[Share], n: u8) -> usize {
        shares.iter().find(|share| share.session == session(n)).map_or(0, |share| share.most)
    }

    #[test]
    fn alone_a_number_has_all_the_room() {
        assert_eq!(most(&shares(&[claim(1, 160, 0)], 64), 1), 64);
        assert_eq!(most(&shares(&[claim(1, 160, 0)], 1_024), 1), 160, "but not more than leaves in time");
        assert_eq!(most(&shares(&[claim(1, 160, 33)], 64), 1), 0, "half of it must be free");
    }

    #[test]
    fn a_slow_number_leaves_a_fast_one_its_share() {
        let both = shares(&[claim(1, 160, 0), claim(2, 2_000, 0)], 64);
        assert_eq!((most(&both, 1), most(&both, 2)), (5, 59));
        let divided = divide(&both, 64);
        assert_eq!(divided, [(session(1), 5), (session(2), 59)]);
        assert_eq!(divide(&both, 10).iter().map(|(_, most)| most).sum::<usize>(), 10);
    }

    #[test]
    fn what_a_number_does_not_need_goes_to_the_others() {
        // A fast number whose campaign has a slow rate of its own: little waits, nothing was read.
        let slow = Claim { read: 0, more: false, ..claim(2, 2_000, 10) };
        let both = shares(&[claim(1, 160, 0), slow], 64);
        assert_eq!((most(&both, 1), most(&both, 2)), (54, 0));
    }

    #[test]
    fn what_has_nothing_to_do_takes_no_room() {
        let idle = |n| Claim { read: 0, more: false, ..claim(n, 160, 0) };
        let all: Vec<_> = (1..=100).map(idle).chain([claim(0, 2_000, 0)]).collect();
        assert_eq!(most(&shares(&all, 64), 0), 64);
    }

    #[test]
    fn a_few_messages_that_fit_need_not_wait_for_more_room() {
        let few = Claim { read: 3, more: false, ..claim(1, 160, 20) };
        assert_eq!(most(&shares(&[few], 64), 1), 3);
        assert_eq!(most(&shares(&[Claim { more: true, ..few }], 30), 1), 0, "more of them would");
    }

    #[test]
    fn a_hurry_takes_one_place_beyond_the_share_and_no_more() {
        let urgent = Claim { urgent: true, ..claim(1, 10, 10) };
        let both = shares(&[urgent, claim(2, 1_000, 0)], 64);
        assert_eq!(most(&both, 1), 1);
        let waits_already = Claim { urgent: false, waiting: 11, ..urgent };
        assert_eq!(most(&shares(&[waits_already, claim(2, 1_000, 0)], 64), 1), 0);
    }

    #[test]
    fn many_numbers_have_one_each_and_the_emptiest_gate_comes_first() {
        let mut claims: Vec<_> = (0..100).map(|n| claim(n, 160, usize::from(n < 64))).collect();
        let order = shares(&claims, 64);
        assert_eq!(order.len(), 36, "one waits for each of the others");
        assert!(order.iter().all(|share| share.starved && share.most == 1));
        claims[7].urgent = true;
        assert_eq!(shares(&claims, 64)[0].session, session(7), "unless somebody is in a hurry");
        assert_eq!(divide(&order, 10).len(), 10);
    }

    #[test]
    fn tenants_take_turns_whatever_their_numbers_and_backlogs() {
        // One has ninety numbers and a long backlog, one came last with a few messages.
        let mut claims: Vec<_> = (0..90).map(|n| claim(n, 160, 0)).collect();
        claims.push(Claim { tenant: tenant(1), due_since: 500, read: 10, more: false, ..claim(90, 160, 0) });
        claims.push(Claim { tenant: tenant(2), due_since: 900, ..claim(91, 160, 0) });
        let order = |served: &[(u8, Micros)]| {
            let served = served.iter().map(|(n, at)| (tenant(*n), *at)).collect();
            let shares = super::shares(&claims, 64, &served);
            shares.iter().take(4).map(|share| share.session).collect::<Vec<_>>()
        };
        let first = [session(0), session(90), session(91), session(1)];
        assert_eq!(order(&[]), first, "who waits longest first, and one number of each");
        assert_eq!(order(&[(0, 700)]), [session(90), session(0), session(91), session(1)]);
        assert_eq!(order(&[(0, 950), (1, 940)]), [session(91), session(90), session(0), session(1)]);
    }

    /// Whatever is asked, nobody is given more than it asked for or than is free.
    #[test]
    fn no_more_is_divided_than_there_is() {
        let mut word = 7_u64;
        let mut roll = |end: usize| {
            word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(word >> 33).expect("31 bits") % end
        };
        for _ in 0..2_000 {
            let bound = 1 + roll(300);
            let claims: Vec<_> = (0..1 + roll(40))
                .map(|n| Claim {
                    read: roll(100),
                    more: roll(2) == 0,
                    urgent: roll(5) == 0,
                    ..claim(u8::try_from(n).expect("few"), 1 + roll(2_000), roll(20))
                })
                .collect();
            let waits = waits(&claims, bound);
            let (sum, demand) = (waits.iter().sum::<usize>(), claims.iter().map(Claim::demand).sum());
            assert!(sum <= bound + claims.len() && sum >= bound.min(demand), "{waits:?} of {bound}");
            let shares = shares(&claims, bound);
            let free = roll(bound + 1);
            let divided = divide(&shares, free);
            assert!(divided.iter().map(|(_, most)| most).sum::<usize>() <= free);
            let wanted: usize = shares.iter().map(|share| share.most).sum();
            assert_eq!(
                divided.iter().map(|(_, most)| most).sum::<usize>(),
                free.min(wanted),
                "none is left over"
            );
            for (id, given) in divided {
                let claim = claims.iter().find(|claim| claim.session == id).expect("a claim");
                assert!(given <= claim.read);
            }
        }
    }
}
