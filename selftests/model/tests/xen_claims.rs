// SPDX-License-Identifier: GPL-2.0

//! What userspace says of a vCPU's run state.

use kvmrs_model::{
    kvm::xen::{RunState, Times},
    xen::claim::{adjust, set, Claim, Implausible},
};

fn ran(entry: u64, spent: [u64; 4], waited: u64) -> Times {
    Times {
        state: RunState::Running,
        entry,
        spent,
        waited,
    }
}

fn claim(state: u64, entry: u64, spent: [u64; 4]) -> Claim {
    Claim {
        state,
        entry,
        spent,
    }
}

#[test]
fn userspace_sets_what_adds_up_and_is_not_to_come() {
    let mut times = ran(7, [7, 0, 0, 0], 0);
    let good = claim(2, 100, [40, 30, 20, 10]);
    for bad in [
        claim(4, 100, good.spent),
        claim(u64::MAX, 100, good.spent),
        claim(1 << 32, 100, good.spent),
        claim(2, 101, good.spent),
    ] {
        assert_eq!(set(&mut times, &bad, 1000, 3), Err(Implausible));
    }
    assert_eq!(set(&mut times, &good, 99, 3), Err(Implausible));
    assert_eq!(times, ran(7, [7, 0, 0, 0], 0));
    set(&mut times, &good, 100, 3).expect("it is right");
    let expected = Times {
        state: RunState::Blocked,
        entry: 100,
        spent: good.spent,
        waited: 3,
    };
    assert_eq!(times, expected);
}

#[test]
fn userspace_adds_what_adds_up_and_is_not_to_come() {
    let mut times = ran(100, [40, 30, 20, 10], 5);
    for bad in [
        claim(4, 4, [1; 4]),
        claim(u64::MAX - 1, 4, [1; 4]),
        claim(0, 5, [1; 4]),
    ] {
        assert_eq!(adjust(&mut times, &bad, 1000), Err(Implausible));
    }
    assert_eq!(
        adjust(&mut times, &claim(0, 4, [1; 4]), 103),
        Err(Implausible)
    );
    assert_eq!(times, ran(100, [40, 30, 20, 10], 5));
    let more = claim(u64::MAX, 4, [1; 4]);
    assert_eq!(adjust(&mut times, &more, 104), Ok(None));
    assert_eq!(times, ran(104, [41, 31, 21, 11], 5));
    // Times may become shorter.
    let less = claim(3, 4u64.wrapping_neg(), [1u64.wrapping_neg(); 4]);
    assert_eq!(adjust(&mut times, &less, 100), Ok(Some(RunState::Offline)));
    assert_eq!(times, ran(100, [40, 30, 20, 10], 5));
}
