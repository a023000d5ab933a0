// SPDX-License-Identifier: GPL-2.0

//! A vCPU's timer: while it expires, it is asked for, set and stopped.

use super::{
    explore,
    world::{bit, byte, World, INFO, PENDING, PORTS, SHARED, UPCALL},
    STACK,
};
use kvmrs_model::{
    atomic::{thread, Arc, Ordering::SeqCst},
    kvm::{
        xen::{Layout, Timer},
        Gfn, SlotsHeld,
    },
    world::gpc,
    xen::{
        deadline::{Deadline, Setter},
        timer::{self, Recipient},
    },
};

/// A vCPU's timer.
struct Clocked {
    world: Arc<World>,
    timer: Timer,
}

impl Clocked {
    /// It is due at 10 of the guest's clock, which is 1010 of the host's.
    fn new() -> Arc<Self> {
        let world = World::new(&[]);
        let timer = Timer::new(PORTS[0]);
        let clocked = Arc::new(Self { world, timer });
        clocked.set(10);
        clocked
    }

    fn to(&self) -> Recipient<'_> {
        Recipient {
            target: &self.world.target,
            shared: &self.world.shared,
            layout: Layout::Native,
        }
    }

    fn set(&self, due: u64) {
        let slots = SlotsHeld::new(&self.world.vm);
        let deadline = Deadline::new(due, 0, Setter::Other);
        timer::set(&self.timer, self.to(), &slots, deadline, 1000);
    }

    fn due(&self) -> u64 {
        let mut slots = SlotsHeld::new(&self.world.vm);
        timer::due(&self.timer, self.to(), &mut slots)
    }

    fn interrupt(&self) {
        let slots = SlotsHeld::new(&self.world.vm);
        let expire = || timer::expire(&self.timer, self.to(), &slots);
        self.timer.interrupt(expire);
    }

    /// Whether all of the event is there.
    fn is_pending(&self) -> bool {
        let (shared, info) = (self.world.pfn(SHARED), self.world.pfn(INFO));
        let at = PENDING + byte(PORTS[0]);
        let upcall = self.world.memory().byte(info, UPCALL) != 0;
        upcall && self.world.memory().byte(shared, at) & bit(PORTS[0]) != 0
    }

    /// The host's interrupt beside `task`.
    fn race(self: &Arc<Self>, task: impl FnOnce(&Self)) {
        let interrupted = self.clone();
        let builder = thread::Builder::new().stack_size(STACK);
        let interrupt = move || interrupted.interrupt();
        let thread = builder.spawn(interrupt).expect("loom has threads");
        task(self);
        thread.join().expect("no panic");
    }

    fn end(&self) {
        let _ = timer::stop(&self.timer);
        assert_eq!(self.timer.armed_for(), None);
        self.world.close();
    }
}

/// What another host gets to know: the time, or the event. Never neither of them.
#[test]
fn a_timer_is_asked_for_while_it_expires() {
    explore("xen, a timer is asked for while it expires", 5, || {
        let clocked = Clocked::new();
        clocked.race(|clocked| {
            let due = clocked.due();
            assert!(
                due == 10 || due == 0 && clocked.is_pending(),
                "the event is lost"
            );
        });
        clocked.interrupt();
        assert!(clocked.is_pending());
        clocked.end();
    });
}

/// The same where the interrupt may not find the bitmaps. The task makes them present.
#[test]
fn a_timer_that_cannot_tell_is_asked_for() {
    explore("xen, a timer that cannot tell is asked for", 4, || {
        let clocked = Clocked::new();
        gpc::change(&clocked.world.vm, Gfn::new(SHARED), || {});
        clocked.race(|clocked| {
            let due = clocked.due();
            assert!(
                due == 10 || due == 0 && clocked.is_pending(),
                "the event is lost"
            );
        });
        let due = clocked.due();
        assert!(
            due == 10 || due == 0 && clocked.is_pending(),
            "the event is lost"
        );
        let left = clocked.timer.undelivered().load(SeqCst);
        assert_eq!(left, 0, "the event is not where it belongs");
        clocked.end();
    });
}

/// One that is set anew is due then, and the old time is nothing any more.
#[test]
fn a_timer_is_set_while_it_expires() {
    explore("xen, a timer is set while it expires", 5, || {
        let clocked = Clocked::new();
        clocked.race(|clocked| {
            clocked.set(20);
            let early = clocked.is_pending();
            assert!(!early || clocked.world.target.wakes.get() == 1);
        });
        let armed = clocked.timer.armed_for();
        let due = clocked.due();
        assert_eq!(armed.is_some(), due == 20, "it is armed, or it has told");
        assert!(due == 20 || clocked.is_pending(), "the event is lost");
        clocked.end();
    });
}

/// What the interrupt could not tell is nothing any more when the timer is set anew.
#[test]
fn a_timer_that_cannot_tell_is_set() {
    explore("xen, a timer that cannot tell is set", 5, || {
        let clocked = Clocked::new();
        gpc::change(&clocked.world.vm, Gfn::new(SHARED), || {});
        clocked.race(|clocked| clocked.set(20));
        let left = clocked.timer.undelivered().load(SeqCst);
        let armed = clocked.timer.armed_for().is_some();
        assert_eq!(armed, left == 0, "the event is of another time");
        clocked.end();
    });
}

#[test]
fn a_timer_that_was_stopped_tells_nobody() {
    explore("xen, a timer that was stopped tells nobody", 5, || {
        let clocked = Clocked::new();
        clocked.race(|clocked| {
            let _ = timer::stop(&clocked.timer);
            let before = clocked.is_pending();
            clocked.interrupt();
            assert_eq!(clocked.is_pending(), before);
        });
        assert_eq!(clocked.due(), 0);
        clocked.end();
    });
}
