// SPDX-License-Identifier: GPL-2.0

//! Aging: has the guest accessed the memory since last time?
//!
//! Works without `mmu_lock` and owes no flush: a stale accessed bit in some TLB costs precision,
//! never correctness, and the primary MMU can live with it.
//!
//! C counterpart: `__kvm_tdp_mmu_age_gfn_range()`.

use super::{
    leaf::aged,
    visitor::{Step, VisitContext, Visitor},
    walk::walk_lockless, //
};
use crate::{
    kvm::{
        roots::roots_rcu,
        table::{report, TransitionError},
        Entry,
        Level,
        Lockless,
        RootFilter,
        SlotRange,
        Spte,
        State,
        Vm, //
    },
    sync::rcu, //
};

/// What a walk is for, as the parameter of [`Age`]: accessed leaves become old.
const MAKE_OLD: bool = false;
/// As above: they stay as they are, as the question is only whether there are any.
const TEST: bool = true;

/// Looks for accessed leaves, and makes them old unless the question was only whether there are.
struct Age<const TEST_ONLY: bool> {
    young: bool,
}

impl<const TEST_ONLY: bool> Visitor<Lockless> for Age<TEST_ONLY> {
    #[inline(always)]
    fn wants(&self, spte: Spte, level: Level) -> bool {
        spte.is_accessed() && spte.is_last(level)
    }

    #[inline(always)]
    fn visit(&mut self, entry: Entry<'_, Lockless>, _context: &mut VisitContext<'_, '_>) -> Step {
        self.young = true;
        if TEST_ONLY {
            return Step::Stop;
        }
        let cx = entry.cx();
        if let State::Leaf(leaf) = entry.state() {
            match leaf.age(aged) {
                Ok(change) => report::spte_changed(&cx, &change),
                // An entry that changes under us is in use or on its way out: no second try.
                Err(TransitionError::Raced(_)) => {}
                Err(TransitionError::Refused) => return Step::Stop,
            }
        }
        Step::Next
    }
}

fn walk_roots<const TEST_ONLY: bool>(vm: &Vm, range: SlotRange) -> bool {
    let rcu = rcu::read_lock();
    let mut age = Age::<TEST_ONLY> { young: false };
    for root in roots_rcu(vm, &rcu, RootFilter::VALID.of(range.address_space)) {
        walk_lockless(&rcu, &root, range.range, &mut age);
        if TEST_ONLY && age.young {
            break;
        }
    }
    age.young
}

/// Makes the range old. Returns whether any of it was accessed (`kvm_tdp_mmu_age_gfn_range`).
pub fn age_range(vm: &Vm, range: SlotRange) -> bool {
    walk_roots::<MAKE_OLD>(vm, range)
}

/// Whether any of the range was accessed (`kvm_tdp_mmu_test_age_gfn`).
pub fn test_age_range(vm: &Vm, range: SlotRange) -> bool {
    walk_roots::<TEST>(vm, range)
}
