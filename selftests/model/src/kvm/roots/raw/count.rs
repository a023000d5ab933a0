// SPDX-License-Identifier: GPL-2.0

//! How many references a root has, and whether it waits to be zapped.

use crate::{
    atomic::Ordering::SeqCst,
    kvm::{
        memory::{AnyVm, SlotsLocked},
        table::ShadowPage,
    },
};

pub(in crate::kvm::roots) fn set(page: &ShadowPage, references: i32) {
    page.references.store(references, SeqCst);
}

pub(in crate::kvm::roots) fn get<'r>(vm: &'r AnyVm, page: &ShadowPage) -> Option<&'r ShadowPage> {
    page.references
        .fetch_update(SeqCst, SeqCst, |count| (count > 0).then_some(count + 1))
        .ok()?;
    Some(vm.machine.arena.page(page.id()))
}

pub(in crate::kvm::roots) fn put(page: &ShadowPage) -> bool {
    let references = page.references.fetch_sub(1, SeqCst);
    assert!(references > 0, "a reference is put twice");
    references == 1
}

pub(in crate::kvm::roots) fn schedule_zap(page: &ShadowPage, _slots: &SlotsLocked<'_>) {
    page.scheduled.store(true, SeqCst);
}

pub(in crate::kvm::roots) fn take_scheduled_zap(
    page: &ShadowPage,
    _slots: &SlotsLocked<'_>,
) -> bool {
    page.scheduled.swap(false, SeqCst)
}

impl ShadowPage {
    /// How many references a root has right now.
    pub fn root_references(&self) -> u32 {
        self.references.load(SeqCst).unsigned_abs()
    }
}
