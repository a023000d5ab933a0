// SPDX-License-Identifier: GPL-2.0

//! What the backends' counts say about a test, on any kernel, and without the runner's own VM.

use anyhow::{Context, Result};
use kvm_ioctls::{Kvm, VmFd};
use kvmtest::backend::{self, Count, C};
pub use kvmtest::backend::{choose, selectable};
use kvmtest::debugfs;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long freed VMs and tables may take: a grace period or two, on an emulated machine.
const SETTLE: Duration = Duration::from_secs(10);

/// The runner's own VM, which it keeps: see [`keep_one_vm`].
static KEPT: OnceLock<VmFd> = OnceLock::new();

/// Makes an empty VM on C that lives as long as the machine.
///
/// The kernel patches a jump label in its scheduler whenever the first VM comes or the last one
/// goes, and an emulator with a thread for each CPU does not always survive that. With a VM that
/// stays, the tests' VMs are never the first or the last.
pub fn keep_one_vm() -> Result<()> {
    let vm = Kvm::new()
        .and_then(|kvm| kvm.create_vm())
        .context("making a VM on /dev/kvm")?;
    let _ = KEPT.set(vm);
    Ok(())
}

/// The backends' counts, by name; absent on an unpatched kernel. The runner's own VM, which is on C,
/// is not among those alive.
pub fn counts() -> Result<Option<BTreeMap<String, Count>>> {
    if !selectable() {
        return Ok(None);
    }
    let mut counts = backend::counts()?;
    if let (Some(c), Some(_)) = (counts.get_mut(C), KEPT.get()) {
        c.alive -= 1;
    }
    Ok(Some(counts))
}

/// One backend's count; a backend that is not registered has none.
pub fn count(name: &str) -> Result<Count> {
    Ok(counts()?
        .and_then(|counts| counts.get(name).copied())
        .unwrap_or_default())
}

/// VMs created since `before`, by backend.
pub fn created_since(before: &BTreeMap<String, Count>) -> Result<BTreeMap<String, u64>> {
    let old = |name: &str| before.get(name).copied().unwrap_or_default().created;
    let now = counts()?.unwrap_or_default();
    Ok(now
        .into_iter()
        .map(|(name, count)| (name.clone(), count.created - old(&name)))
        .collect())
}

/// Waits for everything that VMs held to be given back; says what is still held.
pub fn leftovers() -> Result<Option<String>> {
    let start = Instant::now();
    loop {
        let held = held()?;
        if held.is_empty() {
            return Ok(None);
        }
        if start.elapsed() > SETTLE {
            return Ok(Some(format!("left behind: {}", held.join(", "))));
        }
        sleep(Duration::from_millis(20));
    }
}

fn held() -> Result<Vec<String>> {
    let counts = counts()?.unwrap_or_default().into_iter();
    let vms = counts.filter(|(_, count)| count.alive != 0);
    let mut held: Vec<String> = vms
        .map(|(name, count)| format!("{} VMs on {name}", count.alive))
        .collect();
    let now = debugfs::held()?;
    let pages = debugfs::PAGES.into_iter().zip(now.pages);
    held.extend(
        pages
            .filter(|(_, pages)| *pages != 0)
            .map(|(size, pages)| format!("{size} {pages}")),
    );
    if now.tables != 0 {
        held.push(format!("{} KiB of page tables", now.tables));
    }
    Ok(held)
}
