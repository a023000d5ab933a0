// SPDX-License-Identifier: GPL-2.0

//! Events: no order loses one.

use super::{
    explore,
    world::{bit, byte, World, INFO, MASK, PENDING, PORTS, SHARED},
};
use kvmrs_model::{atomic::Ordering::Relaxed, kvm::Gfn, world::gpc};

fn sends(world: &World) {
    world.send(0);
}

fn sends_more(world: &World) {
    world.send(1);
}

fn sends_elsewhere(world: &World) {
    world.send(2);
}

fn handles(world: &World) {
    world.upcall();
}

fn pays_and_handles(world: &World) {
    world.pay();
    world.upcall();
}

fn takes_info_away(world: &World) {
    gpc::change(&world.vm, Gfn::new(INFO), || {});
}

#[test]
fn two_senders_and_the_guest() {
    explore("xen, two senders and the guest", 3, || {
        let world = World::new(&[]);
        world.race(&[sends, sends_more, handles]);
        world.end();
    });
}

#[test]
fn what_was_sent_before_is_seen_behind_an_event_that_is_pending() {
    explore("xen, an event that is pending", 4, || {
        let world = World::new(&[]);
        world.send(0);
        world.data[0].store(0, Relaxed);
        world.race(&[sends, handles]);
        world.end();
    });
}

#[test]
fn vcpu_info_goes_meanwhile() {
    explore("xen, vcpu_info goes meanwhile", 3, || {
        let world = World::new(&[]);
        world.race(&[sends, takes_info_away, pays_and_handles]);
        world.end();
    });
}

#[test]
fn who_pays_misses_no_sender() {
    explore("xen, who pays misses no sender", 3, || {
        let world = World::new(&[]);
        takes_info_away(&world);
        world.send(0);
        world.race(&[sends_more, sends_elsewhere, pays_and_handles]);
        world.end();
    });
}

/// As Linux does it: it takes the mask away, and then looks whether the port is pending.
fn unmasks(world: &World) {
    let shared = world.pfn(SHARED);
    let port = PORTS[0];
    world
        .memory()
        .take_bits(shared, MASK + byte(port), bit(port));
    if world.memory().byte(shared, PENDING + byte(port)) & bit(port) != 0 {
        world.take(0);
    }
}

#[test]
fn a_mask_goes_meanwhile() {
    explore("xen, a mask goes meanwhile", 5, || {
        let world = World::new(&PORTS[..1]);
        world.race(&[sends, unmasks]);
        world.end();
    });
}
