//! Why a whole file cannot be imported. What is wrong with one line is a `LineProblem`.

use std::fmt;
use std::io;

use super::MAX_COLUMNS;

/// Why a file cannot be imported at all; the message says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CsvProblem {
    /// The file could not be read.
    #[error("the file cannot be read")]
    Io(#[from] io::Error),
    /// There is not even a header.
    #[error("the file is empty; its first line must name the columns")]
    Empty,
    /// The file is UTF-16, as some spreadsheets write it.
    #[error("the file is UTF-16; save it as UTF-8 (in Excel: \"CSV UTF-8\")")]
    Utf16,
    /// The file is a workbook or an archive.
    #[error("the file is a workbook or an archive; export the sheet as CSV")]
    NotCsv,
    /// The header is not text.
    #[error("the header is not UTF-8 text; save the file as UTF-8 (in Excel: \"CSV UTF-8\")")]
    HeaderNotText,
    /// A quotation mark in the header is not closed, or a name is absurdly long.
    #[error("the header is too long or a quotation mark in it is not closed")]
    HeaderTooLong,
    /// There are more columns than anybody needs.
    #[error("the file has more than {MAX_COLUMNS} columns")]
    TooManyColumns,
    /// Two columns have one name.
    #[error("the column {0:?} stands twice in the header; rename one of them")]
    DoubledColumn(String),
    /// A column that the mapping names is not there.
    #[error("there is no column {column:?}; the columns are {}", List(.present))]
    MissingColumn {
        /// The column that was looked for.
        column: String,
        /// The columns that are there.
        present: Vec<String>,
    },
    /// The columns are separated by something else.
    #[error("the columns are separated by {0}; separate them by commas")]
    WrongDelimiter(&'static str),
}

/// Names in a sentence, not more than fit on a screen.
struct List<'a>(&'a [String]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 20;
        for (place, name) in self.0.iter().take(SHOWN).enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{name:?}")?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
