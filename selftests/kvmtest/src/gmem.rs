// SPDX-License-Identifier: GPL-2.0

//! A guest_memfd: memory for one VM, which belongs to no process.

use crate::vm::{Slot, Vm};
use anyhow::{Context, Result};
use kvm_bindings::{
    kvm_create_guest_memfd, kvm_memory_attributes, kvm_userspace_memory_region2,
    KVM_MEMORY_ATTRIBUTE_PRIVATE, KVM_MEM_GUEST_MEMFD,
};
use rustix::fs::{fallocate, FallocateFlags};
use std::ops::Range;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Flags of a file that processes may map: slots with it have no other memory.
pub const MAPPABLE: u64 = 1 | 2;

/// The file.
pub struct Gmem(OwnedFd);

impl Gmem {
    /// A file of `size` bytes for the VM.
    pub fn new(vm: &Vm, size: u64, flags: u64) -> Result<Self> {
        let wanted = kvm_create_guest_memfd {
            size,
            flags,
            ..Default::default()
        };
        let fd = vm.fd.create_guest_memfd(wanted);
        let fd = fd.context("creating a guest_memfd")?;
        // SAFETY: KVM has just made the descriptor, and nobody else knows of it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Makes a slot of the file's first bytes. What is shared in there is at `slot.hva`.
    pub fn set(&self, vm: &Vm, slot: &Slot) -> Result<()> {
        let region = kvm_userspace_memory_region2 {
            slot: slot.id,
            flags: KVM_MEM_GUEST_MEMFD,
            guest_phys_addr: slot.gpa,
            memory_size: slot.size,
            userspace_addr: slot.hva,
            guest_memfd: self.0.as_raw_fd() as u32,
            ..Default::default()
        };
        // SAFETY: the slot is a mapping that no reference points into. When it goes, so does what
        // the VM has of it.
        unsafe { vm.fd.set_user_memory_region2(region) }.context("setting a memory slot")
    }

    /// Frees a part of the file.
    pub fn punch(&self, part: Range<u64>) -> Result<()> {
        let how = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        fallocate(&self.0, how, part.start, part.end - part.start).context("punching a hole")
    }
}

/// Makes guest memory private, or shared.
pub fn set_private(vm: &Vm, range: &Range<u64>, private: bool) -> Result<()> {
    let attributes = kvm_memory_attributes {
        address: range.start,
        size: range.end - range.start,
        attributes: if private {
            KVM_MEMORY_ATTRIBUTE_PRIVATE.into()
        } else {
            0
        },
        flags: 0,
    };
    let set = vm.fd.set_memory_attributes(attributes);
    set.context("setting attributes of memory")
}
