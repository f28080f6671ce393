//! The log on disk: what was accepted, and what happened besides.
//!
//! Two files. FILE has one JSON line per accepted send and nothing else, written before the
//! answer; `FILE.journal` has what else a restart must know: refusals, what users did, webhooks
//! that were taken. Both are only appended to. A last line without its end belongs to a write that
//! was cut off, so nobody was told of it: it is removed when the file is opened.
//!
//! Lines are written, not synced: they survive the process, not the machine.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::accepted::Accepted;
use super::facts::Fact;
use super::violation::Violation;

/// An open log.
#[derive(Debug)]
pub(crate) struct Log {
    accepted: File,
    journal: File,
    line: Vec<u8>,
    /// A judge that cannot write down what it decides decides nothing more.
    broken: bool,
}

/// One line of the journal.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub(crate) enum Entry {
    /// A request that was not accepted.
    Refused { code: u32, breach: Option<String> },
    /// Something that a user did, without a webhook.
    Noted { fact: Fact },
    /// A webhook that is not a status, with what it is about.
    Event { event: Event, fact: Option<Fact> },
    /// Statuses (send, step) and events that the receiver has taken, and when.
    Called {
        steps: Vec<(u64, usize)>,
        events: Vec<u64>,
        #[serde(default)]
        at: i64,
    },
    /// A rule was broken.
    Violated { violation: Violation },
}

/// A webhook that is not a status.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) id: u64,
    pub(crate) at: i64,
    pub(crate) account: String,
    pub(crate) field: String,
    pub(crate) value: Value,
    /// The user whose wish the receiver knows once it has taken this: true for a stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) wish: Option<(String, bool)>,
}

/// What a log told at the start.
#[derive(Debug, Default)]
pub(crate) struct Recalled {
    pub(crate) refused: Vec<(u32, Option<String>)>,
    pub(crate) facts: Vec<Fact>,
    pub(crate) events: Vec<Event>,
    pub(crate) called: HashSet<(u64, usize)>,
    pub(crate) next_event: u64,
    pub(crate) violations: Vec<Violation>,
}

impl Log {
    /// Opens or creates both files, takes the lock, and tells what is in them: first the journal,
    /// then each accepted send in order through `each`.
    pub(crate) fn open(
        path: &Path,
        each: &mut dyn FnMut(u64, Accepted, &Recalled),
    ) -> io::Result<(Self, Recalled)> {
        let mut accepted = open(path)?;
        accepted.try_lock().map_err(|_| {
            io::Error::new(io::ErrorKind::ResourceBusy, "another simulator is writing to this log")
        })?;
        let mut journal = open(&journal_path(path))?;
        let mut recalled = Recalled::default();
        let mut called_events = HashMap::new();
        lines(&mut journal, |entry: Entry| match entry {
            Entry::Refused { code, breach } => recalled.refused.push((code, breach)),
            Entry::Noted { fact } => recalled.facts.push(fact),
            Entry::Event { event, fact } => {
                recalled.next_event = recalled.next_event.max(event.id + 1);
                recalled.facts.extend(fact);
                recalled.events.push(event);
            }
            Entry::Called { steps, events, at } => {
                recalled.called.extend(steps);
                called_events.extend(events.into_iter().map(|event| (event, at)));
            }
            Entry::Violated { violation } => recalled.violations.push(violation),
        })?;
        for event in &recalled.events {
            if let (Some((user, stop)), Some(at)) = (&event.wish, called_events.get(&event.id)) {
                recalled.facts.push(Fact::Told { user: user.clone(), stop: *stop, at: *at });
            }
        }
        recalled.events.retain(|event| !called_events.contains_key(&event.id));
        let mut ordinal = 0;
        lines(&mut accepted, |sent| {
            each(ordinal, sent, &recalled);
            ordinal += 1;
        })?;
        Ok((Self { accepted, journal, line: Vec::new(), broken: false }, recalled))
    }

    /// Writes an accepted send down; the caller answers only after this.
    pub(crate) fn accepted(&mut self, sent: &Accepted) -> io::Result<()> {
        self.write(sent, |log| &mut log.accepted)
    }

    /// Writes down what else happened.
    pub(crate) fn journal(&mut self, entry: &Entry) -> io::Result<()> {
        self.write(entry, |log| &mut log.journal)
    }

    fn write(&mut self, line: &impl Serialize, file: fn(&mut Self) -> &mut File) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("an earlier write to the log failed"));
        }
        let mut bytes = std::mem::take(&mut self.line);
        bytes.clear();
        serde_json::to_writer(&mut bytes, line)?;
        bytes.push(b'\n');
        // One write per line: a killed process leaves whole lines or, at worst, one torn tail.
        let outcome = file(self).write_all(&bytes);
        self.line = bytes;
        self.broken = outcome.is_err();
        outcome
    }
}

fn journal_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".journal");
    name.into()
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).open(path)
}

/// Reads each line, and cuts off a tail that has no end.
fn lines<T: for<'de> Deserialize<'de>>(file: &mut File, mut each: impl FnMut(T)) -> io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    let mut whole = 0;
    let mut number = 0_u64;
    let mut line = Vec::new();
    let mut reader = BufReader::new(&*file);
    loop {
        line.clear();
        let length = reader.read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            break;
        }
        number += 1;
        each(serde_json::from_slice(&line).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidData, format!("line {number} is not of this log: {error}"))
        })?);
        whole += u64::try_from(length).map_err(io::Error::other)?;
    }
    drop(reader);
    file.set_len(whole)
}
