// SPDX-License-Identifier: GPL-2.0

//! Memory fails: the host gives the page up, and tells those who use it with a SIGBUS.
//!
//! A vCPU that uses the page gets the signal with the host's address of it, each time. KVM_RUN goes on
//! when there is another page. A page that only may fail soon is replaced, and nobody is told.

use super::{alone_and_beside_other_slot, long, notifier::Advancing, test};
use crate::clock::{repeat, wait_for};
use crate::harness::Test;
use anyhow::{ensure, Context, Result};
use kvm_bindings::kvm_regs;
use kvmtest::guest::{self, Pattern, Program};
use kvmtest::idle::frames;
use kvmtest::memory::{Backing, Memory, MIB, PAGE_2M, PAGE_4K};
use kvmtest::vcpu::Vcpu;
use kvmtest::vm::{Slot, Vm, BASE};
use std::io::Error;
use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

pub const TESTS: &[Test] = &[
    test("memory_failure_4k", |backend| {
        fails(backend, MIB, Backing::Small)
    }),
    test("memory_failure_2m", |backend| {
        fails(backend, 2 * PAGE_2M, Backing::Huge)
    }),
    long("memory_failure_running", running),
    test("memory_failure_soft", soft),
];

/// Where memory fails in a test. What is lost is lost until the machine starts again.
const PAGES: [u64; 3] = [0, 77, 255];

/// Signals for the page at this address, and all others.
static WATCHED: AtomicU64 = AtomicU64::new(0);
static SIGNALS: AtomicU64 = AtomicU64::new(0);
static STRANGE: AtomicU64 = AtomicU64::new(0);

/// Counts signals for one page as long as it lives.
struct Signals(libc::sigaction);

impl Signals {
    /// For the page at `offset` of `memory`.
    fn of(memory: &Memory, offset: u64) -> Result<Self> {
        WATCHED.store(memory.address() + offset, SeqCst);
        SIGNALS.store(0, SeqCst);
        STRANGE.store(0, SeqCst);
        let handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) = on_signal;
        // SAFETY: all bytes 0 are no flags, no handler and no signals blocked.
        let mut action: libc::sigaction = unsafe { mem::zeroed() };
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_SIGINFO;
        let mut old = action;
        // SAFETY: the handler has the type that the flag says, and does what any handler may.
        let failed = unsafe { libc::sigaction(libc::SIGBUS, &action, &mut old) };
        ensure!(failed == 0, "sigaction: {}", Error::last_os_error());
        Ok(Self(old))
    }

    /// How many there were. Fails if one was for another page, or said something else.
    fn count(&self) -> Result<u64> {
        let strange = STRANGE.load(SeqCst);
        ensure!(strange == 0, "{strange} signals are not for the page");
        Ok(SIGNALS.load(SeqCst))
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // SAFETY: this is what was there before.
        unsafe { libc::sigaction(libc::SIGBUS, &self.0, ptr::null_mut()) };
    }
}

extern "C" fn on_signal(_: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel passes the description of a signal, and a SIGBUS has an address.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr() as u64) };
    // The page is needed now: AR is for "action required".
    let expected = code == libc::BUS_MCEERR_AR && address == WATCHED.load(SeqCst);
    let counter = if expected { &SIGNALS } else { &STRANGE };
    counter.fetch_add(1, SeqCst);
}

/// The page at `place` fails. This thread has it mapped, and so gets a signal as well.
fn fail(memory: &Memory, place: u64, signals: &Signals) -> Result<()> {
    memory.advise(place..place + PAGE_4K, libc::MADV_HWPOISON)?;
    let count = signals.count()?;
    ensure!(count >= 1, "no signal for the thread that was told");
    Ok(())
}

/// A page fails while the VM does not run. Its neighbours stay, and the VM lives on with another page.
fn fails(backend: &str, size: u64, backing: Backing) -> Result<()> {
    let memory = Memory::new(size, backing)?;
    let (vm, mut vcpu) = Vm::with(backend, &memory)?;
    let all = Slot::of(&memory).range();
    vcpu.fill(&all, 1)?;
    for place in PAGES.map(|page| page * PAGE_4K) {
        let page = BASE + place..BASE + place + PAGE_4K;
        let signals = Signals::of(&memory, place)?;
        fail(&memory, place, &signals)?;
        for part in [all.start..page.start, page.end..all.end] {
            if !part.is_empty() {
                vcpu.check(&part, 1)?;
            }
        }
        let use_it = guest::pass(Program::Increment, &page, PAGE_4K, Pattern::Same, 0);
        for _ in 0..3 {
            let before = signals.count()?;
            let ended = interrupted(&mut vcpu, &use_it)?;
            let got = signals.count()? - before;
            ensure!(ended && got == 1, "{got} signals, KVM_RUN ended: {ended}");
        }
        memory.discard(place..place + PAGE_4K)?;
        vcpu.fill(&page, 1)?;
    }
    vcpu.check(&all, 1)?;
    // The other vCPU of a VM finds the same.
    vm.vcpu(1)?.check(&all, 1)
}

/// Whether KVM_RUN ends as it does for a signal.
fn interrupted(vcpu: &mut Vcpu, regs: &kvm_regs) -> Result<bool> {
    vcpu.fd.set_regs(regs)?;
    match vcpu.fd.run() {
        Ok(_) => Ok(false),
        Err(error) if error.errno() == libc::EINTR => Ok(true),
        Err(error) => Err(error).context("KVM_RUN"),
    }
}

/// Pages fail while a guest copies words in them. It goes on as soon as there is another page.
fn running(backend: &str) -> Result<()> {
    let memory = Memory::new(MIB, Backing::Small)?;
    let (vm, mut vcpu) = Vm::with(backend, &memory)?;
    let range = Slot::of(&memory).range();
    let echo = guest::pass(Program::Echo, &range, PAGE_4K, Pattern::Same, 0);
    let take = |place: u64, token| {
        let signals = Signals::of(&memory, place)?;
        fail(&memory, place, &signals)?;
        wait_for("the vCPU gets a signal", || Ok(signals.count()? >= 2))?;
        memory.discard(place..place + PAGE_4K)?;
        memory.store(place, token);
        wait_for("the guest uses the new page", || {
            Ok(memory.load(place + 4) == token)
        })
    };
    let host = || {
        let mut places = PAGES.iter().zip(1..);
        places.try_for_each(|(page, token)| take(page * PAGE_4K, token))
    };
    let mut run = || vm.during(&mut [(&mut vcpu, echo)], host);
    alone_and_beside_other_slot(&vm, &mut run).map(drop)
}

/// Pages are replaced by others with the same content, while guests write to them.
fn soft(backend: &str) -> Result<()> {
    const PAGES: u32 = 8;
    let mut guests = Advancing::new(backend, MIB, Backing::Small, Pattern::Distinct)?;
    guests.during(&[0, 1], |memory| {
        let mut replaced = 0;
        repeat(0, PAGES, |number| {
            let place = u64::from(number) * 31 * PAGE_4K % memory.size();
            let page = place..place + PAGE_4K;
            let before = frames(memory, &page, PAGE_4K)?;
            // A page that somebody holds just now stays where it is.
            let done = memory.advise(page.clone(), libc::MADV_SOFT_OFFLINE);
            let moved = frames(memory, &page, PAGE_4K)? != before;
            ensure!(done.is_err() || moved, "the page is where it was");
            replaced += u32::from(moved);
            Ok(())
        })?;
        ensure!(replaced > 0, "no page was replaced");
        Ok(())
    })?;
    guests.finish()
}
