// SPDX-License-Identifier: GPL-2.0

//! What programs that do not end in time are doing: their threads, and KVM for them.

use crate::system;
use kvmtest::probes::TRACING;
use kvmtest::{debugfs, sysfs};
use rustix::process::Pid;
use std::collections::BTreeMap;
use std::fs;
use std::thread::sleep;
use std::time::Duration;

/// As long as KVM is watched.
const WATCHED: Duration = Duration::from_secs(1);
/// More threads than these say nothing new.
const THREADS: usize = 16;
/// As much of KVM's trace tells what a vCPU does again and again.
const TRACED: usize = 32;

/// A line for each thread, one for KVM, and the end of its trace.
pub fn describe() -> Vec<String> {
    let mut counted = String::new();
    let trace = traced(|| counted = counted_in(WATCHED));
    let threads = system::user_processes().into_iter().flat_map(threads);
    threads
        .take(THREADS)
        .chain([counted])
        .chain(trace)
        .collect()
}

/// What KVM counts in some time.
fn counted_in(time: Duration) -> String {
    let before = counts();
    sleep(time);
    let more: Vec<String> = counts()
        .into_iter()
        .map(|(name, now)| (now - before.get(&name).unwrap_or(&0), name))
        .filter(|(more, _)| *more != 0)
        .map(|(more, name)| format!("{name} {more}"))
        .collect();
    format!("in {time:?} KVM counted {}", more.join(", "))
}

/// All that KVM counts, of all VMs together.
fn counts() -> BTreeMap<String, i64> {
    let mut counts = BTreeMap::new();
    for entry in fs::read_dir(debugfs::ROOT).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let read = |path: &str| sysfs::read(path).unwrap_or_default();
        let own = format!("{name} {}", read(&debugfs::file(&name)));
        let of_vm = read(&debugfs::file(&format!("{name}/mmu_stats")));
        // The longest wait of all VMs is no sum.
        let sums = of_vm
            .lines()
            .filter(|line| !line.starts_with("mmu_lock_wait_max_ns"));
        for (name, value) in own.lines().chain(sums).filter_map(count) {
            *counts.entry(name).or_default() += value;
        }
    }
    counts
}

fn count(line: &str) -> Option<(String, i64)> {
    let (name, value) = line.split_once(' ')?;
    Some((name.into(), value.parse().ok()?))
}

/// The end of what KVM's tracepoints said during `watch`.
fn traced(watch: impl FnOnce()) -> Vec<String> {
    let switch = |file, value| sysfs::write(&format!("{TRACING}/{file}"), value);
    let begun = switch("events/kvm/enable", "1").and_then(|()| switch("tracing_on", "1"));
    watch();
    // Recording ends first: the tracepoints themselves take seconds to go, one by one.
    let ended = switch("tracing_on", "0").and_then(|()| switch("events/kvm/enable", "0"));
    if let Err(error) = begun.and(ended) {
        return vec![format!("no trace: {error:#}")];
    }
    let text = sysfs::read(&format!("{TRACING}/trace")).unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let end = &lines[lines.len().saturating_sub(TRACED)..];
    end.iter().map(|line| line.trim().to_owned()).collect()
}

/// The threads of a process: state, processor, time that they had, and where they sleep.
fn threads(process: Pid) -> Vec<String> {
    let folder = format!("/proc/{}/task", process.as_raw_nonzero());
    let tasks = fs::read_dir(folder).into_iter().flatten().flatten();
    tasks
        .filter_map(|task| {
            let path = task.path().to_str()?.to_string();
            thread(
                &sysfs::read(&format!("{path}/stat")).ok()?,
                &sysfs::read(&format!("{path}/wchan")).unwrap_or_default(),
            )
        })
        .collect()
}

/// From a line of /proc/PID/task/TID/stat; after the name, which may hold anything, fields are
/// numbered from 3.
fn thread(stat: &str, wchan: &str) -> Option<String> {
    let (name, rest) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let field = |number: usize| fields.get(number - 3).copied();
    let (state, user, system, processor) = (field(3)?, field(14)?, field(15)?, field(39)?);
    Some(format!(
        "thread {name}): {state}, processor {processor}, ticks {user} in user mode and {system} in the kernel, {wchan}"
    ))
}

#[cfg(test)]
mod tests {
    use super::thread;

    #[test]
    fn a_name_may_hold_anything() {
        let numbers: Vec<String> = (4..=44).map(|field| field.to_string()).collect();
        let stat = format!("7 (a) b (c) R {}", numbers.join(" "));
        let line = thread(&stat, "0").expect("a thread");
        assert_eq!(
            line,
            "thread 7 (a) b (c): R, processor 39, ticks 14 in user mode and 15 in the kernel, 0"
        );
    }
}
