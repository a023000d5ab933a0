// SPDX-License-Identifier: GPL-2.0

//! Holds, each from its begin to its end.
//!
//! Who holds a rwlock stays on its processor. So if events of a processor were lost, its holds alone are
//! forgotten.

use super::classes::{self, Taker};
use super::lines::{Caller, Event, Line, What};
use super::{Class, Mode, Row, Sum, Table, Unclassed};
use std::collections::{BTreeMap, HashMap, HashSet};

/// So many functions of [`Class::Other`] are named.
const NAMED: usize = 8;

/// A task, and the address of a lock.
type Key = (u32, u64);

/// All holds so far. Times are in ticks of the clock.
#[derive(Default)]
pub struct Pairs {
    open: HashMap<Key, Open>,
    /// What for each task has held each lock the last time.
    last: HashMap<Key, Class>,
    locks: HashSet<u64>,
    sums: BTreeMap<Class, [Sum; 2]>,
    other: HashMap<String, u64>,
    takers: HashMap<String, Taker>,
    lost: u64,
    incomplete: u64,
}

struct Open {
    cpu: u32,
    at: u64,
    mode: Mode,
    class: Class,
}

impl Pairs {
    /// Takes note of a line.
    pub fn hear(&mut self, line: &Line<'_>) {
        match line {
            Line::Event(event) => match event.what {
                What::Begin(mode, caller) => self.begin(event, mode, caller),
                What::End(mode) => self.end(event, mode),
            },
            Line::Lost(cpu, count) => self.forget(*cpu, *count),
            Line::Other => {}
        }
    }

    fn begin(&mut self, event: &Event<'_>, mode: Mode, caller: Caller<'_>) {
        let key = (event.pid, event.lock);
        let class = match self.taker(caller) {
            Taker::OfOther => return,
            Taker::For(class) => class,
            Taker::Again => match self.last.get(&key) {
                Some(class) => *class,
                // Others than KVM pause, too.
                None if !self.locks.contains(&event.lock) => return,
                None => Class::Other,
            },
        };
        if class == Class::Other {
            let name = classes::readable(caller.function);
            *self.other.entry(name).or_default() += 1;
        }
        self.locks.insert(event.lock);
        self.last.insert(key, class);
        let open = Open {
            cpu: event.cpu,
            at: event.at,
            mode,
            class,
        };
        let before = self.open.insert(key, open);
        self.incomplete += u64::from(before.is_some());
    }

    fn taker(&mut self, caller: Caller<'_>) -> Taker {
        if let Some(taker) = self.takers.get(caller.function) {
            return *taker;
        }
        let taker = classes::of(&caller);
        self.takers.insert(caller.function.into(), taker);
        taker
    }

    fn end(&mut self, event: &Event<'_>, mode: Mode) {
        if !self.locks.contains(&event.lock) {
            return;
        }
        let open = self.open.remove(&(event.pid, event.lock));
        let Some(open) = open.filter(|open| open.mode == mode && open.cpu == event.cpu) else {
            self.incomplete += 1;
            return;
        };
        let time = event.at.saturating_sub(open.at);
        let sum = &mut self.sums.entry(open.class).or_default()[mode as usize];
        sum.holds += 1;
        sum.total_ns += time;
        sum.longest_ns = sum.longest_ns.max(time);
    }

    fn forget(&mut self, cpu: u32, count: u64) {
        let before = self.open.len();
        self.open.retain(|_, open| open.cpu != cpu);
        self.incomplete += (before - self.open.len()) as u64;
        self.lost += count;
    }

    /// All that has ended, if `seconds` took so many `ticks`.
    pub fn table(&self, seconds: f64, ticks: u64) -> Table {
        let tick = seconds * 1e9 / ticks.max(1) as f64;
        let rows = self.sums.iter().map(|(class, sums)| Row {
            class: *class,
            read: sums[Mode::Read as usize].in_ns(tick),
            write: sums[Mode::Write as usize].in_ns(tick),
        });
        Table {
            seconds,
            classes: rows.collect(),
            other: self.other(),
            events_lost: self.lost,
            incomplete: self.incomplete,
        }
    }

    fn other(&self) -> Vec<Unclassed> {
        let mut all: Vec<_> = self.other.iter().collect();
        all.sort_by_key(|(name, holds)| (u64::MAX - **holds, *name));
        let named = all.into_iter().take(NAMED);
        let named = named.map(|(function, holds)| Unclassed {
            function: function.clone(),
            holds: *holds,
        });
        named.collect()
    }
}

impl Sum {
    /// From ticks of so many nanoseconds.
    fn in_ns(self, tick: f64) -> Self {
        let scale = |ticks: u64| (ticks as f64 * tick).round() as u64;
        Self {
            holds: self.holds,
            total_ns: scale(self.total_ns),
            longest_ns: scale(self.longest_ns),
        }
    }
}
