//! What must be true of the Postgres store on a real server: interrupted, raced, cut off and lied to.
//!
//! Each test is short by default; its figures grow with the environment variables that it names.

mod binding;
mod commit;
mod deadlocks;
mod frozen;
mod migrate;
mod proxy;
mod races;
mod tenancy;
mod world;

use std::str::FromStr;

/// A figure from the environment, for long runs.
fn figure<T: FromStr>(name: &str, default: T) -> T {
    let given = std::env::var(name).ok();
    given.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}
