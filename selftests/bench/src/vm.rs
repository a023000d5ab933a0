// SPDX-License-Identifier: GPL-2.0

//! A VM with one vCPU, one slot of memory to measure, and a small program for the guest.

use crate::guest::{self, Access};
use crate::memory::{Backing, Memory, PAGE_4K};
use anyhow::{bail, ensure, Context, Result};
use kvm_bindings::{
    kvm_clear_dirty_log, kvm_enable_cap, kvm_pre_fault_memory, kvm_userspace_memory_region, KVMIO,
    KVM_CAP_DISABLE_QUIRKS2, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KVM_MEM_LOG_DIRTY_PAGES,
};
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd, VmFd};
use std::fs;
use std::io::Error;
use vmm_sys_util::ioctl::{ioctl_with_mut_ref, ioctl_with_ref};
use vmm_sys_util::ioctl_iowr_nr;

ioctl_iowr_nr!(KVM_CLEAR_DIRTY_LOG, KVMIO, 0xc0, kvm_clear_dirty_log);
ioctl_iowr_nr!(KVM_PRE_FAULT_MEMORY, KVMIO, 0xd5, kvm_pre_fault_memory);

/// Clearing the log is a call of its own, and a new log starts with every page dirty.
pub const LOG_INITIALLY_SET: u64 = 3;
/// The quirk by which deleting a slot drops all page tables of the VM.
pub const QUIRK_SLOT_ZAP_ALL: u64 = 1 << 7;

const PARAMETER: &str = "/sys/module/kvm/parameters/mmu_backend";
const COUNTS: &str = "/sys/kernel/debug/kvm/mmu_backends";
const EAGER_SPLIT: &str = "/sys/module/kvm/parameters/eager_page_split";

const CODE_SLOT: u32 = 0;
const SLOT: u32 = 1;
const BASE: u64 = 256 << 20;

/// The VM. Its memory is with the caller, who may take it away under the VM.
pub struct Vm {
    vcpu: VcpuFd,
    vm: VmFd,
    code: Memory,
    /// Address in this process, size.
    slot: (u64, u64),
}

impl Vm {
    /// A VM on `backend` with `memory` in its slot.
    pub fn new(backend: &str, memory: &Memory) -> Result<Self> {
        let vm = create(backend)?;
        let vcpu = vm.create_vcpu(0)?;
        vcpu.set_sregs(&guest::protected_mode(vcpu.get_sregs()?))?;
        let mut code = Memory::new(PAGE_4K, Backing::Small)?;
        code.write(&guest::programs(BASE as u32, (BASE + memory.size()) as u32));
        let vm = Self {
            vcpu,
            vm,
            code,
            slot: (memory.address(), memory.size()),
        };
        vm.set(CODE_SLOT, 0, (vm.code.address(), vm.code.size()), 0)?;
        vm.create_slot()?;
        Ok(vm)
    }

    /// Gives the slot its memory (back), not mapped yet.
    pub fn create_slot(&self) -> Result<()> {
        self.set(SLOT, BASE, self.slot, 0)
    }

    /// Deletes the slot.
    pub fn delete_slot(&self) -> Result<()> {
        self.set(SLOT, BASE, (self.slot.0, 0), 0)
    }

    /// Switches the dirty log of the slot on or off.
    pub fn log(&self, on: bool) -> Result<()> {
        let flags = if on { KVM_MEM_LOG_DIRTY_PAGES } else { 0 };
        self.set(SLOT, BASE, self.slot, flags)
    }

    fn set(&self, slot: u32, gpa: u64, (address, size): (u64, u64), flags: u32) -> Result<()> {
        let region = kvm_userspace_memory_region {
            slot,
            flags,
            guest_phys_addr: gpa,
            memory_size: size,
            userspace_addr: address,
        };
        // SAFETY: the slot is a mapping that no reference points into. When it goes, so does what
        // the VM has of it.
        unsafe { self.vm.set_user_memory_region(region) }.context("setting a memory slot")
    }

    /// Enables a capability of the VM.
    fn enable(&self, cap: u32, argument: u64) -> Result<()> {
        let cap = kvm_enable_cap {
            cap,
            args: [argument, 0, 0, 0],
            ..Default::default()
        };
        self.vm.enable_cap(&cap).context("enabling a capability")
    }

    /// Makes a new log start with every page dirty, and clearing it a call of its own.
    pub fn start_logs_set(&self) -> Result<()> {
        self.enable(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, LOG_INITIALLY_SET)
    }

    /// Makes the deletion of a slot zap what it maps and nothing else.
    pub fn delete_slots_by_range(&self) -> Result<()> {
        self.enable(KVM_CAP_DISABLE_QUIRKS2, QUIRK_SLOT_ZAP_ALL)
    }

    /// Maps the whole slot.
    pub fn populate(&self) -> Result<()> {
        self.populate_at(0, self.slot.1)
    }

    /// Maps a part of the slot.
    pub fn populate_at(&self, offset: u64, size: u64) -> Result<()> {
        let mut range = kvm_pre_fault_memory {
            gpa: BASE + offset,
            size,
            ..Default::default()
        };
        while range.size != 0 {
            // SAFETY: the kernel updates `range` and maps the slot's memory for the guest.
            let failed =
                unsafe { ioctl_with_mut_ref(&self.vcpu, KVM_PRE_FAULT_MEMORY(), &mut range) };
            ensure!(failed == 0, "mapping memory: {}", Error::last_os_error());
        }
        Ok(())
    }

    /// Lets the guest touch every page.
    pub fn touch(&mut self, access: Access) -> Result<()> {
        self.vcpu.set_regs(&guest::start(access))?;
        match self.vcpu.run()? {
            VcpuExit::Hlt => Ok(()),
            other => bail!("the guest stopped with {other:?}"),
        }
    }

    /// The dirty log; without [`Vm::start_logs_set`] this makes the pages clean, too.
    pub fn get_log(&self) -> Result<Vec<u64>> {
        let log = self.vm.get_dirty_log(SLOT, self.slot.1 as usize);
        log.context("getting the dirty log")
    }

    /// Makes the pages clean that are set in `log`.
    pub fn clear_log(&self, log: &mut [u64]) -> Result<()> {
        let mut clear = kvm_clear_dirty_log {
            slot: SLOT,
            num_pages: (self.slot.1 / PAGE_4K) as u32,
            ..Default::default()
        };
        clear.__bindgen_anon_1.dirty_bitmap = log.as_mut_ptr().cast();
        // SAFETY: the bitmap has a bit for each page of the slot, and is alive until the end.
        let failed = unsafe { ioctl_with_ref(&self.vm, KVM_CLEAR_DIRTY_LOG(), &clear) };
        ensure!(
            failed == 0,
            "clearing the dirty log: {}",
            Error::last_os_error()
        );
        Ok(())
    }

    /// Ends the VM.
    pub fn end(self) {
        drop(self);
    }
}

/// Chooses whether logs that start clean split huge pages at once.
pub fn eager_split(on: bool) -> Result<()> {
    fs::write(EAGER_SPLIT, if on { "Y" } else { "N" })
        .with_context(|| format!("writing {EAGER_SPLIT}"))
}

/// A VM, and the proof that it is on `backend`.
fn create(backend: &str) -> Result<VmFd> {
    fs::write(PARAMETER, backend).with_context(|| format!("writing '{backend}' to {PARAMETER}"))?;
    let before = created(backend)?;
    let vm = Kvm::new()?.create_vm()?;
    ensure!(
        created(backend)? == before + 1,
        "the VM is not on the backend '{backend}'"
    );
    Ok(vm)
}

/// How many VMs were made on `backend`.
fn created(backend: &str) -> Result<u64> {
    let text = fs::read_to_string(COUNTS).with_context(|| format!("reading {COUNTS}"))?;
    text.lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .find(|words| words.first() == Some(&backend))
        .and_then(|words| words.get(1)?.parse().ok())
        .with_context(|| format!("{COUNTS} does not name '{backend}'"))
}
