// SPDX-License-Identifier: GPL-2.0

//! The operator's choice of a backend: it waits for its backend, and is refused where it has no effect.

use crate::backend;
use crate::holder::Holder;
use crate::job::Life;
use crate::kernel_log::KernelLog;
use crate::life::{load, unload};
use anyhow::{ensure, Result};
use kvmtest::backend::{chosen, C, RUST};
use rustix::io::Errno;

const WAITING: &str = "waiting for VM backend 'rust', new VMs use 'c' until then";
const IN_USE: &str = "new VMs use backend 'rust'";
const NO_TDP_MMU: &str =
    "VM backends need the TDP MMU, VMs use 'c' without it; load kvm with tdp_mmu=1";

/// kvm.ko was loaded with the name of a backend that was not there. Nobody has written it since.
pub fn waits(life: &Life) -> Result<()> {
    let mut log = KernelLog::since_boot()?;
    chosen_is(RUST)?;
    let said = log.count(WAITING);
    ensure!(said == 1, "the log said {said} times that kvm.ko waits");
    new_vm_is_on(life, C)?;
    // The choice outlives the module, which is what an update of the module takes.
    for _ in 0..2 {
        load(life)?;
        log.expect(IN_USE)?;
        new_vm_is_on(life, RUST)?;
        unload(life)?;
        log.expect(WAITING)?;
        chosen_is(RUST)?;
        new_vm_is_on(life, C)?;
    }
    Ok(())
}

/// Once kvm.ko is there, a backend must be, too. The log says which ones are.
pub fn unknown(life: &Life) -> Result<()> {
    backend::choose(C)?;
    let mut log = KernelLog::open()?;
    refused(RUST, Errno::NODEV)?;
    log.expect("there is no VM backend 'rust', known names: c")?;
    load(life)?;
    refused("nonsense", Errno::NODEV)?;
    log.expect("there is no VM backend 'nonsense', known names: c, rust")?;
    unload(life)
}

/// No backend runs VMs with shadow paging: whoever chooses one is told, before and after.
pub fn without_tdp_mmu(life: &Life) -> Result<()> {
    load(life)?;
    let mut log = KernelLog::open()?;
    new_vm_is_on(life, C)?;
    log.expect(NO_TDP_MMU)?;
    refused(RUST, Errno::OPNOTSUPP)?;
    log.expect(NO_TDP_MMU)?;
    backend::choose(C)?;
    refused(RUST, Errno::OPNOTSUPP)?;
    unload(life)
}

fn chosen_is(name: &str) -> Result<()> {
    let now = chosen()?;
    ensure!(now == name, "'{now}' is chosen, not '{name}'");
    Ok(())
}

/// Writing this name fails in this way, and leaves the choice as it was.
fn refused(name: &str, errno: Errno) -> Result<()> {
    let before = chosen()?;
    let error =
        backend::choose(name).map_err(|error| error.downcast_ref().and_then(Errno::from_io_error));
    ensure!(
        error == Err(Some(errno)),
        "choosing '{name}' gives {error:?}"
    );
    chosen_is(&before)
}

fn new_vm_is_on(life: &Life, name: &str) -> Result<()> {
    let mut vm = Holder::start(&life.holder)?;
    let alive = backend::count(name)?.alive;
    ensure!(alive == 1, "{alive} VMs are on '{name}', not one");
    vm.touch()?;
    vm.stop()
}
