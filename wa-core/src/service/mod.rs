//! What an embedder calls.

pub mod import;
