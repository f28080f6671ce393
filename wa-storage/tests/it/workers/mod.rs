//! Several processes on one Postgres database, by the wall clock: what they tell each other goes through the
//! server, which has no other.

mod ownership;
mod pause;
mod plant;
mod tenants;
