//! How exact the throttle is: a number's ring of releases, polled by a timer as the engine does.
//!
//! `cargo bench --bench throttle -- [--seconds N] [--json]` prints, for each nominal rate, what was
//! achieved and the most releases in any sliding second. Exits 1 if that passes the nominal rate.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::time::Duration;

use wa_kit::model::Throughput;
use wa_kit::port::{Clock, SystemClock};
use wa_kit::rules::throughput::Ring;

const RATES: [u32; 4] = [20, 80, 1_000, 10_000];

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let json = arguments.iter().any(|argument| argument == "--json");
    let place = arguments.iter().position(|argument| argument == "--seconds");
    let seconds = place.and_then(|at| arguments.get(at + 1)).and_then(|text| text.parse().ok()).unwrap_or(3);
    let mut passed = false;
    for rate in RATES {
        let releases = run(rate, Duration::from_secs(seconds)).await;
        let worst = most_in_a_second(&releases);
        let nominal = u64::from(rate) * seconds;
        let achieved = u64::try_from(releases.len()).unwrap_or(u64::MAX) * 1_000 / nominal;
        passed |= worst > usize::try_from(rate).unwrap_or(usize::MAX);
        if json {
            println!(
                "{{\"bench\":\"throttle\",\"nominal\":{rate},\"achieved_permille\":{achieved},\"worst_second\":{worst}}}"
            );
        } else {
            println!("{rate:>6}/s: {achieved:>4} ‰ of nominal, at most {worst} in any second");
        }
    }
    if passed {
        std::process::exit(1);
    }
}

/// Releases as much as the ring allows, whenever the timer fires; the instants in microseconds.
async fn run(rate: u32, span: Duration) -> Vec<u64> {
    let clock = SystemClock;
    let mut ring = Ring::new(Throughput::try_from(rate).expect("a rate within the limits"));
    let now = || u64::try_from(clock.monotonic().as_micros()).unwrap_or(u64::MAX);
    let start = now();
    let end = start + u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    let mut releases = Vec::new();
    loop {
        let at = now();
        if at >= end {
            return releases;
        }
        while ring.next_at(at) <= at {
            ring.release(at);
            releases.push(at);
        }
        tokio::time::sleep(Duration::from_micros(ring.next_at(at).saturating_sub(at).max(100))).await;
    }
}

fn most_in_a_second(releases: &[u64]) -> usize {
    let mut most = 0;
    let mut first = 0;
    for (last, at) in releases.iter().enumerate() {
        while releases.get(first).is_some_and(|early| early + 1_000_000 <= *at) {
            first += 1;
        }
        most = most.max(last + 1 - first);
    }
    most
}
