// SPDX-License-Identifier: GPL-2.0

//! A single program, or a shell for a person.

use crate::child::{self, Limits};
use crate::events::{emit, Event};
use crate::job;
use crate::system::SHARE;
use anyhow::{bail, Context, Result};
use kvmtest::sysfs;
use std::time::Duration;

/// The serial port that the host script connects to the person's terminal.
const SHELL_PORT: &str = "/dev/ttyS2";

/// Runs the program and passes its output on; it fails the job when the program fails.
pub fn run(command: &job::Command) -> Result<()> {
    let argv = in_share(&command.argv);
    let limits = Limits {
        timeout: Duration::from_secs(command.timeout),
        heartbeat: Duration::from_secs(command.heartbeat),
        explained: false,
    };
    let name = &command.argv[0];
    let ended = child::run(&argv, &limits, |seconds, line| {
        emit(&Event::Alive {
            test: name,
            seconds,
            line,
        })
    })?;
    ended
        .output
        .lines()
        .for_each(|line| emit(&Event::Output { line }));
    match ended.status {
        None => bail!("{name} did not end within {} s", command.timeout),
        Some(status) if !status.success() => bail!("{name}: {}", child::describe(status)),
        Some(_) => Ok(()),
    }
}

/// A shell on the third serial port, with job control, until it is left.
pub fn shell() -> Result<()> {
    let argv = in_share(&["/bin/sh".into(), "-i".into()]);
    let line = format!("exec {} <{SHELL_PORT} >{SHELL_PORT} 2>&1", argv.join(" "));
    let status = std::process::Command::new("/bin/busybox")
        .args(["setsid", "-c", "/bin/busybox", "sh", "-c", &line])
        .env("TERM", "linux")
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .status()
        .context("starting a shell")?;
    emit(&Event::Output {
        line: &format!("shell: {}", child::describe(status)),
    });
    Ok(())
}

/// Programs come from the tools root where that is mounted.
fn in_share(argv: &[String]) -> Vec<String> {
    if !sysfs::exists(&format!("{SHARE}/bin")) {
        return argv.to_vec();
    }
    let chroot = ["/bin/busybox", "chroot", SHARE].map(String::from);
    chroot.into_iter().chain(argv.iter().cloned()).collect()
}
