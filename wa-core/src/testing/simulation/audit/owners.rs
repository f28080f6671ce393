//! Who holds which session, how fast it sends, and how processes end.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Audit, Holder};
use crate::model::SessionId;
use crate::port::store::Lease;
use crate::testing::simulation::hub::Hub;
use crate::testing::simulation::mark::Mark;

impl Audit {
    /// A process got sessions.
    pub(in super::super) fn acquired(&mut self, hub: &Hub, process: u32, leases: &[Lease]) {
        for lease in leases {
            let id = lease.session.id;
            if let Some(former) = self.holders.get(&id) {
                if former.until > hub.wall() {
                    Self::violated(
                        hub,
                        "I7",
                        format!("process {process} got a session that {} holds", former.process),
                    );
                }
                if former.epoch >= lease.epoch {
                    Self::violated(hub, "I7", format!("epoch {} came after {}", lease.epoch, former.epoch));
                }
            }
            if self
                .attempts
                .values()
                .any(|attempt| attempt.session == id && !attempt.settled && !attempt.swept)
            {
                hub.mark(Mark::Takeover);
            }
            hub.note("acquired", u64::from(process), lease.epoch);
            self.holders.insert(id, Holder { process, epoch: lease.epoch, until: lease.until });
        }
    }

    /// A process keeps sessions.
    pub(in super::super) fn kept(
        &mut self,
        hub: &Hub,
        process: u32,
        kept: &[SessionId],
        until: DateTime<Utc>,
    ) {
        for session in kept {
            match self.holders.get_mut(session) {
                Some(holder) if holder.process == process => holder.until = until,
                Some(_) | None => {
                    Self::violated(
                        hub,
                        "I7",
                        format!("process {process} prolonged a lease that it does not hold"),
                    );
                }
            }
        }
    }

    /// A process gave a session back.
    pub(in super::super) fn gave_back(&mut self, session: SessionId, now: DateTime<Utc>) {
        if let Some(holder) = self.holders.get_mut(&session) {
            holder.until = now;
        }
    }

    /// A permit was let go by the gate of a process.
    pub(in super::super) fn released(&mut self, hub: &Hub, session: SessionId) {
        let now = hub.now();
        let released = self.released.entry(session).or_default();
        released.push_back(now);
        while released.front().is_some_and(|at| *at + Duration::from_secs(1) <= now) {
            released.pop_front();
        }
        if released.len() > self.rate {
            let what =
                format!("{} messages left a number in one second; it may send {}", released.len(), self.rate);
            Self::violated(hub, "I12", what);
        }
    }

    /// A process died.
    pub(in super::super) fn died(&mut self, hub: &Hub, process: u32) {
        self.dead.insert(process);
        for attempt in self.open.get(&process).into_iter().flatten().filter_map(|key| self.attempts.get(key))
        {
            hub.mark(match (attempt.left, attempt.told) {
                (false, _) => Mark::CrashBeforeSend,
                (true, None) => Mark::CrashInSend,
                (true, Some(_)) => Mark::CrashBeforeSettle,
            });
        }
    }

    /// A process ended gracefully.
    pub(in super::super) fn ended(&mut self, hub: &Hub, process: u32) {
        hub.mark(Mark::HandOver);
        let open = self.open.get(&process).map_or(0, BTreeSet::len);
        if open > 0 {
            Self::violated(hub, "I5", format!("process {process} stopped gracefully and left {open} open"));
        }
    }
}
