// SPDX-License-Identifier: GPL-2.0

//! Parts of the code that cannot be preempted: they must not sleep.

use crate::lockdep;
use std::marker::PhantomData;

/// Preemption is off, until the value is dropped.
pub struct Guard(PhantomData<*mut ()>);

/// Switches preemption off.
pub fn disable() -> Guard {
    lockdep::preempt_disable();
    Guard(PhantomData)
}

impl Drop for Guard {
    fn drop(&mut self) {
        lockdep::preempt_enable();
    }
}
