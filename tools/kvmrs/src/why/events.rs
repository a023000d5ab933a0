// SPDX-License-Identifier: GPL-2.0

//! Lines of the kernel's tracer, of the events that [`super::tracer`] switches on.

use anyhow::{ensure, Context, Result};

/// A line.
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    /// Something happened.
    Event(Event),
    /// At least so many events found no room.
    Lost(u64),
    /// Nothing that says why.
    Other,
}

/// Something that a task did.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The name of the task.
    pub task: String,
    /// Its number.
    pub pid: u32,
    /// What it did.
    pub what: What,
}

/// What a task did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum What {
    /// An entry of a table changed.
    Changed {
        /// Which one.
        place: Place,
        /// What it held.
        old: Entry,
        /// What it holds.
        new: Entry,
    },
    /// A vCPU faulted although something was mapped.
    Fault {
        /// Where.
        gfn: u64,
        /// How it tried to use the page.
        access: Access,
    },
    /// That fault is over: without `mmu_lock`, an entry permits the access.
    Fixed,
    /// A vCPU is about to map a huge page.
    Request {
        /// A frame in it.
        gfn: u64,
    },
    /// The host takes pages away.
    Unmap,
    /// Userspace makes memory private or shared.
    Attributes,
    /// All tables of a VM become obsolete.
    ZapAll,
}

/// An entry of a table, in an address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The address space.
    pub as_id: u8,
    /// The level of its table: 1 maps 4K.
    pub level: u8,
    /// The first frame.
    pub gfn: u64,
}

/// What an entry holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A huge page.
    Leaf,
    /// A link to a table.
    Table,
    /// Nothing that the guest can use.
    None,
}

/// How a guest used a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It read.
    Read,
    /// It wrote.
    Write,
    /// It executed.
    Execute,
}

impl Entry {
    /// KVM's own mark of an entry that is there, and the CPU's of one that links no table.
    const PRESENT: u64 = 1 << 11;
    const LEAF: u64 = 1 << 7;

    fn of(spte: u64) -> Self {
        match (spte & Self::PRESENT != 0, spte & Self::LEAF != 0) {
            (true, true) => Self::Leaf,
            (true, false) => Self::Table,
            (false, _) => Self::None,
        }
    }
}

impl Access {
    /// The CPU's bits of a fault.
    const WRITE: u64 = 1 << 1;
    const FETCH: u64 = 1 << 4;

    fn of(error_code: u64) -> Self {
        match error_code {
            code if code & Self::FETCH != 0 => Self::Execute,
            code if code & Self::WRITE != 0 => Self::Write,
            _ => Self::Read,
        }
    }
}

impl Line {
    /// Reads a line of `trace_pipe`.
    pub fn parse(line: &str) -> Result<Self> {
        let known = || format!("a line of the tracer: '{line}'");
        if let Some((_, rest)) = line.split_once(" [LOST ") {
            let count = match rest.split(' ').next() {
                // The kernel does not always know how many.
                Some("EVENTS]") => 1,
                count => count.unwrap_or_default().parse().with_context(known)?,
            };
            return Ok(Self::Lost(count));
        }
        // A task's name has no room for any of these.
        let split = |name: &&str| line.split_once(&format!(": {name}: "));
        let Some((name, (head, words))) = NAMES.iter().find_map(|name| Some((name, split(name)?)))
        else {
            return Ok(Self::Other);
        };
        let (task, pid) = who(head).with_context(known)?;
        let what = what(name, words).with_context(known)?;
        Ok(what.map_or(Self::Other, |what| Self::Event(Event { task, pid, what })))
    }
}

const NAMES: [&str; 7] = [
    "kvm_tdp_mmu_spte_changed",
    "kvm_page_fault",
    "fast_page_fault",
    "kvm_mmu_spte_requested",
    "kvm_unmap_hva_range",
    "kvm_vm_set_mem_attributes",
    "kvm_mmu_zap_all_fast",
];

/// Name, minus, number; behind it the processor in brackets, flags, and the time.
fn who(head: &str) -> Result<(String, u32)> {
    let (task, _) = head.rsplit_once('[').context("no processor")?;
    // The kernel can be told to add the task's process, in parentheses.
    let task = match task.trim().strip_suffix(')') {
        Some(task) => task.rsplit_once('(').context("no process")?.0,
        None => task,
    };
    let (name, pid) = task.trim().rsplit_once('-').context("no task")?;
    Ok((name.into(), pid.parse()?))
}

/// None for a fault that the fast path leaves to others.
fn what(name: &str, text: &str) -> Result<Option<What>> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let number = |name: &str| -> Result<u64> {
        let place = words.iter().position(|word| *word == name);
        let word = place.and_then(|place| words.get(place + 1));
        let word = word.with_context(|| format!("no {name}"))?;
        Ok(u64::from_str_radix(word.trim_start_matches("0x"), 16)?)
    };
    let level = || -> Result<u8> {
        let level = number("level")?;
        ensure!((1..=5).contains(&level), "no level");
        Ok(level as u8)
    };
    Ok(Some(match name {
        "kvm_tdp_mmu_spte_changed" => What::Changed {
            place: Place {
                as_id: number("id")?.try_into()?,
                level: level()?,
                gfn: number("gfn")?,
            },
            old: Entry::of(number("old_spte")?),
            new: Entry::of(number("new_spte")?),
        },
        "kvm_page_fault" => What::Fault {
            gfn: number("address")? >> 12,
            access: Access::of(number("error_code")?),
        },
        "fast_page_fault" if number("spurious")? + number("fixed")? == 0 => return Ok(None),
        "fast_page_fault" => What::Fixed,
        "kvm_mmu_spte_requested" => What::Request {
            gfn: number("gfn")?,
        },
        "kvm_unmap_hva_range" => What::Unmap,
        "kvm_vm_set_mem_attributes" => What::Attributes,
        _ => What::ZapAll,
    }))
}
