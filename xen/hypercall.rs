// SPDX-License-Identifier: GPL-2.0

//! Which hypercalls KVM answers itself. Userspace answers all others.
//!
//! Only the guest's kernel is answered here: to know which call it is asks for [`Kernel`], which nobody else can
//! have. The few calls that Xen permits to the guest's programs are userspace's.
//!
//! What the call describes in memory is read by the answer ([`answer`](super::answer)).
//!
//! C counterpart: `kvm_xen_hypercall()`.

use crate::kvm::xen::Layout;

/// The numbers of hypercalls.
pub(crate) const SET_TIMER_OP: u64 = 15;
pub(crate) const XEN_VERSION: u64 = 17;
pub(crate) const VCPU_OP: u64 = 24;
pub(crate) const SCHED_OP: u64 = 29;
pub(crate) const EVENT_CHANNEL_OP: u64 = 32;

/// What they are to do.
pub(crate) const XENVER_VERSION: u64 = 0;
pub(crate) const EVTCHNOP_SEND: u64 = 4;
pub(crate) const SCHEDOP_YIELD: u32 = 0;
pub(crate) const SCHEDOP_POLL: u32 = 3;
pub(crate) const VCPUOP_SET_SINGLESHOT_TIMER: u32 = 8;
pub(crate) const VCPUOP_STOP_SINGLESHOT_TIMER: u32 = 9;

/// What the guest's registers say.
#[derive(Clone, Copy, Debug)]
pub struct Registers {
    /// The number of the call.
    pub input: u64,
    /// Its parameters. Those of a 32-bit caller have 32 bits.
    pub params: [u64; 6],
    /// Which registers they were in, and what structs in memory look like.
    pub layout: Layout,
    /// The privilege level of the caller.
    pub cpl: u8,
}

/// Why a call is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The guest must not ask for that.
    Invalid,
    /// It has no memory where it says.
    Fault,
}

/// Proof that the guest's kernel has called.
#[derive(Clone, Copy, Debug)]
pub struct Kernel(());

/// A call that KVM may answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Which version of Xen it is.
    Version,
    /// Send an event.
    Send(Described),
    /// Sleep until an event.
    Poll(Described),
    /// Let others have the CPU.
    Yield,
    /// Set the one-shot timer of a vCPU.
    SetSingleshot(XenVcpuId, Described),
    /// Stop it.
    StopSingleshot(XenVcpuId),
    /// Set the timer of the vCPU that calls to this time, or stop it if that is 0.
    SetTimer(u64),
}

/// The guest's virtual address of a struct that says the rest. There need not be anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Described(pub u64);

/// The number that Xen has for a vCPU, as the guest gives it. There need not be such a vCPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XenVcpuId(pub u32);

impl Registers {
    /// The token, if the guest's kernel has called.
    pub fn kernel(&self) -> Option<Kernel> {
        (self.cpl == 0).then_some(Kernel(()))
    }

    /// The call, if it is one of those that KVM may answer.
    ///
    /// Xen's commands are 32 bits wide, but for those that C compares with all of the register.
    pub fn call(&self, _kernel: Kernel) -> Option<Call> {
        let [first, second, third, ..] = self.params;
        Some(match self.input {
            XEN_VERSION if first == XENVER_VERSION => Call::Version,
            EVENT_CHANNEL_OP if first == EVTCHNOP_SEND => Call::Send(Described(second)),
            SCHED_OP => match first as u32 {
                SCHEDOP_POLL => Call::Poll(Described(second)),
                SCHEDOP_YIELD => Call::Yield,
                _ => return None,
            },
            VCPU_OP => {
                let vcpu = XenVcpuId(second as u32);
                match first as u32 {
                    VCPUOP_SET_SINGLESHOT_TIMER => Call::SetSingleshot(vcpu, Described(third)),
                    VCPUOP_STOP_SINGLESHOT_TIMER => Call::StopSingleshot(vcpu),
                    _ => return None,
                }
            }
            SET_TIMER_OP => Call::SetTimer(self.deadline()),
            _ => return None,
        })
    }

    /// A 32-bit caller has the halves in two registers.
    fn deadline(&self) -> u64 {
        match self.layout {
            Layout::Native => self.params[0],
            Layout::Compat => self.params[0] | self.params[1] << 32,
        }
    }
}
