// SPDX-License-Identifier: GPL-2.0

//! Test programs, each on every backend, one at a time: several of them want every CPU.

use crate::backend;
use crate::child::{self, Ended, Limits};
use crate::events::{emit, mark, Event, Outcome, TestResult};
use crate::job::{Suite, Test};
use crate::system;
use anyhow::Result;
use kvmtest::backend::C;
use kvmtest::sysfs;
use std::collections::BTreeMap;
use std::time::Duration;

/// kselftest's exit code for "cannot run here".
const SKIP: i32 = 4;
/// Lines of output that are shown of a failure; what a program was doing is part of it.
const TAIL: usize = 60;
/// In the kernel log, whose VMs a test makes that makes some on each backend.
const MIXED: &str = "mixed";
const HUGE_PAGES: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";

type Vms = Option<BTreeMap<String, u64>>;

/// Runs the list on the first backend, then on the next.
pub fn run(suite: &Suite) -> Result<()> {
    let huge_pages = sysfs::read(HUGE_PAGES)?;
    // How many VMs each test made on C: a test that makes some there must make some elsewhere.
    let mut on_c = BTreeMap::new();
    for backend in &suite.backends {
        for test in &suite.tests {
            // Each time, because a test may choose too, and may end without putting it back.
            backend::choose(backend)?;
            system::set(HUGE_PAGES, &huge_pages)?;
            run_one(suite, test, backend, &mut on_c)?;
        }
    }
    Ok(())
}

fn run_one(suite: &Suite, test: &Test, name: &str, on_c: &mut BTreeMap<String, u64>) -> Result<()> {
    let args = test.args.join(" ");
    let before = backend::counts()?;
    emit(&Event::Start {
        test: &test.name,
        args: &args,
        backend: name,
    });
    let whose = if test.mixed { MIXED } else { name };
    mark(&format!("start {whose} {} {args}", test.name));
    let Attempts {
        ended,
        mut result,
        reasons,
        attempts,
    } = attempt(suite, test)?;
    let vms = before.as_ref().map(backend::created_since).transpose()?;
    let complaint = complaint(test, name, &vms, on_c)?;
    if complaint.is_some() {
        result = Outcome::Fail;
    }
    mark(&format!("end {name} {}", test.name));
    let tail = child::tail(&ended.output, TAIL);
    emit(&Event::Result(TestResult {
        test: &test.name,
        args: &args,
        backend: name,
        result,
        seconds: ended.seconds,
        reason: reasons.join("; then "),
        attempts,
        complaint,
        tail,
        vms,
    }));
    Ok(())
}

/// How a test ended, the last time that it was tried. The reason of a pass is what went wrong before.
struct Attempts {
    ended: Ended,
    result: Outcome,
    reasons: Vec<String>,
    attempts: usize,
}

/// Runs it, and again while it fails in the way for which its list allows that.
fn attempt(suite: &Suite, test: &Test) -> Result<Attempts> {
    let (mut reasons, mut attempts) = (Vec::new(), 0);
    loop {
        attempts += 1;
        let ended = execute(suite, test)?;
        let (result, reason) = judge(&ended, test);
        let again = attempts < test.attempts && has_symptom(test, result, &reason, &ended.output);
        reasons.extend(Some(reason).filter(|reason| !reason.is_empty()));
        if !again {
            return Ok(Attempts {
                ended,
                result,
                reasons,
                attempts,
            });
        }
        for line in child::tail(&ended.output, TAIL) {
            emit(&Event::Alive {
                test: &test.name,
                seconds: ended.seconds as u64,
                line: &line,
            });
        }
    }
}

/// Whether it failed for the reason for which it may be tried again.
fn has_symptom(test: &Test, result: Outcome, reason: &str, output: &str) -> bool {
    let mut symptoms = test.symptoms.iter();
    matches!(result, Outcome::Fail | Outcome::Timeout)
        && symptoms.any(|text| reason.contains(text) || output.contains(text))
}

fn execute(suite: &Suite, test: &Test) -> Result<Ended> {
    let argv: Vec<String> = std::iter::once(&test.program)
        .chain(&test.args)
        .cloned()
        .collect();
    let limits = Limits {
        timeout: Duration::from_secs(test.timeout),
        heartbeat: Duration::from_secs(suite.heartbeat),
        explained: test.explained,
    };
    child::run(&argv, &limits, |seconds, line| {
        emit(&Event::Alive {
            test: &test.name,
            seconds,
            line,
        })
    })
}

/// What the program itself says.
fn judge(ended: &Ended, test: &Test) -> (Outcome, String) {
    let Some(status) = ended.status else {
        return (Outcome::Timeout, format!("no end after {} s", test.timeout));
    };
    match status.code() {
        Some(0) => (Outcome::Pass, String::new()),
        Some(SKIP) => (Outcome::Skip, skip_reason(&ended.output)),
        _ => (
            Outcome::Fail,
            fail_reason(&ended.output, &child::describe(status)),
        ),
    }
}

/// The line that says why; test programs have several styles for it.
fn skip_reason(output: &str) -> String {
    let line = output
        .lines()
        .rev()
        .find(|line| line.to_lowercase().contains("skip"));
    let line = line.unwrap_or_else(|| child::last_line(output));
    line.trim_start_matches("1..0 # SKIP")
        .trim_start_matches([' ', '-'])
        .trim()
        .to_string()
}

/// The failing subtests by name, or else the assertion, or else how the program ended.
fn fail_reason(output: &str, ended: &str) -> String {
    let failing: Vec<&str> = output
        .lines()
        .filter(|line| line.starts_with("not ok"))
        .collect();
    if !failing.is_empty() {
        return format!("{ended}: {}", failing.join("; "));
    }
    let mut lines = output
        .lines()
        .skip_while(|line| !line.contains("Test Assertion Failure"));
    let place_and_text: Vec<&str> = lines.by_ref().skip(1).take(1).map(str::trim).collect();
    match place_and_text.first() {
        Some(place) => format!("{ended}: {place}"),
        None => ended.to_string(),
    }
}

/// What is wrong although the program may be content: VMs on the wrong backend, things left.
fn complaint(
    test: &Test,
    name: &str,
    vms: &Vms,
    on_c: &mut BTreeMap<String, u64>,
) -> Result<Option<String>> {
    if let Some(vms) = vms.as_ref().filter(|_| !test.mixed) {
        let of = |backend: &str| vms.get(backend).copied().unwrap_or(0);
        if name == C {
            on_c.insert(test.name.clone(), of(C));
        } else if of(C) > test.declined {
            return Ok(Some(format!(
                "{} of its VMs ran on C",
                of(C) - test.declined
            )));
        } else if of(name) == 0
            && on_c
                .get(&test.name)
                .is_some_and(|&made| made > test.declined)
        {
            return Ok(Some(format!(
                "ran on C: it made VMs there, but none on {name}"
            )));
        }
        if name == C && vms.iter().any(|(backend, &made)| backend != C && made > 0) {
            return Ok(Some(
                "a VM ran on another backend although C was chosen".into(),
            ));
        }
    }
    backend::leftovers()
}

#[cfg(test)]
mod tests {
    use super::has_symptom;
    use crate::events::Outcome::{Fail, Pass, Timeout};
    use crate::job::Test;

    #[test]
    fn only_the_known_failure_is_tried_again() {
        let text = r#"{"name": "a", "program": "a", "timeout": 1, "attempts": 3,
                       "symptoms": ["no end after", "delivered twice"]}"#;
        let test: Test = serde_json::from_str(text).expect("a test");
        assert!(has_symptom(
            &test,
            Fail,
            "a.c:7",
            "it was delivered twice\n"
        ));
        assert!(has_symptom(&test, Timeout, "no end after 1 s", ""));
        assert!(!has_symptom(&test, Fail, "a.c:8", "it is gone\n"));
        assert!(!has_symptom(&test, Pass, "", "it was delivered twice\n"));
    }
}
