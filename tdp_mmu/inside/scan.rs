// SPDX-License-Identifier: GPL-2.0

//! A walk through all trees of a VM in steps, absent and frozen entries included.
//!
//! Where a scan stands is a root and a frame, both as numbers. Each step looks the root up in the
//! list, and goes down from it for each entry. A root that is gone is left. New roots come to the
//! head of the list, so those still to be visited are the last ones, and their number says which:
//! it only gets smaller, and so the scan ends whatever happens to the list.

use crate::{
    kvm::{
        roots::any_roots_rcu,
        table::TableView,
        AnyVm,
        Gfn,
        Level,
        RootFilter,
        ShadowPage,
        Spte, //
    },
    sync::{rcu, Rcu}, //
};

/// How many entries a step goes down to.
pub(super) const ENTRIES_AT_ONCE: u32 = 1024;

/// Whether a scan, or the file that shows it, goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It does.
    More,
    /// It has come to its end.
    Done,
}

/// What a scan does after an entry, or a root's begin or end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It goes on.
    On,
    /// It ends the step, and goes on behind.
    Pause,
    /// It ends the step, and comes to the same again.
    Again,
}

/// An entry that maps memory, or nothing.
pub(super) struct Found<'r> {
    /// The tree's root.
    pub(super) root: &'r ShadowPage,
    /// The value that was read.
    pub(super) spte: Spte,
    /// The first frame that the entry spans.
    pub(super) gfn: Gfn,
    /// The level of the entry's table.
    pub(super) level: Level,
}

/// A table that an entry links.
pub(super) struct Linked<'r> {
    /// The tree's root.
    pub(super) root: &'r ShadowPage,
    /// The table that the entry lies in.
    pub(super) parent: TableView<'r>,
    /// The first frame that the entry spans.
    pub(super) gfn: Gfn,
    /// The table that it links.
    pub(super) table: TableView<'r>,
}

/// What a scan is for.
pub(super) trait Look {
    /// Comes to a root.
    fn begin(&mut self, _root: &ShadowPage) -> Next {
        Next::On
    }

    /// Comes to a table. It comes again if [`entry`](Self::entry) says [`Next::Again`].
    fn table(&mut self, _linked: &Linked<'_>) {}

    /// Comes to an entry that links no table.
    fn entry(&mut self, found: &Found<'_>) -> Next;

    /// Has left a root.
    fn end(&mut self) -> Next {
        Next::On
    }
}

/// How far a scan has got.
#[derive(Default)]
pub(super) struct Scan {
    /// The address of the root's header, if a root was begun and not ended.
    root: Option<usize>,
    gfn: Gfn,
    /// How many roots come behind it. At first nobody knows.
    left: Option<usize>,
}

/// What names a root while nobody holds it.
pub(super) fn name_of(root: &ShadowPage) -> usize {
    core::ptr::from_ref(root).addr()
}

/// The root with that name, if there is one still.
pub(super) fn find_root<'r>(
    vm: &'r AnyVm,
    rcu: &'r impl Rcu,
    name: usize,
) -> Option<&'r ShadowPage> {
    any_roots_rcu(vm, rcu, RootFilter::ALL).find(|root| name_of(root) == name)
}

impl Scan {
    /// Goes on for one step.
    pub(super) fn step(&mut self, vm: &AnyVm, look: &mut impl Look) -> Progress {
        let rcu = rcu::read_lock();
        let mut budget = ENTRIES_AT_ONCE;
        loop {
            if self.root.is_none() && !self.begin_next(vm, &rcu, look) {
                return if self.left == Some(0) {
                    Progress::Done
                } else {
                    Progress::More
                };
            }
            let root = self.root.and_then(|name| self.find(vm, &rcu, name));
            if let Some(root) = root {
                if !self.walk(vm, &rcu, root, look, &mut budget) {
                    return Progress::More;
                }
            }
            if look.end() == Next::Again {
                return Progress::More;
            }
            self.root = None;
        }
    }

    /// Begins the next root, if there is one, and `look` wants it now.
    fn begin_next(&mut self, vm: &AnyVm, rcu: &impl Rcu, look: &mut impl Look) -> bool {
        let roots = || any_roots_rcu(vm, rcu, RootFilter::ALL);
        let all = roots().count();
        let left = self.left.map_or(all, |left| left.min(all));
        self.left = Some(left);
        let Some(root) = roots().nth(all - left).filter(|_| left > 0) else {
            self.left = Some(0);
            return false;
        };
        if look.begin(root) == Next::Again {
            return false;
        }
        self.root = Some(name_of(root));
        self.gfn = root.gfn();
        self.left = Some(left - 1);
        true
    }

    /// Finds the root where the scan stands, and how many come behind it.
    fn find<'r>(
        &mut self,
        vm: &'r AnyVm,
        rcu: &'r impl Rcu,
        name: usize,
    ) -> Option<&'r ShadowPage> {
        let mut roots = any_roots_rcu(vm, rcu, RootFilter::ALL);
        let root = roots.find(|root| name_of(root) == name)?;
        let behind = roots.count();
        self.left = self.left.map(|left| left.min(behind));
        Some(root)
    }

    /// Walks the tree of `root` from where the scan stands; returns whether to its end.
    fn walk<'r>(
        &mut self,
        vm: &'r AnyVm,
        rcu: &'r impl Rcu,
        root: &'r ShadowPage,
        look: &mut impl Look,
        budget: &mut u32,
    ) -> bool {
        let end = root.gfn().add(root.level().table_pages());
        while self.gfn < end {
            if *budget == 0 {
                return false;
            }
            *budget -= 1;
            let found = descend(vm, rcu, root, self.gfn, |linked| {
                if linked.gfn == self.gfn {
                    look.table(linked);
                }
            });
            let next = look.entry(&found);
            if next != Next::Again {
                self.gfn = found.gfn.add(found.level.pages());
            }
            if next != Next::On {
                return false;
            }
        }
        true
    }
}

/// Goes down from `root` to the last entry for `gfn`, and shows `table` every link on the way.
pub(super) fn descend<'r>(
    vm: &'r AnyVm,
    rcu: &'r impl Rcu,
    root: &'r ShadowPage,
    gfn: Gfn,
    mut table: impl FnMut(&Linked<'r>),
) -> Found<'r> {
    let mut parent = TableView::of_root(root, rcu);
    loop {
        let level = parent.level();
        let first = gfn.round_down(level);
        let (spte, below) = parent.look(vm, gfn, rcu);
        let Some(below) = below else {
            return Found {
                root,
                spte,
                gfn: first,
                level,
            };
        };
        table(&Linked {
            root,
            parent,
            gfn: first,
            table: below,
        });
        parent = below;
    }
}
