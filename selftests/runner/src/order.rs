// SPDX-License-Identifier: GPL-2.0

//! In which order the kernel calls a function and lets a module go.

use anyhow::Result;
use kvmtest::probes::TRACING;
use kvmtest::sysfs;

const PROBE: &str = "kvm_rs/watched";
const EVENTS: [&str; 3] = [PROBE, "module/module_put", "module/module_free"];

/// Tracing that goes on until it is [ended](Watch::end) or dropped.
pub struct Watch {
    module: String,
}

impl Watch {
    /// Watches calls of `function` (`MODULE:NAME`), references to `module`, and its end.
    pub fn begin(function: &str, module: &str) -> Result<Self> {
        set("kprobe_events", &format!("p:{PROBE} {function}"))?;
        let watch = Self {
            module: module.to_string(),
        };
        set("trace", "")?;
        for event in EVENTS {
            set(&format!("events/{event}/enable"), "1")?;
        }
        set("tracing_on", "1")?;
        Ok(watch)
    }

    /// What happened, in order: `call`, `put` for a reference that was given back and was a VM's,
    /// `free` for the end of the module.
    pub fn end(self) -> Result<Vec<&'static str>> {
        set("tracing_on", "0")?;
        let trace = sysfs::read(&format!("{TRACING}/trace"))?;
        Ok(trace.lines().filter_map(|line| self.event(line)).collect())
    }

    fn event(&self, line: &str) -> Option<&'static str> {
        let (head, rest) = line.split_once(": ").filter(|_| !line.starts_with('#'))?;
        // The time stamp has a colon behind it too; the event's name comes next.
        let (name, rest) = rest.split_once(": ").unwrap_or((head, rest));
        let of_module = rest.split_whitespace().next() == Some(&self.module);
        match name.trim() {
            "watched" => Some("call"),
            "module_put" if of_module && rest.contains("call_site=kvm_") => Some("put"),
            "module_free" if of_module => Some("free"),
            _ => None,
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Whatever went wrong before, the next check must not trace.
        for event in EVENTS {
            let _ = set(&format!("events/{event}/enable"), "0");
        }
        let _ = set("kprobe_events", &format!("-:{PROBE}"));
    }
}

fn set(file: &str, value: &str) -> Result<()> {
    sysfs::write(&format!("{TRACING}/{file}"), value)
}
