//! How sessions are spread over workers: what is free goes to those that hold the fewest, and whoever holds
//! the most gives up one at a time until the numbers differ by at most one.
//!
//! Every worker decides for itself from the same facts. Where they change in between, a few sessions more
//! change hands; that nobody owns one twice is the lease's business, not this one's. A session moves only
//! where the numbers differ by two or more, so nothing goes back and forth.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use chrono::{DateTime, Utc};

use crate::model::{SessionId, WorkerId};

/// A worker that has made itself known lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fellow {
    /// Its id.
    pub worker: WorkerId,
    /// Sessions whose lease it holds.
    pub held: u32,
    /// Sessions that it would hold at most.
    pub most: u32,
    /// Since when it has made itself known without a gap.
    pub since: DateTime<Utc>,
}

impl Fellow {
    const fn room(&self) -> u32 {
        self.most.saturating_sub(self.held)
    }
}

/// What is known when a worker looks around.
#[derive(Debug, Clone, Copy)]
pub struct Round<'a> {
    /// The workers, each once; whoever asks is one of them unless it wants no sessions.
    pub fellows: &'a [Fellow],
    /// Sessions that could be taken.
    pub free: u32,
    /// Whether sessions have been free for so long that whoever should take them does not.
    pub overdue: bool,
    /// Who came later than this is not handed anything yet: it may have gone as fast as it came.
    pub settled_before: DateTime<Utc>,
}

/// What a worker should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    /// Sessions to take of those that are free, at most.
    pub take: u32,
    /// Whether one should change hands.
    pub step: Step,
}

/// Whether a session should change hands.
///
/// Exhaustive on purpose: a worker must do something about each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// As it is.
    Stay,
    /// This worker gives one up.
    Give,
    /// Another worker gives one up, for this one.
    Expect,
}

/// What a worker should do now.
#[must_use]
pub fn spread(own: WorkerId, round: &Round<'_>) -> Spread {
    let Some(me) = round.fellows.iter().find(|fellow| fellow.worker == own) else {
        return Spread { take: 0, step: Step::Stay };
    };
    if round.fellows.len() == 1 {
        // Also what has come free since this was counted.
        return Spread { take: me.room(), step: Step::Stay };
    }
    let take = if round.overdue { round.free.min(me.room()) } else { portion(own, round) };
    Spread { take, step: step(own, round) }
}

/// How many of the free sessions are this worker's: each goes to the one with the fewest.
fn portion(own: WorkerId, round: &Round<'_>) -> u32 {
    let with_room = round.fellows.iter().filter(|fellow| fellow.room() > 0);
    let mut order: BinaryHeap<_> =
        with_room.map(|fellow| Reverse((fellow.held, fellow.worker, fellow.most))).collect();
    let mut portion = 0;
    for _ in 0..round.free {
        let Some(Reverse((held, worker, most))) = order.pop() else { break };
        if worker == own {
            portion += 1;
        }
        if held + 1 < most {
            order.push(Reverse((held + 1, worker, most)));
        }
    }
    portion
}

fn step(own: WorkerId, round: &Round<'_>) -> Step {
    let settled =
        round.fellows.iter().filter(|fellow| fellow.room() > 0 && fellow.since <= round.settled_before);
    let most = round.fellows.iter().max_by_key(|fellow| (fellow.held, fellow.worker));
    let fewest = settled.min_by_key(|fellow| (fellow.held, fellow.worker));
    let (Some(giver), Some(receiver)) = (most, fewest) else { return Step::Stay };
    if giver.held < receiver.held.saturating_add(2) {
        return Step::Stay;
    }
    // One at a time: the next goes when the last has been taken.
    if giver.worker == own && round.free == 0 {
        return Step::Give;
    }
    if receiver.worker == own { Step::Expect } else { Step::Stay }
}

/// A session that could be given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// The session.
    pub session: SessionId,
    /// Whether nothing of it is under way.
    pub is_idle: bool,
    /// The later it came, the higher.
    pub came: u64,
}

/// Which session is given up: an idle one if there is one, and of several the one that came last, so that
/// what a worker has had for long stays with it.
#[must_use]
pub fn given_up(candidates: impl IntoIterator<Item = Candidate>) -> Option<SessionId> {
    let first = candidates.into_iter().max_by_key(|it| (it.is_idle, it.came, it.session));
    first.map(|candidate| candidate.session)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(n: u8) -> WorkerId {
        WorkerId::mint(DateTime::<Utc>::UNIX_EPOCH, [n; 10])
    }

    fn fellows(held: &[u32]) -> Vec<Fellow> {
        let fellow = |(n, held): (u8, &u32)| Fellow {
            worker: worker(n),
            held: *held,
            most: 1_000,
            since: DateTime::UNIX_EPOCH,
        };
        (0..).zip(held).map(fellow).collect()
    }

    fn round(fellows: &[Fellow], free: u32) -> Round<'_> {
        Round { fellows, free, overdue: false, settled_before: DateTime::UNIX_EPOCH }
    }

    fn takes(held: &[u32], free: u32) -> Vec<u32> {
        let fellows = fellows(held);
        fellows.iter().map(|it| spread(it.worker, &round(&fellows, free)).take).collect()
    }

    fn steps(held: &[u32]) -> Vec<Step> {
        let fellows = fellows(held);
        fellows.iter().map(|it| spread(it.worker, &round(&fellows, 0)).step).collect()
    }

    #[test]
    fn what_is_free_goes_to_those_with_the_fewest() {
        assert_eq!(takes(&[0, 0], 5), [3, 2]);
        assert_eq!(takes(&[5, 0], 3), [0, 3]);
        assert_eq!(takes(&[5, 0, 4], 6), [0, 5, 1]);
        assert_eq!(takes(&[2, 2, 2], 0), [0, 0, 0]);
    }

    #[test]
    fn alone_a_worker_takes_all_that_it_can_hold() {
        assert_eq!(takes(&[4], 0), [996], "also what came free since");
        let mut own = fellows(&[4]);
        own[0].most = 3;
        assert_eq!(spread(worker(0), &round(&own, 9)).take, 0);
    }

    #[test]
    fn nobody_takes_more_than_it_can_hold_and_the_others_take_the_rest() {
        let mut two = fellows(&[0, 0]);
        two[0].most = 2;
        let takes: Vec<u32> = two.iter().map(|it| spread(it.worker, &round(&two, 10)).take).collect();
        assert_eq!(takes, [2, 8]);
    }

    #[test]
    fn who_has_the_most_gives_to_who_has_the_fewest() {
        assert_eq!(steps(&[4, 0]), [Step::Give, Step::Expect]);
        assert_eq!(steps(&[3, 2]), [Step::Stay, Step::Stay], "a difference of one is none");
        assert_eq!(steps(&[4, 2, 4]), [Step::Stay, Step::Expect, Step::Give], "one at a time");
    }

    #[test]
    fn the_next_one_waits_for_the_last_one_to_be_taken() {
        let two = fellows(&[4, 0]);
        assert_eq!(spread(worker(0), &round(&two, 1)).step, Step::Stay);
        let overdue = Round { overdue: true, ..round(&two, 1) };
        assert_eq!(
            spread(worker(0), &overdue),
            Spread { take: 1, step: Step::Stay },
            "then it is taken back"
        );
    }

    #[test]
    fn who_has_just_come_takes_what_is_free_and_is_handed_nothing() {
        let mut two = fellows(&[4, 0]);
        two[1].since = DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(1);
        assert_eq!(spread(worker(0), &round(&two, 0)).step, Step::Stay);
        assert_eq!(spread(worker(1), &round(&two, 2)), Spread { take: 2, step: Step::Stay });
    }

    #[test]
    fn who_wants_none_gets_none() {
        let two = fellows(&[4, 0]);
        assert_eq!(spread(worker(9), &round(&two, 5)), Spread { take: 0, step: Step::Stay });
    }

    #[test]
    fn what_came_last_and_is_idle_goes_first() {
        let session = |n: u8| SessionId::mint(DateTime::<Utc>::UNIX_EPOCH, [n; 10]);
        let it = |n, is_idle| Candidate { session: session(n), is_idle, came: u64::from(n) };
        assert_eq!(given_up([it(1, true), it(2, true), it(3, false)]), Some(session(2)));
        assert_eq!(given_up([it(1, false), it(3, false), it(2, false)]), Some(session(3)));
        assert_eq!(given_up([]), None);
    }

    /// Whatever they start from, workers that follow the rule end with numbers that differ by at most one, in
    /// no more moves than are needed, and then nothing moves any more.
    #[test]
    fn it_ends_balanced_after_the_fewest_moves() {
        let mut word = 11_u64;
        let mut roll = |end: u32| {
            word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            u32::try_from(word >> 33).expect("31 bits") % end
        };
        for _ in 0..500 {
            let mut held: Vec<u32> = (0..2 + roll(5)).map(|_| roll(30)).collect();
            let workers = u32::try_from(held.len()).expect("few");
            let even = held.iter().sum::<u32>() / workers;
            let above: u32 = held.iter().map(|it| it.saturating_sub(even + 1)).sum();
            let below: u32 = held.iter().map(|it| even.saturating_sub(*it)).sum();
            let mut moves = 0;
            while let Some(giver) = steps(&held).iter().position(|step| *step == Step::Give) {
                held[giver] -= 1;
                let takes = takes(&held, 1);
                assert_eq!((takes.iter().sum::<u32>(), takes[giver]), (1, 0), "{held:?}");
                held.iter_mut().zip(takes).for_each(|(held, take)| *held += take);
                moves += 1;
            }
            let (low, high) = (held.iter().min(), held.iter().max());
            assert!(high.zip(low).is_some_and(|(high, low)| high - low <= 1), "{held:?}");
            assert_eq!(moves, above.max(below), "{held:?}");
        }
    }
}
