//! What needs several crates or several processes: the example as its users run it, killed and
//! resumed, beside the simulator as its own program.

#![expect(
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that is wrong should stop at once"
)]

mod bad_input;
mod campaign;
mod crash;
mod decode_webhook;
mod examples;
mod kill;
mod limits;
mod mixed;
mod preflight;
mod program;
mod receiver;
mod restored;

/// A figure that the environment may set, so that the long form is the same test.
fn figure(variable: &str, short: u64) -> u64 {
    std::env::var(variable).ok().map_or(short, |text| text.parse().expect("a number"))
}
