// SPDX-License-Identifier: GPL-2.0

//! Tests of the parts, on text in KVM's formats, written by hand.

mod changes;
mod check;
mod figures;
mod grid;
mod holds;
mod map;
mod screen;
mod why;

use crate::map::Map;

/// A map with one root of so many frames; what the runs do not name is absent.
fn map_of(runs: &[(u64, u64, &str)], frames: u64) -> Map {
    let mut text =
        String::from("root role=0x1 level=4 as_id=0 guest_mode=0 ad_disabled=0 invalid=0 refs=1\n");
    let mut next = 0;
    let end = (frames, frames, "");
    for (first, after, what) in runs.iter().chain([&end]) {
        if next < *first {
            text += &format!("  {next:#x}-{:#x} absent\n", first - 1);
        }
        if first < after {
            text += &format!("  {first:#x}-{:#x} {what}\n", after - 1);
        }
        next = *after;
    }
    text.parse().expect("the text is in order")
}
