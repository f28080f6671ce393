//! What holds for every file.

use proptest::prelude::*;

use super::*;

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
