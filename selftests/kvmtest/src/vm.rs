// SPDX-License-Identifier: GPL-2.0

//! A VM whose slots its user sets up.

use crate::backend;
use crate::guest::{self, CODE, STOP};
use crate::inside::Inside;
use crate::ioctls::KVM_CLEAR_DIRTY_LOG;
use crate::memory::{Backing, Memory, PAGE_4K};
use crate::stats::Stats;
use crate::sysfs::{Setting, EAGER_SPLIT};
use crate::vcpu::Vcpu;
use anyhow::{ensure, Context, Result};
use kvm_bindings::{
    kvm_clear_dirty_log, kvm_enable_cap, kvm_regs, kvm_userspace_memory_region,
    KVM_CAP_DISABLE_QUIRKS2, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KVM_DIRTY_LOG_INITIALLY_SET,
    KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE, KVM_X86_DEFAULT_VM, KVM_X86_QUIRK_SLOT_ZAP_ALL,
};
use kvm_ioctls::{Kvm, VmFd};
use std::io::Error;
use std::ops::Range;
use std::thread;
use vmm_sys_util::ioctl::ioctl_with_ref;

/// Where the memory under test is: aligned to every page size.
pub const BASE: u64 = 1 << 30;
/// The slot of the programs.
pub const CODE_SLOT: u32 = 0;
/// The slot of the memory under test.
pub const SLOT: u32 = 1;

/// Getting the log clears it.
pub const LOG_CLEARED_BY_GET: u64 = 0;
/// Clearing the log is a call of its own.
pub const LOG_MANUAL: u64 = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE as u64;
/// And a new log starts with every page dirty. KVM refuses this bit without the other.
pub const LOG_INITIALLY_SET: u64 = LOG_MANUAL | KVM_DIRTY_LOG_INITIALLY_SET as u64;

/// What is in a slot: where the guest has it, where this process has it, its size.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    /// Number of the slot; bits 16 and up are the address space.
    pub id: u32,
    /// Guest-physical address.
    pub gpa: u64,
    /// Address in this process.
    pub hva: u64,
    /// Bytes.
    pub size: u64,
}

impl Slot {
    /// All of `memory`, in the usual place.
    pub fn of(memory: &Memory) -> Self {
        Self {
            id: SLOT,
            gpa: BASE,
            hva: memory.address(),
            size: memory.size(),
        }
    }

    /// As KVM is told of it.
    pub fn region(&self, flags: u32) -> kvm_userspace_memory_region {
        kvm_userspace_memory_region {
            slot: self.id,
            flags,
            guest_phys_addr: self.gpa,
            memory_size: self.size,
            userspace_addr: self.hva,
        }
    }

    /// Guest-physical addresses.
    pub fn range(&self) -> Range<u64> {
        self.gpa..self.gpa + self.size
    }
}

/// A VM. Its memory is with its user, who may take it away under the VM.
///
/// In the end its page tables are checked: a VM that is dropped with unsound ones panics.
pub struct Vm {
    /// What kvm-ioctls makes of it.
    pub fd: VmFd,
    /// Its statistics.
    pub stats: Stats,
    /// Its page tables.
    pub inside: Inside,
    /// Programs, and the word that stops them.
    code: Memory,
    /// Its page tables have had their check.
    checked: bool,
}

impl Vm {
    /// A VM on `backend`, with nothing but the guest's programs.
    pub fn new(backend: &str) -> Result<Self> {
        Self::of_type(backend, KVM_X86_DEFAULT_VM)
    }

    /// One of another type.
    pub fn of_type(backend: &str, kind: u32) -> Result<Self> {
        let fd = create(backend, kind)?;
        let stats = Stats::of(&fd)?;
        let code = Memory::new(2 * PAGE_4K, Backing::Small)?;
        code.write(CODE, guest::code());
        let inside = Inside::of(&fd);
        let vm = Self {
            fd,
            stats,
            inside,
            code,
            checked: false,
        };
        vm.set(&vm.code_slot(), 0)?;
        Ok(vm)
    }

    /// A VM with one vCPU and `memory` in its slot.
    pub fn with(backend: &str, memory: &Memory) -> Result<(Self, Vcpu)> {
        let vm = Self::new(backend)?;
        vm.set(&Slot::of(memory), 0)?;
        let vcpu = vm.vcpu(0)?;
        Ok((vm, vcpu))
    }

    /// A further vCPU.
    pub fn vcpu(&self, id: u64) -> Result<Vcpu> {
        Vcpu::new(self.fd.create_vcpu(id).context("creating a vCPU")?)
    }

    /// Where the programs are.
    pub fn code_slot(&self) -> Slot {
        Slot {
            id: CODE_SLOT,
            gpa: CODE,
            hva: self.code.address(),
            size: self.code.size(),
        }
    }

    /// Makes a slot, or changes its flags.
    pub fn set(&self, slot: &Slot, flags: u32) -> Result<()> {
        let region = slot.region(flags);
        // SAFETY: the slot is a mapping that no reference points into. When it goes, so does what
        // the VM has of it.
        unsafe { self.fd.set_user_memory_region(region) }.context("setting a memory slot")
    }

    /// Deletes a slot.
    pub fn delete(&self, slot: &Slot) -> Result<()> {
        self.set(&Slot { size: 0, ..*slot }, 0)
    }

    /// Enables a capability of the VM.
    pub fn enable(&self, cap: u32, argument: u64) -> Result<()> {
        let cap = kvm_enable_cap {
            cap,
            args: [argument, 0, 0, 0],
            ..Default::default()
        };
        self.fd.enable_cap(&cap).context("enabling a capability")
    }

    /// Chooses how logs start and are cleared, with one of the `LOG_` constants.
    pub fn set_log_mode(&self, mode: u64) -> Result<()> {
        self.enable(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, mode)
    }

    /// Makes the deletion of a slot zap what it maps and nothing else.
    pub fn delete_slots_by_range(&self) -> Result<()> {
        self.enable(KVM_CAP_DISABLE_QUIRKS2, KVM_X86_QUIRK_SLOT_ZAP_ALL.into())
    }

    /// The dirty log of a slot, a bit for each page.
    pub fn get_log(&self, slot: &Slot) -> Result<Vec<u64>> {
        let log = self.fd.get_dirty_log(slot.id, slot.size as usize);
        log.context("getting the dirty log")
    }

    /// Makes those pages clean that are set in `log`, which is for the pages from `first` on.
    pub fn clear_log(&self, slot: &Slot, first: u64, pages: u64, log: &mut [u64]) -> Result<()> {
        assert!(log.len() as u64 * 64 >= pages);
        let mut clear = kvm_clear_dirty_log {
            slot: slot.id,
            num_pages: pages as u32,
            first_page: first,
            ..Default::default()
        };
        clear.__bindgen_anon_1.dirty_bitmap = log.as_mut_ptr().cast();
        // SAFETY: the bitmap has a bit for each of the pages, and is alive until the end.
        let failed = unsafe { ioctl_with_ref(&self.fd, KVM_CLEAR_DIRTY_LOG(), &clear) };
        ensure!(
            failed == 0,
            "clearing the dirty log: {}",
            Error::last_os_error()
        );
        Ok(())
    }

    /// How many pages of each size the guest has: 4K, 2M, 1G.
    pub fn mapped(&self) -> Result<[u64; 3]> {
        let get = |name| self.stats.get(name);
        Ok([get("pages_4k")?, get("pages_2m")?, get("pages_1g")?])
    }

    /// Checks the page tables now, and not when the VM ends: for who measures what its end costs.
    pub fn check_early(&mut self) -> Result<()> {
        self.checked = true;
        self.inside.is_sound()
    }

    /// Lets the guests' loops begin, or end.
    pub fn stop(&self, now: bool) {
        self.code.store(STOP, now.into());
    }

    /// Runs each vCPU with its registers, and `host` meanwhile; then ends the guests' loops.
    ///
    /// What a guest found wrong is the better explanation when `host` failed too.
    pub fn during<T>(
        &self,
        guests: &mut [(&mut Vcpu, kvm_regs)],
        host: impl FnOnce() -> Result<T>,
    ) -> Result<(T, Vec<kvm_regs>)> {
        self.stop(false);
        thread::scope(|scope| {
            let runs = guests
                .iter_mut()
                .map(|(vcpu, regs)| scope.spawn(|| vcpu.run(regs)));
            let runs: Vec<_> = runs.collect();
            let stop = Stop(self);
            let done = host();
            drop(stop);
            let ended = runs
                .into_iter()
                .map(|run| run.join().expect("vCPUs do not panic"));
            let ended = ended.collect::<Result<_>>()?;
            Ok((done?, ended))
        })
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        if self.checked {
            return;
        }
        match self.inside.is_sound() {
            Err(error) if thread::panicking() => eprintln!("# {error:#}"),
            sound => sound.expect("the page tables are sound"),
        }
    }
}

/// Ends the guests' loops, even if the host's part panics.
struct Stop<'a>(&'a Vm);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop(true);
    }
}

/// Chooses whether logs that start clean split huge pages at once.
pub fn eager_split(on: bool) -> Result<Setting> {
    Setting::new(EAGER_SPLIT, if on { "Y" } else { "N" })
}

/// A VM, and the proof that it is on `backend`. An unpatched kernel has C alone.
fn create(backend: &str, kind: u32) -> Result<VmFd> {
    backend::choose(backend)?;
    let create = || Kvm::new()?.create_vm_with_type(kind.into());
    if !backend::selectable() {
        return Ok(create()?);
    }
    let before = backend::count(backend)?.created;
    let vm = create()?;
    let now = backend::count(backend)?.created;
    ensure!(
        now == before + 1,
        "the VM is not on the backend '{backend}'"
    );
    Ok(vm)
}
