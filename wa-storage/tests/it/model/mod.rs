//! The model test: one random script on the reference store, on `SQLite` and on Postgres gives the same answers,
//! and leaves the same things behind.
//!
//! All stores get the same calls with the same ids, at the same instants of one manual clock, and
//! every answer is compared when it is given. After a script everything is read back through the
//! public methods and compared again. What differs on purpose is listed at [`stores::Stores`].
//!
//! `WA_MODEL_SCRIPTS` sets how many scripts run, `WA_MODEL_SEED` the first seed.

mod archive;
mod arrivals;
mod audience;
mod export;
mod heard;
mod inbox;
mod judge;
mod money;
mod moving;
mod outbox;
mod rooms;
mod schedules;
mod script;
mod stores;

use std::collections::BTreeMap;

use script::Script;

/// Steps of one script.
const STEPS: usize = 100;

/// Where the stores differ, and how it came to that.
#[derive(Debug)]
pub(crate) struct Mismatch(pub(crate) String);

/// How often each operation ran, and how often it did what it is for.
#[derive(Debug, Default)]
struct Score(BTreeMap<&'static str, (u64, u64)>);

impl Score {
    fn mark(&mut self, operation: &'static str, good: bool) {
        let (ran, worked) = self.0.entry(operation).or_default();
        *ran += 1;
        *worked += u64::from(good);
    }

    fn add(&mut self, other: Self) {
        for (operation, (ran, worked)) in other.0 {
            let sum = self.0.entry(operation).or_default();
            *sum = (sum.0 + ran, sum.1 + worked);
        }
    }
}

/// Runs one script, and reads everything back at its end or after each step.
async fn run(seed: u64, after_each: bool) -> Result<Score, (Vec<String>, Mismatch)> {
    let mut script = Script::new(seed).await;
    for step in 0..STEPS {
        let outcome = if step == 0 { script.start().await } else { script.step().await };
        if let Err(mismatch) = outcome {
            return Err((script.told(), mismatch));
        }
        if (after_each || step + 1 == STEPS)
            && let Err(mismatch) = script.compare().await
        {
            return Err((script.told(), mismatch));
        }
    }
    Ok(script.score())
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

#[tokio::test]
async fn all_stores_give_the_same_answers_and_leave_the_same_behind() {
    let (first, scripts) = (setting("WA_MODEL_SEED", 1), setting("WA_MODEL_SCRIPTS", 40));
    let mut score = Score::default();
    for seed in first..first + scripts {
        match run(seed, false).await {
            Ok(part) => score.add(part),
            Err(late) => {
                // Reading back after each step finds the first one that leaves a difference.
                let (told, mismatch) = run(seed, true).await.err().unwrap_or(late);
                panic!(
                    "seed {seed} (WA_MODEL_SEED={seed} WA_MODEL_SCRIPTS=1)\n{}\n{}",
                    told.join("\n"),
                    mismatch.0
                );
            }
        }
    }
    for (operation, (ran, worked)) in &score.0 {
        println!("{operation:18} {ran:6} times, {:3} % did what they are for", worked * 100 / ran);
    }
    let steps: u64 = score.0.values().map(|(ran, _)| ran).sum();
    let (reopens, _) = score.0.get("reopen").copied().unwrap_or_default();
    println!("{steps} calls in {scripts} scripts, {} % re-opens", reopens * 100 / steps);
    if scripts >= 100 {
        assert_eq!(score.0.len(), OPERATIONS, "every method of every room ran");
        assert!(reopens * 100 >= 5 * steps, "{reopens} re-opens of {steps}");
        for (operation, (ran, worked)) in score.0 {
            assert!(worked * 100 >= 30 * ran, "{operation}: {worked} of {ran} did what they are for");
        }
    }
}

/// The methods of the ten rooms, the steps of time, the re-opens, and what was sent again.
const OPERATIONS: usize = 109;
