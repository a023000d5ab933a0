// SPDX-License-Identifier: GPL-2.0

//! The walk against a naive model of it: which entries, in which order, however often it gives
//! way.

mod common;

use common::{vcpu, vm_with, Options, FIRST};
use kvmrs_model::{
    kvm::{
        Entry, Exclusive, Gfn, GfnRange, Level, Locked, MmuLock, PendingFlush, Shared, Spte, State,
        Vcpu, Vm,
    },
    machine::ept,
    tdp_mmu::{
        visitor::{GiveWay, Step, VisitContext, Visitor},
        walk::walk,
    },
    world::{
        breaks::{ALWAYS, NEVER},
        cpu::Access,
        kvm,
        view::Tree,
    },
};
use proptest::prelude::*;
use std::sync::Arc;

/// Which entries a visitor wants.
#[derive(Clone, Copy, Debug)]
struct Wants {
    leaves: bool,
    links: bool,
    min_level: Level,
}

impl Wants {
    fn admits(&self, last: bool, level: Level) -> bool {
        level >= self.min_level && if last { self.leaves } else { self.links }
    }
}

/// Notes what it visits.
struct Note {
    wants: Wants,
    seen: Vec<(Gfn, Level)>,
}

impl<M: Locked> Visitor<M> for Note {
    fn min_level(&self) -> Level {
        self.wants.min_level
    }

    fn wants(&self, spte: Spte, level: Level) -> bool {
        self.wants.admits(spte.is_last(level), level)
    }

    fn visit(&mut self, entry: Entry<'_, M>, _context: &mut VisitContext<'_, '_>) -> Step {
        self.seen.push((entry.gfn(), entry.level()));
        Step::Next
    }
}

/// What a walk over `range` has to visit: all that overlaps it, upper levels first.
fn expected(tree: &Tree, range: GfnRange, wants: Wants) -> Vec<(Gfn, Level)> {
    let leaves = tree
        .leaves
        .iter()
        .map(|(gfn, (level, _))| (*gfn, *level, true));
    let links = tree.links.keys().map(|(level, gfn)| (*gfn, *level, false));
    let overlaps = |gfn: Gfn, level: Level| gfn < range.end && range.start < gfn.add(level.pages());
    let mut all: Vec<_> = leaves
        .chain(links)
        .filter(|(gfn, level, last)| overlaps(*gfn, *level) && wants.admits(*last, *level))
        .map(|(gfn, level, _)| (gfn, level))
        .collect();
    all.sort_by_key(|(gfn, level)| (*gfn, std::cmp::Reverse(*level)));
    all
}

/// A VM with pages of 4K, 2M and 1G, and holes: three GiB and a bit from `FIRST` on.
fn sparse_vm(touch: &[(u64, bool)]) -> (Arc<Vm>, Vcpu) {
    let memory = GfnRange::new(Gfn::new(FIRST), Gfn::new(4 << 18));
    let vm = vm_with(ept(), memory, Level::PG_2M, Options::default());
    let huge = GfnRange::sized(Gfn::new(2 << 18), 1 << 18);
    kvm::invalidate(&vm, huge, || vm.primary.populate(huge.start, Level::PG_1G));
    let vcpu = vcpu(&vm);
    for (offset, small) in touch {
        let gfn = Gfn::new(FIRST + offset % (memory.end.offset_from(memory.start)));
        if *small && vm.primary.level(gfn) == Some(Level::PG_2M) {
            kvm::invalidate(
                &vm,
                GfnRange::sized(gfn.round_down(Level::PG_2M), 512),
                || vm.primary.split(gfn),
            );
        }
        kvm::guest_access(&vcpu, gfn, Access::Read, |_| ());
    }
    (vm, vcpu)
}

fn walked<M: Locked>(
    lock: &mut MmuLock<'_, M>,
    vcpu: &Vcpu,
    range: GfnRange,
    wants: Wants,
) -> Vec<(Gfn, Level)> {
    let mut flush = PendingFlush::none(lock.vm());
    let mut note = Note {
        wants,
        seen: Vec::new(),
    };
    walk(
        lock,
        &vcpu.root().expect("a root"),
        range,
        GiveWay::WhenAsked,
        &mut flush,
        &mut note,
    );
    note.seen
}

/// Notes how often the walk had given way when it came to its first entry.
struct First<'a> {
    vm: &'a Vm,
    given: Option<u64>,
}

impl Visitor<Shared> for First<'_> {
    fn wants(&self, spte: Spte, level: Level) -> bool {
        spte.is_last(level)
    }

    fn visit(&mut self, _: Entry<'_, Shared>, _: &mut VisitContext<'_, '_>) -> Step {
        self.given.get_or_insert(self.vm.breaks.given());
        Step::Next
    }
}

/// It is slow to come to its second entry, and its caller has held the lock before.
#[test]
fn a_long_walk_gives_way_once_before_it_begins() {
    for (pages, times) in [(2 << 18, 1), (1 << 9, 0)] {
        let (vm, vcpu) = sparse_vm(&[(0, true)]);
        let (root, mut flush) = (vcpu.root().expect("a root"), PendingFlush::none(&vm));
        let mut visitor = First {
            vm: &vm,
            given: None,
        };
        vm.breaks.set(ALWAYS);
        walk(
            &mut *vm.mmu_read(),
            &root,
            GfnRange::sized(Gfn::new(FIRST), pages),
            GiveWay::WhenAsked,
            &mut flush,
            &mut visitor,
        );
        vm.breaks.set(NEVER);
        assert_eq!(visitor.given, Some(times), "{pages} pages");
        drop((root, flush));
        kvm::destroy(&vm, vec![vcpu]);
    }
}

fn wants() -> impl Strategy<Value = Wants> {
    (any::<bool>(), any::<bool>(), 1..=4u32).prop_map(|(leaves, links, level)| Wants {
        leaves,
        links,
        min_level: Level::new(level).expect("a level"),
    })
}

proptest! {
    #![proptest_config(common::config(64, "tests/regressions/walker.txt"))]

    #[test]
    fn visits_what_is_there_in_order_whatever_the_breaks(
        touch in prop::collection::vec((0..3u64 << 18, any::<bool>()), 0..12),
        ranges in prop::collection::vec((0..4u64 << 18, 0..2u64 << 18), 1..6),
        pattern in prop_oneof![Just(NEVER), Just(ALWAYS), any::<u64>()],
        wants in wants(),
        shared: bool,
    ) {
        let (vm, vcpu) = sparse_vm(&touch);
        let tree = Tree::of(&vm, &vcpu.root().expect("a root"));
        vm.breaks.set(pattern);
        for (start, pages) in ranges {
            let range = GfnRange::sized(Gfn::new(start), pages);
            let seen = if shared {
                walked::<Shared>(&mut vm.mmu_read(), &vcpu, range, wants)
            } else {
                walked::<Exclusive>(&mut vm.mmu_write(), &vcpu, range, wants)
            };
            let mut expected = expected(&tree, range, wants);
            if pages == 0 {
                expected.clear();
            }
            // Who gives way inside of a large entry's span comes by the entry once more.
            let mut once = seen.clone();
            once.dedup();
            let mut distinct = Vec::new();
            for visit in seen {
                if !distinct.contains(&visit) {
                    distinct.push(visit);
                }
            }
            prop_assert_eq!(&distinct, &expected);
            if pattern == NEVER {
                prop_assert_eq!(once, expected);
            }
        }
        vm.breaks.set(NEVER);
        kvm::destroy(&vm, vec![vcpu]);
    }
}

/// A range that ends behind what the root can map, as ranges up to the end of the world do.
#[test]
fn stops_at_the_roots_end() {
    let (vm, vcpu) = sparse_vm(&[(0, true), (2000, false), ((2 << 18) - FIRST, false)]);
    let wants = Wants {
        leaves: true,
        links: false,
        min_level: Level::PG_4K,
    };
    let tree = Tree::of(&vm, &vcpu.root().expect("a root"));
    for end in [u64::MAX, 1 << 36, (1 << 36) + 1, 1 << 34] {
        let range = GfnRange::new(Gfn::new(0), Gfn::new(end));
        let seen = walked::<Exclusive>(&mut vm.mmu_write(), &vcpu, range, wants);
        assert_eq!(seen, expected(&tree, range, wants), "up to {end:#x}");
    }
    let beyond = GfnRange::new(Gfn::new(1 << 36), Gfn::new(u64::MAX));
    assert!(walked::<Exclusive>(&mut vm.mmu_write(), &vcpu, beyond, wants).is_empty());
    kvm::destroy(&vm, vec![vcpu]);
}

/// Gives way at every entry, and each time gets at least one entry further.
#[test]
fn makes_progress() {
    let touch: Vec<_> = (0..200).map(|page| (page * 3, true)).collect();
    let (vm, vcpu) = sparse_vm(&touch);
    let leaves = Tree::of(&vm, &vcpu.root().expect("a root")).leaves.len() as u64;
    vm.breaks.set(ALWAYS);
    let wants = Wants {
        leaves: true,
        links: false,
        min_level: Level::PG_4K,
    };
    let all = GfnRange::new(Gfn::new(0), Vm::gfn_end());
    let given = vm.breaks.given();
    let seen = walked::<Shared>(&mut vm.mmu_read(), &vcpu, all, wants);
    let given = vm.breaks.given() - given;
    assert_eq!(seen.len() as u64, leaves, "each leaf once");
    // Once for each leaf but the first, a few times on the way into tables, and at entries that are not there.
    assert!(
        given >= leaves - 1 && given < 3 * leaves,
        "gave way {given} times"
    );
    vm.breaks.set(NEVER);
    kvm::destroy(&vm, vec![vcpu]);
}

/// Gives way among entries that are not there, too: here nothing else is in most of a table, and nothing is visited.
#[test]
fn gives_way_where_nothing_is() {
    let (vm, vcpu) = sparse_vm(&[(0, true)]);
    vm.breaks.set(ALWAYS);
    let wants = Wants {
        leaves: false,
        links: false,
        min_level: Level::PG_4K,
    };
    let all = GfnRange::new(Gfn::new(0), Vm::gfn_end());
    let given = vm.breaks.given();
    assert!(walked::<Shared>(&mut vm.mmu_read(), &vcpu, all, wants).is_empty());
    let given = vm.breaks.given() - given;
    // Each of the four tables on the way to the leaf has 32 rows of entries.
    assert!((31 * 4..36 * 4).contains(&given), "gave way {given} times");
    vm.breaks.set(NEVER);
    kvm::destroy(&vm, vec![vcpu]);
}

/// Zaps the first leaf it sees through the back door, then asks for another go.
struct Again<'a> {
    vm: &'a Vm,
    visits: u32,
    asked: bool,
}

impl Visitor<Shared> for Again<'_> {
    fn wants(&self, spte: Spte, level: Level) -> bool {
        spte.is_last(level)
    }

    fn visit(&mut self, entry: Entry<'_, Shared>, context: &mut VisitContext<'_, '_>) -> Step {
        self.visits += 1;
        assert!(std::ptr::eq(entry.cx().vm(), self.vm));
        if !std::mem::replace(&mut self.asked, true) {
            let State::Leaf(leaf) = entry.state() else {
                panic!("not a leaf")
            };
            let level = leaf.level();
            let (change, flush) = leaf.zap().expect("nobody else is there");
            context.flush.add(flush);
            self.vm.count_pages(level, -1);
            assert!(!change.new.is_present());
            return Step::Again;
        }
        Step::Next
    }
}

/// `Again` means the same entry, if it is still there, and never skips one.
#[test]
fn an_entry_that_went_is_not_visited_again() {
    let (vm, vcpu) = sparse_vm(&[(0, true), (1, true), (2, true), (3, true)]);
    let mut flush = PendingFlush::none(&vm);
    let mut again = Again {
        vm: &vm,
        visits: 0,
        asked: false,
    };
    let all = GfnRange::new(Gfn::new(0), Vm::gfn_end());
    let root = vcpu.root().expect("a root");
    walk(
        &mut *vm.mmu_read(),
        &root,
        all,
        GiveWay::WhenAsked,
        &mut flush,
        &mut again,
    );
    assert_eq!(again.visits, 4);
    drop(flush);
    kvm::destroy(&vm, vec![vcpu]);
}

/// While a walk gives way, others zap and map behind and before it: what is there all the time is
/// visited, whatever happens around it.
#[test]
fn sees_what_stays_while_others_change_the_rest() {
    let touch: Vec<_> = (0..64).map(|page| (page, true)).collect();
    let (vm, vcpu) = sparse_vm(&touch);
    let tree = Tree::of(&vm, &vcpu.root().expect("a root"));
    let stays: Vec<Gfn> = tree
        .leaves
        .keys()
        .copied()
        .filter(|gfn| gfn.raw() % 4 == 0)
        .collect();
    let other = Arc::new(common::vcpu(&vm));
    let hook = {
        let (vm, vcpu, mut turn) = (Arc::downgrade(&vm), other.clone(), 0u64);
        move || {
            let Some(vm) = vm.upgrade() else { return };
            turn += 1;
            let gfn = Gfn::new(FIRST + turn * 7 % 64);
            if gfn.raw() % 4 != 0 {
                kvm::zap_range(&vm, GfnRange::one(gfn));
                kvm::guest_access(
                    &vcpu,
                    Gfn::new(FIRST + turn * 5 % 64),
                    Access::Write,
                    |_| (),
                );
            }
        }
    };
    vm.breaks.set_hook(hook);
    vm.breaks.set(ALWAYS);
    let wants = Wants {
        leaves: true,
        links: false,
        min_level: Level::PG_4K,
    };
    let all = GfnRange::new(Gfn::new(0), Vm::gfn_end());
    let seen = walked::<Shared>(&mut vm.mmu_read(), &vcpu, all, wants);
    for gfn in stays {
        assert_eq!(
            seen.iter().filter(|(at, _)| *at == gfn).count(),
            1,
            "{gfn:?}"
        );
    }
    vm.breaks.set(NEVER);
    vm.breaks.set_hook(|| ());
    let other = Arc::into_inner(other).expect("the hook is gone");
    kvm::destroy(&vm, vec![vcpu, other]);
}
