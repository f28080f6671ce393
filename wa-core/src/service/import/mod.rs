//! Reading contacts from CSV: a file in, one [`ImportRow`](crate::model::ImportRow) per record out.
//!
//! Invariant: memory is bounded whatever the bytes are, no input panics, and every record of the
//! file comes out once with the line on which it starts, valid or with a sentence that says what
//! is wrong. It does not know other lines or stores: duplicates are found by the store.

mod contacts;
mod mapping;
mod problem;
mod tidy;

#[cfg(test)]
mod tests;

pub use contacts::CsvContacts;
pub use mapping::{CsvMapping, source_fingerprint};
pub use problem::CsvProblem;

/// A cell may have this many bytes.
pub const MAX_CELL_BYTES: usize = 64 * 1024;
/// A file may have this many columns.
pub const MAX_COLUMNS: usize = 1_000;
/// A record may have this many bytes in all its cells.
pub const MAX_RECORD_BYTES: usize = 1024 * 1024;
