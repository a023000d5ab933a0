// SPDX-License-Identifier: GPL-2.0

//! Leaves as faults make them.

use super::{vcpu, vm_with, Options};
use kvmrs_model::{
    kvm::{
        fault::{error, Request},
        table::EntrySnapshot,
        types::Pfn,
        AddressSpace, Context, Current, Gfn, GfnRange, Level, PageFault, Role, Spte, Vcpu,
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

/// Lends `f` the fault once its page is current. Nobody may take that away.
pub fn with_current<'a, R>(fault: PageFault<'a>, f: impl FnOnce(&mut Current<'_, 'a>) -> R) -> R {
    let vcpu = fault.vcpu();
    let Ok(resolved) = fault.snapshot().look_up() else {
        panic!("there is no page");
    };
    let lock = vcpu.vm().mmu_read();
    let mut current = resolved.current(&lock).expect("nobody takes it away");
    f(&mut current)
}

/// What `for_fault()` makes at an absent entry of `level` in a tree with `role`.
pub fn leaf_for<'a>(
    vcpu: &'a Vcpu,
    request: &Request<'a>,
    role: Role,
    level: Level,
    old: Spte,
) -> leaf::NewLeaf<'a> {
    with_current(PageFault::new(vcpu, request.clone()), |fault| {
        let rcu = rcu::read_lock();
        let root = vcpu.root().expect("a root");
        let (_, table) = Context::enter(vcpu.vm(), &rcu, &root).expect("its own VM");
        let at = EntrySnapshot {
            cell: table.cell(0),
            spte: old,
            gfn: request.gfn,
            level,
        };
        leaf::for_fault(fault, request.slot.expect("a slot"), role, &at)
    })
}
