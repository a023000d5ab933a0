// SPDX-License-Identifier: GPL-2.0

//! What a sequence count protects is copied: no reference to it survives the reading.

use kvmrs_model::{atomic::AtomicU32, sync::seqcount::SeqCounted};
use std::cell::Cell;

fn reference_kept<'a>(counted: &SeqCounted<'a, AtomicU32>, kept: &Cell<Option<&'a AtomicU32>>) {
    counted.read(|data| kept.set(Some(data))); //~ E0521
}

fn main() {}
