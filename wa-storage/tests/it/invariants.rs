//! Random scripts against what must hold after every step, whatever the order of events.

use std::time::Duration;

use rusqlite::Connection;
use wa_core::model::{
    AttemptKey, CampaignAction, CampaignId, Fact, Outcome, Period, RejectClass, SessionId, SessionReport,
    SessionSetting, Tier, WarmUp,
};
use wa_core::port::WorkerScope;
use wa_core::port::store::{CostOf, ProjectedEvent, Store};
use wa_core::testing::SeededEntropy;

use crate::inbox::{inbound, project, status, untagged};
use crate::world::{LEASE, World, accepted, admin, failure};

struct Script {
    world: World,
    dice: SeededEntropy,
    session: SessionId,
    worker: WorkerScope,
    campaign: CampaignId,
    begun: Vec<AttemptKey>,
}

impl Script {
    async fn new(seed: u64) -> Self {
        let world = World::new().await;
        let (session, worker) = world.held("1", 1).await;
        let tier = SessionReport { tier: Some(Tier::Limited(6)), ..SessionReport::default() };
        world.store.numbers().report_session(&world.scope(), session.id, &tier).await.expect("an answer");
        let warm_up = SessionSetting::WarmUp(Some(WarmUp { since: None, caps: vec![1_000] }));
        world.store.numbers().set_session(&world.scope(), session.id, &warm_up).await.expect("an answer");
        let campaign = world.running("news", 9, &[session.id]).await.id;
        let dice = SeededEntropy::new(seed);
        Self { world, dice, session: session.id, worker, campaign, begun: Vec::new() }
    }

    fn roll(&self, sides: u64) -> u64 {
        self.dice.next() % sides
    }

    fn any_attempt(&self) -> Option<AttemptKey> {
        let many = u64::try_from(self.begun.len()).expect("few");
        let place = usize::try_from(self.roll(many.max(1))).expect("few");
        self.begun.get(place).copied()
    }

    async fn step(&mut self) -> String {
        let world = &self.world;
        match self.roll(12) {
            0..=2 => {
                let limit = u32::try_from(1 + self.roll(4)).expect("few");
                let begun = world.begin_due(&self.worker, self.session, limit).await;
                self.begun.extend(begun.attempts.iter().map(|attempt| attempt.key));
                format!("begin {}", begun.attempts.len())
            }
            3..=5 => {
                let Some(key) = self.any_attempt() else { return "nothing to settle".to_owned() };
                let outcome = match self.roll(6) {
                    0 => Outcome::NotSent,
                    1 => Outcome::Ambiguous,
                    2 => Outcome::Rejected(failure(131_000, RejectClass::Retry)),
                    3 => Outcome::Rejected(failure(131_026, RejectClass::Recipient)),
                    _ => accepted(&name(key)),
                };
                world.settle(key, outcome.clone()).await;
                format!("settle {key:?} {outcome:?}")
            }
            6 | 7 => {
                let Some(key) = self.any_attempt() else { return "no status".to_owned() };
                let fact = [Fact::Sent, Fact::Delivered, Fact::Read, Fact::Failed]
                    [usize::try_from(self.roll(4)).expect("few")];
                let mut update = status(&name(key), fact, world.now());
                update.failure = (fact == Fact::Failed).then(|| failure(131_000, RejectClass::Retry));
                let event = match self.roll(2) {
                    0 => untagged(update),
                    _ => ProjectedEvent::Status { attempt: Some(key), batch: None, update },
                };
                project(world, vec![event]).await;
                format!("status {fact:?} of {key:?}")
            }
            8 => {
                world.clock.advance(Duration::from_secs(6));
                world.store.numbers().heartbeat(&self.worker, LEASE).await.expect("an answer");
                let swept = world.store.outbox().sweep(&self.worker, Duration::from_secs(10)).await;
                format!("sweep {}", swept.expect("an answer").in_doubt.len())
            }
            9 => {
                let action = match self.roll(24) {
                    0 => CampaignAction::Cancel,
                    1..=8 => CampaignAction::Pause,
                    _ => CampaignAction::Resume,
                };
                world.store.audience().act(&world.scope(), self.campaign, action).await.expect("an answer");
                format!("{action:?}")
            }
            10 => {
                let advanced = world.store.audience().advance(&admin()).await.expect("a step");
                format!("advance {:?}", advanced.moved)
            }
            _ => {
                let id = format!("in.{}", self.roll(4));
                project(world, vec![inbound(world, &id, self.roll(3), world.now())]).await;
                "inbound".to_owned()
            }
        }
    }

    /// What must hold after every step.
    async fn check(&self, conn: &Connection) {
        // Compares with a recount over all messages.
        let counts = self.world.counts(self.campaign).await;
        let states = counts.pending
            + counts.attempting
            + counts.accepted
            + counts.failed
            + counts.in_doubt
            + counts.skipped;
        assert_eq!(counts.audience, states);
        assert!(counts.read <= counts.delivered && counts.delivered <= counts.sent);
        let count = |sql: &str| -> u64 {
            let n: i64 = conn.query_row(sql, [], |row| row.get(0)).expect(sql);
            u64::try_from(n).expect("a count")
        };
        let kept = count(
            "SELECT count(*) FROM attempt a LEFT JOIN result r \
             ON r.tenant = a.tenant AND r.message = a.message AND r.n = a.n WHERE r.released_at IS NULL",
        );
        let period = Period::of(self.world.now());
        let used = self.world.store.ledger().usage(&self.world.scope(), period).await.expect("an answer");
        assert_eq!(used.expect("the tenant").used, kept, "quota is what was begun and not given back");
        let cost = self.world.store.ledger().cost(&self.world.scope(), &CostOf::Everything).await;
        let of = self.world.store.reports().recipients(&self.world.scope(), self.campaign, None, 100).await;
        let views = of.expect("a page");
        let attempts = views.iter().flat_map(|view| &view.attempts);
        let counted = attempts.filter(|attempt| !attempt.facts.is_definitely_undelivered()).count();
        let cost = cost.expect("an answer");
        assert_eq!(cost.unpriced, u64::try_from(counted).expect("few"), "nothing here has a price");
        let slots = count("SELECT count(*) FROM tier_slot");
        assert_eq!(count("SELECT coalesce(sum(used), 0) FROM tier_usage"), slots);
        assert!(slots <= 6, "never more people than the tier allows");
        let held = count(
            "SELECT count(*) FROM attempt a LEFT JOIN result r \
             ON r.tenant = a.tenant AND r.message = a.message AND r.n = a.n \
             WHERE r.released_at IS NULL AND a.tier_slot = 1",
        );
        assert_eq!(
            count("SELECT coalesce(sum(uses), 0) FROM tier_slot"),
            held,
            "each user of a slot is counted"
        );
        let templates = count(
            "SELECT count(*) FROM attempt a JOIN touch t \
             ON t.tenant = a.tenant AND t.recipient = a.recipient AND t.at = a.begun_at \
             AND t.message = a.message AND t.n = a.n \
             LEFT JOIN result r ON r.tenant = a.tenant AND r.message = a.message AND r.n = a.n \
             WHERE r.released_at IS NULL",
        );
        assert_eq!(count("SELECT count(*) FROM touch"), templates, "a touch is of an attempt that counts");
        assert_eq!(templates, kept, "everything here is a template");
        let of_days = count(
            "SELECT count(*) FROM attempt a LEFT JOIN result r \
             ON r.tenant = a.tenant AND r.message = a.message AND r.n = a.n \
             WHERE r.released_at IS NULL AND a.warm_up_day IS NOT NULL",
        );
        assert_eq!(count("SELECT coalesce(sum(used), 0) FROM warm_up_usage"), of_days);
        let open = count(
            "SELECT count(*) FROM attempt a LEFT JOIN result r \
             ON r.tenant = a.tenant AND r.message = a.message AND r.n = a.n WHERE r.facts IS NULL",
        );
        assert_eq!(count("SELECT count(*) FROM open_attempt"), open, "open is what has no outcome");
        let doubtful = self.world.store.reports().in_doubt(&self.world.scope(), None, 100).await;
        let doubtful = u64::try_from(doubtful.expect("a page").len()).expect("few");
        assert_eq!(doubtful, counts.in_doubt);
        let both = count(
            "SELECT count(*) FROM due d JOIN closed c ON c.tenant = d.tenant AND c.message = d.message",
        );
        assert_eq!(both, 0, "nothing waits that is closed");
    }
}

fn name(key: AttemptKey) -> String {
    format!("wamid.{}.{}", key.message, key.n)
}

#[tokio::test]
async fn counts_quota_slots_and_doubt_are_exact_after_every_step() {
    let mut begun = 0;
    for seed in 0..25 {
        let mut script = Script::new(seed).await;
        let conn = Connection::open(script.world.path()).expect("the file");
        let mut told = Vec::new();
        for _ in 0..60 {
            told.push(script.step().await);
            // Shown only when the check below fails.
            println!("seed {seed}: {}", told.join("; "));
            script.check(&conn).await;
        }
        begun += script.begun.len();
    }
    assert!(begun > 150, "{begun} attempts are too few to prove anything");
}
