// SPDX-License-Identifier: GPL-2.0

//! Sleepable RCU of C's own.
//!
//! C header: [`include/linux/srcu.h`](srctree/include/linux/srcu.h)

use kernel::{
    bindings,
    sync::Srcu, //
};

/// Borrows a `struct srcu_struct` from C.
///
/// # Safety
///
/// `ptr` must be initialised, and stay so during `'a`.
#[inline(always)]
pub unsafe fn from_raw<'a>(ptr: *mut bindings::srcu_struct) -> &'a Srcu {
    // SAFETY: `Srcu` is transparent over the C type, which is valid during `'a`. Nobody can drop what
    // is behind a reference.
    unsafe { &*ptr.cast() }
}
