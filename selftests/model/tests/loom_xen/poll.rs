// SPDX-License-Identifier: GPL-2.0

//! Polling for events: who sleeps is woken.

use super::{
    explore,
    world::{World, PORTS},
};
use kvmrs_model::{
    atomic::{
        plain,
        thread,
        Arc,
        Ordering::SeqCst, //
    },
    kvm::{xen::Layout, SlotsHeld},
    xen::poll::{Polling, Ports},
};

/// A vCPU polls for a port, and goes to sleep if it may.
#[test]
fn poll_and_send() {
    explore("xen, poll and send", 5, || {
        let world = World::new(&PORTS);
        let sleeps = Arc::new(plain::AtomicBool::new(false));
        let sender = {
            let world = world.clone();
            thread::spawn(move || world.send(0))
        };
        let polling = {
            let slots = SlotsHeld::new(&world.vm);
            let numbers = PORTS.map(u32::to_le_bytes);
            let ports = Ports::new(Layout::Native, &numbers[..1]).expect("there is such a port");
            Polling::begin(&world.shared, &slots, &world.target, ports)
        };
        sleeps.store(polling.is_some(), SeqCst);
        sender.join().expect("no panic");
        let woken = world.target.wakes.get();
        let slept = sleeps.load(SeqCst);
        assert!(!slept || woken == 1, "nobody wakes the vCPU");
        assert!(woken <= 1, "it is woken twice");
        drop(polling);
        world.close();
    });
}

/// Two senders, and one who polls for both ports: it is woken once.
#[test]
fn poll_and_two_senders() {
    explore("xen, poll and two senders", 3, || {
        let world = World::new(&PORTS);
        let polling = {
            let slots = SlotsHeld::new(&world.vm);
            let numbers = PORTS.map(u32::to_le_bytes);
            let ports = Ports::new(Layout::Native, &numbers[..2]).expect("there are such ports");
            Polling::begin(&world.shared, &slots, &world.target, ports)
        };
        assert!(polling.is_some());
        world.race(&[|world| world.send(0), |world| world.send(1)]);
        assert_eq!(world.target.wakes.get(), 1);
        drop(polling);
        world.close();
    });
}
