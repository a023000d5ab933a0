// SPDX-License-Identifier: GPL-2.0

//! The small files of /proc and /sys, and settings that are put back.

use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

/// KVM's parameter that forces small pages for code.
pub const NX_HUGE_PAGES: &str = "/sys/module/kvm/parameters/nx_huge_pages";
/// KVM's parameter for how many of the split pages are recovered in a round: one part in so many.
pub const NX_RATIO: &str = "/sys/module/kvm/parameters/nx_huge_pages_recovery_ratio";
/// KVM's parameter for how many milliseconds there are between two rounds.
pub const NX_PERIOD: &str = "/sys/module/kvm/parameters/nx_huge_pages_recovery_period_ms";
/// KVM's parameter that has logs split huge pages at once.
pub const EAGER_SPLIT: &str = "/sys/module/kvm/parameters/eager_page_split";

/// Values with which the kernel merges equal pages, and moves pages to the node where they are used,
/// within seconds.
pub const MERGING_AND_MOVING: [(&str, &str); 6] = [
    ("/sys/kernel/mm/ksm/sleep_millisecs", "5"),
    ("/sys/kernel/mm/ksm/pages_to_scan", "500"),
    ("/sys/kernel/mm/ksm/run", "1"),
    ("/sys/kernel/debug/sched/numa_balancing/scan_delay_ms", "50"),
    (
        "/sys/kernel/debug/sched/numa_balancing/scan_period_min_ms",
        "50",
    ),
    ("/proc/sys/kernel/numa_balancing", "1"),
];

/// Values with which the kernel goes through all of a process's memory at once, as soon as a new thread of it has
/// run for a few ticks, to see which node uses it.
pub const HINTING: [(&str, &str); 3] = [
    ("/sys/kernel/debug/sched/numa_balancing/scan_delay_ms", "0"),
    (
        "/sys/kernel/debug/sched/numa_balancing/scan_size_mb",
        "4194304",
    ),
    ("/proc/sys/kernel/numa_balancing", "1"),
];

/// Whether the kernel has this file.
pub fn exists(path: &str) -> bool {
    Path::new(path).exists()
}

/// The content without surrounding white space.
pub fn read(path: &str) -> Result<String> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {path}"))?;
    Ok(text.trim().to_string())
}

/// The content as a number.
pub fn number(path: &str) -> Result<u64> {
    read(path)?
        .parse()
        .with_context(|| format!("{path} holds no number"))
}

/// A number from a file of lines `name value` or `name: value`, such as /proc/meminfo.
pub fn number_in(path: &str, name: &str) -> Result<u64> {
    number_of(&read(path)?, name).with_context(|| format!("{path} has no number '{name}'"))
}

/// The same from the text of such a file.
pub fn number_of(text: &str, name: &str) -> Option<u64> {
    text.lines()
        .filter_map(|line| line.trim_start().strip_prefix(name))
        .find_map(|rest| {
            let value = rest.strip_prefix([':', ' ', '\t'])?;
            value.split_whitespace().next()?.parse().ok()
        })
}

/// Writes `value`, and names the file when the kernel refuses.
pub fn write(path: &str, value: &str) -> Result<()> {
    fs::write(path, value).with_context(|| format!("writing '{value}' to {path}"))
}

/// The value itself, or that of a list in brackets: `always [madvise] never`, `full (lazy)`.
fn chosen(text: &str) -> &str {
    let mut words = text.split_whitespace();
    let marked = words.find_map(|word| word.strip_prefix(['[', '('])?.strip_suffix([']', ')']));
    marked.unwrap_or(text)
}

/// A setting that gets its old value back in the end.
#[must_use = "the old value is back when this is dropped"]
pub struct Setting {
    path: &'static str,
    old: String,
}

impl Setting {
    /// Writes `value` for as long as the object lives.
    pub fn new(path: &'static str, value: &str) -> Result<Self> {
        let old = chosen(&read(path)?).to_string();
        write(path, value)?;
        Ok(Self { path, old })
    }

    /// Does so with each of these (path, value).
    pub fn all(settings: &[(&'static str, &str)]) -> Result<Vec<Self>> {
        settings
            .iter()
            .map(|(path, value)| Self::new(path, value))
            .collect()
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        if let Err(error) = write(self.path, &self.old) {
            eprintln!("# {error:#}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{chosen, number_of};

    #[test]
    fn one_of_a_list_is_chosen() {
        assert_eq!(chosen("always [madvise] never"), "madvise");
        assert_eq!(chosen("full (lazy)"), "lazy");
        assert_eq!(chosen("0 10"), "0 10");
    }

    #[test]
    fn names_may_begin_alike() {
        let text = "thp_split_pmd_old 1\nthp_split_pmd 2\ndebug_locks2 7\n debug_locks:   3\nMemTotal: 4 kB";
        assert_eq!(number_of(text, "thp_split_pmd"), Some(2));
        assert_eq!(number_of(text, "debug_locks"), Some(3));
        assert_eq!(number_of(text, "MemTotal"), Some(4));
        assert_eq!(number_of(text, "Mem"), None);
    }
}
