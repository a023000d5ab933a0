// SPDX-License-Identifier: GPL-2.0

//! The guest's copy of a vCPU's run state, and how it is written.
//!
//! The guest reads it at any time, also that of another vCPU. If it has asked for that, it is told when a copy
//! is being written, by the highest bit of the entry time:
//!
//! | step | writer | reader |
//! |---|---|---|
//! | 1 | sets the bit, in its byte | reads the entry time; begins anew if the bit is set |
//! | 2 | writes all, with the bit set | reads the rest |
//! | 3 | clears the bit, in its byte | reads the entry time again; begins anew if it is another one |
//!
//! Each step comes before the next one. The bit is written by its byte alone, since the entry time has no
//! alignment: it may lie across two pages.
//!
//! So may the area. Where it lies makes no difference but for where bytes are copied to: all of it is built in
//! a buffer of zeroes first, and what has no name in the struct stays zero.

use crate::{
    kvm::{
        gpc::{Address, Gpc, GuestPage},
        xen::{Layout, Times, COMPAT, NATIVE, RUNSTATE_STATE},
        SlotsHeld, //
    },
    sync::{smp_mb, Write}, //
};

/// Bytes of the larger one of the two layouts.
const SIZE: usize = NATIVE.runstate;
/// The bit that says that an area is being written, in its byte.
pub const UPDATE: u8 = 0x80;
/// How far the times are behind the entry time.
pub const TIMES_BEHIND_ENTRY: usize = 8;

/// What 32-bit guests have no room for: the bytes that align the entry time.
const SKIPPED: usize = NATIVE.entry_time - COMPAT.entry_time;
const _: () =
    assert!(SKIPPED == 4 && NATIVE.runstate - COMPAT.runstate == SKIPPED && RUNSTATE_STATE == 0);
/// The last byte of the entry time, which the times follow.
const UPDATE_AT: usize = NATIVE.entry_time + TIMES_BEHIND_ENTRY - 1;

/// What an area will be.
///
/// All sizes and places in it are known when this is compiled: it is built each time that a vCPU loses its CPU.
struct Image {
    /// In the layout of 64-bit guests. 32-bit guests have all but the first bytes, where the state is further on.
    bytes: [u8; SIZE],
}

impl Image {
    /// What `times` look like in `layout`.
    #[inline(always)]
    fn new(layout: Layout, times: &Times) -> Self {
        let state = times.state as u64;
        let [running, runnable, blocked, offline] = times.spent;
        let state = state << (8 * skipped(layout));
        let words = [state, times.entry, running, runnable, blocked, offline];
        let mut bytes = [0; SIZE];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        Self { bytes }
    }
}

/// How many bytes of an image are not for guests of `layout`.
#[inline(always)]
fn skipped(layout: Layout) -> usize {
    match layout {
        Layout::Compat => SKIPPED,
        Layout::Native => 0,
    }
}

/// The memory of an area, pinned.
///
/// # Invariants
///
/// What is pinned of both pages is as long as the area in `layout`.
pub struct Area<'a> {
    layout: Layout,
    /// The second page, if the area goes on there. It is dropped first: C's users end the later pin first.
    second: Option<GuestPage<'a>>,
    first: GuestPage<'a>,
}

/// Which page of an area cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The one that it begins in.
    First,
    /// The other one, from this address on, for so many bytes.
    Second(Address, usize),
}

impl<'a> Area<'a> {
    /// Pins the area of `layout` at the address that `first` is for. Never waits, in whatever context.
    ///
    /// `second` is for what follows in the next page, if anything does. It is not taken if it is for another
    /// address. C sees to it that it is not, which is not relied on here.
    #[inline(always)]
    pub fn pin(
        first: &'a Gpc,
        second: &'a Gpc,
        slots: &'a SlotsHeld<'_>,
        layout: Layout,
    ) -> Result<Self, Missing> {
        let size = layout.places().runstate;
        let first = GuestPage::pin_rest(first, slots).ok_or(Missing::First)?;
        let second = match size.saturating_sub(first.pinned()) {
            0 => None,
            left => {
                let next = first.address().after(first.pinned());
                let page = GuestPage::pin(second, slots, left);
                let page = page.filter(|page| page.address() == next);
                Some(page.ok_or(Missing::Second(next, left))?)
            }
        };
        // INVARIANT: What is not in the first page is in the second one.
        Ok(Self {
            layout,
            second,
            first,
        })
    }

    /// Writes `times`. With `announce`, the guest is told so meanwhile.
    ///
    /// `None` would mean that the area is too small, which by the type's invariant it is not.
    #[inline(always)]
    pub fn write(&self, times: &Times, announce: bool) -> Option<()> {
        let mut image = Image::new(self.layout, times);
        if announce {
            image.bytes[UPDATE_AT] |= UPDATE;
            self.write_update(image.bytes[UPDATE_AT])?;
            smp_mb(Write);
        }
        self.write_all(&image)?;
        if announce {
            smp_mb(Write);
            self.write_update(image.bytes[UPDATE_AT] & !UPDATE)?;
        }
        self.mark_dirty();
        Some(())
    }

    /// Writes the byte that has the update bit.
    #[inline(always)]
    fn write_update(&self, byte: u8) -> Option<()> {
        let at = UPDATE_AT - skipped(self.layout);
        match &self.second {
            Some(second) if at >= self.first.pinned() => {
                second.write_u8(at - self.first.pinned(), byte)
            }
            _ => self.first.write_u8(at, byte),
        }
    }

    #[inline(always)]
    fn write_all(&self, image: &Image) -> Option<()> {
        match (&self.second, self.layout) {
            (Some(second), layout) => self.write_both(second, &image.bytes[skipped(layout)..]),
            (None, Layout::Native) => self.first.write_bytes(0, &image.bytes),
            (None, Layout::Compat) => self.first.write_bytes(0, &image.bytes[SKIPPED..]),
        }
    }

    /// Here, no length is known when this is compiled.
    #[inline(always)]
    fn write_both(&self, second: &GuestPage<'_>, bytes: &[u8]) -> Option<()> {
        let (here, there) = bytes.split_at(bytes.len().min(self.first.pinned()));
        self.first.write_bytes(0, here)?;
        second.write_bytes(0, there)
    }

    #[inline(always)]
    fn mark_dirty(&self) {
        self.first.mark_dirty();
        if let Some(second) = &self.second {
            second.mark_dirty();
        }
    }
}
