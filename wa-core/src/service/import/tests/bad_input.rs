//! What is wrong with a file, and what the user sees.

use super::*;

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
