// SPDX-License-Identifier: GPL-2.0

//! Events on their way to the guest, in both layouts.

mod common;

use common::{
    frame,
    xen::{places, ports, World, INFO, LAYOUTS},
};
use kvmrs_model::{
    kvm::{
        gpc::{GuestPage, Refused},
        xen::{Layout, VCPU_INFO},
        SlotsHeld,
    },
    pfncache::refresh::deactivate,
    world::gpc::move_page,
    xen::evtchn::{is_upcall_pending, pay, send_at_last, settle, Sent},
};
use std::sync::atomic::Ordering::SeqCst;

fn pays(world: &World, layout: Layout) {
    let slots = SlotsHeld::new(&world.vm);
    let info = GuestPage::pin(world.target().vcpu_info(), &slots, VCPU_INFO);
    pay(&info.expect("it is valid"), world.target(), layout);
}

#[test]
fn each_port_has_its_bits_and_touches_no_other() {
    let world = World::new(None);
    for layout in LAYOUTS {
        let (bits, pending, _, selector) = places(layout);
        for port in 0..ports(layout) {
            world.wipe();
            assert_eq!(world.send(layout, port), Sent::Raised);
            let port = port as usize;
            assert!(world.bit(frame(0), pending, port));
            assert!(world.bit(frame(1), INFO + selector, port / bits));
            assert!(world.bit(frame(1), INFO, 0), "the upcall is pending");
            assert_eq!((world.bits(frame(0)), world.bits(frame(1))), (1, 2));
        }
    }
    assert_eq!(world.target().wakes.get(), 1024 + 4096);
}

#[test]
fn a_layout_has_no_ports_behind_its_last_one() {
    for layout in LAYOUTS {
        let end = ports(layout);
        assert!(layout.port(end - 1).is_some());
        let beyond = [end, end + 1, 1 << 31, u32::MAX];
        assert!(beyond.iter().all(|port| layout.port(*port).is_none()));
    }
}

#[test]
fn a_port_that_is_pending_is_not_sent_again() {
    let world = World::new(None);
    assert_eq!(world.send(Layout::Native, 70), Sent::Raised);
    assert_eq!(world.send(Layout::Native, 70), Sent::Pending);
    assert_eq!(world.target().wakes.get(), 1);
}

#[test]
fn a_second_port_of_a_word_needs_no_second_upcall() {
    let world = World::new(Some(0x31));
    assert_eq!(world.send(Layout::Native, 70), Sent::Raised);
    assert_eq!(world.send(Layout::Native, 71), Sent::Raised);
    let told = (world.target().interrupts.get(), world.target().wakes.get());
    assert_eq!(told, (1, 0));
}

#[test]
fn a_masked_port_is_pending_and_nobody_is_told() {
    let world = World::new(None);
    for layout in LAYOUTS {
        world.wipe();
        world.mask(layout, 65);
        assert_eq!(world.send(layout, 65), Sent::Masked);
        assert!(world.bit(frame(0), 0x800, 65));
        assert_eq!(world.bits(frame(1)), 0);
    }
    assert_eq!(world.target().wakes.get(), 0);
}

#[test]
fn without_the_bitmaps_nothing_is_sent() {
    let world = World::new(None);
    move_page(&world.vm, frame(0));
    assert_eq!(world.send(Layout::Native, 5), Sent::Absent);
    world.fill();
    assert_eq!(world.send(Layout::Native, 5), Sent::Raised);
}

#[test]
fn who_may_sleep_has_the_bitmaps_made_present() {
    let world = World::new(None);
    move_page(&world.vm, frame(0));
    let port = Layout::Native.port(5).expect("there is such a port");
    let mut slots = SlotsHeld::new(&world.vm);
    let sent = send_at_last(world.shared(), &mut slots, world.target(), port);
    assert_eq!(sent, Ok(Sent::Raised));
    world.vm.caches.use_foreign_tasks(true);
    move_page(&world.vm, frame(0));
    let sent = send_at_last(world.shared(), &mut slots, world.target(), port);
    assert_eq!(sent, Err(Refused::Foreign));
    world.vm.caches.use_foreign_tasks(false);
}

#[test]
fn the_task_settles_what_is_owed_and_tells_its_guest() {
    let world = World::new(Some(0x31));
    let mut slots = SlotsHeld::new(&world.vm);
    let told = || world.target().interrupts.get();
    let settled = settle(world.target(), &mut slots, Layout::Native);
    assert_eq!((settled, told()), (Ok(()), 0), "nothing is owed");
    move_page(&world.vm, frame(1));
    world.send(Layout::Native, 70);
    world.vm.caches.use_foreign_tasks(true);
    let settled = settle(world.target(), &mut slots, Layout::Native);
    assert_eq!((settled, told()), (Err(Refused::Foreign), 0));
    assert_eq!(world.target().owed(), 2, "it stays owed");
    world.vm.caches.use_foreign_tasks(false);
    let settled = settle(world.target(), &mut slots, Layout::Native);
    assert_eq!((settled, told()), (Ok(()), 1));
    assert!(world.bit(frame(1), INFO + 8, 1) && world.target().owed() == 0);
}

#[test]
fn an_upcall_is_looked_for_without_sleeping_where_that_is_forbidden() {
    let world = World::new(None);
    let mut slots = SlotsHeld::new(&world.vm);
    assert!(!is_upcall_pending(world.target(), &mut slots));
    move_page(&world.vm, frame(1));
    world.target().falls_asleep.store(true, SeqCst);
    assert!(is_upcall_pending(world.target(), &mut slots), "it may be");
    world.target().falls_asleep.store(false, SeqCst);
    assert!(!is_upcall_pending(world.target(), &mut slots));
    world.send(Layout::Native, 70);
    assert!(is_upcall_pending(world.target(), &mut slots));
    deactivate(world.target().vcpu_info());
    assert!(
        !is_upcall_pending(world.target(), &mut slots),
        "there is no page for it"
    );
}

#[test]
fn what_vcpu_info_cannot_be_told_is_owed_and_paid() {
    for layout in LAYOUTS {
        let world = World::new(Some(0x31));
        let (bits, _, _, selector) = places(layout);
        move_page(&world.vm, frame(1));
        let port = 3 * bits as u32 + 1;
        assert_eq!(world.send(layout, port), Sent::Raised);
        assert_eq!(world.send(layout, port + 1), Sent::Raised);
        assert_eq!(world.target().owed(), 1 << 3);
        let told = (world.target().interrupts.get(), world.target().wakes.get());
        assert_eq!(told, (0, 1), "its task has to pay first");
        world.fill();
        pays(&world, layout);
        assert_eq!(world.target().owed(), 0);
        assert!(world.bit(frame(1), INFO + selector, 3) && world.bit(frame(1), INFO, 0));
        assert_eq!(world.bits(frame(1)), 2);
    }
}

#[test]
fn a_narrower_guest_is_not_owed_words_that_it_does_not_have() {
    let world = World::new(None);
    move_page(&world.vm, frame(1));
    world.send(Layout::Native, 40 * 64);
    world.send(Layout::Native, 2 * 64);
    world.fill();
    pays(&world, Layout::Compat);
    assert_eq!(world.target().owed(), 0);
    assert!(world.bit(frame(1), INFO + 4, 2));
    assert_eq!(world.bits(frame(1)), 2);
}
