//! The versions of a schema, and which of them a database has.

use chrono::{DateTime, Utc};

/// One step of the schema, forth and back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Migration {
    pub(crate) version: u32,
    pub(crate) name: &'static str,
    pub(crate) up: &'static str,
    pub(crate) down: &'static str,
}

/// A migration and whether the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationStatus {
    /// Its version, from 1.
    pub version: u32,
    /// Its name; unknown to this program for the one version that it accepts ahead of its own.
    pub name: Option<&'static str>,
    /// When it was applied, if it was.
    pub applied_at: Option<DateTime<Utc>>,
}

/// What a program knows and what a database has, in order.
pub(crate) fn listed(known: &[Migration], applied: Vec<(u32, DateTime<Utc>)>) -> Vec<MigrationStatus> {
    let status =
        |it: &Migration| MigrationStatus { version: it.version, name: Some(it.name), applied_at: None };
    let mut all: Vec<MigrationStatus> = known.iter().map(status).collect();
    for (version, at) in applied {
        match all.iter_mut().find(|status| status.version == version) {
            Some(status) => status.applied_at = Some(at),
            None => all.push(MigrationStatus { version, name: None, applied_at: Some(at) }),
        }
    }
    all
}
