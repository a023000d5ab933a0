// SPDX-License-Identifier: GPL-2.0

//! Sends events to the guest, by the bitmaps of its 2-level event channels.
//!
//! Each step is one locked bit, and whoever sets a bit that was not set takes the next step:
//!
//! | bit | where | if it was set |
//! |---|---|---|
//! | the port is pending | `shared_info` | the guest, or another sender, takes the next step |
//! | (the port is masked) | `shared_info` | the guest looks itself when it takes the mask away; wakes who polls |
//! | a port of the word is pending | `vcpu_info` | the same as above |
//! | the upcall is pending | `vcpu_info` | |
//!
//! The guest goes the other way: it takes a bit away, and then looks at what the bit stands for. So an event
//! that comes after its look finds the bit gone, and sets it again.
//!
//! If `vcpu_info` cannot be had at once, the word is *owed*: its bit is kept in the kernel, and the vCPU's task
//! writes it before it enters the guest ([`settle`]).
//!
//! C counterpart: `kvm_xen_set_evtchn()`, `kvm_xen_set_evtchn_fast()` and `kvm_xen_inject_pending_events()`.

use super::poll;
use crate::{
    kvm::{
        gpc::{Gpc, GuestPage, Refused, Sleeper, PAGE_SIZE},
        xen::{Layout, Port, Target, Word, UPCALL_PENDING, VCPU_INFO},
        SlotsHeld, //
    },
    pfncache::refresh::refresh, //
};

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It is there, and the vCPU knows, or will soon.
    Raised,
    /// It was there already.
    Pending,
    /// It is there, and the guest does not want to know yet.
    Masked,
    /// The page of the bitmaps has to be made present first.
    Absent,
}

/// Sends an event by `port` to `target`. `shared` is for the VM's `shared_info`. Never waits, in whatever
/// context.
pub fn send(shared: &Gpc, slots: &SlotsHeld<'_>, target: &Target, port: Port) -> Sent {
    let sent = mark(shared, slots, port);
    match sent {
        Sent::Raised => raise(slots, target, port.word()),
        Sent::Masked => poll::wake(target, port),
        Sent::Pending | Sent::Absent => {}
    }
    sent
}

/// As [`send`], but makes the page of the bitmaps present. May sleep.
pub fn send_at_last(
    shared: &Gpc,
    slots: &mut SlotsHeld<'_>,
    target: &Target,
    port: Port,
) -> Result<Sent, Refused> {
    loop {
        match send(shared, slots, target, port) {
            Sent::Absent => refresh(shared, PAGE_SIZE, &mut Sleeper::new(slots)?)?,
            sent => return Ok(sent),
        }
    }
}

/// Sets the port's bit, and says who has to know.
fn mark(shared: &Gpc, slots: &SlotsHeld<'_>, port: Port) -> Sent {
    let Some(shared) = GuestPage::pin(shared, slots, PAGE_SIZE) else {
        return Sent::Absent;
    };
    if shared.test_and_set_bit(port.pending_bit()) != Some(false) {
        return Sent::Pending;
    }
    match shared.test_bit(port.mask_bit()) {
        Some(false) => Sent::Raised,
        _ => Sent::Masked,
    }
}

/// Tells `target` that a port of `word` is pending.
fn raise(slots: &SlotsHeld<'_>, target: &Target, word: Word) {
    let Some(info) = GuestPage::pin(target.vcpu_info(), slots, VCPU_INFO) else {
        if target.owe(word) {
            target.wake();
        }
        return;
    };
    let news = select(&info, word);
    drop(info);
    if news {
        match target.upcall_vector() {
            Some(vector) => target.interrupt(vector),
            None => target.wake(),
        }
    }
}

/// Sets the word's bit in `info`, and the flag for the upcall if it was not set. Returns whether it was not.
fn select(info: &GuestPage<'_>, word: Word) -> bool {
    let news = info.test_and_set_bit(word.selector_bit()) == Some(false);
    if news {
        info.write_u8(UPCALL_PENDING, 1);
    }
    news
}

/// What is owed to `target` is written before its task enters the guest. May sleep.
///
/// What cannot be written stays owed.
pub fn settle(target: &Target, slots: &mut SlotsHeld<'_>, layout: Layout) -> Result<(), Refused> {
    if target.owed() == 0 {
        return Ok(());
    }
    loop {
        if let Some(info) = GuestPage::pin(target.vcpu_info(), slots, VCPU_INFO) {
            pay(&info, target, layout);
            break;
        }
        refresh(target.vcpu_info(), VCPU_INFO, &mut Sleeper::new(slots)?)?;
    }
    if let Some(vector) = target.upcall_vector() {
        target.interrupt(vector);
    }
    Ok(())
}

/// Whether an upcall is pending. Yes if that cannot be found out now, as the task must not sleep: it looks
/// again when it may. No if there is no such page.
pub fn is_upcall_pending(target: &Target, slots: &mut SlotsHeld<'_>) -> bool {
    loop {
        if let Some(info) = GuestPage::pin(target.vcpu_info(), slots, VCPU_INFO) {
            return info.read_u8(UPCALL_PENDING) != Some(0);
        }
        if !target.may_sleep() {
            return true;
        }
        let found = Sleeper::new(slots)
            .and_then(|mut task| refresh(target.vcpu_info(), VCPU_INFO, &mut task));
        if found.is_err() {
            return false;
        }
    }
}

/// Writes what is owed to `target` to its `info`. Words that `layout` does not have are forgotten: the guest has
/// changed its width since, and with it the meaning of all bits.
pub fn pay(info: &GuestPage<'_>, target: &Target, layout: Layout) {
    let owed = target.owed();
    for word in Word::all_in(owed, layout) {
        info.test_and_set_bit(word.selector_bit());
    }
    // What is no longer owed has been selected.
    target.forget_owed(owed);
    info.write_u8(UPCALL_PENDING, 1);
    info.mark_dirty();
}
