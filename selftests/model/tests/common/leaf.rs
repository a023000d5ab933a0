// SPDX-License-Identifier: GPL-2.0

//! Leaves as faults make them.

use super::{vcpu, vm_with, Options};
use kvmrs_model::{
    kvm::{
        fault::{error, Request},
        table::EntrySnapshot,
        types::Pfn,
        AddressSpace, Context, Gfn, GfnRange, Level, PageFault, Role, Spte, Vcpu,
    },
    machine::Masks,
    sync::rcu,
    tdp_mmu::leaf,
};

/// A request for the first frame of memory that has a page of each level.
pub fn request(vcpu: &Vcpu, level: Level, pfn: u64) -> Request<'_> {
    let gfn = Gfn::new(1 << 18);
    Request {
        gfn,
        pfn: Pfn::new(pfn & !(level.pages() - 1)),
        slot: vcpu.vm().slot(AddressSpace::NORMAL, gfn),
        error_code: error::USER,
        prefetch: false,
        map_writable: true,
        max_level: level,
    }
}

/// A vCPU of a VM that has a page of each level.
pub fn vcpu_with(masks: Masks, options: Options) -> Vcpu {
    let gib = GfnRange::sized(Gfn::new(1 << 18), 1 << 18);
    vcpu(&vm_with(masks, gib, Level::PG_1G, options))
}

/// What `for_fault()` makes at an absent entry of `level` in a tree with `role`.
pub fn leaf_for(
    vcpu: &Vcpu,
    request: &Request<'_>,
    role: Role,
    level: Level,
    old: Spte,
) -> leaf::NewLeaf {
    let rcu = rcu::read_lock();
    let root = vcpu.root().expect("a root");
    let (_, table) = Context::enter(vcpu.vm(), &rcu, &root).expect("its own VM");
    let at = EntrySnapshot {
        cell: table.cell(0),
        spte: old,
        gfn: request.gfn,
        level,
    };
    let mut fault = PageFault::new(vcpu, request.clone());
    fault.adjust_level(vcpu);
    leaf::for_fault(vcpu, &fault, request.slot.expect("a slot"), role, &at)
}
