// SPDX-License-Identifier: GPL-2.0

//! Dirty rings: a vCPU's has the pages that it writes to, until this process takes them out.

use crate::ioctls::KVM_RESET_DIRTY_RINGS;
use crate::memory::PAGE_4K;
use crate::vcpu::Vcpu;
use crate::vm::Vm;
use anyhow::{ensure, Context, Result};
use kvm_bindings::{kvm_dirty_gfn, KVM_CAP_DIRTY_LOG_RING_ACQ_REL, KVM_DIRTY_LOG_PAGE_OFFSET};
use std::io::Error;
use std::mem::offset_of;
use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use vm_memory::{Bytes, VolatileSlice};
use vmm_sys_util::ioctl::ioctl;

/// Of an entry: the guest has written to the page.
const DIRTY: u32 = 1;
/// Of an entry: this process knows, and KVM may use the entry again.
const RESET: u32 = 2;
/// Bytes of an entry.
const ENTRY: u64 = size_of::<kvm_dirty_gfn>() as u64;

/// The ring of one vCPU.
pub struct Ring {
    address: u64,
    entries: u64,
    next: u64,
}

impl Ring {
    /// Gives each vCPU that is made from now on a ring of so many entries, a power of two.
    pub fn enable(vm: &Vm, entries: u64) -> Result<()> {
        vm.enable(KVM_CAP_DIRTY_LOG_RING_ACQ_REL, entries * ENTRY)
    }

    /// The ring of a vCPU, which has so many entries.
    pub fn of(vcpu: &Vcpu, entries: u64) -> Result<Self> {
        // SAFETY: a mapping where the kernel likes touches no other memory.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                (entries * ENTRY) as usize,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                vcpu.fd.as_raw_fd(),
                (u64::from(KVM_DIRTY_LOG_PAGE_OFFSET) * PAGE_4K) as i64,
            )
        };
        ensure!(
            start != libc::MAP_FAILED,
            "mmap of a dirty ring: {}",
            Error::last_os_error()
        );
        Ok(Self {
            address: start as u64,
            entries,
            next: 0,
        })
    }

    /// What is new, as slots and pages in there. KVM goes on to log them when the ring is [`reset`].
    pub fn collect(&mut self) -> Result<Vec<(u32, u64)>> {
        let mut pages = Vec::new();
        while let Some(page) = self.take()? {
            pages.push(page);
        }
        Ok(pages)
    }

    fn take(&mut self) -> Result<Option<(u32, u64)>> {
        // The rest is there when the flag is, and is KVM's again with the other one.
        let ring = self.slice();
        if ring.load::<u32>(self.place(offset_of!(kvm_dirty_gfn, flags)), Acquire)? != DIRTY {
            return Ok(None);
        }
        let slot = ring.load(self.place(offset_of!(kvm_dirty_gfn, slot)), Relaxed)?;
        let page = ring.load(self.place(offset_of!(kvm_dirty_gfn, offset)), Relaxed)?;
        self.give_back()?;
        Ok(Some((slot, page)))
    }

    /// Says that the next entry was taken out, after it was made one for another page. There must be one.
    pub fn forge(&mut self, slot: u32, page: u64) -> Result<()> {
        let ring = self.slice();
        let flags = ring.load::<u32>(self.place(offset_of!(kvm_dirty_gfn, flags)), Acquire)?;
        ensure!(flags == DIRTY, "the ring has no further entry");
        ring.store(slot, self.place(offset_of!(kvm_dirty_gfn, slot)), Relaxed)?;
        ring.store(page, self.place(offset_of!(kvm_dirty_gfn, offset)), Relaxed)?;
        self.give_back()
    }

    /// Says that the next entry was taken out.
    fn give_back(&mut self) -> Result<()> {
        let flags = self.place(offset_of!(kvm_dirty_gfn, flags));
        self.slice().store(RESET, flags, Release)?;
        self.next += 1;
        Ok(())
    }

    /// Where the next entry has the field with that offset.
    fn place(&self, field: usize) -> usize {
        (self.next % self.entries * ENTRY) as usize + field
    }

    /// Whether KVM has reset the entry that was collected so many entries ago: 1 is the last one.
    pub fn is_reset(&self, ago: u64) -> Result<bool> {
        let entry = (self.next - ago) % self.entries * ENTRY;
        let flags = entry as usize + offset_of!(kvm_dirty_gfn, flags);
        Ok(self.slice().load::<u32>(flags, Acquire)? != RESET)
    }

    fn slice(&self) -> VolatileSlice<'_> {
        let length = (self.entries * ENTRY) as usize;
        // SAFETY: the mapping lives as long as `self`, and the kernel, which writes to it as well, is what
        // volatile accesses are for.
        unsafe { VolatileSlice::new(self.address as *mut u8, length) }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        let length = (self.entries * ENTRY) as usize;
        // SAFETY: nobody uses the mapping after this object.
        unsafe { libc::munmap(self.address as *mut libc::c_void, length) };
    }
}

/// Has the next writes to the pages logged that were collected. A signal may end this early: gives for how
/// many it was done.
pub fn reset(vm: &Vm) -> Result<u64> {
    // SAFETY: the call takes no argument.
    let done = unsafe { ioctl(&vm.fd, KVM_RESET_DIRTY_RINGS()) };
    u64::try_from(done)
        .map_err(|_| Error::last_os_error())
        .context("KVM_RESET_DIRTY_RINGS")
}
