// SPDX-License-Identifier: GPL-2.0

//! What userspace says about the ports that a guest sends by.

use kvmrs_model::{
    kvm::xen::{Assigned, Destination, Event, EventFd, Kind, Layout, TWO_LEVELS},
    xen::ports::{Invalid, Order, Route, Wish},
};

/// Port 5 is to lead to itself, at vCPU 3.
const IPI: Wish = Wish {
    port: 5,
    kind: 5,
    flags: 0,
    to: 5,
    vcpu: 3,
    priority: TWO_LEVELS,
};

/// To port 6.
const THERE: Wish = Wish {
    kind: 2,
    to: 6,
    ..IPI
};

/// To an eventfd.
const OUTSIDE: Wish = Wish { to: 0, ..THERE };

fn order(wish: Wish) -> Result<Order, Invalid> {
    wish.order(Layout::Native)
}

fn route(port: u32) -> Route {
    Route { port, vcpu: 3 }
}

#[test]
fn a_port_is_assigned_by_its_kind() {
    let ipi = Order::Assign(5, Kind::Ipi, Some(route(5)));
    assert_eq!(order(IPI), Ok(ipi));
    let there = Order::Assign(5, Kind::Interdomain, Some(route(6)));
    assert_eq!(order(THERE), Ok(there));
    let outside = Order::Assign(5, Kind::Interdomain, None);
    assert_eq!(order(OUTSIDE), Ok(outside));
    // An eventfd has no priority.
    let priority = 0;
    assert_eq!(
        order(Wish {
            priority,
            ..OUTSIDE
        }),
        Ok(outside)
    );
}

#[test]
fn what_makes_no_sense_is_refused() {
    for wish in [
        Wish { port: 0, ..IPI },
        Wish {
            port: 4096,
            ..THERE
        },
        Wish { to: 4096, ..THERE },
        Wish { to: 6, ..IPI },
        Wish { kind: 0, ..IPI },
        Wish { kind: 1, ..IPI },
        Wish { kind: 3, ..IPI },
        Wish { kind: 4, ..IPI },
        Wish { kind: 6, ..IPI },
        Wish { flags: 3, ..IPI },
        Wish { flags: 8, ..IPI },
        Wish { flags: 5, ..IPI },
        Wish { priority: 0, ..IPI },
        Wish {
            priority: 0,
            ..THERE
        },
    ] {
        assert_eq!(order(wish), Err(Invalid), "{wish:?}");
    }
    let wide = Wish {
        port: 1024,
        ..THERE
    };
    assert!(order(wide).is_ok());
    assert_eq!(wide.order(Layout::Compat), Err(Invalid));
}

#[test]
fn ports_are_taken_away() {
    assert_eq!(order(Wish { flags: 1, ..IPI }), Ok(Order::Remove(5)));
    let all = Wish {
        flags: 4,
        port: 0,
        ..IPI
    };
    assert_eq!(order(all), Ok(Order::RemoveAll));
}

#[test]
fn only_the_vcpu_of_a_port_may_change() {
    let update = Wish { flags: 2, ..THERE };
    assert_eq!(order(update), Ok(Order::Move(5)));
    let old = Assigned {
        kind: Kind::Interdomain,
        to: Destination::Port(Event::new(6, 1)),
    };
    assert_eq!(update.moved(&old), Ok(route(6)));
    for wish in [
        Wish { to: 7, ..update },
        Wish { kind: 5, ..update },
        Wish { kind: 7, ..update },
        Wish {
            priority: 1,
            ..update
        },
    ] {
        assert_eq!(wish.moved(&old), Err(Invalid), "{wish:?}");
    }
    let outside = Assigned {
        kind: Kind::Interdomain,
        to: Destination::EventFd(EventFd::default()),
    };
    assert_eq!(Wish { to: 0, ..update }.moved(&outside), Err(Invalid));
}
