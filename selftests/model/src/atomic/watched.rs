// SPDX-License-Identifier: GPL-2.0

//! Entries of which a model checker watches a few.
//!
//! A walk over a table reads 512 entries, and so many points at which somebody else could go on
//! would drown those that matter. The first two and the last two entries of each table are watched, and
//! the words of dirty logs that have their frames;
//! the others are as atomic, but nothing happens between two accesses to them. Tests under a model
//! checker use the frames at tables' edges.

use super::{plain, AtomicU64, Ordering};

/// Number of entries of a table.
const ENTRIES: usize = 512;
/// Number of entries at each end of a table that are watched.
const EDGE: usize = 2;

/// The memory of a page-table entry, or a word of a dirty log.
pub enum Word {
    /// Each access is a choice for the checker, whose atomics are large: a table has few of them.
    Watched(Box<AtomicU64>),
    /// None is.
    Plain(plain::AtomicU64),
}

/// Memory for the entry at `index` of its table.
pub fn word(index: usize, raw: u64) -> Word {
    word_if(is_edge(index), raw)
}

/// Memory for the word of a dirty log whose bits stand for the frames from `first` on. It is watched if one
/// of their entries is.
pub fn log_word(first: u64, raw: u64) -> Word {
    let mut frames = first..first + u64::from(u64::BITS);
    word_if(frames.any(|frame| is_edge(frame as usize % ENTRIES)), raw)
}

fn is_edge(index: usize) -> bool {
    !(EDGE..ENTRIES - EDGE).contains(&index)
}

fn word_if(watched: bool, raw: u64) -> Word {
    match watched {
        true => Word::Watched(Box::new(AtomicU64::new(raw))),
        false => Word::Plain(plain::AtomicU64::new(raw)),
    }
}

macro_rules! forward {
    ($($(#[$attr:meta])* $name:ident($($arg:ident: $type:ty),*) -> $result:ty;)*) => {
        impl Word {$(
            $(#[$attr])*
            #[inline(always)]
            pub fn $name(&self, $($arg: $type),*) -> $result {
                match self {
                    Self::Watched(word) => word.$name($($arg),*),
                    Self::Plain(word) => word.$name($($arg),*),
                }
            }
        )*}
    };
}

forward! {
    /// As of an atomic.
    load(order: Ordering) -> u64;
    /// As of an atomic.
    store(raw: u64, order: Ordering) -> ();
    /// As of an atomic.
    swap(raw: u64, order: Ordering) -> u64;
    /// As of an atomic.
    fetch_and(mask: u64, order: Ordering) -> u64;
    /// As of an atomic.
    fetch_or(mask: u64, order: Ordering) -> u64;
    /// As of an atomic.
    compare_exchange(old: u64, new: u64, success: Ordering, failure: Ordering) -> Result<u64, u64>;
}
