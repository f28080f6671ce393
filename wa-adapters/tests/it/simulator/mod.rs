//! The simulator, driven as a client drives it: over HTTP, knowing nothing of its inside.

mod account;
mod callbacks;
mod contract;
mod faults;
mod house;
mod limits;
mod log;
mod messages;
mod pace;
mod prices;
mod setup;
mod users;
