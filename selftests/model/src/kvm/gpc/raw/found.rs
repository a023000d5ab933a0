// SPDX-License-Identifier: GPL-2.0

//! The host's page for a cache, and its mapping in the kernel.

use super::{cache::RefreshLock, task::Sleeper};
use crate::{
    atomic::Arc,
    kvm::{
        memory::Vm,
        types::{Gfn, Pfn},
    },
};

/// A page that was looked up, with a reference.
pub(in crate::kvm::gpc) struct FoundPage {
    vm: Arc<Vm>,
    pfn: Pfn,
}

impl FoundPage {
    pub(in crate::kvm::gpc) fn look_up(
        cache: &RefreshLock<'_>,
        _task: &mut Sleeper<'_>,
    ) -> Option<Self> {
        let vm = cache.vm_arc();
        vm.caches.look_ups.add(1);
        let frame = Gfn::of_addr(cache.page()?.start as u64);
        let page = vm.primary.page(frame);
        let found = page.filter(|page| page.writable).map(|page| {
            vm.caches.references.add(1);
            Self {
                vm: vm.clone(),
                pfn: page.pfn_of(frame),
            }
        });
        vm.caches.found.run();
        found
    }

    pub(in crate::kvm::gpc) fn map(&self) -> Option<Mapping> {
        self.vm.caches.mapped.add(1);
        self.vm.caches.maps.add(1);
        Some(Mapping {
            vm: self.vm.clone(),
            pfn: self.pfn,
        })
    }

    pub(in crate::kvm::gpc) fn is_mapped_by(&self, mapping: &Mapping) -> bool {
        mapping.pfn == self.pfn
    }

    pub(in crate::kvm::gpc) fn release(self) {}
}

impl Drop for FoundPage {
    fn drop(&mut self) {
        self.vm.caches.references.add(-1);
    }
}

/// A page that is mapped in the kernel.
pub(in crate::kvm::gpc) struct Mapping {
    vm: Arc<Vm>,
    pfn: Pfn,
}

impl Mapping {
    pub(super) fn pfn(&self) -> Pfn {
        self.pfn
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        self.vm.caches.mapped.add(-1);
    }
}
