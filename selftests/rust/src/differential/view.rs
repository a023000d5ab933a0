// SPDX-License-Identifier: GPL-2.0

//! What can be seen of a VM from outside after a step.

use kvmtest::inside::Run;

/// Figures of the VM.
pub const VM_FIGURES: [&str; 5] = [
    "pages_4k",
    "pages_2m",
    "pages_1g",
    "nx_lpage_splits",
    "remote_tlb_flush_requests",
];
/// All faults, but for those that the guest had to repeat because the host has moved their page: on C, also where
/// the look-up itself has it moved.
pub const TAKEN: &str = "pf_taken";
/// The latter.
pub const REPEATED: &str = "pf_retry_invalidated";
/// Figures of the vCPU. All exits together are not here: the host's interrupts are among them.
pub const VCPU_FIGURES: [&str; 11] = [
    TAKEN,
    "pf_fixed",
    "pf_emulate",
    "pf_spurious",
    "pf_fast",
    "pf_mmio_spte_created",
    "pf_guest",
    "io_exits",
    "mmio_exits",
    "insn_emulation",
    "insn_emulation_fail",
];

/// All of it.
pub struct View {
    /// In the order of the names above.
    pub figures: Vec<u64>,
    /// The page tables (docs/inside.md).
    pub map: Vec<String>,
}

impl View {
    /// In what `other` is not the same.
    pub fn differences(&self, other: &Self, names: [&str; 2]) -> Vec<String> {
        let [one, two] = names;
        let figures = VM_FIGURES.iter().chain(&VCPU_FIGURES);
        let values = self.figures.iter().zip(&other.figures);
        let mut found: Vec<String> = figures
            .zip(values)
            .filter(|(_, (mine, theirs))| mine != theirs)
            .map(|(name, (mine, theirs))| format!("{name}: {mine} on {one}, {theirs} on {two}"))
            .collect();
        if self.map != other.map {
            found.push(format!(
                "mmu_map on {one}: {}",
                only_in(&self.map, &other.map)
            ));
            found.push(format!(
                "mmu_map on {two}: {}",
                only_in(&other.map, &self.map)
            ));
        }
        found
    }
}

fn only_in(map: &[String], other: &[String]) -> String {
    let lines = map.iter().filter(|line| !other.contains(line));
    let lines: Vec<&str> = lines.map(|line| line.trim()).collect();
    lines.join("; ")
}

/// The map without the column for dirty pages; runs that are alike now are joined.
pub fn without_dirty(map: Vec<String>) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut last: Option<Run> = None;
    for line in map {
        let mut run = Run::of(&line).map(clean);
        if let Some(joined) = last.as_ref().zip(run.as_ref()).and_then(join) {
            lines.pop();
            run = Some(joined);
        }
        lines.push(run.as_ref().map_or(line, Run::to_string));
        last = run;
    }
    lines
}

fn clean(run: Run) -> Run {
    let bits = run.bits.replace('D', "-");
    Run { bits, ..run }
}

/// Both as one run, if the second continues the first.
fn join((one, two): (&Run, &Run)) -> Option<Run> {
    let alike = (&one.size, &one.bits) == (&two.size, &two.bits);
    (alike && one.frames.end == two.frames.start).then(|| Run {
        frames: one.frames.start..two.frames.end,
        size: one.size.clone(),
        count: one.count + two.count,
        bits: one.bits.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::without_dirty;

    #[test]
    fn runs_are_joined_where_only_dirt_tells_them_apart() {
        let map = [
            "root level=5",
            "  0x0-0x1 4K 2 RWXADMH",
            "  0x2-0x2 4K 1 RWXA-MH",
            "  0x3-0x3 4K 1 R-XA-MH",
            "  0x4-0x1ff absent",
        ];
        let wanted = [
            "root level=5",
            "0x0-0x2 4K 3 RWXA-MH",
            "0x3-0x3 4K 1 R-XA-MH",
            "  0x4-0x1ff absent",
        ];
        assert_eq!(without_dirty(map.map(String::from).into()), wanted);
    }
}
