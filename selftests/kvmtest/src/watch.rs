// SPDX-License-Identifier: GPL-2.0

//! A guest that reads what the kernel keeps for its vCPUs, and hands it on to the host.
//!
//! The kernel changes a vCPU's clock and its states at any time. It marks a change while it goes on, so
//! that a guest can read both whole: by an odd version, and by the highest bit of a time.

use crate::guest::RFLAGS;
use crate::memory::{Backing, Memory, PAGE_4K};
use crate::vm::{Slot, Vm};
use anyhow::{ensure, Result};
use core::arch::global_asm;
use kvm_bindings::kvm_regs;

/// Where the guest's program is, and behind it what it has read.
const WATCH: u64 = 0x1_0000;
const WATCH_SLOT: u32 = 5;
/// From what one vCPU has read to what the next has.
const STRIDE: u64 = 128;
/// Where in there the states are, behind the clock and the time stamp.
const STATES: u64 = 40;

global_asm!(
    r#"
    .pushsection .rodata.watch, "a"
    .code32

    // Copies the clock at esi to edi, a time stamp behind it, and the states at ebx behind that. States are the
    // same before and after an update if no time has passed: so the copy must not have the mark of one either.
    .globl kvmrs_watch
kvmrs_watch:
1:  mov (%esi), %ecx
    test $1, %ecx
    jnz 1b
    mov %ecx, (%edi)
    .irp word, 8, 12, 16, 20, 24, 28
    mov \word(%esi), %eax
    mov %eax, \word(%edi)
    .endr
    rdtsc
    mov %eax, 32(%edi)
    mov %edx, 36(%edi)
    cmp %ecx, (%esi)
    jne 1b
2:  mov 8(%ebx), %ecx
    test %ecx, %ecx
    js 2b
    mov 4(%ebx), %edx
    .irp word, 0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40
    mov \word(%ebx), %eax
    mov %eax, (40 + \word)(%edi)
    .endr
    cmp %ecx, 8(%ebx)
    jne 2b
    cmp %ecx, (40 + 8)(%edi)
    jne 2b
    cmp %edx, 4(%ebx)
    jne 2b
    out %eax, $17
    hlt

    .globl kvmrs_watch_end
kvmrs_watch_end:
    .code64
    .popsection
    "#,
    options(att_syntax)
);

extern "C" {
    static kvmrs_watch: u8;
    static kvmrs_watch_end: u8;
}

/// What a guest has read of a vCPU's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Clock {
    /// Grows by two with each change.
    pub version: u32,
    /// The processor's time stamp when the clock was at `time`.
    pub stamp: u64,
    /// Nanoseconds.
    pub time: u64,
    /// Nanoseconds of a stamp, times 2^32, after `shift`.
    pub scale: u32,
    /// By how many bits stamps are moved to the left.
    pub shift: i8,
    /// Among others [`STOPPED`].
    pub flags: u8,
    /// The time stamp when the guest read this.
    pub now: u64,
}

/// Userspace has said that the guest stood still.
pub const STOPPED: u8 = 2;

impl Clock {
    /// What the clock said when the guest read it.
    pub fn read(&self) -> u64 {
        let passed = self.now.wrapping_sub(self.stamp);
        let passed = match self.shift {
            shift @ 0.. => passed << shift,
            shift => passed >> shift.unsigned_abs(),
        };
        let nanoseconds = (u128::from(passed) * u128::from(self.scale)) >> 32;
        self.time.wrapping_add(nanoseconds as u64)
    }
}

/// What a guest has read of a vCPU's states: in nanoseconds, how long it was in each.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct States {
    /// The time up to which the others are.
    pub until: u64,
    /// Running, runnable, blocked, offline.
    pub times: [u64; 4],
}

impl States {
    /// By how much the times together are more than `until`.
    pub fn excess(&self) -> i64 {
        let sum: u64 = self.times.iter().sum();
        sum.wrapping_sub(self.until) as i64
    }
}

/// By how much the times of a vCPU's states are more than they should be. This grows when KVM is interrupted
/// while it counts (docs/upstream/09-runstate-twice.md), but only if it does in KVM's own states.
#[derive(Clone, Copy, Default)]
pub struct Excess(i64);

impl Excess {
    /// The times are of one moment. Whether KVM has counted right since the last ones: if not, the
    /// moment may be an earlier one. `kvms` is the excess of KVM's own.
    pub fn is_as_before(
        &mut self,
        states: &States,
        kvms: impl FnOnce() -> Result<i64>,
    ) -> Result<bool> {
        let excess = states.excess();
        let right = excess == self.0;
        ensure!(
            right || kvms()? != self.0,
            "{states:?} are of different moments"
        );
        self.0 = excess;
        Ok(right)
    }
}

/// The guest's program, and what its vCPUs have read.
pub struct Watch(Memory);

impl Watch {
    /// Puts the program into `vm`.
    pub fn new(vm: &Vm) -> Result<Self> {
        let memory = Memory::new(2 * PAGE_4K, Backing::Small)?;
        memory.write(0, code());
        let slot = Slot {
            id: WATCH_SLOT,
            gpa: WATCH,
            ..Slot::of(&memory)
        };
        vm.set(&slot, 0)?;
        Ok(Self(memory))
    }

    /// Registers for vCPU `index`, to read a clock and states.
    pub fn regs(index: u64, clock: u64, states: u64) -> kvm_regs {
        kvm_regs {
            rip: WATCH,
            rflags: RFLAGS,
            rsi: clock,
            rbx: states,
            rdi: WATCH + PAGE_4K + index * STRIDE,
            ..Default::default()
        }
    }

    /// What vCPU `index` has read.
    pub fn seen(&self, index: u64) -> (Clock, States) {
        let start = PAGE_4K + index * STRIDE;
        let word = |offset| self.0.load(start + offset);
        let long = |offset| u64::from(word(offset)) | u64::from(word(offset + 4)) << 32;
        let [shift, flags, ..] = word(28).to_le_bytes();
        let clock = Clock {
            version: word(0),
            stamp: long(8),
            time: long(16),
            scale: word(24),
            shift: shift as i8,
            flags,
            now: long(32),
        };
        let states = States {
            until: long(STATES + 4),
            times: [0, 1, 2, 3].map(|number| long(STATES + 12 + 8 * number)),
        };
        (clock, states)
    }
}

fn code() -> &'static [u8] {
    let (start, end) = (&raw const kvmrs_watch, &raw const kvmrs_watch_end);
    // SAFETY: both are labels in the one block of constants above, `start` the earlier.
    unsafe { core::slice::from_raw_parts(start, end.offset_from(start) as usize) }
}

#[cfg(test)]
mod tests {
    use super::{Clock, Excess, States};

    #[test]
    fn a_clock_goes_on_from_its_last_change() {
        let mut clock = Clock {
            stamp: 1000,
            time: 70,
            scale: 1 << 31,
            now: 1010,
            ..Default::default()
        };
        assert_eq!(clock.read(), 75);
        clock.shift = 1;
        assert_eq!(clock.read(), 80);
        clock.shift = -1;
        assert_eq!(clock.read(), 72);
    }

    #[test]
    fn times_may_be_too_long_only_where_kvms_own_are() {
        let states = |until| States {
            until,
            times: [10, 20, 0, 5],
        };
        let mut last = Excess::default();
        let whole = last.is_as_before(&states(35), || panic!("there is nothing to ask"));
        assert!(whole.expect("they add up"));
        assert!(last.is_as_before(&states(30), || Ok(0)).is_err());
        assert!(last.is_as_before(&states(40), || Ok(0)).is_err());
        assert!(!last
            .is_as_before(&states(30), || Ok(5))
            .expect("KVM has counted 5 twice"));
        assert!(last
            .is_as_before(&states(30), || Ok(5))
            .expect("they are as before"));
        assert!(last.is_as_before(&states(35), || Ok(5)).is_err());
    }
}
