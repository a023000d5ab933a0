// SPDX-License-Identifier: GPL-2.0

//! What is different between two maps of a VM.

use crate::map::{Map, Pages, Root, Run, Size, What};
use crate::why::Why;
use serde::Serialize;
use std::collections::BTreeMap;

/// What happened to a page, or to its bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// Smaller pages are there instead of a huge one.
    Lost,
    /// A huge page is there instead of smaller ones.
    Regained,
    /// Something is mapped where nothing was.
    Mapped,
    /// Nothing is mapped where something was.
    Unmapped,
    /// The guest can write no more without a fault.
    Protected,
    /// The guest can write again.
    Writable,
    /// It was written to.
    Dirtied,
    /// It is as if nobody had written to it.
    Cleaned,
    /// It was used.
    Accessed,
    /// It is as if nobody had used it.
    Aged,
    /// Anything else.
    Other,
}

/// Frames that changed in the same way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Changed {
    /// First guest frame.
    pub first_gfn: u64,
    /// Last guest frame.
    pub last_gfn: u64,
    /// What happened.
    pub changes: Vec<Change>,
    /// The sizes of the pages before and after.
    pub sizes: [Option<Size>; 2],
    /// Why a huge page came or went, if this was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<Why>,
}

/// What changed below a root.
#[derive(Debug, PartialEq, Serialize)]
pub struct RootChanges {
    /// The role of the root.
    pub role: u32,
    /// The address space.
    pub as_id: u8,
    /// The root was made or went.
    pub presence: Presence,
    /// Frames by what happened to them.
    pub frames: BTreeMap<Change, u64>,
    /// Which frames, in order.
    pub ranges: Vec<Changed>,
}

/// Whether a root was there both times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// It was.
    Stayed,
    /// Only later.
    New,
    /// Only earlier.
    Gone,
}

/// What changed from `before` to `after`; roots that did not change are left out.
pub fn between(before: &Map, after: &Map) -> Vec<RootChanges> {
    let mut roots = Vec::new();
    for root in &after.roots {
        match before.roots.iter().find(|old| old.role == root.role) {
            Some(old) => roots.push(of_root(old, root)),
            None => roots.push(presence(root, Presence::New)),
        }
    }
    let is_gone = |old: &&Root| after.roots.iter().all(|root| root.role != old.role);
    let gone = before.roots.iter().filter(is_gone);
    roots.extend(gone.map(|old| presence(old, Presence::Gone)));
    roots.retain(|root| root.presence != Presence::Stayed || !root.ranges.is_empty());
    roots
}

fn presence(root: &Root, presence: Presence) -> RootChanges {
    RootChanges {
        role: root.role,
        as_id: root.as_id,
        presence,
        frames: BTreeMap::new(),
        ranges: Vec::new(),
    }
}

fn of_root(old: &Root, new: &Root) -> RootChanges {
    let mut ranges: Vec<Changed> = Vec::new();
    for range in overlaps(&old.runs, &new.runs).filter_map(|(runs, first, last)| {
        let (changes, sizes) = compare(&runs[0].what, &runs[1].what)?;
        Some(Changed {
            first_gfn: first,
            last_gfn: last,
            changes,
            sizes,
            why: None,
        })
    }) {
        match ranges.last_mut() {
            Some(before) if before.continues_with(&range) => before.last_gfn = range.last_gfn,
            _ => ranges.push(range),
        }
    }
    let mut frames = BTreeMap::new();
    for range in &ranges {
        for change in &range.changes {
            *frames.entry(*change).or_default() += range.last_gfn - range.first_gfn + 1;
        }
    }
    RootChanges {
        role: new.role,
        as_id: new.as_id,
        presence: Presence::Stayed,
        frames,
        ranges,
    }
}

impl Changed {
    fn continues_with(&self, next: &Self) -> bool {
        self.last_gfn + 1 == next.first_gfn
            && self.changes == next.changes
            && self.sizes == next.sizes
    }
}

/// Frames that lie in one run before, and in one after.
fn overlaps<'a>(
    old: &'a [Run],
    new: &'a [Run],
) -> impl Iterator<Item = ([&'a Run; 2], u64, u64)> + 'a {
    let (mut left, mut right) = (old.iter().peekable(), new.iter().peekable());
    std::iter::from_fn(move || {
        let (a, b) = (*left.peek()?, *right.peek()?);
        let first = a.first_gfn.max(b.first_gfn);
        let last = a.last_gfn.min(b.last_gfn);
        left.next_if(|run| run.last_gfn == last);
        right.next_if(|run| run.last_gfn == last);
        Some(([a, b], first, last))
    })
}

type Comparison = (Vec<Change>, [Option<Size>; 2]);

/// None if nothing changed.
fn compare(old: &What, new: &What) -> Option<Comparison> {
    let sizes = [old, new].map(|what| pages(what).map(|pages| pages.entries.size));
    let changes = match (pages(old), pages(new)) {
        (Some(old), Some(new)) => of_pages(old, new),
        (Some(_), None) => vec![Change::Unmapped],
        (None, Some(_)) => vec![Change::Mapped],
        (None, None) if kind(old) == kind(new) => Vec::new(),
        (None, None) => vec![Change::Other],
    };
    (!changes.is_empty()).then_some((changes, sizes))
}

fn pages(what: &What) -> Option<&Pages> {
    match what {
        What::Leaf(pages) => Some(pages),
        _ => None,
    }
}

fn kind(what: &What) -> std::mem::Discriminant<What> {
    std::mem::discriminant(what)
}

fn of_pages(old: &Pages, new: &Pages) -> Vec<Change> {
    let (from, to) = (old.bits, new.bits);
    let sizes = (old.entries.size, new.entries.size);
    let possible = [
        (sizes.0 > sizes.1, Change::Lost),
        (sizes.0 < sizes.1, Change::Regained),
        (from.writable && !to.writable, Change::Protected),
        (!from.writable && to.writable, Change::Writable),
        (!from.dirty && to.dirty, Change::Dirtied),
        (from.dirty && !to.dirty, Change::Cleaned),
        (!from.accessed && to.accessed, Change::Accessed),
        (from.accessed && !to.accessed, Change::Aged),
    ];
    let happened = possible.iter().filter(|(happened, _)| *happened);
    let mut changes: Vec<Change> = happened.map(|(_, change)| *change).collect();
    if changes.is_empty() && from != to {
        changes.push(Change::Other);
    }
    changes
}
