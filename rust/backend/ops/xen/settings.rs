// SPDX-License-Identifier: GPL-2.0

//! What userspace sets of vCPUs.

use crate::{
    kvm::{
        gpc::{Address, Gpc, Sleeper},
        xen::{RunState, Runner, TWO_LEVELS, VCPU_INFO},
        SlotsHeld, //
    },
    pfncache::{
        pvclock,
        refresh::{activate, deactivate}, //
    },
    xen::{
        claim::{Claim, Implausible},
        deadline::Setter,
        runstate,
        timer, //
    },
};
use kernel::{
    error::{from_result, Error},
    ffi::c_int,
    prelude::*, //
};
use kvm_bindings as bindings;

pub(super) type Attribute = bindings::kvm_xen_vcpu_attr;
pub(super) type Runstate = bindings::kvm_xen_vcpu_attr__bindgen_ty_1__bindgen_ty_1;
pub(super) type TimerSaid = bindings::kvm_xen_vcpu_attr__bindgen_ty_1__bindgen_ty_2;

impl From<Implausible> for Error {
    fn from(_: Implausible) -> Self {
        EINVAL
    }
}

/// Userspace sets something of a vCPU (`kvm_xen_vcpu_set_attr`).
///
/// # Safety
///
/// `vcpu` is a vCPU of a live VM whose `vcpu->mutex` the current task holds, and `data` can be read, and is changed by
/// nobody. May sleep.
pub(in crate::backend) unsafe extern "C" fn vcpu_set_attr(
    vcpu: *mut bindings::kvm_vcpu,
    data: *mut Attribute,
) -> c_int {
    // SAFETY: By the section above the VM is live, and the current task holds `vcpu->mutex`.
    let runner = unsafe { Runner::from_raw(vcpu) };
    // SAFETY: By the section above the attribute can be read, and does not change.
    let attribute = unsafe { &*data };
    let _lock = runner.vm().xen_lock();
    from_result(|| {
        runner
            .vm()
            .hold_slots(|slots| set(runner, slots, attribute))?;
        Ok(0)
    })
}

/// What userspace says. The type of the attribute tells which of it, so nothing is read before that is known.
struct Told<'a>(&'a bindings::kvm_xen_vcpu_attr__bindgen_ty_1);

impl Told<'_> {
    fn gpa(&self) -> u64 {
        // SAFETY: All parts of the union are numbers, for which any bits will do.
        unsafe { self.0.gpa }
    }

    fn hva(&self) -> u64 {
        // SAFETY: As above.
        unsafe { self.0.hva }
    }

    fn vector(&self) -> u8 {
        // SAFETY: As above.
        unsafe { self.0.vector }
    }

    fn id(&self) -> u32 {
        // SAFETY: As above.
        unsafe { self.0.vcpu_id }
    }

    fn times(&self) -> &Runstate {
        // SAFETY: As above.
        unsafe { &self.0.runstate }
    }

    fn timer(&self) -> &TimerSaid {
        // SAFETY: As above.
        unsafe { &self.0.timer }
    }
}

#[inline(always)]
fn set(runner: &Runner, slots: &mut SlotsHeld<'_>, attribute: &Attribute) -> Result {
    let told = Told(&attribute.u);
    match u32::from(attribute.type_) {
        kind if is_of_runstate(kind) => set_runstate(runner, slots, kind, &told),
        bindings::KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO => set_info(runner, slots, guest(told.gpa())),
        bindings::KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO_HVA => {
            set_info(runner, slots, host(told.hva())?)
        }
        bindings::KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO => {
            place(runner, slots, runner.time_info(), guest(told.gpa()), CLOCK)
        }
        bindings::KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID => set_id(runner, told.id()),
        bindings::KVM_XEN_VCPU_ATTR_TYPE_TIMER => set_timer(runner, slots, told.timer()),
        bindings::KVM_XEN_VCPU_ATTR_TYPE_UPCALL_VECTOR => set_vector(runner, told.vector()),
        _ => Err(ENOENT),
    }
}

/// Bytes of a vCPU's clock.
const CLOCK: usize = 4 * pvclock::WORDS;

/// Those types of attributes follow each other.
pub(super) fn is_of_runstate(kind: u32) -> bool {
    let first = bindings::KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR;
    (first..=bindings::KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADJUST).contains(&kind)
}

#[inline(always)]
fn set_runstate(runner: &Runner, slots: &mut SlotsHeld<'_>, kind: u32, told: &Told<'_>) -> Result {
    counts_delays()?;
    let times = told.times();
    match kind {
        bindings::KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR => {
            runstate::place(runner, slots, guest(told.gpa()))?
        }
        bindings::KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_CURRENT => {
            let state = RunState::new(times.state).ok_or(EINVAL)?;
            runstate::enter(runner, slots, state);
        }
        bindings::KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA => runstate::set(runner, &claim(times))?,
        _ => runstate::adjust(runner, slots, &claim(times))?,
    }
    Ok(())
}

fn set_id(runner: &Runner, id: u32) -> Result {
    if id >= bindings::KVM_MAX_VCPUS {
        return Err(EINVAL);
    }
    runner.set_xen_id(id);
    Ok(())
}

fn set_vector(runner: &Runner, vector: u8) -> Result {
    if vector != 0 && vector < FIRST_VECTOR {
        return Err(EINVAL);
    }
    runner.set_upcall_vector(vector);
    Ok(())
}

/// The first vector that interrupts can have.
pub(super) const FIRST_VECTOR: u8 = 0x10;

/// Only where the scheduler counts what tasks wait for are there run states.
pub(super) fn counts_delays() -> Result {
    match cfg!(CONFIG_SCHED_INFO) {
        true => Ok(()),
        false => Err(EOPNOTSUPP),
    }
}

/// An address of the guest's, or the number for none.
fn guest(gpa: u64) -> Option<Address> {
    (gpa != bindings::KVM_XEN_INVALID_GPA).then_some(Address::Guest(gpa))
}

/// An address of the task's own, where it has `len` bytes, or 0 for none.
pub(super) fn own_address(hva: u64, len: usize) -> Result<Option<Address>> {
    // SAFETY: No requirements.
    let own = unsafe { bindings::kvmrs_access_ok(hva as usize, len) };
    match hva {
        0 => Ok(None),
        _ if !own => Err(EINVAL),
        _ => Ok(Some(Address::Host(hva as usize))),
    }
}

fn host(hva: u64) -> Result<Option<Address>> {
    match hva % 4 {
        0 => own_address(hva, VCPU_INFO),
        _ => Err(ENXIO),
    }
}

fn set_info(runner: &Runner, slots: &mut SlotsHeld<'_>, address: Option<Address>) -> Result {
    if address.is_some_and(|address| address.offset() % 4 != 0) {
        return Err(ENXIO);
    }
    place(
        runner,
        slots,
        runner.target().vcpu_info(),
        address,
        VCPU_INFO,
    )
}

/// Puts the area of `cache`, which has a clock of `runner`'s, to `address`.
fn place(
    runner: &Runner,
    slots: &mut SlotsHeld<'_>,
    cache: &Gpc,
    address: Option<Address>,
    len: usize,
) -> Result {
    match address {
        None => deactivate(cache),
        Some(address) => {
            activate(cache, address, len, &mut Sleeper::new(slots)?)?;
            runner.renew_clock();
        }
    }
    Ok(())
}

fn set_timer(runner: &Runner, slots: &mut SlotsHeld<'_>, said: &TimerSaid) -> Result {
    if said.port != 0 && said.priority != TWO_LEVELS {
        return Err(EINVAL);
    }
    let timer = runner.target().timer();
    timer::stop(timer).set_port(said.port);
    if said.port != 0 && said.expires_ns != 0 {
        timer::set_to(runner, slots, said.expires_ns, Setter::Other);
    }
    Ok(())
}

fn claim(times: &Runstate) -> Claim {
    Claim {
        state: times.state,
        entry: times.state_entry_time,
        spent: [
            times.time_running,
            times.time_runnable,
            times.time_blocked,
            times.time_offline,
        ],
    }
}
