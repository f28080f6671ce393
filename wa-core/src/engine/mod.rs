//! The engine: steps that fetch, ask the rules, perform and persist.
