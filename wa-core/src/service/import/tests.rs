//! The reader against files good and bad, and against the parser that it stands on.

use std::io::{self, Cursor, Read};

use proptest::prelude::*;
use uuid::Uuid;

use super::tidy::{Flaw, Tidy};
use super::*;
use crate::model::{ContactId, ImportRow, LineProblem};

fn mint() -> impl FnMut() -> ContactId {
    let mut number = 0;
    move || {
        number += 1;
        ContactId::from_uuid(Uuid::from_u128(number))
    }
}

fn rows(file: &[u8], mapping: &CsvMapping) -> Result<Vec<ImportRow>, CsvProblem> {
    CsvContacts::new(file, mapping, mint())?.collect()
}

/// The valid rows of a file as text: line, phone, attributes, opt-out.
fn valid(file: &[u8], mapping: &CsvMapping) -> Vec<String> {
    let rows = rows(file, mapping).expect("a readable file");
    let show = |row: ImportRow| {
        let line = row.content.expect("a valid row");
        let mark = if line.opted_out { " opted out" } else { "" };
        format!("{}: {} {:?}{mark}", row.line, line.phone.e164(), line.attributes)
    };
    rows.into_iter().map(show).collect()
}

fn mapping(required: &[&str]) -> CsvMapping {
    CsvMapping {
        required_columns: required.iter().map(|name| (*name).to_owned()).collect(),
        ..CsvMapping::default()
    }
}

fn in_germany() -> CsvMapping {
    CsvMapping { region: Some("DE".parse().expect("a region")), ..CsvMapping::default() }
}

// ---- What can be read ----

#[test]
fn a_file_reads_alike_with_every_line_end_and_byte_order_mark() {
    let expected = [r#"2: +4915112345678 {"name": "Ada"}"#, r#"3: +4915112345679 {"name": "Bob"} opted out"#];
    let lines = ["phone,name,opted_out", "+4915112345678,Ada,", "+4915112345679,Bob,x"];
    for end in ["\n", "\r\n", "\r"] {
        for (before, after) in [("", end), ("", ""), ("\u{feff}", end), ("\u{feff}\u{feff}", "")] {
            let file = format!("{before}{}{after}", lines.join(end));
            assert_eq!(valid(file.as_bytes(), &CsvMapping::default()), expected, "{file:?}");
        }
    }
}

#[test]
fn a_line_number_is_where_the_record_starts() {
    let file = "phone,name\r\n\r\n+4915112345678,\"Ada\r\nLovelace\"\r\n\n+4915112345679,Bob\n\n\n\n+4915112345670,\"\n\n\"";
    assert_eq!(
        valid(file.as_bytes(), &CsvMapping::default()),
        [
            r#"3: +4915112345678 {"name": "Ada\r\nLovelace"}"#,
            r#"6: +4915112345679 {"name": "Bob"}"#,
            r"10: +4915112345670 {}",
        ],
    );
}

#[test]
fn the_mapping_names_columns_and_attributes() {
    let file = "Mobile , First name,Stop\n0151 12345678,Ada,YES\n'+49 151 12345679,Bob,no\n";
    let mapping = CsvMapping {
        phone_column: "Mobile".to_owned(),
        opted_out_column: Some("Stop".to_owned()),
        required_columns: vec!["First name".to_owned(), "Mobile".to_owned()],
        rename: [("First name".to_owned(), "name".to_owned())].into(),
        ..in_germany()
    };
    assert_eq!(
        valid(file.as_bytes(), &mapping),
        [
            r#"2: +4915112345678 {"Mobile": "0151 12345678", "name": "Ada"} opted out"#,
            r#"3: +4915112345679 {"Mobile": "'+49 151 12345679", "name": "Bob"}"#,
        ],
    );
}

#[test]
fn every_way_to_say_opted_out_is_understood() {
    for (word, expected) in [
        ("1", true),
        ("true", true),
        ("TRUE", true),
        ("Yes", true),
        ("x", true),
        (" X ", true),
        ("", false),
        ("0", false),
        ("false", false),
        ("No", false),
    ] {
        let file = format!("phone,opted_out\n+4915112345678,{word}\n");
        let rows = rows(file.as_bytes(), &CsvMapping::default()).expect("rows");
        let content = rows.into_iter().next().expect("a row").content.expect("a valid row");
        assert_eq!(content.opted_out, expected, "{word:?}");
    }
}

#[test]
fn columns_without_a_name_are_left_out() {
    let file = "phone,,name,\n+4915112345678,a,Ada,b\n";
    assert_eq!(valid(file.as_bytes(), &CsvMapping::default()), [r#"2: +4915112345678 {"name": "Ada"}"#]);
}

#[test]
fn a_header_alone_has_no_rows() {
    assert!(rows(b"phone\r\n", &CsvMapping::default()).expect("no rows").is_empty());
}

#[test]
fn each_valid_row_gets_an_id_of_its_own() {
    let file = "phone\n+4915112345678\nx\n+4915112345679\n";
    let ids: Vec<ContactId> = rows(file.as_bytes(), &CsvMapping::default())
        .expect("rows")
        .into_iter()
        .filter_map(|row| row.content.ok().map(|line| line.contact))
        .collect();
    assert_eq!(ids, [1, 2].map(|number| ContactId::from_uuid(Uuid::from_u128(number))));
}

#[test]
fn the_bundled_contacts_have_the_promised_shape() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/data/contacts.csv");
    let file = std::fs::read(&path).expect("the bundled contacts");
    let mapping = mapping(&["name", "city"]);
    let rows = rows(&file, &mapping).expect("rows");
    let mut phones = std::collections::BTreeSet::new();
    let (mut duplicates, mut respelled, mut opted_out, mut broken) = (0, 0, 0, 0);
    let mut countries = std::collections::BTreeSet::new();
    let text = String::from_utf8(file).expect("UTF-8");
    for row in &rows {
        match &row.content {
            Err(_) => broken += 1,
            Ok(line) if phones.insert(line.phone) => {
                opted_out += usize::from(line.opted_out);
                countries.insert(line.phone.e164().chars().take(3).collect::<String>());
            }
            Ok(line) => {
                duplicates += 1;
                respelled += usize::from(!text.contains(&format!("\n{},", line.phone.e164())));
            }
        }
    }
    println!(
        "{} rows: {} people, {broken} broken, {duplicates} doubled, {opted_out} opted out",
        rows.len(),
        phones.len()
    );
    assert_eq!(rows.len(), 1_200);
    assert_eq!((broken, duplicates, opted_out), (24, 24, 36));
    assert!(countries.len() >= 5, "{countries:?}");
    assert_eq!(respelled, 0, "the first of two spellings is plain E.164");
    assert!(
        text.contains('ü')
            && rows.iter().any(|row| {
                row.content
                    .as_ref()
                    .is_ok_and(|line| line.attributes.values().any(|text| text.contains('\n')))
            })
    );
    // Whatever country is assumed, the same lines are broken.
    for region in ["US", "DE", "GB", "FR"] {
        let assumed = CsvMapping { region: Some(region.parse().expect("a region")), ..mapping.clone() };
        let there = self::rows(text.as_bytes(), &assumed).expect("rows");
        assert_eq!(there.iter().filter(|row| row.content.is_err()).count(), 24, "{region}");
    }
}

// ---- What cannot, and what the user sees ----

struct Bad {
    what: &'static str,
    file: Vec<u8>,
    mapping: CsvMapping,
    seen: &'static str,
}

fn bad(what: &'static str, file: impl Into<Vec<u8>>, mapping: CsvMapping, seen: &'static str) -> Bad {
    Bad { what, file: file.into(), mapping, seen }
}

fn bad_input() -> Vec<Bad> {
    let plain = CsvMapping::default;
    let utf16 = "phone\n".encode_utf16().flat_map(u16::to_le_bytes);
    let many: Vec<String> = (0..1_001).map(|number| format!("c{number}")).collect();
    let line = |rest: &str| format!("phone,name\n+4915112345678,Ada\n{rest}");
    vec![
        bad("An empty file", "", plain(), "the file is empty; its first line must name the columns"),
        bad(
            "Blank lines only",
            "\n\r\n\n",
            plain(),
            "the file is empty; its first line must name the columns",
        ),
        bad(
            "UTF-16",
            b"\xff\xfe".iter().copied().chain(utf16.clone()).collect::<Vec<u8>>(),
            plain(),
            "the file is UTF-16; save it as UTF-8 (in Excel: \"CSV UTF-8\")",
        ),
        bad(
            "UTF-16 without byte order mark",
            utf16.collect::<Vec<u8>>(),
            plain(),
            "the header is not UTF-8 text; save the file as UTF-8 (in Excel: \"CSV UTF-8\")",
        ),
        bad(
            "A workbook",
            b"PK\x03\x04\x14\x00".to_vec(),
            plain(),
            "the file is a workbook or an archive; export the sheet as CSV",
        ),
        bad(
            "A header in Latin-1",
            b"phone,stra\xdfe\n".to_vec(),
            plain(),
            "the header is not UTF-8 text; save the file as UTF-8 (in Excel: \"CSV UTF-8\")",
        ),
        bad(
            "An open quotation mark in the header",
            "phone,\"name\n+4915112345678,Ada\n",
            plain(),
            "the header is too long or a quotation mark in it is not closed",
        ),
        bad("More than 1,000 columns", many.join(","), plain(), "the file has more than 1000 columns"),
        bad(
            "Two columns of one name",
            "phone,name, name\n",
            plain(),
            "the column \"name\" stands twice in the header; rename one of them",
        ),
        bad(
            "No phone column",
            "mobile,name\n",
            plain(),
            "there is no column \"phone\"; the columns are \"mobile\", \"name\"",
        ),
        bad(
            "No column for a parameter",
            "phone,name\n",
            mapping(&["city"]),
            "there is no column \"city\"; the columns are \"phone\", \"name\"",
        ),
        bad(
            "No opt-out column of the given name",
            "phone,opted_out\n",
            CsvMapping { opted_out_column: Some("stop".to_owned()), ..plain() },
            "there is no column \"stop\"; the columns are \"phone\", \"opted_out\"",
        ),
        bad(
            "Semicolons",
            "phone;name\n+4915112345678;Ada\n",
            plain(),
            "the columns are separated by semicolons; separate them by commas",
        ),
        bad("Tabs", "phone\tname\n", plain(), "the columns are separated by tabs; separate them by commas"),
        bad(
            "Too few fields",
            line("+4915112345679\n"),
            plain(),
            "line 3: the line has 1 of 2 fields; check its commas and quotation marks",
        ),
        bad(
            "Too many fields",
            line("+4915112345679,Bob,Berlin\n"),
            plain(),
            "line 3: the line has 3 fields and the header only 2; check its commas and quotation marks",
        ),
        bad(
            "Invalid UTF-8 in a row",
            [line("").as_bytes(), b"+4915112345679,J\xfcrgen\n"].concat(),
            plain(),
            "line 3, column \"name\": this cell is not UTF-8; save the file as UTF-8",
        ),
        bad(
            "A NUL byte",
            line("+4915112345679,B\0b\n"),
            plain(),
            "line 3, column \"name\": this cell has a NUL byte in it; remove it",
        ),
        bad(
            "A cell of more than 64 KiB",
            line(&format!("+4915112345679,{}\n", "b".repeat(65_537))),
            plain(),
            "line 3: a cell of this line has more than 64 KiB",
        ),
        bad(
            "A line of more than 1 MiB",
            format!(
                "{}\n+4915112345679{}\n",
                many.get(..20).expect("twenty").join(",").replacen("c0", "phone", 1),
                format!(",{}", "b".repeat(60_000)).repeat(19)
            ),
            plain(),
            "line 2: this line has more than 1024 KiB",
        ),
        bad(
            "A line of more than 1,000 fields",
            line(&",".repeat(1_000)),
            plain(),
            "line 3: this line has more than 1000 fields",
        ),
        bad(
            "A quotation mark that is not closed",
            line("+4915112345679,\"Bob\n+4915112345670,Eve\n"),
            plain(),
            "line 3: a quotation mark is not closed: everything from this line to the end of the file is one cell",
        ),
        bad(
            "An empty parameter",
            line("+4915112345679, \n"),
            mapping(&["name"]),
            "line 3, column \"name\": this cell is empty and must be filled",
        ),
        bad("No phone", line(",Bob\n"), plain(), "line 3, column \"phone\": the phone number is empty"),
        bad(
            "A national number without region",
            line("0151 12345679,Bob\n"),
            plain(),
            "line 3, column \"phone\": the phone number has no country code; write it with + or pass a region",
        ),
        bad(
            "Words for a phone",
            line("ask Eve,Bob\n"),
            in_germany(),
            "line 3, column \"phone\": this is not a phone number",
        ),
        bad(
            "A number that no country has",
            line("+49 111 11111,Bob\n"),
            plain(),
            "line 3, column \"phone\": the phone number is not valid in its country",
        ),
        bad(
            "Scientific notation",
            line("4.91512E+12,Bob\n"),
            in_germany(),
            "line 3, column \"phone\": a spreadsheet has cut the phone number to scientific notation; \
             format the column as text and export it again",
        ),
        bad(
            "An opt-out that says neither yes nor no",
            "phone,opted_out\n+4915112345678,maybe\n",
            plain(),
            "line 2, column \"opted_out\": this cell says neither yes (1, true, yes, x) nor no (0, false, no or nothing)",
        ),
    ]
}

/// What a user sees of the first problem of a file.
fn seen(bad: &Bad) -> String {
    let rows = match rows(&bad.file, &bad.mapping) {
        Ok(rows) => rows,
        Err(problem) => return problem.to_string(),
    };
    let Some((line, problem)) = rows.into_iter().find_map(|row| Some((row.line, row.content.err()?))) else {
        return "nothing is wrong".to_owned();
    };
    let LineProblem { column, message } = problem;
    match column {
        Some(column) => format!("line {line}, column {column:?}: {message}"),
        None => format!("line {line}: {message}"),
    }
}

#[test]
fn bad_input_gets_the_message_that_says_what_to_do() {
    let cases = bad_input();
    for case in &cases {
        assert_eq!(seen(case), case.seen, "{}", case.what);
    }
    println!("{} cases of bad CSV input, each with its message", cases.len());
}

#[test]
fn the_documentation_lists_these_messages() {
    const BEGIN: &str = "<!-- csv: checked by wa-core's tests -->\n";
    const END: &str = "<!-- end of csv -->\n";
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/bad-input.md");
    let text = std::fs::read_to_string(&path).expect("docs/bad-input.md");
    let (before, rest) = text.split_once(BEGIN).expect("where the table begins");
    let (table, after) = rest.split_once(END).expect("where the table ends");
    let mut expected = "| What is wrong | What the user sees |\n|---|---|\n".to_owned();
    for case in bad_input() {
        expected.push_str(&format!("| {} | {} |\n", case.what, seen(&case)));
    }
    // WRITE_DOCS=1 brings the page up to date.
    if table != expected && std::env::var_os("WRITE_DOCS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{expected}{END}{after}"))
            .expect("a page that can be written");
        return;
    }
    assert_eq!(table, expected, "run this test with WRITE_DOCS=1 to bring docs/bad-input.md up to date");
}

#[test]
fn a_bad_line_does_not_hide_the_good_ones_after_it() {
    let long = "b".repeat(300_000);
    let file =
        format!("phone,name\n+4915112345678,{long}\n+4915112345679,\"{long}\"\nx\n+4915112345670,Eve\n");
    let rows = rows(file.as_bytes(), &CsvMapping::default()).expect("rows");
    let lines: Vec<(u64, bool)> = rows.iter().map(|row| (row.line, row.content.is_ok())).collect();
    assert_eq!(lines, [(2, false), (3, false), (4, false), (5, true)]);
}

#[test]
fn no_message_repeats_what_a_cell_says() {
    let secret = "4915198765432";
    for file in [
        format!("phone\n{secret}\n"),
        format!("phone\n+{secret}99999\n"),
        format!("phone,opted_out\n+4915112345678,{secret}\n"),
        format!("phone,name\n+4915112345678,{secret}\0\n"),
        format!("phone\n{secret},{secret}\n"),
    ] {
        for row in rows(file.as_bytes(), &CsvMapping::default()).expect("rows") {
            let problem = row.content.expect_err("a bad row");
            assert!(!format!("{problem:?}").contains("98765432"), "{problem:?}");
        }
    }
}

/// Fails after some bytes.
struct Broken(Cursor<Vec<u8>>);

impl Read for Broken {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.0.read(into)? {
            0 => Err(io::Error::other("the disk is gone")),
            count => Ok(count),
        }
    }
}

#[test]
fn a_file_that_breaks_off_is_an_error_and_not_an_end() {
    let file = Broken(Cursor::new(b"phone\n+4915112345678\n+49151".to_vec()));
    let results: Vec<_> = CsvContacts::new(file, &CsvMapping::default(), mint()).expect("a header").collect();
    assert!(matches!(results.last(), Some(Err(CsvProblem::Io(_)))), "{results:?}");
    assert_eq!(results.iter().filter(|result| result.is_err()).count(), 1);
}

// ---- Bounds and fingerprints ----

#[test]
fn a_record_without_end_takes_no_more_memory_than_a_long_one() {
    let size = 20 * 1024 * 1024;
    for (start, filler) in [("\"", b'a'), ("\"", b'"'), ("", b'a'), ("", b','), ("\"", b'\n')] {
        let endless =
            Cursor::new(format!("phone\n{start}").into_bytes()).chain(io::repeat(filler).take(size));
        let mut tidy = Tidy::new(endless);
        let passed = io::copy(&mut tidy, &mut io::sink()).expect("a readable file");
        assert!(passed <= 1_100_000, "{start:?} and {:?}: {passed} bytes", char::from(filler));
        tidy.next_origin();
        assert!(tidy.next_origin().flaw.is_some());
    }
}

#[test]
fn a_fingerprint_tells_files_and_mappings_apart() {
    let of = |file: &str, mapping: &CsvMapping| {
        source_fingerprint(file.as_bytes(), mapping).expect("a fingerprint")
    };
    let first = of("phone\n1\n", &CsvMapping::default());
    assert_eq!(first, of("phone\n1\n", &CsvMapping::default()));
    let renamed = CsvMapping { rename: [("a".to_owned(), "b".to_owned())].into(), ..CsvMapping::default() };
    let others = [
        of("phone\n2\n", &CsvMapping::default()),
        of("phone\n1\n", &in_germany()),
        of("phone\n1\n", &mapping(&["name"])),
        of("phone\n1\n", &CsvMapping { phone_column: "mobile".to_owned(), ..CsvMapping::default() }),
        of("phone\n1\n", &CsvMapping { opted_out_column: None, ..CsvMapping::default() }),
        of("phone\n1\n", &renamed),
    ];
    for (place, other) in others.iter().enumerate() {
        assert_ne!(*other, first, "{place}");
        assert!(!others.iter().skip(place + 1).any(|next| next == other), "{place}");
    }
}

// ---- Properties ----

/// Bytes in which a CSV grammar finds something to do.
fn csv_like() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        3 => proptest::sample::select(b"\",\r\n".to_vec()),
        3 => proptest::sample::select(b"ab +491".to_vec()),
        1 => any::<u8>(),
    ];
    proptest::collection::vec(byte, 0..200)
}

/// A reader that gives a few bytes at a time.
struct Trickle<'a>(&'a [u8], usize);

impl Read for Trickle<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let limit = into.len().min(self.1);
        self.0.read(into.get_mut(..limit).expect("within the buffer"))
    }
}

fn parse(reader: impl Read) -> Vec<Vec<Vec<u8>>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(reader);
    let records = reader.byte_records().map(|record| record.expect("a record"));
    records.map(|record| record.iter().map(<[u8]>::to_vec).collect()).collect()
}

#[derive(Debug, Clone)]
struct Written {
    phone: String,
    name: String,
    city: String,
    opted_out: bool,
    blank_lines: usize,
}

fn any_written() -> impl Strategy<Value = Written> {
    let text = || prop_oneof!["[^\\x00]{0,12}", "[a-z\",\r\n ]{0,12}"];
    (0..10_000_000_u32, text(), text(), any::<bool>(), 0..3_usize).prop_map(
        |(number, name, city, opted_out, blank_lines)| Written {
            phone: format!("+49151{number:08}"),
            name,
            city,
            opted_out,
            blank_lines,
        },
    )
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in csv_like(), with_header in any::<bool>()) {
        let mut file = if with_header { b"phone,a,opted_out\n".to_vec() } else { Vec::new() };
        file.extend(bytes);
        for mapping in [CsvMapping::default(), in_germany(), mapping(&["a"])] {
            if let Ok(rows) = rows(&file, &mapping) {
                let lines: Vec<u64> = rows.iter().map(|row| row.line).collect();
                prop_assert!(lines.windows(2).all(|pair| pair[0] < pair[1]), "{lines:?}");
            }
        }
    }

    #[test]
    fn tidying_changes_nothing_that_the_parser_sees(bytes in csv_like(), at_a_time in 1..50_usize) {
        prop_assume!(!bytes.starts_with(b"\xef\xbb\xbf"));
        let mut tidy = Tidy::new(Trickle(&bytes, at_a_time));
        let expected = parse(bytes.as_slice());
        prop_assert_eq!(&parse(&mut tidy), &expected);
        for _ in &expected {
            let flaw = tidy.next_origin().flaw;
            prop_assert!(flaw.is_none() || flaw == Some(Flaw::Unclosed));
        }
        prop_assert_eq!(tidy.next_origin().flaw, None);
    }

    #[test]
    fn what_the_csv_crate_wrote_reads_back_equal(
        contacts in proptest::collection::vec(any_written(), 0..20),
        end in proptest::sample::select(vec!["\n", "\r\n"]), at_a_time in 1..100_usize,
    ) {
        let terminator = if end == "\n" { csv::Terminator::Any(b'\n') } else { csv::Terminator::CRLF };
        let record = |fields: [&str; 4]| {
            let mut writer = csv::WriterBuilder::new().terminator(terminator).from_writer(Vec::new());
            writer.write_record(fields).expect("a record");
            writer.into_inner().expect("bytes")
        };
        let mut file = record(["phone", "name", "city", "opted_out"]);
        let mut line = 2;
        let mut starts = Vec::new();
        for contact in &contacts {
            file.extend_from_slice(end.repeat(contact.blank_lines).as_bytes());
            line += contact.blank_lines;
            starts.push(u64::try_from(line).expect("a line"));
            let mark = if contact.opted_out { "x" } else { "" };
            let written = record([&contact.phone, &contact.name, &contact.city, mark]);
            // Line breaks, a carriage return with its line feed being one.
            let text = String::from_utf8(written.clone()).expect("text");
            line += text.replace("\r\n", "\n").chars().filter(|c| matches!(c, '\r' | '\n')).count();
            file.extend(written);
        }
        let rows: Vec<ImportRow> = CsvContacts::new(Trickle(&file, at_a_time), &CsvMapping::default(), mint())
            .expect("a header").collect::<Result<_, _>>().expect("rows");
        prop_assert_eq!(rows.iter().map(|row| row.line).collect::<Vec<_>>(), starts);
        for (row, contact) in rows.into_iter().zip(contacts) {
            let Ok(content) = row.content else {
                prop_assert!(crate::model::Phone::parse(&contact.phone, None).is_err());
                continue;
            };
            prop_assert_eq!(content.phone.e164(), contact.phone);
            prop_assert_eq!(content.opted_out, contact.opted_out);
            let filled = |text: &str| (!text.trim().is_empty()).then(|| text.to_owned());
            prop_assert_eq!(content.attributes.get("name").cloned(), filled(&contact.name));
            prop_assert_eq!(content.attributes.get("city").cloned(), filled(&contact.city));
        }
    }
}
