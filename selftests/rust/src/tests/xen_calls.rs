// SPDX-License-Identifier: GPL-2.0

//! Calls of a Xen guest's: the kernel answers some, but only those of the guest's kernel. All others are
//! userspace's, which gets what the guest gave.

use super::test;
use crate::harness::{Skip, Test};
use anyhow::{bail, ensure, Context, Result};
use kvmtest::probes::{Probes, Whose};
use kvmtest::vm::BASE;
use kvmtest::xen;
use kvmtest::xen_calls::{
    Answer, Call, CHANNEL, POLL, SCHED, SEND, SET_TIMER, STOP_TIMER, TIMER, VCPU, VERSION, YIELD,
};
use kvmtest::xen_guest::{XenGuest, DATA, END, INFO};
use kvmtest::xen_layout::Layout;
use kvmtest::xen_ports;

pub const TESTS: &[Test] = &[
    test("xen_calls_of_kernel", of_kernel),
    test("xen_calls_of_user", of_user),
    test("xen_calls_unknown", unknown),
    test("xen_calls_in_vain", in_vain),
];

/// What the kernel says of itself: Xen 4.17.
const XEN_VERSION: u32 = 0x4_0011;
const PORT: u32 = 5;
/// Where the guest has a port to send to, and where a time that is long over.
const SENT: u64 = BASE + DATA;
const TIME: u64 = SENT + 64;
/// So many calls have a place in the page.
const CALLS: u64 = 128;
/// The least privilege.
const USER: u8 = 3;
/// What KVM calls, and tells its tracer, when a guest has called.
const CALL: &str = "kvm:kvm_xen_hypercall";
const TRACED: &str = "kvm/kvm_xen_hypercall";

/// Calls that the kernel answers, once the VM is set up for that, and its answers.
fn known() -> [(Call, i32); 7] {
    [
        (VERSION, XEN_VERSION as i32),
        (Call::new(SCHED, &[YIELD]), 0),
        (Call::new(SCHED, &[POLL, BASE + END]), -libc::EFAULT),
        (Call::new(CHANNEL, &[SEND, SENT]), 0),
        (Call::new(VCPU, &[SET_TIMER, 0, TIME]), 0),
        (Call::new(VCPU, &[STOP_TIMER, 0]), 0),
        (Call::new(TIMER, &[0]), 0),
    ]
}

/// A guest of which the kernel answers these.
fn guest(backend: &str, layout: Layout) -> Result<XenGuest> {
    let guest = XenGuest::new(backend, layout)?;
    xen::set_version(&guest.vm, XEN_VERSION)?;
    xen_ports::assign(&guest.vm, PORT)?;
    xen::set_id(&guest.vcpu, 0)?;
    xen::set_timer(&guest.vcpu, PORT, 0)?;
    guest.memory.store(DATA, PORT);
    Ok(guest)
}

/// What KVM takes the guest for, and the width of the mode that it calls from, need not be the same.
fn in_all_widths(
    backend: &str,
    mut test: impl FnMut(&mut XenGuest, Layout) -> Result<()>,
) -> Result<()> {
    for layout in Layout::ALL {
        for width in Layout::ALL {
            test(&mut guest(backend, layout)?, width)
                .with_context(|| format!("{width:?} in {layout:?}"))?;
        }
    }
    Ok(())
}

/// The kernel answers its own.
fn of_kernel(backend: &str) -> Result<()> {
    in_all_widths(backend, |guest, width| {
        for (call, wanted) in known() {
            let answer = guest.caller.call(&mut guest.vcpu, width, 0, call)?;
            is_equal(call, answer, Answer::Kernel(wanted))?;
        }
        Ok(())
    })
}

/// None of them if a program of the guest's calls. The kernel's trace tells who called.
fn of_user(backend: &str) -> Result<()> {
    if !Probes::work_here() {
        bail!(Skip("the kernel has no tracer".into()));
    }
    let calls = Probes::new(&[CALL], Whose::Mine)?.and(TRACED)?;
    in_all_widths(backend, |guest, width| {
        let before = guest.memory.read();
        for (call, _) in known() {
            for privilege in [USER, USER - 1, 1] {
                let traced = calls.trace()?.lines().count();
                handed_on(guest, width, privilege, call)?;
                let trace = calls.trace()?;
                let told = format!("cpl {privilege} nr {:#x} ", call.number);
                ensure!(
                    trace.lines().skip(traced).any(|line| line.contains(&told)),
                    "the trace does not tell of {told:?}"
                );
            }
        }
        let after = guest.memory.read();
        ensure!(
            before[..INFO as usize] == after[..INFO as usize],
            "an event was sent"
        );
        Ok(())
    })
}

/// Nor others, of which the guest's kernel gives six parameters.
fn unknown(backend: &str) -> Result<()> {
    in_all_widths(backend, |guest, width| {
        for number in (0..CALLS).filter(|number| ![CHANNEL, SCHED, VCPU, TIMER].contains(number)) {
            handed_on(guest, width, 0, Call::new(number, &[1, 2, 3, 4, 5, 6]))?;
        }
        let elsewhere = Call::new(CHANNEL, &[SEND, SENT + 4]);
        let other = Call::new(SCHED, &[2]);
        [elsewhere, other]
            .into_iter()
            .try_for_each(|call| handed_on(guest, width, 0, call))
    })
}

/// Nor those during which userspace sends the guest elsewhere, but then nobody gets an answer.
fn in_vain(backend: &str) -> Result<()> {
    in_all_widths(backend, |guest, width| {
        let call = Call::new(1, &[]);
        guest.caller.call_in_vain(&mut guest.vcpu, width, call)?;
        handed_on(guest, width, 0, call)
    })
}

/// Userspace gets just what the guest gave, and the guest userspace's answer.
fn handed_on(guest: &mut XenGuest, width: Layout, privilege: u8, call: Call) -> Result<()> {
    let answer = guest.caller.call(&mut guest.vcpu, width, privilege, call)?;
    let privilege = privilege.into();
    let wanted = Answer::Userspace {
        call,
        privilege,
        width,
    };
    is_equal(call, answer, wanted)
}

fn is_equal(call: Call, answer: Answer, wanted: Answer) -> Result<()> {
    ensure!(
        answer == wanted,
        "{call:x?}: {answer:x?} instead of {wanted:x?}"
    );
    Ok(())
}
