// SPDX-License-Identifier: GPL-2.0

//! Lines of the kernel's tracer, of the events of [`super::probes`].

use super::probes::EVENTS;
use super::Mode;
use anyhow::{Context, Result};

/// A line.
#[derive(Debug, PartialEq)]
pub enum Line<'a> {
    /// A lock was taken or dropped.
    Event(Event<'a>),
    /// On this processor, so many events found no room.
    Lost(u32, u64),
    /// Nothing of interest.
    Other,
}

/// A lock was taken or dropped.
#[derive(Debug, PartialEq)]
pub struct Event<'a> {
    /// By which task.
    pub pid: u32,
    /// On which processor.
    pub cpu: u32,
    /// When, in the ticks of the clock.
    pub at: u64,
    /// Its address.
    pub lock: u64,
    /// Which of both.
    pub what: What<'a>,
}

/// What was done to a lock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum What<'a> {
    /// It was taken.
    Begin(Mode, Caller<'a>),
    /// It is about to be dropped.
    End(Mode),
}

/// Who took a lock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Caller<'a> {
    /// The function.
    pub function: &'a str,
    /// Its module; none if it is in the kernel itself.
    pub module: Option<&'a str>,
}

impl<'a> Line<'a> {
    /// Reads a line of `trace_pipe`.
    pub fn parse(line: &'a str) -> Result<Self> {
        let known = || format!("a line of the tracer: '{line}'");
        // Lines of tasks begin with a space.
        if let Some(rest) = line.strip_prefix("CPU:") {
            return lost(rest).with_context(known);
        }
        // The last one, because a task may be called anything.
        let Some((head, words)) = line.rsplit_once(": (") else {
            return Ok(Self::Other);
        };
        let Some((head, name)) = head.rsplit_once(": ") else {
            return Ok(Self::Other);
        };
        match EVENTS.iter().find(|event| event.name == name) {
            Some(event) => read(head, words, event.begins, event.mode).with_context(known),
            None => Ok(Self::Other),
        }
    }
}

/// The kernel may not know how many.
fn lost<'a>(rest: &str) -> Result<Line<'a>> {
    let (cpu, rest) = rest.split_once(" [LOST ").context("nothing is lost")?;
    let count = rest.split(' ').next().unwrap_or_default();
    Ok(Line::Lost(cpu.parse()?, count.parse().unwrap_or(1)))
}

fn read<'a>(head: &str, words: &'a str, begins: bool, mode: Mode) -> Result<Line<'a>> {
    let (task, rest) = head.rsplit_once('[').context("no processor")?;
    // The kernel can be told to add the task's process, in parentheses.
    let task = match task.trim().strip_suffix(')') {
        Some(task) => task.rsplit_once('(').context("no process")?.0,
        None => task,
    };
    let (_, pid) = task.trim().rsplit_once('-').context("no task")?;
    let (cpu, rest) = rest.split_once(']').context("no processor")?;
    let at = rest.split(' ').next_back().context("no time")?;
    let (place, words) = words.split_once(')').context("no place")?;
    let lock = words
        .split(' ')
        .find_map(|word| word.strip_prefix("lock=0x"));
    let what = if begins {
        What::Begin(mode, caller(place)?)
    } else {
        What::End(mode)
    };
    Ok(Line::Event(Event {
        pid: pid.parse()?,
        cpu: cpu.parse()?,
        at: at.parse()?,
        lock: u64::from_str_radix(lock.context("no lock")?, 16)?,
        what,
    }))
}

/// Function, offset and size, module in brackets, arrow, the function that was called.
fn caller(place: &str) -> Result<Caller<'_>> {
    let (caller, _) = place.split_once(" <- ").context("no caller")?;
    let (symbol, module) = match caller.split_once(" [") {
        Some((symbol, module)) => (symbol, Some(module.trim_end_matches(']'))),
        None => (caller, None),
    };
    let function = symbol.split('+').next().unwrap_or(symbol);
    Ok(Caller { function, module })
}
