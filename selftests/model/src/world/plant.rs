// SPDX-License-Identifier: GPL-2.0

//! Defects, planted for tests of what looks for them.

use crate::{
    kvm::{
        spte::masks,
        table::{Lie, Role},
        types::{Pfn, ENTRIES},
        Gfn, GfnRange, Level, ShadowPage, Spte, Vm,
    },
    machine::arena::PageId,
    world::primary::Primary,
};

/// The table of `level` in which the way from `root` to `gfn` goes on.
fn table<'vm>(vm: &'vm Vm, root: &'vm ShadowPage, gfn: Gfn, level: Level) -> &'vm ShadowPage {
    let (mut page, mut above) = (root, root.level());
    while above > level {
        let spte = page.hardware_cell(index(gfn, above)).load();
        assert!(spte.is_table(above), "no table for {gfn:?}");
        page = vm
            .machine
            .arena
            .page(PageId::at(spte.raw() & masks::base_addr()));
        above = above.below().expect("a link is not at the lowest level");
    }
    page
}

/// Where the entry for `gfn` is in its table of `level`.
fn index(gfn: Gfn, level: Level) -> usize {
    gfn.index_from(Gfn::new(0), level) % ENTRIES
}

/// Replaces the entry of `level` for `gfn`, and returns what it was.
pub fn entry(
    vm: &Vm,
    root: &ShadowPage,
    gfn: Gfn,
    level: Level,
    new: impl Fn(Spte) -> Spte,
) -> Spte {
    let cell = table(vm, root, gfn, level).hardware_cell(index(gfn, level));
    let old = cell.load();
    cell.plant(new(old));
    old
}

/// The host changes what `range` shows, and tells others than this VM.
pub fn unheard(vm: &Vm, range: GfnRange, change: impl FnOnce(&Primary)) {
    vm.primary.notify(range);
    change(&vm.primary);
    vm.primary.forget(range);
}

/// Makes `gfn` private. The guest_memfd has the page there that `page` makes of the host's.
pub fn private(vm: &Vm, gfn: Gfn, page: impl FnOnce(Pfn) -> Option<Pfn>) {
    let host = vm.primary.page(gfn).expect("the host maps the frame");
    vm.slots()[0].make_private(gfn, page(host.pfn_of(gfn)));
}

/// Replaces the role in the header of the table of `level` for `gfn`.
pub fn role(vm: &Vm, root: &ShadowPage, gfn: Gfn, level: Level, new: impl Fn(Role) -> Role) {
    let page = table(vm, root, gfn, level);
    page.forge(Lie::Role(new(page.role())));
}

/// Makes the header of the table of `level` for `gfn` say that the table begins at `lie`.
pub fn gfn(vm: &Vm, root: &ShadowPage, gfn: Gfn, level: Level, lie: Gfn) {
    table(vm, root, gfn, level).forge(Lie::Gfn(lie));
}

/// Makes it say that the entry for `lie` in its parent links the table.
pub fn parent(vm: &Vm, root: &ShadowPage, gfn: Gfn, level: Level, lie: Gfn) {
    let above = level.above().expect("a root has no parent");
    let parent = table(vm, root, gfn, above);
    let index = index(lie, above) as u32;
    table(vm, root, gfn, level).forge(Lie::Parent(parent.id(), index));
}
