// SPDX-License-Identifier: GPL-2.0

//! Which backend new VMs get, and how many VMs each has.

use crate::debugfs;
use crate::sysfs::{self, Setting};
use anyhow::{bail, Context, Result};
use std::collections::BTreeMap;

/// The kernel's own TDP MMU.
pub const C: &str = "c";
/// The module's.
pub const RUST: &str = "rust";

/// The parameter that decides about new VMs. A kernel without the patches lacks it.
pub const PARAMETER: &str = "/sys/module/kvm/parameters/mmu_backend";

/// The file of KVM's debugfs directory with a line for each backend.
const COUNTS: &str = "mmu_backends";

/// VMs of one backend.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Count {
    /// Since the backend was first registered.
    pub created: u64,
    /// Right now.
    pub alive: u64,
}

/// Whether this kernel lets a VM's backend be chosen.
pub fn selectable() -> bool {
    sysfs::exists(PARAMETER)
}

/// Makes new VMs use `backend`. An unpatched kernel has C alone, and needs no choice for it.
pub fn choose(backend: &str) -> Result<()> {
    if selectable() {
        return sysfs::write(PARAMETER, backend);
    }
    if backend != C {
        bail!("this kernel's kvm.ko has no parameter mmu_backend: it was built without the series");
    }
    Ok(())
}

/// Makes new VMs use `backend` for as long as the result lives.
pub fn choose_for_now(backend: &str) -> Result<Setting> {
    Setting::new(PARAMETER, backend)
}

/// The backend of new VMs.
pub fn chosen() -> Result<String> {
    sysfs::read(PARAMETER).context("this kernel's kvm.ko is not patched, or not loaded")
}

/// The VMs of all backends that were ever registered, by name.
pub fn counts() -> Result<BTreeMap<String, Count>> {
    let text = sysfs::read(&debugfs::file(COUNTS))?;
    text.lines().map(parse).collect()
}

/// The VMs of `backend`.
pub fn count(backend: &str) -> Result<Count> {
    let found = counts()?.get(backend).copied();
    found.with_context(|| format!("{COUNTS} has no '{backend}'"))
}

/// One line: name, created, alive.
fn parse(line: &str) -> Result<(String, Count)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [name, created, alive] = words[..] else {
        bail!("{COUNTS} has a strange line: '{line}'")
    };
    let number = |word: &str| {
        let value = word.parse();
        value.with_context(|| format!("{COUNTS}: '{line}'"))
    };
    let count = Count {
        created: number(created)?,
        alive: number(alive)?,
    };
    Ok((name.into(), count))
}

#[cfg(test)]
mod tests {
    use super::{parse, Count};

    #[test]
    fn a_line_is_a_name_and_two_numbers() {
        let (name, count) = parse("rust 7 2").expect("a line of the file");
        assert_eq!(name, "rust");
        assert_eq!(
            count,
            Count {
                created: 7,
                alive: 2
            }
        );
        assert!(parse("rust 7").is_err());
        assert!(parse("rust 7 -1").is_err());
    }
}
