// SPDX-License-Identifier: GPL-2.0

//! A Linux guest in QEMU: what it says, and how it ends.

use crate::clock::{wait_for, wait_long_for};
use anyhow::{bail, ensure, Result};
use kvmtest::qemu::Qemu;
use std::mem;
use std::time::{Duration, Instant};

/// What the guest's own programs say starts with this.
const PREFIX: &str = "guest: ";
/// What the guest's kernel says before it is of no use any more.
const BROKEN: [&str; 2] = ["Kernel panic", "Oops: "];
/// From one line of the guest's to the next, on an emulated machine that others use too.
const PATIENCE: Duration = Duration::from_secs(180);
/// Lines that tell where it got to.
const TAIL: usize = 25;

/// The running guest.
pub struct Guest {
    qemu: Qemu,
    shown: bool,
    heard: Vec<String>,
}

impl Guest {
    /// In this QEMU. What it says is shown at once, or else when somebody asks for the last of it.
    pub fn new(qemu: Qemu, shown: bool) -> Self {
        Self {
            qemu,
            shown,
            heard: Vec::new(),
        }
    }

    /// Where it is.
    pub fn qemu(&mut self) -> &mut Qemu {
        &mut self.qemu
    }

    /// It goes on in `other`, and leaves this QEMU behind.
    pub fn moves_to(&mut self, other: Qemu) -> Qemu {
        mem::replace(&mut self.qemu, other)
    }

    /// Fails when it finds something wrong. Gives what comes after `wanted`, which one of its programs has said.
    pub fn until_it_says(&mut self, wanted: &str) -> Result<String> {
        self.until(PREFIX, wanted)
    }

    /// The same of what is said with that prefix.
    pub fn until(&mut self, prefix: &str, wanted: &str) -> Result<String> {
        loop {
            let begin = Instant::now();
            let Some(line) = self.qemu.next_line(PATIENCE) else {
                let state = self.state(begin.elapsed())?;
                bail!("{state}: the guest did not say '{wanted}'");
            };
            self.hear(line)?;
            let words = self.heard[self.heard.len() - 1].strip_prefix(prefix);
            if let Some(rest) = words.and_then(|words| words.strip_prefix(wanted)) {
                return Ok(rest.to_string());
            }
        }
    }

    /// Why it has said nothing for so long. A QEMU that closes its output ends a moment later.
    fn state(&mut self, waited: Duration) -> Result<String> {
        if waited < PATIENCE {
            wait_for("QEMU ends", || Ok(self.qemu.ended()?.is_some()))?;
        }
        let ended = self.qemu.ended()?;
        Ok(ended.map_or(format!("after {PATIENCE:?}"), |status| {
            format!("QEMU ended ({status})")
        }))
    }

    /// Fails if it has found something wrong by now.
    pub fn listen(&mut self) -> Result<()> {
        let lines: Vec<String> = self.qemu.lines().collect();
        lines
            .into_iter()
            .try_for_each(|line| self.hear(line).map(drop))
    }

    /// QEMU ends as it should when the guest switches itself off.
    pub fn until_it_ends(&mut self) -> Result<()> {
        ends(&mut self.qemu)
    }

    /// Shows the last that it said.
    pub fn show_last(&self) {
        for line in &self.heard[self.heard.len().saturating_sub(TAIL)..] {
            println!("# {line}");
        }
    }

    /// What its programs say with this line.
    fn hear(&mut self, line: String) -> Result<Option<&str>> {
        if self.shown {
            println!("# {line}");
        }
        self.heard.push(line);
        said(&self.heard[self.heard.len() - 1])
    }
}

/// What the guest's programs say with this line of its console.
fn said(line: &str) -> Result<Option<&str>> {
    let broken = BROKEN.iter().any(|words| line.contains(words));
    ensure!(!broken, "the guest's kernel says: {line}");
    let words = line.strip_prefix(PREFIX);
    let failed = words.is_some_and(|words| words.starts_with("FAILED"));
    ensure!(!failed, "in the {line}");
    Ok(words)
}

/// Waits until a QEMU has ended, without an error.
pub fn ends(qemu: &mut Qemu) -> Result<()> {
    wait_long_for("QEMU ends", || {
        let Some(status) = qemu.ended()? else {
            return Ok(false);
        };
        ensure!(status.success(), "QEMU: {status}");
        Ok(true)
    })
}

#[cfg(test)]
mod tests {
    use super::said;

    #[test]
    fn what_goes_wrong_in_the_guest_is_an_error() {
        let fine = |line| said(line).expect("nothing is wrong");
        assert_eq!(fine("guest: at 7 ms"), Some("at 7 ms"));
        assert_eq!(fine("[    0.1] Run /init as init process"), None);
        for (line, error) in [
            ("guest: FAILED 3 words", "in the guest: FAILED 3 words"),
            (
                "[    9.1] Oops: 0002 [#1]",
                "the guest's kernel says: [    9.1] Oops: 0002 [#1]",
            ),
        ] {
            assert_eq!(said(line).expect_err("an error").to_string(), error);
        }
    }
}
