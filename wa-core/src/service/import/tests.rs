//! The reader against files good and bad, and against the parser that it stands on.

mod bad_input;
mod properties;

use std::io::{self, Cursor, Read};

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

// ---- What cannot ----

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
