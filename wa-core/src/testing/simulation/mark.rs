//! Coverage marks: events that a large number of runs must have met, or they prove little.

use std::fmt;

macro_rules! marks {
    ($($(#[$doc:meta])* $mark:ident = $name:literal,)*) => {
        /// Something interesting that happened in a run.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Mark {
            $($(#[$doc])* $mark,)*
        }

        impl Mark {
            /// Every mark.
            pub const ALL: &'static [Self] = &[$(Self::$mark),*];

            /// What happened, in a few words.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$mark => $name),* }
            }
        }
    };
}

marks! {
    /// A status was applied before the answer to its request was settled.
    WebhookBeforeReply = "webhook before reply",
    /// A status resolved an attempt that was in doubt.
    DoubtResolved = "in doubt resolved by a webhook",
    /// A settle came for an attempt that a sweep had put in doubt.
    SettledAfterSweep = "settled after a sweep put it in doubt",
    /// A settle came from a process that did not hold the session any more.
    SettledByFormerOwner = "settled by a former owner",
    /// A batch was refused because the lease was lost after its messages were read.
    LeaseLostBeforeBegin = "lease lost between due and begin",
    /// Messages were gone when their begin came.
    GoneAtBegin = "messages gone at begin",
    /// An abandoned batch had been committed.
    UnknownCommitted = "unknown commit abandoned, and found committed",
    /// An abandoned batch had not been committed.
    UnknownNeverCame = "unknown commit abandoned before it came",
    /// The commit of an abandoned batch came afterwards and was refused.
    UnknownBarred = "unknown commit came late and was barred",
    /// A process died after a begin was committed and before a request left.
    CrashBeforeSend = "crash between begin and send",
    /// A process died while a request was under way.
    CrashInSend = "crash while a request is under way",
    /// A process died after the answer came and before it was settled.
    CrashBeforeSettle = "crash between send and settle",
    /// A process died with a call on its way to the store that was never made.
    CrashBeforeCommit = "crash with a call that never lands",
    /// A process died with a call on its way to the store that was made after its death.
    CommitAfterCrash = "commit after the caller died",
    /// A process died after a commit and before it had the answer.
    CrashAfterCommit = "crash between commit and answer",
    /// A session with open attempts was taken over.
    Takeover = "takeover with open attempts",
    /// A process went on after its lease had ended.
    FrozenPastLease = "process paused past its lease",
    /// A session was handed over gracefully.
    HandOver = "graceful hand-over",
    /// A permit was given back because its time was over.
    PermitExpired = "permit expired unsent",
    /// A new attempt followed one that was throttled.
    RetryAfterThrottle = "retry after a throttle",
    /// A new attempt followed one that had failed after it was accepted.
    RetryAfterFailed = "retry after a failed status",
    /// A number was stopped while permits for it were out.
    BreakerWithPermitsOut = "breaker tripped with permits out",
    /// A contact opted out while a message for it waited.
    OptOutWhileQueued = "opt-out while queued",
    /// A user wrote a stop word.
    StopWord = "stop word",
    /// The whole tenant was paused while attempts of it were open.
    TenantPaused = "tenant paused with open attempts",
    /// A campaign was paused while attempts of it were open.
    PausedWithOpenAttempts = "campaign paused with open attempts",
    /// A campaign was cancelled while attempts of it were open.
    CancelledWithOpenAttempts = "campaign cancelled with open attempts",
    /// A message was put back by hand and begun again.
    RetriedByHand = "message put back by hand",
    /// A message was delivered although the provider had said that it failed.
    DeliveredAfterFailed = "delivered after failed",
    /// A failure without an echo could not be told to belong to an attempt in doubt.
    FailedWithoutEcho = "failed without echo",
    /// A message was skipped because its window had closed.
    WindowClosed = "window closed before begin",
    /// The portfolio's messaging limit held messages back.
    TierFull = "messaging limit reached",
    /// The same bytes of a callback came again.
    WebhookTwice = "callback came twice",
    /// A callback was not taken in and came again.
    WebhookRefused = "callback refused and redelivered",
    /// A body that was kept and not applied was found by the next look.
    CaughtUp = "stored callback caught up",
    /// Settles were lost with the power.
    SettleLost = "settle lost with the power",
    /// A backup was restored while a campaign was running.
    RestoredWhileRunning = "restore with a running campaign",
    /// A webhook came about an attempt that a restored store has forgotten.
    HeardOfForgotten = "webhook about a forgotten attempt",
    /// An operator let a restored store send again.
    ResumedAfterRestore = "resume of a restored store",
}

/// How often each mark was met.
#[derive(Clone, PartialEq, Eq)]
pub struct Marks(Vec<u64>);

impl Default for Marks {
    fn default() -> Self {
        Self(vec![0; Mark::ALL.len()])
    }
}

impl Marks {
    pub(super) fn hit(&mut self, mark: Mark) {
        let place = Mark::ALL.iter().position(|it| *it == mark);
        if let Some(count) = place.and_then(|place| self.0.get_mut(place)) {
            *count += 1;
        }
    }

    /// Adds the counts of other runs.
    pub fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(sum, count)| *sum += count);
    }

    /// Every mark with its count.
    pub fn iter(&self) -> impl Iterator<Item = (Mark, u64)> + '_ {
        Mark::ALL.iter().copied().zip(self.0.iter().copied())
    }

    /// How often a mark was met.
    #[must_use]
    pub fn count(&self, mark: Mark) -> u64 {
        self.iter().find(|(it, _)| *it == mark).map_or(0, |(_, count)| count)
    }
}

impl fmt::Debug for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(mark, count)| (mark.name(), count))).finish()
    }
}
