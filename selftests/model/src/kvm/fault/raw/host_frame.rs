// SPDX-License-Identifier: GPL-2.0

//! The host frame that a fault maps.

use super::vcpu::Vcpu;
use crate::kvm::{
    spte::masks,
    types::{Gfn, Pfn},
};

/// What kind of memory a host frame is.
pub struct HostFrame(Pfn);

/// Host frames from here on are device memory.
pub const FIRST_DEVICE_FRAME: u64 = 1 << 30;

impl HostFrame {
    /// Nothing is known about `pfn` yet.
    pub fn new(pfn: Pfn) -> Self {
        Self(pfn)
    }

    /// Whether it is device memory of the host.
    pub fn is_mmio(&mut self) -> bool {
        self.0.raw() >= FIRST_DEVICE_FRAME
    }

    /// The bits for the memory type; none on NPT.
    pub fn memory_type(&mut self, _vcpu: &Vcpu, _gfn: Gfn) -> u64 {
        const WRITE_BACK: u64 = 6 << 3;
        const IGNORE_PAT: u64 = 1 << 6;
        match (masks::nx() != 0, self.is_mmio()) {
            (true, _) | (false, true) => 0,
            (false, false) => WRITE_BACK | IGNORE_PAT,
        }
    }

    /// For CPUs that leak through buffers.
    pub fn track_mmio_mapping(&mut self, _vcpu: &Vcpu) {}
}
