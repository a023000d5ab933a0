// SPDX-License-Identifier: GPL-2.0

//! What can be seen of a VM from outside after a step.

/// Figures of the VM.
pub const VM_FIGURES: [&str; 5] = [
    "pages_4k",
    "pages_2m",
    "pages_1g",
    "nx_lpage_splits",
    "remote_tlb_flush_requests",
];
/// Figures of the vCPU. All exits together are not here: the host's interrupts are among them.
pub const VCPU_FIGURES: [&str; 11] = [
    "pf_taken",
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
    let mut runs: Vec<Run> = Vec::new();
    for line in map {
        let run = Run::of(&line);
        match runs.last_mut() {
            Some(last) if last.is_continued_by(&run) => {
                last.end = run.end;
                last.count += run.count;
            }
            _ => runs.push(run),
        }
    }
    runs.iter().map(Run::line).collect()
}

/// A line of the map: leaves that map alike, or anything else, which stays as it is.
struct Run {
    start: u64,
    end: u64,
    count: u64,
    size: String,
    kind: String,
}

impl Run {
    fn of(line: &str) -> Self {
        let words: Vec<&str> = line.split_whitespace().collect();
        Self::of_leaves(&words).unwrap_or(Self {
            start: 0,
            end: 0,
            count: 0,
            size: String::new(),
            kind: line.into(),
        })
    }

    fn of_leaves(words: &[&str]) -> Option<Self> {
        let [range, size, count, rights] = words else {
            return None;
        };
        let (start, end) = range.split_once('-')?;
        let frame = |text: &str| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok();
        Some(Self {
            start: frame(start)?,
            end: frame(end)?,
            count: count.parse().ok()?,
            size: (*size).into(),
            kind: rights.replace('D', "-"),
        })
    }

    fn is_continued_by(&self, next: &Self) -> bool {
        self.count != 0
            && next.start == self.end + 1
            && (&self.size, &self.kind) == (&next.size, &next.kind)
    }

    fn line(&self) -> String {
        let Self {
            start,
            end,
            count,
            size,
            kind,
        } = self;
        if *count == 0 {
            return kind.clone();
        }
        format!("{start:#x}-{end:#x} {size} {count} {kind}")
    }
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
