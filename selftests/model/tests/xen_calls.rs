// SPDX-License-Identifier: GPL-2.0

//! What a Xen guest calls, and when its timers are due.

mod common;

use common::config;
use kvmrs_model::{
    kvm::xen::Layout,
    xen::{
        deadline::{Clock, Deadline, Setter},
        hypercall::{Call, Described, Registers, XenVcpuId},
    },
};
use proptest::prelude::*;

fn registers(layout: Layout, input: u64, params: [u64; 3]) -> Registers {
    let [first, second, third] = params;
    Registers {
        input,
        params: [first, second, third, 0, 0, 0],
        layout,
        cpl: 0,
    }
}

fn call(input: u64, params: [u64; 3]) -> Option<Call> {
    let registers = registers(Layout::Native, input, params);
    registers.call(registers.kernel().expect("it is the kernel"))
}

#[test]
fn each_call_is_known_by_its_numbers() {
    for (input, params, expected) in [
        (17, [0, 5, 6], Call::Version),
        (32, [4, 5, 6], Call::Send(Described(5))),
        (29, [3, 5, 6], Call::Poll(Described(5))),
        (29, [0, 5, 6], Call::Yield),
        (
            24,
            [8, 5, 6],
            Call::SetSingleshot(XenVcpuId(5), Described(6)),
        ),
        (24, [9, 5, 6], Call::StopSingleshot(XenVcpuId(5))),
        (15, [7, 5, 6], Call::SetTimer(7)),
    ] {
        assert_eq!(call(input, params), Some(expected));
    }
}

#[test]
fn all_other_calls_are_userspaces() {
    let known = [(17, 0), (32, 4), (29, 3), (29, 0), (24, 8), (24, 9)];
    for input in (0..64).filter(|input| *input != 15) {
        for command in (0..64).filter(|command| !known.contains(&(input, *command))) {
            assert_eq!(call(input, [command, 5, 6]), None);
        }
    }
    assert_eq!(call(29 | 1 << 32, [0; 3]), None);
}

/// C has such commands in an `int`, and compares others with the register.
#[test]
fn some_commands_are_32_bits_wide() {
    let wide = 1 << 32;
    assert_eq!(call(29, [wide, 0, 0]), Some(Call::Yield));
    assert_eq!(
        call(24, [wide | 9, wide | 5, 0]),
        Some(Call::StopSingleshot(XenVcpuId(5)))
    );
    assert_eq!(call(17, [wide, 0, 0]), None);
    assert_eq!(call(32, [wide | 4, 0, 0]), None);
}

#[test]
fn a_32_bit_caller_has_a_time_in_two_registers() {
    let registers = registers(Layout::Compat, 15, [0x89ab_cdef, 0x0123_4567, 0]);
    let call = registers.call(registers.kernel().expect("it is the kernel"));
    assert_eq!(call, Some(Call::SetTimer(0x0123_4567_89ab_cdef)));
}

#[test]
fn only_the_guests_kernel_is_answered() {
    for cpl in 1..=u8::MAX {
        let registers = Registers {
            cpl,
            ..registers(Layout::Native, 17, [0; 3])
        };
        assert!(registers.kernel().is_none());
    }
}

#[test]
fn a_timer_is_set_to_what_is_left() {
    for setter in [Setter::SetTimerOp, Setter::Other] {
        for (wanted, now, left) in [
            (110, 100, Some(10)),
            (101, 100, Some(1)),
            (100, 100, None),
            (1, 100, None),
            ((1 << 50) + 99, 100, Some((1 << 50) - 1)),
        ] {
            let deadline = Deadline::new(wanted, now, setter);
            let expected = Deadline {
                guest: wanted,
                left,
            };
            assert_eq!(deadline, expected);
        }
    }
}

#[test]
fn what_old_guests_mean_by_an_overflow_is_soon() {
    let soon = Deadline {
        guest: 100_000_100,
        left: Some(100_000_000),
    };
    for wanted in [(1 << 50) + 100, 1 << 62, 1 << 63, u64::MAX] {
        assert_eq!(Deadline::new(wanted, 100, Setter::SetTimerOp), soon);
        assert_eq!(Deadline::new(wanted, 100, Setter::Other).guest, wanted);
    }
    assert_eq!(Deadline::new(u64::MAX, 100, Setter::Other).left, None);
}

/// A timer that is due at 0 is not one that is stopped. The guest's clock may be anywhere.
#[test]
fn a_deadline_is_never_that_of_a_stopped_timer() {
    let (beyond, soon) = (u64::MAX - 9, 100_000_000);
    let deadline = Deadline::new(0, beyond, Setter::Other);
    assert_eq!((deadline.guest, deadline.left), (1, Some(10)));
    let past = Deadline::new(0, 100, Setter::SetTimerOp);
    assert_eq!((past.guest, past.left), (1, None), "it has not overflowed");
    let wrapped = Deadline::new(u64::MAX, 0u64.wrapping_sub(soon), Setter::SetTimerOp);
    assert_eq!((wrapped.guest, wrapped.left), (1, Some(soon)));
}

proptest! {
    #![proptest_config(config(2000, "tests/regressions/xen_calls.txt"))]

    /// As C computes it, in 64 bits and with the same rounding.
    #[test]
    fn the_clock_is_read_as_the_guest_reads_it(
        ticks in 0u64..1 << 40, time: u64, tsc: u64, shift in -20i8..20, multiplier: u32,
    ) {
        let clock = Clock { tsc, time, shift, multiplier };
        let shifted = if shift < 0 { ticks >> -shift } else { ticks << shift };
        let scaled = ((u128::from(shifted) * u128::from(multiplier)) >> 32) as u64;
        prop_assert_eq!(clock.at(tsc.wrapping_add(ticks)), time.wrapping_add(scaled));
    }
}

#[test]
fn numbers_that_make_no_sense_make_no_panic() {
    for shift in [i8::MIN, -64, 64, i8::MAX] {
        let clock = Clock {
            tsc: 0,
            time: 5,
            shift,
            multiplier: u32::MAX,
        };
        assert_eq!(clock.at(u64::MAX), 5);
    }
}
