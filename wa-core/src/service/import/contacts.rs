//! The reader: checks the header once, then gives one row per record.

use std::io::{self, Chain, Cursor, Read};

use csv::ByteRecord;

use super::tidy::{Flaw, Tidy};
use super::{CsvMapping, CsvProblem, MAX_CELL_BYTES, MAX_COLUMNS, MAX_RECORD_BYTES};
use crate::model::{
    ContactAttributes, ContactId, ImportLine, ImportRow, LineProblem, Phone, PhoneError, Region,
};

const BOM: &[u8] = b"\xef\xbb\xbf";

/// The contacts of a CSV file, one [`ImportRow`] per record, in the order of the file.
///
/// Only the present record is in memory. A record with a problem is a row like any other; an
/// `Err` says that the file could not be read on, and ends the iteration.
///
/// ```
/// use uuid::Uuid;
/// use wa_core::model::ContactId;
/// use wa_core::service::import::{CsvContacts, CsvMapping};
/// let file = "phone,name\n+49 151 12345678,Ada\nnobody,Bob\n";
/// let mut number = 0;
/// let mint = || {
///     number += 1;
///     ContactId::from_uuid(Uuid::from_u128(number))
/// };
/// let rows: Result<Vec<_>, _> = CsvContacts::new(file.as_bytes(), &CsvMapping::default(), mint)?.collect();
/// let rows = rows?;
/// assert_eq!(rows[0].content.as_ref().map(|line| line.phone.e164()), Ok("+4915112345678".to_owned()));
/// assert_eq!((rows[1].line, rows[1].content.is_err()), (3, true));
/// # Ok::<(), wa_core::service::import::CsvProblem>(())
/// ```
#[derive(Debug)]
pub struct CsvContacts<R, M> {
    reader: csv::Reader<Tidy<Chain<Cursor<Vec<u8>>, R>>>,
    record: ByteRecord,
    columns: Columns,
    mint: M,
    ended: bool,
}

/// What the header says, as the mapping reads it.
#[derive(Debug)]
struct Columns {
    all: Vec<Column>,
    phone: usize,
    opted_out: Option<usize>,
    region: Option<Region>,
}

#[derive(Debug)]
struct Column {
    header: String,
    /// The attribute that it becomes, if it becomes one.
    attribute: Option<String>,
    required: bool,
}

impl<R: Read, M: FnMut() -> ContactId> CsvContacts<R, M> {
    /// Reads the header and checks it against the mapping. `mint` makes the id of each valid row.
    ///
    /// # Errors
    /// Why the file cannot be imported with this mapping.
    pub fn new(mut file: R, mapping: &CsvMapping, mint: M) -> Result<Self, CsvProblem> {
        let head = read_head(&mut file)?;
        let tidy = Tidy::new(Cursor::new(head).chain(file));
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(tidy);
        let mut record = ByteRecord::new();
        if !reader.read_byte_record(&mut record).map_err(unreadable)? {
            return Err(CsvProblem::Empty);
        }
        match reader.get_mut().next_origin().flaw {
            None => {}
            Some(Flaw::ManyFields) => return Err(CsvProblem::TooManyColumns),
            Some(Flaw::LongCell | Flaw::LongRecord | Flaw::Unclosed) => {
                return Err(CsvProblem::HeaderTooLong);
            }
        }
        let columns = Columns::new(&record, mapping)?;
        Ok(Self { reader, record, columns, mint, ended: false })
    }

    /// The names of the columns in the file, in order.
    pub fn header(&self) -> impl Iterator<Item = &str> {
        self.columns.all.iter().map(|column| column.header.as_str())
    }
}

impl<R: Read, M: FnMut() -> ContactId> Iterator for CsvContacts<R, M> {
    type Item = Result<ImportRow, CsvProblem>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        match self.reader.read_byte_record(&mut self.record) {
            Ok(true) => {
                let origin = self.reader.get_mut().next_origin();
                let content = match origin.flaw {
                    Some(flaw) => Err(problem(None, flaw_message(flaw))),
                    None => self.columns.read(&self.record, &mut self.mint),
                };
                Some(Ok(ImportRow { line: origin.line, content }))
            }
            Ok(false) => {
                self.ended = true;
                None
            }
            Err(error) => {
                self.ended = true;
                Some(Err(unreadable(error)))
            }
        }
    }
}

impl<R: Read, M: FnMut() -> ContactId> std::iter::FusedIterator for CsvContacts<R, M> {}

impl Columns {
    fn new(header: &ByteRecord, mapping: &CsvMapping) -> Result<Self, CsvProblem> {
        let mut names = Vec::with_capacity(header.len());
        for cell in header {
            let name = std::str::from_utf8(cell).map_err(|_| CsvProblem::HeaderNotText)?;
            if name.contains('\0') {
                return Err(CsvProblem::HeaderNotText);
            }
            names.push(name.trim().to_owned());
        }
        if let Some(name) = doubled(names.iter().filter(|name| !name.is_empty())) {
            return Err(CsvProblem::DoubledColumn(name));
        }
        let find = |column: &str| {
            let place = names.iter().position(|name| name == column.trim() && !name.is_empty());
            place.ok_or_else(|| missing(column, &names))
        };
        let phone = find(&mapping.phone_column)?;
        let opted_out = match mapping.opted_out_column.as_deref() {
            None => None,
            // A file without the usual column has nobody who opted out. Another name was meant.
            Some(CsvMapping::OPTED_OUT) => find(CsvMapping::OPTED_OUT).ok(),
            Some(column) => Some(find(column)?),
        };
        for column in mapping.required_columns.iter().chain(mapping.rename.keys()) {
            find(column)?;
        }
        let all: Vec<Column> = names
            .into_iter()
            .enumerate()
            .map(|(place, header)| {
                let required = mapping.required_columns.iter().any(|column| column.trim() == header);
                let special = place == phone || Some(place) == opted_out;
                let renamed = mapping.rename.iter().find(|(column, _)| column.trim() == header);
                let kept = !header.is_empty() && (required || renamed.is_some() || !special);
                let attribute = renamed.map_or_else(|| header.clone(), |(_, name)| name.clone());
                Column { attribute: kept.then_some(attribute), header, required }
            })
            .collect();
        if let Some(name) = doubled(all.iter().filter_map(|column| column.attribute.as_ref())) {
            return Err(CsvProblem::DoubledColumn(name));
        }
        Ok(Self { all, phone, opted_out, region: mapping.region })
    }

    fn read(
        &self,
        record: &ByteRecord,
        mint: &mut impl FnMut() -> ContactId,
    ) -> Result<ImportLine, LineProblem> {
        if record.len() != self.all.len() {
            let (fields, columns) = (record.len(), self.all.len());
            let found = if fields < columns {
                format!("the line has {fields} of {columns} fields")
            } else {
                format!("the line has {fields} fields and the header only {columns}")
            };
            let message = format!("{found}; check its commas and quotation marks");
            return Err(LineProblem { column: None, message });
        }
        let mut cells = Vec::with_capacity(record.len());
        for (column, cell) in self.all.iter().zip(record) {
            let text = std::str::from_utf8(cell)
                .map_err(|_| problem(Some(column), "this cell is not UTF-8; save the file as UTF-8"))?;
            if text.contains('\0') {
                return Err(problem(Some(column), "this cell has a NUL byte in it; remove it"));
            }
            cells.push(text);
        }
        let cell = |place: usize| cells.get(place).copied().unwrap_or("");
        let phone = read_phone(cell(self.phone), self.region)
            .map_err(|message| problem(self.all.get(self.phone), message))?;
        for (column, text) in self.all.iter().zip(&cells) {
            if column.required && text.trim().is_empty() {
                return Err(problem(Some(column), "this cell is empty and must be filled"));
            }
        }
        let opted_out = match self.opted_out {
            Some(place) => {
                read_opt_out(cell(place)).map_err(|message| problem(self.all.get(place), message))?
            }
            None => false,
        };
        let attributes: ContactAttributes = self
            .all
            .iter()
            .zip(&cells)
            .filter(|(_, text)| !text.trim().is_empty())
            .filter_map(|(column, text)| Some((column.attribute.clone()?, (*text).to_owned())))
            .collect();
        Ok(ImportLine { contact: mint(), phone, attributes, opted_out })
    }
}

fn read_phone(cell: &str, region: Option<Region>) -> Result<Phone, String> {
    // Exports put an apostrophe before a plus sign, so that no spreadsheet takes it for a formula.
    let text = cell.trim();
    let text = text.strip_prefix('\'').unwrap_or(text);
    if is_scientific(text) {
        return Err("a spreadsheet has cut the phone number to scientific notation; \
            format the column as text and export it again"
            .to_owned());
    }
    Phone::parse(text, region).map_err(|error| match error {
        PhoneError::NoCountry => {
            "the phone number has no country code; write it with + or pass a region".to_owned()
        }
        other => other.to_string(),
    })
}

/// Whether a number looks like 4.91512E+12: the parser would take the letter for a digit.
fn is_scientific(text: &str) -> bool {
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else { return false };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let mantissa = mantissa.trim_start_matches('+').replacen(['.', ','], "", 1);
    digits(&mantissa) && digits(exponent.trim_start_matches('+'))
}

fn read_opt_out(cell: &str) -> Result<bool, &'static str> {
    let says = |words: &[&str]| words.iter().any(|word| cell.trim().eq_ignore_ascii_case(word));
    if says(&["1", "true", "yes", "x"]) {
        Ok(true)
    } else if says(&["", "0", "false", "no"]) {
        Ok(false)
    } else {
        // Read as no, it would write to somebody who may have said stop.
        Err("this cell says neither yes (1, true, yes, x) nor no (0, false, no or nothing)")
    }
}

/// The first bytes, without byte order mark, or why this is no CSV in UTF-8.
fn read_head(file: &mut impl Read) -> Result<Vec<u8>, CsvProblem> {
    loop {
        let mut head = Vec::with_capacity(4);
        file.by_ref().take(3).read_to_end(&mut head)?;
        if head == BOM {
            continue;
        }
        if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
            return Err(CsvProblem::Utf16);
        }
        if head.starts_with(b"PK\x03") || head.starts_with(b"\x1f\x8b") || head.starts_with(b"\xd0\xcf\x11") {
            return Err(CsvProblem::NotCsv);
        }
        return Ok(head);
    }
}

fn flaw_message(flaw: Flaw) -> String {
    match flaw {
        Flaw::LongCell => format!("a cell of this line has more than {} KiB", MAX_CELL_BYTES / 1024),
        Flaw::LongRecord => format!("this line has more than {} KiB", MAX_RECORD_BYTES / 1024),
        Flaw::ManyFields => format!("this line has more than {MAX_COLUMNS} fields"),
        Flaw::Unclosed => {
            "a quotation mark is not closed: everything from this line to the end of the file is one cell"
                .to_owned()
        }
    }
}

fn problem(column: Option<&Column>, message: impl Into<String>) -> LineProblem {
    LineProblem { column: column.map(|column| column.header.clone()), message: message.into() }
}

fn missing(column: &str, names: &[String]) -> CsvProblem {
    if let [only] = names {
        for (mark, words) in [(';', "semicolons"), ('\t', "tabs"), ('|', "vertical bars")] {
            if only.contains(mark) {
                return CsvProblem::WrongDelimiter(words);
            }
        }
    }
    let present = names.iter().filter(|name| !name.is_empty()).cloned().collect();
    CsvProblem::MissingColumn { column: column.to_owned(), present }
}

fn doubled<'a>(names: impl Iterator<Item = &'a String>) -> Option<String> {
    let mut seen = std::collections::BTreeSet::new();
    names.into_iter().find(|name| !seen.insert(*name)).cloned()
}

fn unreadable(error: csv::Error) -> CsvProblem {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => CsvProblem::Io(error),
        other => CsvProblem::Io(io::Error::new(io::ErrorKind::InvalidData, format!("{other:?}"))),
    }
}
