// SPDX-License-Identifier: GPL-2.0

//! What programs that do not end in time are doing: their threads, and KVM for them.

use crate::settings;
use crate::system;
use rustix::process::Pid;
use std::fs;
use std::thread::sleep;
use std::time::Duration;

/// KVM's counts that tell a guest that runs from one that faults again and again, or not at all.
const COUNTS: [&str; 6] = [
    "exits",
    "irq_exits",
    "pf_taken",
    "pf_fixed",
    "pf_spurious",
    "host_state_reload",
];
/// As long as KVM is watched.
const WATCHED: Duration = Duration::from_secs(1);
/// More threads than these say nothing new.
const THREADS: usize = 16;

/// A line for each thread, and one for KVM.
pub fn describe() -> Vec<String> {
    let before = COUNTS.map(count);
    sleep(WATCHED);
    let counted: Vec<String> = COUNTS
        .iter()
        .zip(before)
        .map(|(name, before)| format!("{name} {}", count(name).saturating_sub(before)))
        .collect();
    let kvm = format!("in a second KVM counted {}", counted.join(", "));
    let threads = system::user_processes().into_iter().flat_map(threads);
    threads.take(THREADS).chain([kvm]).collect()
}

fn count(name: &str) -> u64 {
    settings::read(&format!("/sys/kernel/debug/kvm/{name}"))
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

/// The threads of a process: state, processor, time that they had, and where they sleep.
fn threads(process: Pid) -> Vec<String> {
    let folder = format!("/proc/{}/task", process.as_raw_nonzero());
    let tasks = fs::read_dir(folder).into_iter().flatten().flatten();
    tasks
        .filter_map(|task| {
            let path = task.path().to_str()?.to_string();
            thread(
                &settings::read(&format!("{path}/stat")).ok()?,
                &settings::read(&format!("{path}/wchan")).unwrap_or_default(),
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
