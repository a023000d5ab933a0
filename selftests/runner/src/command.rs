// SPDX-License-Identifier: GPL-2.0

//! A single program, or a shell for a person.

use crate::child::{self, Limits};
use crate::events::{emit, Event};
use crate::job;
use anyhow::{bail, Context, Result};
use kvmtest::qemu::SHARE;
use kvmtest::sysfs;
use rustix::mount::mount_bind;
use rustix::termios::{tcsetwinsize, Winsize};
use std::fs::OpenOptions;
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

/// A shell on the third serial port, until it is left.
///
/// The port is the shell's controlling terminal, as large as the person's: so Ctrl-C and Ctrl-Z
/// reach what runs in the foreground. `setsid -c` makes standard input that terminal.
pub fn shell(shell: &job::Shell) -> Result<()> {
    bind_into_share()?;
    let port = OpenOptions::new()
        .read(true)
        .write(true)
        .open(SHELL_PORT)
        .with_context(|| format!("opening {SHELL_PORT}"))?;
    tcsetwinsize(
        &port,
        Winsize {
            ws_row: shell.rows,
            ws_col: shell.columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        },
    )?;
    let status = std::process::Command::new("/bin/busybox")
        .args(["setsid", "-c"])
        .args(in_share(&["/bin/sh".into(), "-i".into()]))
        .env("TERM", &shell.term)
        .env("HOME", "/run")
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(port.try_clone()?)
        .stdout(port.try_clone()?)
        .stderr(port)
        .status()
        .context("starting a shell")?;
    emit(&Event::Output {
        line: &format!("shell: {}", child::describe(status)),
    });
    Ok(())
}

/// Shows tests and modules of the initramfs to programs of the tools root, below /run.
fn bind_into_share() -> Result<()> {
    for name in ["tests", "modules"] {
        let place = format!("{SHARE}/run/{name}");
        std::fs::create_dir_all(&place).with_context(|| format!("creating {place}"))?;
        mount_bind(format!("/{name}"), &place).with_context(|| format!("mounting {place}"))?;
    }
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
