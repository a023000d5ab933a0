// SPDX-License-Identifier: GPL-2.0

//! Why huge pages came and went, as far as KVM's tracepoints say it.
//!
//! - [`events`]: lines of the tracer
//! - [`tracer`]: where they come from
//! - [`tasks`]: for which VM a task works
//! - [`listen`]: all of them together

pub mod events;
pub mod listen;
pub mod tasks;
pub mod tracer;

use crate::changes::{Changed, RootChanges};
use crate::map::Size;
use events::{Access, Entry, Event, Place, What};
use serde::Serialize;
use std::collections::{HashMap, HashSet};
use std::mem::take;
use tasks::Whose;

/// Why a huge page came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Split without a fault, for the dirty log.
    SplitForLog,
    /// Split when the guest wrote, for the dirty log or for shadow page tables.
    SplitForWrite,
    /// Split when the guest executed, against the bug of CPUs with huge pages.
    SplitForNx,
    /// Split when the guest read.
    SplitForRead,
    /// The host took the page away.
    ZappedByHost,
    /// It became private or shared.
    ZappedForAttributes,
    /// With all others: memory slots changed, most often.
    ZappedWithAll,
    /// By KVM, and not for the host.
    ZappedByKvm,
    /// Put together when nobody needs it split.
    Recovered,
    /// Put together at a fault, after the recovery of pages that were split to execute.
    RecoveredFromNx,
    /// A fault found a huge page of the host's.
    Faulted,
    /// No event says it.
    Unknown,
}

/// A reason, and who did it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Why {
    /// The reason.
    pub reason: Reason,
    /// The name of the task.
    pub task: Option<String>,
    /// It was not done to another VM.
    pub certain: bool,
}

/// What a task is doing.
#[derive(Clone, Copy, PartialEq)]
enum Doing {
    /// A vCPU handles a fault.
    Fault(u64, Access),
    /// A vCPU maps a huge page.
    Request(u64),
    Unmap,
    Attributes,
    ZapAll,
}

/// What was heard between two looks.
#[derive(Default)]
struct Window {
    ended: HashMap<Place, Why>,
    begun: HashMap<Place, Why>,
    zapped_all: Option<Why>,
}

/// What was heard of late.
#[derive(Default)]
pub struct Reasons {
    tasks: HashMap<u32, Doing>,
    /// Where the recovery of NX huge pages has zapped a table, and nothing huge was mapped since then.
    recovered: HashSet<Place>,
    /// A change can be heard before it is seen: when a look is already past it.
    before: Window,
    now: Window,
}

/// As much of the name of KVM's task as fits.
const NX_RECOVERY: &str = "kvm-nx-lpage-re";

impl Reasons {
    /// Another look follows.
    pub fn next_look(&mut self) {
        self.before = take(&mut self.now);
    }

    /// Takes note of an event.
    pub fn hear(&mut self, event: &Event, whose: Whose) {
        if whose == Whose::Others {
            return;
        }
        let doing = match event.what {
            What::Changed { place, old, new } => {
                self.changed(event, whose, place, (old, new));
                return;
            }
            What::Fixed => {
                self.tasks.remove(&event.pid);
                return;
            }
            What::Fault { gfn, access } => Doing::Fault(gfn, access),
            What::Request { gfn } => Doing::Request(gfn),
            What::Unmap => Doing::Unmap,
            What::Attributes => Doing::Attributes,
            What::ZapAll => {
                let why = why(Reason::ZappedWithAll, event, whose);
                self.now.zapped_all = Some(why);
                Doing::ZapAll
            }
        };
        self.tasks.insert(event.pid, doing);
    }

    fn changed(&mut self, event: &Event, whose: Whose, place: Place, change: (Entry, Entry)) {
        let doing = self.tasks.get(&event.pid).copied();
        match change {
            (Entry::Leaf, Entry::Leaf) => {}
            (Entry::Leaf, new) => {
                let why = why(why_ended(doing, place, new), event, whose);
                self.now.ended.insert(place, why);
            }
            (old, Entry::Leaf) => {
                let why = why(self.why_begun(doing, place, old), event, whose);
                self.now.begun.insert(place, why);
            }
            (Entry::Table, Entry::None) if event.task.starts_with(NX_RECOVERY) => {
                self.recovered.insert(place);
            }
            _ => {}
        }
        // A fault changes what it is for, and then it is over.
        if doing.is_some_and(|doing| doing.is_at(place)) {
            self.tasks.remove(&event.pid);
        }
    }

    fn why_begun(&mut self, doing: Option<Doing>, place: Place, old: Entry) -> Reason {
        let is_recovered = self.recovered.remove(&place);
        let is_fault = doing.is_some_and(|doing| doing.is_at(place));
        match old {
            Entry::Table if !is_fault => Reason::Recovered,
            _ if is_recovered => Reason::RecoveredFromNx,
            _ => Reason::Faulted,
        }
    }

    /// Says of each range why huge pages came or went there.
    pub fn explain(&self, root: &mut RootChanges) {
        let as_id = root.as_id;
        let ranges = take(&mut root.ranges);
        let pieces = ranges
            .into_iter()
            .flat_map(|range| self.pieces(as_id, range));
        root.ranges = pieces.collect();
    }

    /// A range has one reason where it is cut.
    fn pieces(&self, as_id: u8, range: Changed) -> Vec<Changed> {
        let Some((size, ended)) = huge(&range) else {
            return vec![range];
        };
        let mut pieces: Vec<Changed> = Vec::new();
        let mut first_gfn = range.first_gfn;
        while first_gfn <= range.last_gfn {
            let gfn = first_gfn & !(size.frames() - 1);
            let level = size as u8 + 1;
            let place = Place { as_id, level, gfn };
            let last_gfn = range.last_gfn.min(gfn + size.frames() - 1);
            let why = Some(self.find(&place, ended));
            match pieces.last_mut() {
                Some(piece) if piece.why == why => piece.last_gfn = last_gfn,
                _ => pieces.push(Changed {
                    first_gfn,
                    last_gfn,
                    why,
                    ..range.clone()
                }),
            }
            first_gfn = last_gfn + 1;
        }
        pieces
    }

    fn find(&self, place: &Place, ended: bool) -> Why {
        let windows = [&self.now, &self.before];
        let found = windows.iter().find_map(|window| {
            let changes = if ended { &window.ended } else { &window.begun };
            changes.get(place)
        });
        let all = || windows.iter().find_map(|window| window.zapped_all.as_ref());
        let found = found.or_else(|| all().filter(|_| ended));
        found.cloned().unwrap_or(Why {
            reason: Reason::Unknown,
            task: None,
            certain: false,
        })
    }
}

/// The size of the huge page that ended or begun, and whether it ended. None if neither did.
fn huge(range: &Changed) -> Option<(Size, bool)> {
    let [old, new] = range.sizes;
    let size = old.max(new).filter(|size| *size > Size::Small)?;
    (old != new).then_some((size, old > new))
}

fn why(reason: Reason, event: &Event, whose: Whose) -> Why {
    Why {
        reason,
        task: Some(event.task.clone()),
        certain: whose == Whose::Mine,
    }
}

fn why_ended(doing: Option<Doing>, place: Place, new: Entry) -> Reason {
    let fault = doing.filter(|doing| doing.is_at(place));
    match (new, fault, doing) {
        (Entry::Table, Some(Doing::Fault(_, Access::Execute)), _) => Reason::SplitForNx,
        (Entry::Table, Some(Doing::Fault(_, Access::Write)), _) => Reason::SplitForWrite,
        (Entry::Table, Some(_), _) => Reason::SplitForRead,
        (Entry::Table, None, _) => Reason::SplitForLog,
        (_, _, Some(Doing::Unmap)) => Reason::ZappedByHost,
        (_, _, Some(Doing::Attributes)) => Reason::ZappedForAttributes,
        (_, _, Some(Doing::ZapAll)) => Reason::ZappedWithAll,
        _ => Reason::ZappedByKvm,
    }
}

impl Doing {
    /// A fault in that place.
    fn is_at(self, place: Place) -> bool {
        let frames = 1_u64 << (9 * (u32::from(place.level) - 1));
        match self {
            Self::Fault(gfn, _) | Self::Request(gfn) => gfn & !(frames - 1) == place.gfn,
            _ => false,
        }
    }
}

impl Reason {
    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            Self::SplitForLog => "split for the dirty log",
            Self::SplitForWrite => "split when the guest wrote to a logged page",
            Self::SplitForNx => "split when the guest executed (NX huge pages)",
            Self::SplitForRead => "split when the guest read",
            Self::ZappedByHost => "zapped by the host",
            Self::ZappedForAttributes => "zapped, to be private or shared",
            Self::ZappedWithAll => "zapped with all others",
            Self::ZappedByKvm => "zapped by KVM",
            Self::Recovered => "recovered",
            Self::RecoveredFromNx => "recovered (NX huge pages)",
            Self::Faulted => "mapped at a fault",
            Self::Unknown => "nobody knows why",
        }
    }
}
