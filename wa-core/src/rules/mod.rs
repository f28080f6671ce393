//! Pure decisions. Nothing here reads a clock, draws randomness, does I/O, logs or is `async`:
//! `now` and facts go in, a value that says what to do comes out.
//!
//! Stores call these rules inside their transactions, so that every store decides alike.
//!
//! - Whether a message may begin: [`judge`] orders [`sendable`], [`consent`], [`window`], [`fallback`],
//!   [`cooldown`], [`frequency`], [`quiet`], [`quality`], [`tier`], [`warmup`] and [`budget`]; [`touch`] and
//!   [`owned`] hold what it is told.
//! - How fast: [`throughput`], [`pair`], [`pace`], [`pause`], [`adapt`].
//! - What came of it: [`classify`], [`settle`], [`status`], [`retry`], [`redrive`], [`doubt`], [`failure`], [`advice`],
//!   [`alert`], [`silence`], [`tally`].
//! - What it costs: [`price`], [`cost`], [`rollup`].
//! - What webhooks change: [`effects`], [`conversation`], [`address`].
//! - Campaigns and time: [`campaign`], [`schedule`], [`recur`], [`civil`], [`zones`].
//! - Which worker holds which number: [`spread`].
//! - Templates before they are submitted: [`template_lint`].

pub mod adapt;
pub mod address;
pub mod advice;
pub mod alert;
pub mod budget;
pub mod campaign;
mod chance;
pub mod civil;
pub mod classify;
pub mod consent;
pub mod conversation;
pub mod cooldown;
pub mod cost;
pub mod doubt;
pub mod effects;
pub mod failure;
pub mod fallback;
pub mod frequency;
pub mod judge;
pub mod owned;
pub mod pace;
pub mod pair;
pub mod pause;
pub mod price;
pub mod quality;
pub mod quiet;
pub mod recur;
pub mod redrive;
pub mod retry;
pub mod rollup;
pub mod schedule;
pub mod sendable;
pub mod settle;
pub mod silence;
pub mod spread;
pub mod status;
pub mod tally;
pub mod template_lint;
pub mod throughput;
pub mod tier;
pub mod touch;
pub mod warmup;
pub mod window;
pub mod zones;
