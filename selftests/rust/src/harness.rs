// SPDX-License-Identifier: GPL-2.0

//! Runs tests one after the other and says how each ended.

use crate::clock::Stopwatch;
use anyhow::{Error, Result};
use serde::Serialize;
use std::fmt::{self, Display, Formatter};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::process::ExitCode;

/// kselftest's exit codes, and one for a wrong command line.
const FAIL: u8 = 1;
const SKIP: u8 = 4;
/// The command line is wrong, or this is not a kernel for these tests.
pub const USAGE: u8 = 2;

/// A test. It gets the name of the backend that its VMs shall use.
#[derive(Clone, Copy, Serialize)]
pub struct Test {
    /// Its name on the command line.
    pub name: &'static str,
    /// Seconds that it may take under emulation.
    pub timeout: u32,
    /// It makes VMs on both backends, whichever was chosen.
    pub mixed: bool,
    /// It needs a host whose page tables have four levels.
    pub four_levels: bool,
    /// What it says is shown also when it passes.
    pub shown: bool,
    /// The report of docs/upstream whose bug of C it shows, so that it fails there.
    pub report: &'static str,
    /// The test itself.
    #[serde(skip)]
    pub run: fn(&str) -> Result<()>,
}

/// Not a failure: this machine cannot run the test.
#[derive(Debug)]
pub struct Skip(pub String);

impl Display for Skip {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0)
    }
}

impl std::error::Error for Skip {}

/// How one test ended, in the words of out/own-selftests.json.
#[derive(Serialize)]
struct Row<'a> {
    test: &'a str,
    backend: &'a str,
    result: &'a str,
    seconds: f64,
    reason: String,
}

/// Runs `tests` on `backend`.
pub fn run(tests: &[Test], backend: &str, json: bool) -> ExitCode {
    if !json {
        println!("TAP version 13\n1..{}", tests.len());
    }
    let rows = tests.iter().enumerate().map(|(index, test)| {
        let row = run_one(test, backend);
        if json {
            println!(
                "{}",
                serde_json::to_string(&row).expect("rows are plain data")
            );
        } else {
            show(index + 1, &row);
        }
        row.result
    });
    let results: Vec<&str> = rows.collect();
    exit_code(&results)
}

fn run_one<'a>(test: &Test, backend: &'a str) -> Row<'a> {
    let watch = Stopwatch::start();
    // A broken assertion fails one test, not all.
    let ended = catch_unwind(AssertUnwindSafe(|| (test.run)(backend)));
    let (result, reason) = match ended {
        Ok(Ok(())) => ("pass", String::new()),
        Ok(Err(error)) => judge(&error),
        Err(_) => ("fail", "panicked, see above".into()),
    };
    Row {
        test: test.name,
        backend,
        result,
        seconds: watch.seconds(),
        reason,
    }
}

fn judge(error: &Error) -> (&'static str, String) {
    let result = if error.is::<Skip>() { "skip" } else { "fail" };
    (result, format!("{error:#}"))
}

fn show(number: usize, row: &Row<'_>) {
    let (word, note) = match row.result {
        "pass" => ("ok", format!(" # {:.1} s", row.seconds)),
        "skip" => ("ok", format!(" # SKIP {}", row.reason)),
        _ => ("not ok", format!(" # {}", row.reason)),
    };
    println!("{word} {number} {}{note}", row.test);
}

/// Says how something ended that is no test of the list, and gives its exit code.
pub fn verdict(name: &str, ended: Result<()>) -> ExitCode {
    match ended {
        Ok(()) => {
            println!("ok 1 {name}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("not ok 1 {name} # {error:#}");
            ExitCode::from(FAIL)
        }
    }
}

fn exit_code(results: &[&str]) -> ExitCode {
    if results.contains(&"fail") {
        ExitCode::from(FAIL)
    } else if !results.is_empty() && results.iter().all(|&result| result == "skip") {
        ExitCode::from(SKIP)
    } else {
        ExitCode::SUCCESS
    }
}
