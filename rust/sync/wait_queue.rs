// SPDX-License-Identifier: GPL-2.0

//! Tasks that wait for something to become true, until somebody kills them.
//!
//! The kernel crate's `CondVar` has no such wait.
//!
//! C header: [`include/linux/wait.h`](srctree/include/linux/wait.h)

use kernel::{
    bindings,
    prelude::*,
    str::CStr,
    sync::LockClassKey,
    types::Opaque, //
};

/// A `wait_queue_head_t`.
#[pin_data]
pub struct WaitQueue {
    #[pin]
    raw: Opaque<bindings::wait_queue_head>,
}

// SAFETY: The queue has a lock of its own.
unsafe impl Send for WaitQueue {}
// SAFETY: As above.
unsafe impl Sync for WaitQueue {}

impl WaitQueue {
    /// A queue in which nobody waits.
    pub fn new(name: &'static CStr, key: Pin<&'static LockClassKey>) -> impl PinInit<Self> {
        pin_init!(Self {
            // SAFETY: The place is valid. The name and the key live for ever.
            raw <- Opaque::ffi_init(|raw| unsafe {
                bindings::__init_waitqueue_head(raw, name.as_char_ptr(), key.as_ptr())
            }),
        })
    }

    /// Waits until `done`, or somebody kills the task. Returns whether it is done. Who makes it true calls
    /// [`wake_all`](Self::wake_all) afterwards.
    pub fn wait_killable(&self, done: impl Fn() -> bool) -> bool {
        let entry = Opaque::<bindings::wait_queue_entry>::uninit();
        // SAFETY: The entry is initialised here, and leaves the queue before it goes.
        unsafe { bindings::init_wait(entry.get()) };
        let finished = loop {
            // SAFETY: `new()` has initialised the queue, and `init_wait()` the entry.
            unsafe {
                bindings::prepare_to_wait(
                    self.raw.get(),
                    entry.get(),
                    bindings::TASK_KILLABLE as c_int,
                )
            };
            // Looked at with the task in the queue: who makes it true later wakes it.
            if done() {
                break true;
            }
            // SAFETY: No requirements.
            if unsafe { kvm_bindings::kvmrs_is_being_killed() } {
                break false;
            }
            // SAFETY: No requirements: of a task that must not sleep the kernel complains.
            unsafe { bindings::schedule() };
        };
        // SAFETY: Both are initialised, as above.
        unsafe { bindings::finish_wait(self.raw.get(), entry.get()) };
        finished
    }

    /// Has everybody look again, if there is anybody. What was made true before is seen.
    #[inline(always)]
    pub fn wake_all(&self) {
        // SAFETY: The queue is initialised.
        unsafe { kvm_bindings::kvmrs_wake_up_all(self.raw.get()) };
    }
}
