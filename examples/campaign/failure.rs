//! Why the program ends without a report, and with which exit status.

use std::process::ExitCode;

use wa_kit::KitError;

/// A sentence for the user, its kind for programs, and the exit status.
#[derive(Debug)]
pub(crate) struct Failure {
    status: u8,
    kind: &'static str,
    message: String,
}

impl Failure {
    /// Exit status: interrupted or blocked; can be resumed.
    pub(crate) const BLOCKED: u8 = 3;
    const BAD_INPUT: u8 = 2;
    const OTHER: u8 = 1;

    /// Wrong input or use: nothing was sent.
    pub(crate) fn bad_input(message: impl Into<String>) -> Self {
        Self { status: Self::BAD_INPUT, kind: "bad_input", message: message.into() }
    }

    /// Something that the user named cannot be used.
    pub(crate) fn unusable(what: &str, error: impl std::error::Error) -> Self {
        Self::bad_input(format!("{what}: {}", chain(&error)))
    }

    /// Anything else.
    pub(crate) fn other(what: &str, error: impl std::error::Error) -> Self {
        Self { status: Self::OTHER, kind: "failed", message: format!("{what}: {}", chain(&error)) }
    }

    /// Says it, on stdout as JSON or on stderr as a sentence.
    pub(crate) fn tell(&self, as_json: bool) -> ExitCode {
        if as_json {
            println!("{}", serde_json::json!({ "error": { "kind": self.kind, "message": self.message } }));
        } else {
            eprintln!("error: {}", self.message);
        }
        ExitCode::from(self.status)
    }
}

impl From<KitError> for Failure {
    fn from(error: KitError) -> Self {
        match error {
            KitError::NameTaken(name) => Self::bad_input(format!(
                "a campaign named {:?} exists in this store with another template, text or list; \
                 choose another --name or another --store",
                name.as_str()
            )),
            KitError::Value(_)
            | KitError::Text(_)
            | KitError::Template(_)
            | KitError::Content(_)
            | KitError::Config(_) => Self::bad_input(error.to_string()),
            other => Self::other("the campaign stopped", other),
        }
    }
}

/// An error and what caused it, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
