// SPDX-License-Identifier: GPL-2.0

//! Reports to the host script: one JSON object a line on the second serial port.

use anyhow::{Context, Result};
use rustix::termios::{tcdrain, tcgetattr, tcsetattr, OptionalActions};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::OnceLock;

/// What the host script is told. `scripts/kvmrs/machine/boot.py` reads them by their "ev".
#[derive(Serialize)]
#[serde(tag = "ev", rename_all = "lowercase")]
pub enum Event<'a> {
    /// The machine is up and prepared.
    Ready {
        facts: BTreeMap<&'static str, String>,
    },
    /// A test starts.
    Start {
        test: &'a str,
        args: &'a str,
        backend: &'a str,
    },
    /// It is still running; `line` is the last thing it printed.
    Alive {
        test: &'a str,
        seconds: u64,
        line: &'a str,
    },
    /// It ended.
    Result(TestResult<'a>),
    /// A line printed by a command.
    Output { line: &'a str },
    /// The demo goes on to this.
    Phase { phase: &'a str },
    /// KVM's figures of the demo's guest, now.
    Figures {
        values: &'a BTreeMap<&'static str, u64>,
    },
    /// What the demo's guest has mapped, as text and as a picture.
    Map {
        moment: &'a str,
        text: &'a str,
        picture: &'a str,
    },
    /// The demo's guest says this.
    Guest { line: &'a str },
    /// The demo found this.
    Note { line: &'a str },
    /// The runner could not go on.
    Fatal { reason: String },
    /// The positive end mark.
    End,
}

/// How one test ended on one backend.
#[derive(Serialize)]
pub struct TestResult<'a> {
    pub test: &'a str,
    pub args: &'a str,
    pub backend: &'a str,
    pub result: Outcome,
    pub seconds: f64,
    /// Why, when it did not pass.
    pub reason: String,
    /// How often it was tried.
    pub attempts: usize,
    /// What is wrong whatever the program says: VMs on the wrong backend, things left behind.
    pub complaint: Option<String>,
    /// The end of its output.
    pub tail: Vec<String>,
    /// VMs that it created, by backend; absent on a kernel that does not count them.
    pub vms: Option<BTreeMap<String, u64>>,
}

/// The words of out/selftests.json.
#[derive(Serialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Pass,
    Fail,
    Skip,
    Timeout,
}

static PORT: OnceLock<File> = OnceLock::new();

/// Fast enough that reports do not pile up on an emulated port that takes its time.
const BAUD: u32 = 115_200;

/// Opens the event port and makes it raw, so that a line arrives as it was written.
pub fn open(path: &str) -> Result<()> {
    let port = OpenOptions::new()
        .write(true)
        .open(path)
        .with_context(|| format!("opening {path}"))?;
    let mut settings = tcgetattr(&port)?;
    settings.make_raw();
    settings.set_speed(BAUD)?;
    tcsetattr(&port, OptionalActions::Now, &settings)?;
    let _ = PORT.set(port);
    Ok(())
}

/// Sends one event. A port that cannot be written leaves the host script without an end mark,
/// which fails the boot there; there is nobody else to tell.
pub fn emit(event: &Event<'_>) {
    let mut line = serde_json::to_vec(event).expect("events are plain data");
    line.push(b'\n');
    match PORT.get() {
        Some(mut port) => drop(port.write_all(&line)),
        None => eprintln!("kvmrs-runner: {}", String::from_utf8_lossy(&line)),
    }
}

/// Waits until everything sent has left the machine.
pub fn drain() {
    if let Some(port) = PORT.get() {
        let _ = tcdrain(port);
    }
}

/// Marks the kernel log, so that a report in it can be laid at a test's door.
pub fn mark(text: &str) {
    if let Ok(mut log) = OpenOptions::new().write(true).open("/dev/kmsg") {
        // One write is one message.
        let _ = log.write_all(format!("<5>kvmrs: {text}").as_bytes());
    }
}
