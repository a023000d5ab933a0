// SPDX-License-Identifier: GPL-2.0

//! A VM for a Xen guest: one vCPU that can call, a page that all vCPUs share, a page of the vCPU's, and
//! memory for what calls need.

use crate::memory::{Backing, Memory, PAGE_4K};
use crate::vcpu::Vcpu;
use crate::vm::{Slot, Vm, BASE};
use crate::xen::{self, Area};
use crate::xen_calls::Caller;
use crate::xen_layout::Layout;
use anyhow::{Context, Result};

/// In the memory: the shared page.
pub const SHARED: u64 = 0;
/// In the memory: the vCPU's page.
pub const INFO: u64 = PAGE_4K;
/// In the memory: free for use.
pub const DATA: u64 = 2 * PAGE_4K;
/// The end of the memory. Behind it the guest has none.
pub const END: u64 = 4 * PAGE_4K;

/// The VM and what is in it.
pub struct XenGuest {
    /// The VM.
    pub vm: Vm,
    /// Its vCPU.
    pub vcpu: Vcpu,
    /// With which it calls.
    pub caller: Caller,
    /// Its memory, at [`BASE`].
    pub memory: Memory,
}

impl XenGuest {
    /// On `backend`, for a guest of this layout.
    pub fn new(backend: &str, layout: Layout) -> Result<Self> {
        Self::backed(backend, layout, Backing::Small)
    }

    /// As above, with memory of this kind.
    pub fn backed(backend: &str, layout: Layout, backing: Backing) -> Result<Self> {
        let memory = Memory::new(END, backing)?;
        let vm = Vm::new(backend)?;
        vm.fd.create_irq_chip().context("KVM_CREATE_IRQCHIP")?;
        vm.set(&Slot::of(&memory), 0)?;
        xen::enable(&vm)?;
        let mut vcpu = vm.vcpu(0)?;
        let caller = Caller::new(&vm, &mut vcpu)?;
        layout.set(&vm)?;
        xen::set_shared_page(&vm, BASE + SHARED)?;
        xen::set_area(&vcpu, Area::Info, Some(BASE + INFO)).context("setting the vCPU's page")?;
        Ok(Self {
            vm,
            vcpu,
            caller,
            memory,
        })
    }
}
