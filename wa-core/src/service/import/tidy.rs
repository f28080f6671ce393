//! What stands between a file and the CSV parser: it notes where each record starts and cuts short
//! what would not fit in memory.
//!
//! Invariant: for each record that the parser gives there is one [`Origin`], in the same order. The
//! parser's own line numbers are not used: they count the line break of `\r\n` and blank lines
//! to the record after them.

use std::collections::VecDeque;
use std::io::{self, Read};

use super::{MAX_CELL_BYTES, MAX_COLUMNS, MAX_RECORD_BYTES};

/// Where a record starts, and what is wrong with its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Origin {
    /// From 1.
    pub(super) line: u64,
    pub(super) flaw: Option<Flaw>,
}

/// Why a record was cut short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// A cell is longer than [`MAX_CELL_BYTES`].
    LongCell,
    /// The record is longer than [`MAX_RECORD_BYTES`].
    LongRecord,
    /// The record has more than [`MAX_COLUMNS`] fields.
    ManyFields,
    /// The file ends inside a quoted cell.
    Unclosed,
}

/// Where in a record the next byte stands; the same grammar as the parser's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    RecordStart,
    CellStart,
    Plain,
    Quoted,
    /// After a quotation mark in a quoted cell: it closes the cell or is the first of two.
    QuoteInQuoted,
}

/// A reader that tidies a CSV file for its parser.
#[derive(Debug)]
pub(super) struct Tidy<R> {
    inner: R,
    input: Box<[u8]>,
    output: Vec<u8>,
    served: usize,
    at_end: bool,
    place: Place,
    line: u64,
    after_cr: bool,
    origins: VecDeque<Origin>,
    cell_bytes: usize,
    record_bytes: usize,
    cells: usize,
    /// Whether the quotation mark that opened the present cell was passed on, so that it must be closed.
    open_quote: bool,
}

impl<R: Read> Tidy<R> {
    pub(super) fn new(inner: R) -> Self {
        Self {
            inner,
            input: vec![0; 16 * 1024].into_boxed_slice(),
            output: Vec::with_capacity(17 * 1024),
            served: 0,
            at_end: false,
            place: Place::RecordStart,
            line: 1,
            after_cr: false,
            origins: VecDeque::new(),
            cell_bytes: 0,
            record_bytes: 0,
            cells: 0,
            open_quote: false,
        }
    }

    /// The origin of the record that the parser just gave.
    pub(super) fn next_origin(&mut self) -> Origin {
        self.origins.pop_front().unwrap_or(Origin { line: self.line, flaw: None })
    }

    fn refill(&mut self) -> io::Result<()> {
        self.output.clear();
        self.served = 0;
        let count = loop {
            match self.inner.read(&mut self.input) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        if count == 0 {
            self.finish();
        } else {
            let input = std::mem::take(&mut self.input);
            for byte in input.get(..count).unwrap_or_default() {
                self.step(*byte);
            }
            self.input = input;
        }
        Ok(())
    }

    fn finish(&mut self) {
        match self.place {
            Place::Quoted => {
                self.note(Flaw::Unclosed);
                self.close_quote();
            }
            Place::QuoteInQuoted => self.close_quote(),
            Place::RecordStart | Place::CellStart | Place::Plain => {}
        }
        self.at_end = true;
    }

    fn step(&mut self, byte: u8) {
        let line = self.line;
        if byte == b'\r' || (byte == b'\n' && !self.after_cr) {
            self.line += 1;
        }
        self.after_cr = byte == b'\r';
        if self.place == Place::RecordStart {
            if is_break(byte) {
                return;
            }
            self.origins.push_back(Origin { line, flaw: None });
            (self.record_bytes, self.cells) = (0, 0);
            self.start_cell();
        }
        match (self.place, byte) {
            (Place::RecordStart | Place::CellStart, b'"') => {
                self.open_quote = self.passes();
                if self.open_quote {
                    self.output.push(b'"');
                }
                self.place = Place::Quoted;
            }
            (Place::Quoted, b'"') => self.place = Place::QuoteInQuoted,
            (Place::Quoted, _) => self.content(&[byte]),
            (Place::QuoteInQuoted, b'"') => {
                self.content(b"\"\"");
                self.place = Place::Quoted;
            }
            (Place::RecordStart | Place::CellStart | Place::Plain | Place::QuoteInQuoted, b',') => {
                self.close_quote();
                self.end_cell();
            }
            (Place::RecordStart | Place::CellStart | Place::Plain | Place::QuoteInQuoted, b'\r' | b'\n') => {
                self.close_quote();
                self.output.push(b'\n');
                self.place = Place::RecordStart;
            }
            (Place::RecordStart | Place::CellStart | Place::Plain | Place::QuoteInQuoted, _) => {
                self.close_quote();
                self.place = Place::Plain;
                self.content(&[byte]);
            }
        }
    }

    fn start_cell(&mut self) {
        self.place = Place::CellStart;
        self.cell_bytes = 0;
        self.cells += 1;
        if self.cells > MAX_COLUMNS {
            self.note(Flaw::ManyFields);
        }
    }

    fn end_cell(&mut self) {
        self.start_cell();
        if self.passes() {
            self.output.push(b',');
        }
    }

    fn content(&mut self, bytes: &[u8]) {
        self.cell_bytes = self.cell_bytes.saturating_add(bytes.len());
        self.record_bytes = self.record_bytes.saturating_add(bytes.len());
        if self.cell_bytes > MAX_CELL_BYTES {
            self.note(Flaw::LongCell);
        } else if self.record_bytes > MAX_RECORD_BYTES {
            self.note(Flaw::LongRecord);
        } else if self.passes() {
            self.output.extend_from_slice(bytes);
        }
    }

    /// Closes a quoted cell, if its opening mark was passed on.
    fn close_quote(&mut self) {
        if std::mem::take(&mut self.open_quote) {
            self.output.push(b'"');
        }
    }

    /// Whether more of this record is passed on.
    fn passes(&self) -> bool {
        self.cells <= MAX_COLUMNS && self.record_bytes <= MAX_RECORD_BYTES
    }

    /// Notes the first flaw of a record; an unclosed quotation mark explains the others.
    fn note(&mut self, flaw: Flaw) {
        if let Some(origin) = self.origins.back_mut()
            && (origin.flaw.is_none() || flaw == Flaw::Unclosed)
        {
            origin.flaw = Some(flaw);
        }
    }
}

impl<R: Read> Read for Tidy<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.served >= self.output.len() && !self.at_end {
            self.refill()?;
        }
        let rest = self.output.get(self.served..).unwrap_or_default();
        let count = rest.len().min(into.len());
        if let (Some(into), Some(rest)) = (into.get_mut(..count), rest.get(..count)) {
            into.copy_from_slice(rest);
        }
        self.served += count;
        Ok(count)
    }
}

const fn is_break(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}
