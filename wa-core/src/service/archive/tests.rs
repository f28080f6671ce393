//! Files that are whole, and files that are not.

use std::io::Cursor;
use std::sync::Arc;

use super::*;
use crate::memory::MemoryStore;
use crate::model::{ContactAttributes, Phone, from_micros};
use crate::testing::ManualClock;

/// A kit on an empty store.
async fn kit() -> Kit {
    kit_on(clock()).await
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(from_micros(1_794_320_000_123_457)))
}

async fn kit_on(clock: Arc<ManualClock>) -> Kit {
    let store = Arc::new(MemoryStore::new(clock.clone()));
    Kit::builder(store).clock(clock).build().await.expect("a kit")
}

async fn person(kit: &Kit, tenant: &str, digits: &str) -> TenantId {
    let tenant = kit.tenants().ensure(tenant).await.expect("a tenant");
    let phone = Phone::parse(digits, None).expect("a phone");
    let list = Some("news".parse().expect("a name"));
    tenant.contacts().upsert(phone.into(), ContactAttributes::new(), list).await.expect("a contact");
    tenant.id()
}

async fn exported(kit: &Kit, tenant: TenantId) -> String {
    let mut file = Vec::new();
    kit.archive().export(tenant, &mut file).await.expect("an export");
    String::from_utf8(file).expect("text")
}

/// The file with another sum: what it says is what was written.
fn signed(lines: &[String]) -> String {
    use sha2::{Digest, Sha256};
    let mut lines = lines.to_vec();
    let end = lines.pop().expect("an end");
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let (before, rest) = end.split_once("\"sum\":\"").expect("a sum");
    let after = rest.get(64..).expect("64 digits");
    format!("{text}{before}\"sum\":\"{}{after}\n", hex::encode(Sha256::digest(text.as_bytes())))
}

/// What is wrong, the file, and what the user sees.
async fn bad_files() -> Vec<(&'static str, String, &'static str)> {
    let from = kit().await;
    let whole = exported(&from, person(&from, "acme", "+4915112345678").await).await;
    let mut backup = Vec::new();
    from.archive().backup(&mut backup).await.expect("a backup");
    let lines: Vec<String> = whole.lines().map(str::to_owned).collect();
    let with = |place: usize, from: &str, to: &str| {
        let mut lines = lines.clone();
        let line = lines.get_mut(place).expect("a line");
        assert!(line.contains(from), "{line}");
        *line = line.replacen(from, to, 1);
        lines
    };
    let plain = |lines: Vec<String>| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let mut swapped = lines.clone();
    swapped.swap(2, 3);
    let mut without_contact = lines.clone();
    without_contact.remove(2);
    let end = without_contact.last_mut().expect("an end");
    *end = end.replace("\"contact\":1,", "");
    vec![
        (
            "An empty file",
            String::new(),
            "line 1: this is no archive of wa-kit; take a file that an export or a backup wrote",
        ),
        (
            "Another file",
            "phone,name\n".to_owned(),
            "line 1: this is no archive of wa-kit; take a file that an export or a backup wrote",
        ),
        (
            "An archive of a later version",
            plain(with(0, "\"version\":1", "\"version\":2")),
            "line 1: the archive is of version 2, and this program reads version 1; update the program",
        ),
        (
            "A file that is cut between two lines",
            plain(lines.iter().take(3).cloned().collect()),
            "the file ends after line 3, before its last line; copy the whole file",
        ),
        (
            "A file that is cut within a line",
            whole.get(..whole.len() - 30).expect("a shorter text").to_owned(),
            "the file ends after line 6, before its last line; copy the whole file",
        ),
        (
            "A value that was changed",
            plain(with(2, "4915112345678", "4915112345679")),
            "line 6: the lines before this one are not those that were written; copy the file again",
        ),
        (
            "A line that is no JSON",
            plain(with(3, "{", "")),
            "line 4: this is no record; take the file as it was written",
        ),
        (
            "A field that is missing",
            signed(&with(4, "\"seq\":1,", "")),
            "line 5, field \"seq\": this is no record; take the file as it was written",
        ),
        (
            "A field that nobody knows",
            signed(&with(4, "\"seq\":1", "\"seq\":1,\"new\":2")),
            "line 5, field \"new\": this is no record; take the file as it was written",
        ),
        (
            "Records in another order",
            signed(&swapped),
            "line 4: this record stands in the wrong place; take the file as it was written",
        ),
        (
            "A record that names one that is not there",
            signed(&without_contact),
            "line 4: this record names a contact that does not come before it; take the file as it was written",
        ),
        (
            "Two archives in one file",
            format!("{whole}{whole}"),
            "line 7: something follows the end of the archive; import one file at a time",
        ),
        (
            "A backup that is imported",
            String::from_utf8(backup).expect("text"),
            "the file is a backup of a whole store; restore it into an empty store",
        ),
    ]
}

#[tokio::test]
async fn a_bad_file_says_what_is_wrong_and_changes_nothing() {
    for (what, file, expected) in bad_files().await {
        let to = kit().await;
        let refused = to.archive().import(Cursor::new(file)).await.expect_err(what);
        assert_eq!(refused.to_string(), expected, "{what}");
        assert_eq!(to.archive().unfinished().await.expect("a list"), [], "{what}");
        assert_eq!(to.tenants().list(None, 10).await.expect("a list"), [], "{what}");
    }
}

#[tokio::test]
async fn the_documentation_lists_these_messages() {
    const BEGIN: &str = "<!-- archive: checked by wa-core's tests -->\n";
    const END: &str = "<!-- end of archive -->\n";
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/bad-input.md");
    let text = std::fs::read_to_string(&path).expect("docs/bad-input.md");
    let (before, rest) = text.split_once(BEGIN).expect("where the table begins");
    let (table, after) = rest.split_once(END).expect("where the table ends");
    let mut expected = "| What is wrong | What the user sees |\n|---|---|\n".to_owned();
    for (what, _, seen) in bad_files().await {
        expected.push_str(&format!("| {what} | {seen} |\n"));
    }
    // WRITE_DOCS=1 brings the page up to date.
    if table != expected && std::env::var_os("WRITE_DOCS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{expected}{END}{after}"))
            .expect("a page that can be written");
        return;
    }
    assert_eq!(table, expected, "run this test with WRITE_DOCS=1 to bring docs/bad-input.md up to date");
}

#[tokio::test]
async fn an_import_goes_on_where_it_stopped() {
    let clock = clock();
    let (from, to) = (kit_on(Arc::clone(&clock)).await, kit().await);
    let tenant = person(&from, "acme", "+4915112345678").await;
    for n in 0..1_200 {
        person(&from, "acme", &format!("+491511234{:04}", 5_678 + n % 3)).await;
    }
    let whole = exported(&from, tenant).await;
    // What a crash leaves: some records of the same file.
    let mut reading = Reading::new(Cursor::new(&whole));
    let head = head(&mut reading).expect("a head");
    let before = reading.mark();
    let mut records = Vec::new();
    for _ in 0..3 {
        let Ok(Some(Line::Record(record))) = reading.next() else { panic!("a record") };
        records.push(*record);
    }
    let ports = &to.inner.ports;
    let chunk = ImportTenant { head, from_record: 0, before, records, after: reading.mark(), last: false };
    let step = ports.store.archive().import_tenant(&ports.admin(), &chunk).await.expect("a step");
    assert_eq!(step, ImportTenantStep::Taken(3));
    assert_eq!(to.archive().unfinished().await.expect("a list").len(), 1);
    // Another file does not go on with it.
    let other = kit().await;
    let ports = &other.inner.ports;
    assert_eq!(ports.store.archive().import_tenant(&ports.admin(), &chunk).await.expect("a step"), step);
    clock.advance(std::time::Duration::from_secs(1));
    let another = exported(&from, tenant).await;
    let refused = other.archive().import(Cursor::new(&another)).await.expect_err("another file");
    assert!(matches!(refused, KitError::Archive(ArchiveProblem::AnotherFile)), "{refused}");
    assert!(other.archive().discard(tenant).await.expect("an answer"));
    other.archive().import(Cursor::new(&another)).await.expect("a tenant");

    let moved = to.archive().import(Cursor::new(&whole)).await.expect("a tenant");
    assert_eq!(moved.id, tenant);
    let refused = to.archive().import(Cursor::new(&whole)).await.expect_err("it is there");
    assert!(matches!(refused, KitError::Archive(ArchiveProblem::TenantTaken)), "{refused}");
}

#[tokio::test]
async fn a_backup_brings_every_tenant_back() {
    let (from, to) = (kit().await, kit().await);
    let first = person(&from, "acme", "+4915112345678").await;
    let second = person(&from, "globex", "+4915112345679").await;
    let mut file = Vec::new();
    assert_eq!(from.archive().backup(&mut file).await.expect("a backup"), 2);
    // The first was restored before something stopped it.
    let one = exported(&from, first).await;
    to.archive().import(Cursor::new(&one)).await.expect("a tenant");
    let mut restored = to.archive().restore(Cursor::new(&file)).await.expect("two tenants");
    restored.sort_unstable();
    let mut expected = vec![first, second];
    expected.sort_unstable();
    assert_eq!(restored, expected);
    for tenant in expected {
        let records = |text: String| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
        let (mut here, mut there) =
            (records(exported(&from, tenant).await), records(exported(&to, tenant).await));
        here.pop();
        there.pop();
        assert_eq!(here, there);
    }
    assert_eq!(to.archive().held(None, 10).await.expect("a list").len(), 2);
    let own = kit().await;
    person(&own, "initech", "+4915112345678").await;
    let refused = own.archive().restore(Cursor::new(&file)).await.expect_err("it is not empty");
    assert!(matches!(refused, KitError::Archive(ArchiveProblem::NotEmpty)), "{refused}");
    let refused = own.archive().restore(Cursor::new(&one)).await.expect_err("it is one tenant");
    assert!(matches!(refused, KitError::Archive(ArchiveProblem::IsTenant)), "{refused}");
    file.pop();
    let refused = kit().await.archive().restore(Cursor::new(&file)).await.expect_err("it is cut");
    assert!(matches!(refused, KitError::Archive(ArchiveProblem::Cut { .. })), "{refused}");
}
