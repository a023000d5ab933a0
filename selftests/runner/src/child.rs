// SPDX-License-Identifier: GPL-2.0

//! Running a program with a time limit and signs of life.

use crate::{late, system};
use anyhow::{Context, Result};
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{kill_process_group, pidfd_open, Pid, PidfdFlags, Signal};
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const OUTPUT: &str = "/tmp/output";
/// What is kept of a line.
const WIDTH: usize = 300;

/// A program and its limits.
pub struct Limits {
    pub timeout: Duration,
    pub heartbeat: Duration,
    /// What it was doing when its time was over is known.
    pub explained: bool,
}

/// How a program ended.
pub struct Ended {
    /// Absent when the time was over.
    pub status: Option<ExitStatus>,
    pub seconds: f64,
    /// What it said; of a program that did not end in time, what it was doing as well.
    pub output: String,
}

/// Runs `argv` until it ends or its time is over; `alive` is called now and then with the
/// seconds so far and the last line of output.
///
/// Output goes to a file, not a pipe: a pipe that a stray grandchild holds open would make the
/// end of the program hard to see, and a thread to empty it would take time from the test.
pub fn run(argv: &[String], limits: &Limits, mut alive: impl FnMut(u64, &str)) -> Result<Ended> {
    let sink = File::create(OUTPUT).context("creating the output file")?;
    let start = Instant::now();
    let mut child = command(argv)
        .stdin(Stdio::null())
        .stdout(sink.try_clone()?)
        .stderr(sink)
        .process_group(0)
        .spawn()
        .with_context(|| format!("starting {}", argv[0]))?;
    let group = Pid::from_raw(child.id() as i32).context("the child has a process id")?;
    let pidfd = pidfd_open(group, PidfdFlags::empty()).context("watching the child")?;
    let mut next = limits.heartbeat;
    let mut doing = String::new();
    let status = loop {
        sleep_until(&pidfd, start + next.min(limits.timeout))?;
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if start.elapsed() >= limits.timeout {
            if !limits.explained {
                doing = format!("\n{}\n", late::describe().join("\n"));
            }
            let _ = kill_process_group(group, Signal::KILL);
            child.wait()?;
            break None;
        }
        if start.elapsed() >= next {
            next += limits.heartbeat;
            alive(start.elapsed().as_secs(), last_line(&output()));
        }
    };
    let seconds = start.elapsed().as_secs_f64();
    system::kill_the_rest();
    Ok(Ended {
        status,
        seconds,
        output: output() + &doing,
    })
}

/// Sleeps until the process ends, but not longer. Looking again and again would take the only
/// processor of some machines from a test that measures who ran when.
fn sleep_until(pidfd: &OwnedFd, end: Instant) -> Result<()> {
    let rest = Timespec::try_from(end.saturating_duration_since(Instant::now()))?;
    match poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&rest)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error).context("waiting for the child"),
    }
}

/// A command with nothing in its environment but where programs are.
fn command(argv: &[String]) -> Command {
    let mut command = Command::new(&argv[0]);
    command
        .args(&argv[1..])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", "/tmp");
    command
}

fn output() -> String {
    String::from_utf8_lossy(&fs::read(OUTPUT).unwrap_or_default()).into_owned()
}

/// The last line with something on it; progress that rewrites its line ends in '\r'.
pub fn last_line(text: &str) -> &str {
    text.split(['\n', '\r'])
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or("")
}

/// The last `count` lines, each as a terminal would show it: without what '\r' overwrote.
pub fn tail(text: &str, count: usize) -> Vec<String> {
    let lines: Vec<&str> = text
        .lines()
        .map(|line| line.rsplit('\r').next().unwrap_or(line))
        .collect();
    let last = &lines[lines.len().saturating_sub(count)..];
    last.iter()
        .map(|line| line.chars().take(WIDTH).collect())
        .collect()
}

/// Exit code or signal, in words.
pub fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "ended in an unknown way".into(),
    }
}
