//! Bodies that others recorded: every one is understood, and the kinds that Meta names are known.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use wa_core::model::InboundEvent;

use super::super::support::meta_data;
use super::parse_bytes;

pub(super) fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for source in ["facebook-openapi", "pywa"] {
        for entry in fs::read_dir(folder.join(source)).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            files.push((format!("{source}/{name}"), fs::read(path).expect("a file")));
        }
    }
    files.sort();
    files
}

/// What the files of one kind become. A file kind is a field, with the type of message or status.
const EXPECTED: &[(&str, &str)] = &[
    ("messages/message.system.user_changed_number", "user_changed"),
    ("messages/message.system.customer_identity_changed", "identity_changed"),
    ("messages/message.", "message"),
    ("messages/status.", "status"),
    ("account_update/", "account"),
    ("message_template_status_update/", "template_status"),
    ("message_template_quality_update/", "template_quality"),
    ("message_template_components_update/", "template_components"),
    ("template_category_update/", "template_category"),
    ("smb_message_echoes/", "echo"),
    ("user_preferences/", "preference"),
    ("calls/", "other"),
    ("group_", "other"),
];

#[test]
fn every_recorded_body_becomes_the_event_of_its_kind() {
    let Some(data) = meta_data() else { return };
    let folder = data.join("webhooks");
    let index = fs::read(folder.join("INDEX.json")).expect("an index");
    let index: Vec<serde_json::Value> = serde_json::from_slice(&index).expect("JSON");
    let kinds: BTreeMap<String, String> = index
        .iter()
        .map(|row| {
            let file = row["file"].as_str().expect("a file").trim_end_matches(".json");
            (file.to_owned(), row["kinds"][0].as_str().expect("a kind").to_owned())
        })
        .collect();
    let files = files(&folder);
    let mut table: BTreeMap<(String, String), u32> = BTreeMap::new();
    let mut unknown = 0;
    for (name, bytes) in &files {
        let kind = kinds.get(name).unwrap_or_else(|| panic!("{name} is not in the index"));
        let (_, expected) = EXPECTED
            .iter()
            .find(|(start, _)| kind.starts_with(start))
            .unwrap_or_else(|| panic!("{kind} is new"));
        // The index gives all calls one kind; one that a user makes is as good as a message.
        let expected = if name.ends_with("calls_user_initiated") { &"message" } else { expected };
        let events = parse_bytes(bytes);
        let is_expected = |event: &&InboundEvent| event.name() == *expected;
        assert_eq!(events.iter().filter(is_expected).count(), 1, "{name}: {events:?}");
        for event in events {
            // One recording has an error of the whole value beside its message.
            assert!(event.name() == *expected || event.name() == "error", "{name} became {event:?}");
            unknown += u32::from(event.name() == "unknown");
            *table.entry((kind.clone(), row(&event))).or_default() += 1;
        }
    }
    println!("{} recorded bodies, {} events, {unknown} unknown", files.len(), table.values().sum::<u32>());
    println!("{:>5}  {:<56} event", "files", "kind of file");
    for ((kind, event), count) in &table {
        println!("{count:>5}  {kind:<56} {event}");
    }
    assert_eq!(unknown, 0);
    assert!(files.len() >= 90, "recordings are missing");
}

/// What an event is, more finely than by its name.
fn row(event: &InboundEvent) -> String {
    match event {
        InboundEvent::Status(update) => format!("status {:?}", update.fact),
        InboundEvent::Message(message) => format!("message {}", message.kind().as_str()),
        InboundEvent::Echo(echo) => format!("echo {}", echo.kind().as_str()),
        InboundEvent::TemplateStatus(it) => format!("template_status {}", it.event.as_str()),
        InboundEvent::Preference(it) => format!("preference {}", it.choice.as_str()),
        InboundEvent::Account(it) => {
            let change = format!("{:?}", it.change);
            let change = change.split([' ', '(']).next().unwrap_or_default().to_owned();
            assert_ne!(change, "Other", "{it:?}");
            format!("account {change}")
        }
        InboundEvent::Other(it) => format!("other {}", it.field),
        other => other.name().to_owned(),
    }
}
