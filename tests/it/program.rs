//! The examples as processes, and the files that they need.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The environment variables that hold the secrets of a run against the simulator program.
pub(crate) const SECRETS: [(&str, &str); 3] =
    [("IT_TOKEN", "test-token"), ("IT_APP_SECRET", "test-app-secret"), ("IT_VERIFY", "test-verify")];

/// An example that cargo has built beside this test.
pub(crate) fn example(name: &str) -> Command {
    let test = std::env::current_exe().expect("this test has a path");
    let folder = test.parent().and_then(Path::parent).expect("target/<profile>/deps/it");
    let path = folder.join("examples").join(name);
    assert!(path.exists(), "{} is not built; run the whole of `cargo test`", path.display());
    Command::new(path)
}

/// One run of the campaign example.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn of(command: &mut Command) -> Self {
        let Output { status, stdout, stderr } = command.output().expect("the example starts");
        Self {
            status: status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        }
    }

    /// The object on the last line of stdout.
    pub(crate) fn json(&self) -> Value {
        let last = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The JSON report of a run that finished.
    pub(crate) fn report(&self) -> Value {
        assert_eq!(self.status, 0, "{self:?}");
        let report = self.json();
        adds_up(&report);
        report
    }
}

pub(crate) fn count(report: &Value, field: &str) -> u64 {
    report[field].as_u64().unwrap_or_else(|| panic!("{field} is a count in {report}"))
}

/// The promises that every report keeps.
pub(crate) fn adds_up(report: &Value) {
    let get = |field| count(report, field);
    assert_eq!(get("rows"), get("invalid") + get("duplicates") + get("audience"), "{report}");
    let states = ["accepted", "failed", "in_doubt", "skipped", "pending"];
    assert_eq!(get("audience"), states.into_iter().map(get).sum::<u64>(), "{report}");
    assert!(get("read") <= get("delivered") && get("delivered") <= get("sent"), "{report}");
    assert!(get("sent") <= get("accepted"), "{report}");
}

/// Contacts with valid numbers, one per line.
pub(crate) fn contacts(folder: &Path, name: &str, count: usize) -> PathBuf {
    let path = folder.join(name);
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path).expect("a file"));
    writeln!(file, "phone,name").expect("written");
    for n in 0..count {
        writeln!(file, "+4915112{:06},N{n}", n).expect("written");
    }
    file.flush().expect("written");
    path
}

/// The simulator as its own program; killed when dropped.
#[derive(Debug)]
pub(crate) struct SimulatorProgram {
    child: Child,
    pub(crate) origin: String,
    pub(crate) log: PathBuf,
}

impl SimulatorProgram {
    /// Starts it; webhooks go to `webhook_port` on loopback.
    pub(crate) fn start(folder: &Path, webhook_port: u16, more: &[&str]) -> Self {
        let log = folder.join("simulator.jsonl");
        let webhook = format!("http://127.0.0.1:{webhook_port}/webhooks/meta");
        let mut child = example("simulator")
            .args(["--listen", "127.0.0.1:0", "--webhook", &webhook, "--app-secret", SECRETS[1].1, "--log"])
            .arg(&log)
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the simulator starts");
        let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
        let mut origin = None;
        let mut seen = String::new();
        while origin.is_none() {
            let mut line = String::new();
            assert!(stderr.read_line(&mut line).expect("readable") > 0, "no address in {seen:?}");
            origin =
                line.split_whitespace().find(|word| word.starts_with("http://127.0.0.1:")).map(str::to_owned);
            seen.push_str(&line);
        }
        // Whatever else it says must not fill the pipe.
        std::thread::spawn(move || stderr.read_to_string(&mut String::new()));
        Self { child, origin: origin.expect("found"), log }
    }

    /// Asks it to end; its last words.
    pub(crate) fn stop(mut self) -> String {
        terminate(&self.child);
        let mut words = String::new();
        self.child.stdout.take().expect("piped").read_to_string(&mut words).expect("readable");
        assert!(self.child.wait().expect("ended").success());
        words
    }

    /// How often each recipient was accepted, by the log: a line that is still being written counts once it
    /// is whole.
    pub(crate) fn accepted(&self) -> BTreeMap<String, u64> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let mut accepted = BTreeMap::new();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        for line in whole.lines() {
            let line: Value = serde_json::from_str(line).expect("a line of JSON");
            if line["wamid"].is_string()
                && let Some(recipient) = line["recipient"].as_str()
            {
                *accepted.entry(recipient.to_owned()).or_default() += 1;
            }
        }
        accepted
    }
}

impl Drop for SimulatorProgram {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// SIGTERM, by the system's own command: the standard library has no such call.
pub(crate) fn terminate(child: &Child) {
    let sent = Command::new("kill").arg(child.id().to_string()).status().expect("kill is there");
    assert!(sent.success());
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// A run of the campaign against the simulator program.
pub(crate) fn against(simulator: &SimulatorProgram, webhook_port: u16) -> Command {
    let mut command = example("campaign");
    command
        .envs(SECRETS)
        .args(["--graph-url", &simulator.origin, "--phone-number-id", "100000000000001", "--json"])
        .args([
            "--token-env",
            "IT_TOKEN",
            "--app-secret-env",
            "IT_APP_SECRET",
            "--verify-token-env",
            "IT_VERIFY",
        ])
        .args(["--webhook-listen", &format!("127.0.0.1:{webhook_port}")]);
    command
}

/// Waits until something holds, for at most five minutes.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    #[expect(clippy::disallowed_methods, reason = "this waits for other processes")]
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(300), "waited too long until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
