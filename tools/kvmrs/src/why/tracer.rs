// SPDX-License-Identifier: GPL-2.0

//! KVM's events of page tables, from an instance of the kernel's tracer.

use super::events::Line;
use crate::instance::Instance;
use anyhow::Result;
use std::path::Path;

/// Changes of entries for 4K say nothing of huge pages. Where nothing was, and nothing is, KVM changes
/// 512 entries for each table that it frees.
const CHANGES: &str = "level > 1 && (old_spte & 2048 || new_spte & 2048)";

/// Events, and which of them.
const EVENTS: [(&str, Option<&str>); 6] = [
    ("kvmmmu/kvm_tdp_mmu_spte_changed", Some(CHANGES)),
    ("kvmmmu/kvm_mmu_spte_requested", Some("level > 1")),
    ("kvmmmu/fast_page_fault", None),
    ("kvmmmu/kvm_mmu_zap_all_fast", None),
    ("kvm/kvm_unmap_hva_range", None),
    // The first bit says that something was mapped.
    ("kvm/kvm_page_fault", Some("error_code & 1")),
];

/// Not in kernels without private memory.
const ATTRIBUTES: &str = "kvm/kvm_vm_set_mem_attributes";

/// Those who listen to these events.
pub struct Tracer(Instance);

impl Tracer {
    /// Listens from now on.
    pub fn begin(tracefs: &Path) -> Result<Self> {
        let mut instance = Instance::begin(tracefs)?;
        // Tasks change processors, and so the clocks of these must agree.
        instance.set("trace_clock", "mono")?;
        for (event, filter) in EVENTS {
            if let Some(filter) = filter {
                instance.set(&format!("events/{event}/filter"), filter)?;
            }
            instance.set(&format!("events/{event}/enable"), "1")?;
        }
        if instance.has(ATTRIBUTES) {
            instance.set(&format!("events/{ATTRIBUTES}/enable"), "1")?;
        }
        instance.listen()?;
        Ok(Self(instance))
    }

    /// What has happened since the last time.
    pub fn read(&mut self) -> Result<Vec<Line>> {
        self.0.read()?.lines().map(Line::parse).collect()
    }
}
