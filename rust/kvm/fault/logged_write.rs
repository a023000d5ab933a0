// SPDX-License-Identifier: GPL-2.0

//! The dirty log and an entry that becomes writable.
//!
//! Once the entry is there, any vCPU may write through it and nobody hears of it. So the page must be
//! in the log. Userspace takes the log and makes writes fault again, in this order, at any time:
//!
//! - If the page were noted before only, userspace could take it before the entry is there: what is
//!   written then is lost.
//! - If it were noted after only, another vCPU could write in between, leave the guest and wait, and the
//!   log would not have what it wrote.
//!
//! So it is noted before and after. If somebody takes the note in between, there is a moment without one:
//! the vCPU is still in its fault then. The second time costs a load, unless the note was taken. An entry of
//! a dirty ring is userspace's as soon as it is there, and may have been reset, which makes the page
//! read-only again: it comes after.

#![forbid(unsafe_code)]

use super::raw::Vcpu;
use crate::kvm::{
    memory::MemSlot,
    spte::Spte,
    types::Gfn, //
};

impl Vcpu {
    /// Lets `install` put `new` in its place, an entry for `gfn`. If it lets the guest write, and writes
    /// to `slot` are logged, the page is in the log from before to after.
    ///
    /// A frame outside of the slot marks the VM as broken.
    #[inline(always)]
    pub fn log_write<E>(
        &self,
        slot: &MemSlot,
        gfn: Gfn,
        new: Spte,
        install: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        let is_logged = new.is_writable() && slot.is_dirty_tracked();
        let has_bitmap = is_logged && slot.has_dirty_bitmap();
        if has_bitmap {
            self.mark_page_dirty(slot, gfn);
        }
        install()?;
        if is_logged && (!has_bitmap || slot.is_logged_clean(gfn)) {
            self.mark_page_dirty(slot, gfn);
        }
        Ok(())
    }

    /// Notes in the dirty bitmap or ring that the vCPU may write to `gfn`.
    #[inline]
    fn mark_page_dirty(&self, slot: &MemSlot, gfn: Gfn) {
        if !slot.range().contains(gfn) {
            return self.vm().bug();
        }
        self.mark_page_dirty_in(slot, gfn);
    }
}
