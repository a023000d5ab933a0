// SPDX-License-Identifier: GPL-2.0

//! The tables as they are, read naively.

use crate::{
    atomic::lock,
    kvm::{
        spte::{masks, LeafSpte},
        types::ENTRIES,
        Gfn, Level, ShadowPage, Spte, Vm,
    },
    machine::arena::PageId,
    tdp_mmu::inside,
    world::cpu::{Access, Translation},
};
use std::collections::BTreeMap;

/// What one tree holds.
#[derive(Default)]
pub struct Tree {
    /// Its leaves, by their first frames.
    pub leaves: BTreeMap<Gfn, (Level, Spte)>,
    /// The links of each level, by first frames.
    pub links: BTreeMap<(Level, Gfn), PageId>,
    /// Entries that are neither absent, nor present: MMIO, or frozen for ever.
    pub others: BTreeMap<(Level, Gfn), Spte>,
}

impl Tree {
    /// Reads the tree of `root`.
    pub fn of(vm: &Vm, root: &ShadowPage) -> Self {
        let mut tree = Self::default();
        tree.read(vm, root);
        tree
    }

    fn read(&mut self, vm: &Vm, page: &ShadowPage) {
        let level = page.level();
        for index in 0..ENTRIES {
            let spte = page.hardware_cell(index).load();
            let gfn = page.gfn().add(index as u64 * level.pages());
            if spte.is_table(level) {
                let id = PageId::at(spte.raw() & masks::base_addr());
                let below = vm.machine.arena.page(id);
                assert_eq!(below.gfn(), gfn, "a table is linked in the wrong place");
                self.links.insert((level, gfn), id);
                self.read(vm, below);
            } else if spte.is_present() {
                self.leaves.insert(gfn, (level, spte));
            } else if spte != crate::kvm::spte::NONPRESENT {
                assert!(!spte.is_frozen(), "frozen for ever: {gfn:?} {level:?}");
                self.others.insert((level, gfn), spte);
            }
        }
    }

    /// The leaf that maps `gfn`.
    pub fn leaf(&self, gfn: Gfn) -> Option<(Gfn, Level, Spte)> {
        let (first, (level, spte)) = self.leaves.range(..=gfn).next_back()?;
        (gfn < first.add(level.pages())).then_some((*first, *level, *spte))
    }
}

/// The lines of `mmu_map` or `mmu_check`, read to their end.
pub fn lines(vm: &Vm, mut reader: inside::Reader) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let mut bytes = [0; 512];
        let mut text = inside::Text::new(&mut bytes);
        let progress = reader.read(vm, &mut text);
        let len = text.len();
        let text = std::str::from_utf8(&bytes[..len]).expect("ASCII");
        lines.extend(text.lines().map(str::to_string));
        if progress == inside::Progress::Done {
            return lines;
        }
    }
}

/// All roots on the VM's list, valid or not.
pub fn roots(vm: &Vm) -> Vec<&ShadowPage> {
    let ids = lock(vm.root_list()).clone();
    ids.into_iter()
        .map(|id| vm.machine.arena.page(id))
        .collect()
}

/// Compares the VM's statistics with its tables. Nobody may change them meanwhile.
pub fn check(vm: &Vm) {
    assert!(!vm.is_bugged(), "the VM is marked as broken");
    let mut pages = [0; 5];
    let (mut links, mut nx) = (0, std::collections::BTreeSet::new());
    for root in roots(vm) {
        let tree = Tree::of(vm, root);
        for (gfn, (level, spte)) in &tree.leaves {
            pages[usize::from(level.raw()) - 1] += 1;
            assert!(
                spte.pfn().raw() % level.pages() == 0,
                "{gfn:?}: {spte:?} is not aligned"
            );
        }
        let huge = tree
            .leaves
            .values()
            .filter(|(level, _)| *level > Level::PG_4K);
        for (level, spte) in huge.filter(|_| vm.nx_huge_pages() && !root.role().is_invalid()) {
            let held = Translation::new(LeafSpte::new(*spte, *level));
            assert!(
                !held.permits(Access::Fetch),
                "an executable huge page: {spte:?}"
            );
        }
        links += tree.links.len() as i64;
        let disallowed = |id: &PageId| vm.machine.arena.page(*id).is_nx_disallowed();
        nx.extend(tree.links.values().copied().filter(disallowed));
    }
    let counted = vm.stats.pages.each_ref().map(|count| count.get());
    assert_eq!(counted, pages, "page statistics");
    assert_eq!(vm.live_tables(), links, "number of tables");
    let listed = vm.possible_nx_huge_pages();
    assert!(
        listed.is_subset(&nx),
        "a table that is gone is on the list of NX pages"
    );
    // A model checker comes here after each of many thousand interleavings.
    if cfg!(any(feature = "loom", feature = "shuttle")) {
        return;
    }
    let mut wrong = lines(vm, inside::Reader::check());
    // The CPUs keep their logs until a harvest.
    wrong.retain(|line| !line.starts_with("dirty and clean in the log"));
    assert!(wrong.is_empty(), "mmu_check: {wrong:?}");
}
