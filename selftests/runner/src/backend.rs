// SPDX-License-Identifier: GPL-2.0

//! Which backend new VMs get, and the proof of which one they got.

use crate::settings;
use anyhow::{bail, Context, Result};
use kvm_ioctls::{Kvm, VmFd};
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The Rust backend's name.
pub const RUST: &str = "rust";

const PARAMETER: &str = "/sys/module/kvm/parameters/mmu_backend";
const COUNTS: &str = "/sys/kernel/debug/kvm/mmu_backends";
const KVM_STATS: &str = "/sys/kernel/debug/kvm";

/// How long freed VMs and tables may take: a grace period or two, on an emulated machine.
const SETTLE: Duration = Duration::from_secs(10);

/// The runner's own VM, which it keeps: see [`keep_one_vm`].
static KEPT: OnceLock<VmFd> = OnceLock::new();

/// VMs of one backend, since kvm.ko was loaded; the runner's own is not among those alive.
#[derive(Clone, Copy, Default)]
pub struct Count {
    pub created: u64,
    pub alive: u64,
}

/// Whether this kernel lets a VM's backend be chosen.
pub fn selectable() -> bool {
    settings::exists(PARAMETER)
}

/// Makes new VMs use `backend`. An unpatched kernel has C alone, and needs no choice for it.
pub fn choose(backend: &str) -> Result<()> {
    if selectable() {
        return settings::write(PARAMETER, backend);
    }
    if backend != "c" {
        bail!("this kernel's kvm.ko has no parameter mmu_backend: it was built without the series");
    }
    Ok(())
}

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

/// The backends' counts, by name; absent on an unpatched kernel.
pub fn counts() -> Result<Option<BTreeMap<String, Count>>> {
    if !selectable() {
        return Ok(None);
    }
    settings::read(COUNTS)?
        .lines()
        .map(parse)
        .collect::<Result<_>>()
        .map(Some)
}

/// One line: name, created, alive.
fn parse(line: &str) -> Result<(String, Count)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [name, created, alive] = words[..] else {
        bail!("{COUNTS} has a strange line: '{line}'")
    };
    let number = |word: &str| {
        word.parse::<u64>()
            .with_context(|| format!("{COUNTS}: '{line}'"))
    };
    let kept = u64::from(name == "c" && KEPT.get().is_some());
    Ok((
        name.into(),
        Count {
            created: number(created)?,
            alive: number(alive)? - kept,
        },
    ))
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

/// KiB of page tables that KVM holds.
pub fn table_memory() -> Result<u64> {
    settings::number("/proc/meminfo", "SecPageTables")
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
    let mut held = Vec::new();
    for (name, count) in counts()?.unwrap_or_default() {
        if count.alive != 0 {
            held.push(format!("{} VMs on {name}", count.alive));
        }
    }
    for size in ["pages_4k", "pages_2m", "pages_1g"] {
        let pages = settings::read(&format!("{KVM_STATS}/{size}"))?;
        if pages != "0" {
            held.push(format!("{size} {pages}"));
        }
    }
    match table_memory()? {
        0 => {}
        kib => held.push(format!("{kib} KiB of page tables")),
    }
    Ok(held)
}
