//! Imports: chunks, duplicates, opt-outs, progress and the report.

use crate::model::{
    Consent, ConsentSource, ContactAttributes, ContactId, EventBody, Fingerprint, ImportId, ImportLine,
    ImportProgress, ImportRow, LineOutcome, LineProblem, ListName, Phone,
};
use crate::port::Scope;
use crate::port::store::{ImportChunk, ImportStep, ReportedLine, StartImport};
use crate::testing::store::world::{World, found, must, only, sorted, value};

fn source(name: &str) -> Fingerprint {
    Fingerprint::of(name.as_bytes())
}

async fn start(w: &World, scope: &Scope, list: &str, file: &str) -> ImportProgress {
    let start = StartImport { id: w.mint(ImportId::mint), list: value(list), source: source(file) };
    found(w.audience().start_import(scope, &start).await)
}

/// A valid row; `line` counts from 1, and the header is line 1.
fn row(w: &World, line: u64, phone: Phone) -> ImportRow {
    let content = ImportLine {
        contact: w.mint(ContactId::mint),
        phone,
        attributes: ContactAttributes::new(),
        opted_out: false,
    };
    ImportRow { line, content: Ok(content) }
}

fn opted_out(row: ImportRow) -> ImportRow {
    let content = row.content.map(|line| ImportLine { opted_out: true, ..line });
    ImportRow { content, ..row }
}

fn bad(line: u64) -> (ImportRow, LineProblem) {
    let problem = LineProblem {
        column: line.is_multiple_of(2).then(|| "phone".to_owned()),
        message: format!("problem {line}"),
    };
    (ImportRow { line, content: Err(problem.clone()) }, problem)
}

fn chunk(import: ImportId, from_record: u64, rows: Vec<ImportRow>) -> ImportChunk {
    ImportChunk { import, from_record, rows, last: false }
}

async fn apply(w: &World, scope: &Scope, chunk: &ImportChunk) -> ImportProgress {
    match must(w.audience().import(scope, chunk).await) {
        ImportStep::Applied(progress) => progress,
        other => panic!("the chunk continues the import: {other:?}"),
    }
}

async fn on(w: &World, scope: &Scope, list: &str) -> Vec<ContactId> {
    let list: ListName = value(list);
    let members = must(w.audience().contacts(scope, Some(&list), None, 1_000).await);
    members.into_iter().map(|contact| contact.id).collect()
}

async fn consent(w: &World, scope: &Scope, phone: Phone) -> Consent {
    found(w.audience().find_contact(scope, &phone.into()).await).consent
}

fn counted(progress: &ImportProgress) -> (u64, u64, u64, u64) {
    (progress.records, progress.added, progress.duplicates, progress.invalid)
}

pub(crate) async fn start_import_resumes_the_same_source(w: World) {
    let scope = w.tenant("one").await;
    let first = start(&w, &scope, "news", "a.csv").await;
    assert_eq!((counted(&first), first.finished), ((0, 0, 0, 0), false));
    assert_eq!(first.source, source("a.csv"));
    let rows = vec![row(&w, 2, w.fresh_phone()), row(&w, 3, w.fresh_phone())];
    let progress = apply(&w, &scope, &chunk(first.id, 0, rows)).await;
    assert_eq!(start(&w, &scope, "news", "a.csv").await, progress, "the same id, and how far it is");
    let last = ImportChunk { last: true, ..chunk(first.id, 2, vec![row(&w, 4, w.fresh_phone())]) };
    let progress = apply(&w, &scope, &last).await;
    assert!(progress.finished);
    assert_eq!(start(&w, &scope, "news", "a.csv").await, progress, "also once it is finished");
    let none = StartImport { id: w.mint(ImportId::mint), list: value("news"), source: source("a.csv") };
    assert_eq!(must(w.audience().start_import(&w.nobody(), &none).await), None);
}

pub(crate) async fn another_source_is_another_import(w: World) {
    let scope = w.tenant("one").await;
    let first = start(&w, &scope, "news", "a.csv").await;
    let second = start(&w, &scope, "news", "b.csv").await;
    let elsewhere = start(&w, &scope, "other", "a.csv").await;
    assert!(first.id != second.id && first.id != elsewhere.id);
    let shared = w.fresh_phone();
    apply(&w, &scope, &chunk(first.id, 0, vec![row(&w, 2, shared)])).await;
    let rows = vec![row(&w, 2, shared), row(&w, 3, w.fresh_phone())];
    let progress = apply(&w, &scope, &chunk(second.id, 0, rows)).await;
    assert_eq!(counted(&progress), (2, 2, 0, 0), "on the list from elsewhere is added, not a duplicate");
    assert_eq!(on(&w, &scope, "news").await.len(), 2, "a phone is on a list once");
    assert!(on(&w, &scope, "other").await.is_empty());
}

pub(crate) async fn import_adds_contacts_and_counts_lines(w: World) {
    let scope = w.tenant("one").await;
    let known = w.contact(&scope).await;
    let known_phone = known.recipient.phone().expect("a phone");
    let import = start(&w, &scope, "news", "a.csv").await;
    let fresh = w.fresh_phone();
    let mut with_name = row(&w, 2, fresh);
    if let Ok(line) = &mut with_name.content {
        line.attributes.insert("name".to_owned(), "Zoë".to_owned());
    }
    let fresh_id = with_name.content.as_ref().expect("a valid row").contact;
    let rows =
        vec![with_name, row(&w, 3, known_phone), row(&w, 4, fresh), bad(5).0, row(&w, 6, w.fresh_phone())];
    let progress = apply(&w, &scope, &chunk(import.id, 0, rows)).await;
    assert_eq!(counted(&progress), (5, 3, 1, 1), "added + duplicates + invalid = rows");
    let members = on(&w, &scope, "news").await;
    assert_eq!(members.len(), 3);
    assert!(members.contains(&known.id), "a known phone keeps its contact");
    let contact = found(w.audience().find_contact(&scope, &fresh.into()).await);
    assert_eq!(contact.id, fresh_id, "a new one gets the id that came with its row");
    assert_eq!(
        contact.attributes.get("name").map(String::as_str),
        Some("Zoë"),
        "a duplicate changes nothing"
    );
    assert_eq!((contact.consent, contact.created_at), (Consent::Allowed, w.now()));

    let rows = vec![row(&w, 7, w.fresh_phone()), bad(8).0];
    let progress = apply(&w, &scope, &ImportChunk { last: true, ..chunk(import.id, 5, rows) }).await;
    assert_eq!(counted(&progress), (7, 4, 1, 2), "over all chunks");
    assert!(progress.finished);
}

pub(crate) async fn import_applies_a_chunk_once(w: World) {
    let scope = w.tenant("one").await;
    let import = start(&w, &scope, "news", "a.csv").await;
    let first = chunk(import.id, 0, vec![row(&w, 2, w.fresh_phone()), bad(3).0]);
    let progress = apply(&w, &scope, &first).await;
    let before = w.snapshot(&scope).await;
    let ahead = chunk(import.id, 3, vec![row(&w, 5, w.fresh_phone())]);
    let overlapping = chunk(import.id, 1, vec![row(&w, 3, w.fresh_phone())]);
    for wrong in [first, ahead, overlapping] {
        let step = must(w.audience().import(&scope, &wrong).await);
        assert_eq!(step, ImportStep::Elsewhere(progress.clone()), "from record {}", wrong.from_record);
        assert_eq!(w.snapshot(&scope).await, before, "nothing changes");
    }
    let report = must(w.audience().import_report(&scope, import.id, 0, 100).await);
    assert_eq!(report.len(), 1, "nor is a line reported twice");
    let missing = chunk(w.mint(ImportId::mint), 0, vec![row(&w, 2, w.fresh_phone())]);
    assert_eq!(must(w.audience().import(&scope, &missing).await), ImportStep::Missing);
    assert_eq!(w.snapshot(&scope).await, before);
}

pub(crate) async fn import_finds_duplicates_across_chunks(mut w: World) {
    let scope = w.tenant("one").await;
    let (first, second) = (w.fresh_phone(), w.fresh_phone());
    let import = start(&w, &scope, "news", "a.csv").await;
    let named = |line, phone, name: &str| {
        let mut row = row(&w, line, phone);
        if let Ok(content) = &mut row.content {
            content.attributes.insert("name".to_owned(), name.to_owned());
        }
        row
    };
    let (one, two) = (named(2, first, "Ada"), named(4, first, "Eve"));
    let rows = vec![one, named(3, second, "Bea")];
    assert_eq!(counted(&apply(&w, &scope, &chunk(import.id, 0, rows)).await), (2, 2, 0, 0));
    w.reopen().await;
    let progress = apply(&w, &scope, &chunk(import.id, 2, vec![two, row(&w, 5, second)])).await;
    assert_eq!(counted(&progress), (4, 2, 2, 0));
    let contact = found(w.audience().find_contact(&scope, &first.into()).await);
    assert_eq!(contact.attributes.get("name").map(String::as_str), Some("Ada"), "the first line wins");
    // Within one import only: a second file may bring the same people with news.
    let import = start(&w, &scope, "news", "b.csv").await;
    let progress = apply(&w, &scope, &chunk(import.id, 0, vec![row(&w, 2, first)])).await;
    assert_eq!(counted(&progress), (1, 1, 0, 0));
}

pub(crate) async fn import_keeps_an_earlier_opt_out(w: World) {
    let scope = w.tenant("one").await;
    for (known, expected) in [
        (Consent::OptedOut, Consent::OptedOut),
        (Consent::NoMarketing, Consent::NoMarketing),
        (Consent::Blocked, Consent::Blocked),
        (Consent::Allowed, Consent::Allowed),
    ] {
        let contact = w.contact(&scope).await;
        found(w.audience().set_consent(&scope, contact.id, known, ConsentSource::Caller).await);
        let phone = contact.recipient.phone().expect("a phone");
        let import = start(&w, &scope, "news", &format!("{known:?}.csv")).await;
        apply(&w, &scope, &chunk(import.id, 0, vec![row(&w, 2, phone)])).await;
        assert_eq!(consent(&w, &scope, phone).await, expected);
    }
    // Nor does a later line or file lift what an earlier one said.
    let said = w.fresh_phone();
    let import = start(&w, &scope, "news", "a.csv").await;
    let rows = vec![opted_out(row(&w, 2, said)), row(&w, 3, said)];
    apply(&w, &scope, &chunk(import.id, 0, rows)).await;
    let import = start(&w, &scope, "news", "b.csv").await;
    apply(&w, &scope, &chunk(import.id, 0, vec![row(&w, 2, said)])).await;
    assert_eq!(consent(&w, &scope, said).await, Consent::OptedOut);
}

pub(crate) async fn import_opts_out_what_the_file_says(w: World) {
    let scope = w.tenant("one").await;
    let import = start(&w, &scope, "news", "a.csv").await;
    let (fresh, doubled, plain) = (w.fresh_phone(), w.fresh_phone(), w.fresh_phone());
    let rows = vec![
        opted_out(row(&w, 2, fresh)),
        row(&w, 3, doubled),
        row(&w, 4, plain),
        opted_out(row(&w, 5, doubled)),
    ];
    let progress = apply(&w, &scope, &chunk(import.id, 0, rows)).await;
    assert_eq!(counted(&progress), (4, 3, 1, 0));
    assert_eq!(consent(&w, &scope, fresh).await, Consent::OptedOut);
    assert_eq!(consent(&w, &scope, doubled).await, Consent::OptedOut, "a duplicate row still counts");
    assert_eq!(consent(&w, &scope, plain).await, Consent::Allowed);
    // A tenant's block is stronger and stays.
    let contact = w.contact(&scope).await;
    found(w.audience().set_consent(&scope, contact.id, Consent::Blocked, ConsentSource::Caller).await);
    let blocked = contact.recipient.phone().expect("a phone");
    let later = w.fresh_phone();
    let rows = vec![opted_out(row(&w, 6, blocked)), row(&w, 7, later)];
    apply(&w, &scope, &chunk(import.id, 4, rows)).await;
    assert_eq!(consent(&w, &scope, blocked).await, Consent::Blocked);
    // In another chunk as well.
    apply(&w, &scope, &chunk(import.id, 6, vec![opted_out(row(&w, 8, later))])).await;
    assert_eq!(consent(&w, &scope, later).await, Consent::OptedOut);
    let sources: Vec<_> = w
        .events()
        .await
        .into_iter()
        .filter_map(|event| match event.body {
            EventBody::Consent { source: ConsentSource::Import, consent, .. } => Some(consent),
            _ => None,
        })
        .collect();
    assert_eq!(sources, [Consent::OptedOut; 3], "each change is in the journal, and what it came from");
}

pub(crate) async fn import_survives_a_reopen(mut w: World) {
    let scope = w.tenant("one").await;
    let import = start(&w, &scope, "news", "a.csv").await;
    let rows = vec![row(&w, 2, w.fresh_phone()), bad(3).0];
    let progress = apply(&w, &scope, &chunk(import.id, 0, rows)).await;
    w.reopen().await;
    assert_eq!(start(&w, &scope, "news", "a.csv").await, progress);
    let last = ImportChunk { last: true, ..chunk(import.id, 2, vec![row(&w, 4, w.fresh_phone())]) };
    assert_eq!(counted(&apply(&w, &scope, &last).await), (3, 2, 0, 1));
    w.reopen().await;
    assert!(start(&w, &scope, "news", "a.csv").await.finished);
    assert_eq!(on(&w, &scope, "news").await.len(), 2);
}

pub(crate) async fn imports_lists_what_went_into_a_list(w: World) {
    let (scope, other) = (w.tenant("one").await, w.tenant("other").await);
    let first = start(&w, &scope, "news", "a.csv").await;
    w.pass(1);
    let second = start(&w, &scope, "news", "b.csv").await;
    start(&w, &scope, "elsewhere", "a.csv").await;
    start(&w, &other, "news", "c.csv").await;
    let second = apply(&w, &scope, &chunk(second.id, 0, vec![row(&w, 2, w.fresh_phone())])).await;
    let mut expected = vec![first, second];
    expected.sort_by_key(|import| import.id);
    assert_eq!(must(w.audience().imports(&scope, &value("news")).await), expected);
    assert!(must(w.audience().imports(&scope, &value("nothing")).await).is_empty());
}

pub(crate) async fn import_report_names_each_bad_line(w: World) {
    let scope = w.tenant("one").await;
    let import = start(&w, &scope, "news", "a.csv").await;
    let doubled = w.fresh_phone();
    let ((third, third_problem), (ninth, ninth_problem)) = (bad(3), bad(9));
    let rows = vec![row(&w, 2, doubled), third, row(&w, 4, w.fresh_phone()), row(&w, 7, doubled)];
    apply(&w, &scope, &chunk(import.id, 0, rows)).await;
    apply(&w, &scope, &chunk(import.id, 4, vec![row(&w, 8, w.fresh_phone()), ninth])).await;
    let expected = [
        ReportedLine { line: 3, outcome: LineOutcome::Invalid, problem: Some(third_problem) },
        ReportedLine { line: 7, outcome: LineOutcome::Duplicate, problem: None },
        ReportedLine { line: 9, outcome: LineOutcome::Invalid, problem: Some(ninth_problem) },
    ];
    let report = async |after, limit| must(w.audience().import_report(&scope, import.id, after, limit).await);
    assert_eq!(report(0, 100).await, expected);
    assert_eq!(report(0, 2).await, expected.get(..2).expect("three lines"));
    assert_eq!(report(3, 2).await, expected.get(1..).expect("three lines"), "after is exclusive");
    assert!(report(9, 100).await.is_empty());
    assert_eq!(only(report(7, 100).await).line, 9);
    assert_eq!(sorted(on(&w, &scope, "news").await).len(), 3);
}
