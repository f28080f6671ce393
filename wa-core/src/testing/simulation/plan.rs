//! What goes wrong in one run: each seed leaves about half of the kinds of faults out and draws how
//! often the others strike ("swarm testing").

use std::time::Duration;

use super::Setup;
use super::dice::Dice;
use crate::service::EngineConfig;

/// What goes wrong in one run, in thousandths, and the sizes of its world.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// Store calls that fail and did nothing.
    pub(super) store_before: u64,
    /// Store calls that did what they should and whose answer is lost.
    pub(super) store_after: u64,
    /// Begins and settles whose commit comes after the caller was told that nobody knows.
    pub(super) store_late: u64,
    /// Milliseconds that a store call takes at most, each way.
    pub(super) store_slow: u64,
    /// Requests that never leave.
    pub(super) unreachable: u64,
    /// Requests whose reply is lost.
    pub(super) lost_reply: u64,
    /// Requests that are answered by a server error, whether they were taken or not.
    pub(super) server_error: u64,
    /// Requests that are refused for a reason of their own.
    pub(super) refused: u64,
    /// Requests that are refused because they come too fast.
    pub(super) throttled: u64,
    /// Requests that take long to leave.
    pub(super) slow_leave: u64,
    /// Requests whose reply comes late, but in time.
    pub(super) slow_reply: u64,
    /// Statuses that the provider sends of those that it could.
    pub(super) statuses: u64,
    /// Messages that are taken and fail then.
    pub(super) failed: u64,
    /// Of these, messages whose failure carries no echo.
    pub(super) mute: u64,
    /// Of these, messages that arrive after all.
    pub(super) contradicted: u64,
    /// Callbacks that come twice.
    pub(super) twice: u64,
    /// Callbacks that come late.
    pub(super) delayed: u64,
    /// Crashes between two polls of a step, per call.
    pub(super) crash_in_call: u64,
    /// The one crash of a run in which nothing else goes wrong, by its opportunity.
    pub(super) crash_at: Option<u64>,
    /// Crashes at any instant, per strike.
    pub(super) crash: u64,
    /// Processes that stand still, per strike.
    pub(super) freeze: u64,
    /// Processes that are stopped gracefully, per strike.
    pub(super) hand_over: u64,
    /// Processes whose wall clock is set, per strike.
    pub(super) clock_step: u64,
    /// Campaigns that are paused or resumed, per strike.
    pub(super) pause: u64,
    /// Campaigns that are cancelled, per strike.
    pub(super) cancel: u64,
    /// Single messages that are cancelled, per strike.
    pub(super) cancel_message: u64,
    /// Failed messages that are put back by hand, per strike.
    pub(super) retry: u64,
    /// Contacts that opt out, per strike.
    pub(super) opt_out: u64,
    /// Contacts that write a stop word, per strike.
    pub(super) stop_word: u64,
    /// Pauses of the whole tenant, and their ends, per strike.
    pub(super) tenant_pause: u64,
    /// Messages that are queued meanwhile, per strike.
    pub(super) enqueue: u64,
    /// Credentials that expire, per strike.
    pub(super) token: u64,
    /// Numbers that are banned, per strike.
    pub(super) ban: u64,
    /// The machine of the store and of all processes loses its power, per strike.
    pub(super) power_loss: u64,
    /// A backup is restored, per strike.
    pub(super) restore: u64,
    /// The operator lets a restored store go on, per strike.
    pub(super) reconcile: u64,
    /// Processes that share the work.
    pub(super) processes: usize,
    /// Whether the store commits calls in the order in which they were made.
    pub(super) in_order: bool,
    /// Messages a second and number.
    pub(super) rate: u32,
    /// How many people the account may write to in 24 hours, if that is limited.
    pub(super) tier: Option<u32>,
    /// Contacts, and so messages of each campaign.
    pub(super) members: u64,
    /// How far a process's wall clock may be from the store's, either way.
    pub(super) skew: Duration,
    /// How long things go wrong.
    pub(super) danger: Duration,
    /// The engine's settings.
    pub(super) config: EngineConfig,
}

impl Plan {
    pub(super) fn draw(dice: &Dice, setup: &Setup) -> Self {
        let calm = setup.crash_at.is_some();
        let some = |most| if calm || dice.per_mille(500) { 0 } else { 1 + dice.below(most) };
        let rare = |most| if calm || dice.per_mille(800) { 0 } else { 1 + dice.below(most) };
        let config = EngineConfig {
            request_timeout: Duration::from_secs(4),
            start_within: Duration::from_millis(dice.one_of(&[300, 1_000, 3_000])),
            lease: Duration::from_secs(6),
            heartbeat: Duration::from_secs(2),
            grace: Duration::from_secs(2),
            concurrency: dice.one_of(&[1, 4, 64]),
            max_in_doubt_per_crash: dice.one_of(&[1, 3, 8, 64]),
            settle_batch: dice.one_of(&[2, 500]),
            begin_batch: dice.one_of(&[3, 1_000]),
            health_every: Duration::from_secs(10),
            #[cfg(feature = "mutants")]
            mutant: setup.mutant,
            ..EngineConfig::default()
        };
        let in_order = dice.per_mille(400);
        let restore = rare(12);
        Self {
            store_before: some(60),
            store_after: some(60),
            // What is handed over in order is not overtaken by a later call.
            store_late: if in_order { 0 } else { some(80) },
            store_slow: dice.one_of(&[2, 8, 40, 400]),
            unreachable: some(100),
            lost_reply: some(80),
            server_error: some(80),
            refused: some(150),
            throttled: some(60),
            slow_leave: some(60),
            slow_reply: some(100),
            statuses: if dice.per_mille(200) { 0 } else { 1 + dice.below(1_000) },
            failed: some(400),
            mute: some(500),
            contradicted: some(1_000),
            twice: some(300),
            delayed: some(300),
            crash_in_call: some(12),
            crash_at: setup.crash_at,
            crash: some(25),
            freeze: some(50),
            hand_over: some(30),
            clock_step: some(60),
            pause: some(80),
            cancel: rare(10),
            cancel_message: some(60),
            retry: some(120),
            opt_out: some(60),
            stop_word: some(60),
            tenant_pause: some(60),
            enqueue: some(120),
            token: rare(20),
            ban: rare(20),
            power_loss: rare(12),
            restore,
            reconcile: if restore > 0 { some(60) } else { 0 },
            processes: dice.one_of(&[1, 2, 2, 3]),
            in_order,
            rate: dice.one_of(&[2, 5, 20]),
            tier: if dice.per_mille(250) {
                Some(3 + u32::try_from(dice.below(8)).unwrap_or(0))
            } else {
                None
            },
            members: 4 + dice.below(12),
            skew: Duration::from_secs(5),
            danger: Duration::from_secs(20),
            config,
        }
    }
}
