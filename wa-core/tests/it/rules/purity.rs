//! Rules and values decide and hold; they ask nobody. Read from the sources.

use std::fs;
use std::path::{Path, PathBuf};

const FORBIDDEN: &[&str] = &[
    "async",
    "await",
    "SystemTime",
    "Instant",
    "tracing",
    "rand",
    "getrandom",
    "println",
    "eprintln",
    "dbg",
    "std::fs",
    "std::net",
    "std::env",
    "std::thread",
    "std::process",
    "std::io",
    "tokio",
    "Utc::now",
];

fn sources(room: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(room), &mut found);
    found
}

/// The forbidden words of a source line, comments left out.
fn offences(line: &str) -> Vec<&'static str> {
    let code = line.split("//").next().unwrap_or("");
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let stands_alone = |word: &str| {
        code.match_indices(word).any(|(place, _)| {
            !is_part(code[..place].chars().next_back()) && !is_part(code[place + word.len()..].chars().next())
        })
    };
    FORBIDDEN.iter().copied().filter(|word| stands_alone(word)).collect()
}

#[test]
fn rules_and_model_ask_for_no_time_chance_or_io() {
    for (room, at_least) in [("rules", 12), ("model", 15)] {
        let files = sources(room);
        assert!(files.len() >= at_least, "only {} files in {room}", files.len());
        for file in files {
            let text = fs::read_to_string(&file).expect("a source file");
            for (number, line) in text.lines().enumerate() {
                let found = offences(line);
                assert!(found.is_empty(), "{}:{} uses {found:?}", file.display(), number + 1);
            }
        }
    }
}

#[test]
fn the_check_finds_what_it_looks_for() {
    assert_eq!(offences("pub async fn ask() {"), ["async"]);
    assert_eq!(offences("let now = std::time::Instant::now();"), ["Instant"]);
    assert_eq!(offences("use std::fs;"), ["std::fs"]);
    assert_eq!(offences("let id = InstanceId::mint(now, random); // async"), Vec::<&str>::new());
}
