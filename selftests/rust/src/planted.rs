// SPDX-License-Identifier: GPL-2.0

//! A bug was put into the module, and the kernel has to report it: who saw nothing there would have seen nothing of
//! the module's own.
//!
//!     kvmrs-selftests planted BROKEN MODULE TEXT...
//!
//! `BROKEN` and `MODULE` are files of the module with the bug and without. In a text, `...` stands for anything. The
//! texts must come in that order, each in a line of its own.

use crate::harness;
use anyhow::{bail, ensure, Context, Result};
use kvmtest::backend::RUST;
use kvmtest::kernel_log::KernelLog;
use kvmtest::memory::{Backing, Memory, MIB};
use kvmtest::module;
use kvmtest::sysfs;
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{Slot, Vm};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

/// Who samples needs some time to see anything. Kmemleak needs 5 seconds.
const LONGEST: Duration = Duration::from_secs(200);
const KMEMLEAK: &str = "/sys/kernel/debug/kmemleak";

/// The command `planted` with the words after it.
pub fn main(words: impl Iterator<Item = String>) -> Result<ExitCode> {
    let words: Vec<String> = words.collect();
    let [broken, module, texts @ ..] = &words[..] else {
        bail!("planted wants two modules and what the kernel says");
    };
    ensure!(!texts.is_empty(), "planted wants what the kernel says");
    Ok(harness::verdict("planted", reported(broken, module, texts)))
}

fn reported(broken: &str, module: &str, texts: &[String]) -> Result<()> {
    let _exchanged = Exchanged::new(broken, module)?;
    let mut said = Said::new(texts)?;
    let start = Instant::now();
    while !said.all() {
        ensure!(
            start.elapsed() < LONGEST,
            "there is a bug in the module, and the kernel has not said: {}",
            said.next()
        );
        fault_in()?;
        said.listen()?;
    }
    Ok(())
}

/// The module with the bug is loaded, until the value is dropped.
struct Exchanged<'a>(&'a str);

impl<'a> Exchanged<'a> {
    fn new(broken: &str, module: &'a str) -> Result<Self> {
        module::unload(module::NAME)?;
        let exchanged = Self(module);
        module::load(broken, "").map(|()| exchanged)
    }
}

impl Drop for Exchanged<'_> {
    fn drop(&mut self) {
        // It is not there if it could not be loaded.
        let _ = module::unload(module::NAME);
        module::load(self.0, "").expect("it was loaded before");
    }
}

/// Which of the texts the kernel has said.
struct Said<'a> {
    log: KernelLog,
    left: &'a [String],
}

impl<'a> Said<'a> {
    fn new(texts: &'a [String]) -> Result<Self> {
        Ok(Self {
            log: KernelLog::from_now()?,
            left: texts,
        })
    }

    fn all(&self) -> bool {
        self.left.is_empty()
    }

    fn next(&self) -> &str {
        &self.left[0]
    }

    fn listen(&mut self) -> Result<()> {
        let mut lines = self.log.lines()?;
        if sysfs::exists(KMEMLEAK) {
            sysfs::write(KMEMLEAK, "scan")?;
            lines.extend(sysfs::read(KMEMLEAK)?.lines().map(String::from));
        }
        for line in lines {
            if self.left.first().is_some_and(|text| has(&line, text)) {
                println!("# {line}");
                self.left = &self.left[1..];
            }
        }
        Ok(())
    }
}

/// Whether the parts of the text are in the line, in their order.
fn has(line: &str, text: &str) -> bool {
    let mut rest = Some(line);
    for part in text.split("...") {
        rest = rest.and_then(|rest| rest.split_once(part)).map(|it| it.1);
    }
    rest.is_some()
}

/// Two vCPUs fault the same pages in.
fn fault_in() -> Result<()> {
    let memory = Memory::new(8 * MIB, Backing::Small)?;
    let (vm, mut one) = Vm::with(RUST, &memory)?;
    let mut two = vm.vcpu(1)?;
    let range = Slot::of(&memory).range();
    let fill = |vcpu: &mut Vcpu| vcpu.fill(&range, 1);
    thread::scope(|scope| {
        let other = scope.spawn(|| fill(&mut two));
        fill(&mut one)?;
        other.join().expect("vCPUs do not panic")
    })
    .context("faulting memory in")
}

#[cfg(test)]
mod tests {
    use super::has;

    #[test]
    fn parts_come_in_their_order() {
        for (text, wanted) in [
            ("lock){...at: ...page_fault...[kvm_rs]", true),
            ("at: ...lock){", false),
            ("lock){...[kvm]", false),
        ] {
            assert_eq!(
                has("(mmu_lock){.+.+}, at: a::page_fault [kvm_rs]", text),
                wanted
            );
        }
    }
}
