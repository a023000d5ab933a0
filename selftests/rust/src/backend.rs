// SPDX-License-Identifier: GPL-2.0

//! Which backend new VMs get, and how many VMs each has.

use crate::sysfs::{self, Setting};
use anyhow::{Context, Result};
use std::ffi::CStr;
use std::io::Error;

/// The kernel's own TDP MMU.
pub const C: &str = "c";
/// The module's.
pub const RUST: &str = "rust";

/// The parameter that decides about new VMs.
pub const PARAMETER: &str = "/sys/module/kvm/parameters/mmu_backend";
const COUNTS: &str = "/sys/kernel/debug/kvm/mmu_backends";

/// The module that is the Rust backend.
const MODULE: &CStr = c"kvm_rs";
const REFERENCES: &str = "/sys/module/kvm_rs/refcnt";

/// VMs of one backend.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Count {
    /// Since the backend was first registered.
    pub created: u64,
    /// Right now.
    pub alive: u64,
}

/// Makes new VMs use `backend`.
pub fn choose(backend: &str) -> Result<()> {
    sysfs::write(PARAMETER, backend)
}

/// Makes new VMs use `backend` for as long as the result lives.
pub fn choose_for_now(backend: &str) -> Result<Setting> {
    Setting::new(PARAMETER, backend)
}

/// The backend of new VMs.
pub fn chosen() -> Result<String> {
    sysfs::read(PARAMETER).context("this kernel's kvm.ko is not patched, or not loaded")
}

/// The VMs of `backend`.
pub fn count(backend: &str) -> Result<Count> {
    let text = sysfs::read(COUNTS)?;
    let numbers = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .find(|words| words.first() == Some(&backend))
        .and_then(|words| Some((words.get(1)?.parse().ok()?, words.get(2)?.parse().ok()?)));
    let (created, alive) = numbers.with_context(|| format!("{COUNTS} has no '{backend}'"))?;
    Ok(Count { created, alive })
}

/// How many users the module has.
pub fn module_references() -> Result<u64> {
    sysfs::number(REFERENCES)
}

/// Tries to unload the module.
pub fn unload_module() -> std::result::Result<(), Error> {
    // SAFETY: the call reads a string, and waits for nobody.
    let failed =
        unsafe { libc::syscall(libc::SYS_delete_module, MODULE.as_ptr(), libc::O_NONBLOCK) };
    if failed == 0 {
        Ok(())
    } else {
        Err(Error::last_os_error())
    }
}
