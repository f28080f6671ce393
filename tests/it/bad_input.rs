//! Bad input to the example: exit status 2, a sentence that helps, and nothing sent.

use std::path::Path;

use crate::program::{Run, example};

fn check(arguments: &[&str], file: Option<&str>, expected: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("contacts.csv");
    let mut command = example("campaign");
    command.args(["--json", "--store", &format!("sqlite:{}", folder.path().join("wa.db").display())]);
    if let Some(text) = file {
        std::fs::write(&path, text).expect("written");
        command.arg("--contacts").arg(&path);
    }
    let run = Run::of(command.args(arguments));
    assert_eq!(run.status, 2, "{arguments:?}: {run:?}");
    let error = &run.json()["error"];
    assert_eq!(error["kind"], "bad_input", "{arguments:?}: {error}");
    let message = error["message"].as_str().expect("a sentence");
    println!("{arguments:?}\n    {}", message.replace(path.to_str().expect("UTF-8"), "contacts.csv"));
    assert!(message.contains(expected), "{arguments:?}: {message:?} does not say {expected:?}");
    assert!(!Path::new(&folder.path().join("wa.db.simulator.jsonl")).exists() || file.is_some());
}

const FINE: &str = "phone,name\n+4915112345678,Ada\n";

#[test]
fn wrong_use_and_wrong_files_are_explained() {
    check(&["--region", "Germany"], None, "two-letter country code");
    check(&["--rate", "0"], None, "1..=10000");
    check(&["--rate", "fast"], None, "--rate");
    check(&["--wait", "-1"], None, "-1");
    check(&["--max-in-doubt", "0"], None, "max-in-doubt");
    check(&["--template", "Hello World"], None, "lower-case letters");
    check(&["--template", "hello", "--language", "english"], None, "en_US");
    check(&["--category", "spam"], None, "marketing");
    check(&["--text", " "], None, "empty");
    check(&["--text", "hi", "--template", "hello"], None, "cannot be used with");
    check(&["--text", "hi", "--param", "name"], None, "cannot be used with");
    check(&["--name", ""], None, "1 to 200 characters");
    check(&["--graph-url", "https://graph.facebook.com"], None, "phone-number-id");
    check(&["--store", "sqlite:other.db"], None, "multiple times");
    check(&["--contacts", "no-such-file.csv"], None, "no-such-file.csv");
    check(&["--param", "city"], Some(FINE), "\"city\"");
    check(&["--text", "Hello {{surname}}"], Some(FINE), "\"surname\"");
    check(&["--phone-column", "mobile"], Some(FINE), "\"mobile\"");
    check(&[], Some(""), "empty");
    check(&[], Some("phone,phone\n1,2\n"), "twice");
    check(&[], Some("phone;name\n+4915112345678;Ada\n"), "commas");
    let unset = [
        "--graph-url",
        "https://graph.facebook.com",
        "--phone-number-id",
        "1",
        "--token-env",
        "NO_SUCH_VARIABLE",
    ];
    check(&unset, None, "NO_SUCH_VARIABLE is not set");
    let plain = ["--graph-url", "http://example.com", "--phone-number-id", "1", "--token-env", "PATH"];
    check(&plain, None, "https://");
}

#[test]
fn what_is_no_store_is_explained_without_its_password() {
    let run = Run::of(example("campaign").args(["--json", "--store", "mysql://ada:hunter2@localhost/db"]));
    assert_eq!(run.status, 2, "{run:?}");
    let message = run.json()["error"]["message"].as_str().expect("a sentence").to_owned();
    assert!(message.contains("postgres://USER@HOST/DATABASE") && !message.contains("hunter2"), "{message}");
}

#[test]
fn a_store_that_cannot_be_opened_is_explained() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = folder.path().join("text.db");
    std::fs::write(
        &text,
        "this is no database, it is text that is long enough to be read as a page".repeat(20),
    )
    .expect("written");
    for (path, expected) in [(folder.path().join("none/x.db"), "No such file"), (text, "not a database")] {
        let store = format!("sqlite:{}", path.display());
        let run = Run::of(example("campaign").args(["--json", "--store", &store]));
        assert_eq!(run.status, 2, "{run:?}");
        let message = run.json()["error"]["message"].to_string();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn another_file_or_template_under_a_name_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = format!("sqlite:{}", folder.path().join("wa.db").display());
    let (first, second) = (folder.path().join("a.csv"), folder.path().join("b.csv"));
    std::fs::write(&first, FINE).expect("written");
    std::fs::write(&second, "phone,name\n+4915112345679,Bob\n").expect("written");
    let run = |file: &Path, template: &str| {
        let mut command = example("campaign");
        command.args(["--json", "--store", &store, "--template", template, "--contacts"]).arg(file);
        Run::of(&mut command)
    };
    assert_eq!(run(&first, "hello").status, 0);
    for (file, template) in [(&second, "hello"), (&first, "goodbye")] {
        let refused = run(file, template);
        assert_eq!(refused.status, 2, "{refused:?}");
        let message = refused.json()["error"]["message"].to_string();
        assert!(message.contains("--name"), "{message}");
    }
    assert_eq!(run(&first, "hello").status, 0);
}
