// SPDX-License-Identifier: GPL-2.0

//! The memory of one page-table entry: an atomic that notices when its table was freed.

use super::value::{Spte, NONPRESENT};
use crate::atomic::{access_in_section, full_barrier, word, Ordering, Word};

/// What entries of a freed table hold. No entry of a live one ever does.
const POISON: u64 = u64::MAX;

/// An entry of a page table.
pub struct SpteCell(Word);

#[inline(always)]
fn alive(raw: u64) -> Spte {
    assert_ne!(raw, POISON, "late use: the table was freed");
    Spte::new(raw)
}

/// The value that was replaced by `new`: a frozen entry belongs to whoever froze it.
#[inline(always)]
fn replaced(raw: u64, new: Spte) -> Spte {
    let old = alive(raw);
    let mine = !old.is_frozen() || new.is_frozen();
    assert!(mine, "a frozen entry was overwritten by {new:?}");
    old
}

impl SpteCell {
    /// Memory for the entry at `index` of a table that does not exist yet.
    pub(in crate::kvm) fn poisoned(index: usize) -> Self {
        Self(word(index, POISON))
    }

    /// The value at this moment.
    #[inline(always)]
    pub fn load(&self) -> Spte {
        access_in_section(self.address());
        // The kernel relies on address dependencies, for which there is no ordering here.
        alive(self.0.load(Ordering::Acquire))
    }

    #[inline(always)]
    pub(in crate::kvm) fn store(&self, new: Spte) {
        // Not more than a store in the kernel; here it looks at what it overwrites.
        replaced(self.0.swap(new.raw(), Ordering::Release), new);
    }

    #[inline(always)]
    pub(in crate::kvm) fn swap(&self, new: Spte) -> Spte {
        access_in_section(self.address());
        let old = self.0.swap(new.raw(), Ordering::SeqCst);
        full_barrier();
        replaced(old, new)
    }

    #[inline(always)]
    pub(in crate::kvm) fn compare_exchange(&self, old: Spte, new: Spte) -> Result<(), Spte> {
        let order = (Ordering::SeqCst, Ordering::Relaxed);
        match self
            .0
            .compare_exchange(old.raw(), new.raw(), order.0, order.1)
        {
            Ok(old) => {
                full_barrier();
                replaced(old, new);
                Ok(())
            }
            Err(found) => Err(alive(found)),
        }
    }

    #[inline(always)]
    pub(in crate::kvm) fn fetch_clear(&self, mask: u64) -> Spte {
        let old = self.0.fetch_and(!mask, Ordering::SeqCst);
        full_barrier();
        replaced(old, Spte::new(old & !mask))
    }

    /// What hardware does: it replaces a value if that is still there.
    pub(crate) fn hardware_exchange(&self, old: Spte, new: Spte) -> bool {
        self.compare_exchange(old, new).is_ok()
    }

    /// Makes the entry of a table that is not linked yet `spte`.
    pub(in crate::kvm) fn init(&self, spte: Spte) {
        self.0.store(spte.raw(), Ordering::Relaxed);
    }

    /// Makes the entry `spte`, whatever the rules say.
    pub(crate) fn plant(&self, spte: Spte) {
        self.0.store(spte.raw(), Ordering::SeqCst);
    }

    /// Makes the entry of a new table absent.
    pub(in crate::kvm) fn clear(&self) {
        self.init(NONPRESENT);
    }

    /// The table is freed.
    pub(in crate::kvm) fn poison(&self) {
        self.0.store(POISON, Ordering::SeqCst);
    }

    /// Tells entries apart.
    pub(in crate::kvm) fn address(&self) -> usize {
        core::ptr::from_ref(self).addr()
    }
}
