//! The Cloud API adapter against raw sockets, Meta's contract and webhook bodies of others.

mod bad_input;
mod calls;
mod conformance;
mod connections;
mod error_table;
mod generate;
mod outcomes;
mod routes;
mod schema;
mod signatures;
mod support;
mod webhooks;
