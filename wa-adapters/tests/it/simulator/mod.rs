//! The simulator, driven as a client drives it: over HTTP, knowing nothing of its inside.

mod callbacks;
mod contract;
mod faults;
mod limits;
mod log;
mod messages;
mod prices;
mod setup;
mod users;
