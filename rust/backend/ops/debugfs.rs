// SPDX-License-Identifier: GPL-2.0

//! The files `mmu_map` and `mmu_check` of every VM, this backend's or C's.

use crate::{
    kvm::AnyVm,
    tdp_mmu::inside::{
        Progress,
        Reader,
        Text, //
    }, //
};
use core::{
    ptr,
    slice, //
};
use kernel::{
    ffi::{c_char, c_void},
    prelude::*, //
};
use kvm_bindings as bindings;

/// Makes a reader at the begin of a file; null without memory.
///
/// # Safety
///
/// `_kvm` is any VM.
pub(in crate::backend) unsafe extern "C" fn open(
    _kvm: *mut bindings::kvm,
    which: bindings::kvm_backend_file,
) -> *mut c_void {
    let reader = match which {
        bindings::kvm_backend_file_KVM_BACKEND_MMU_MAP => Reader::map(),
        _ => Reader::check(),
    };
    match KBox::new(reader, GFP_KERNEL_ACCOUNT) {
        Ok(reader) => KBox::into_raw(reader).cast(),
        Err(_) => ptr::null_mut(),
    }
}

/// Writes the next lines; returns their length, 0 at the end, `EAGAIN` if there is more to do
/// before the next line is known.
///
/// # Safety
///
/// `kvm` is any VM, `reader` was made by [`open`], and nobody else uses it meanwhile. `buf` has
/// `size` initialised bytes, which are the task's alone. No lock is held.
pub(in crate::backend) unsafe extern "C" fn read(
    kvm: *mut bindings::kvm,
    reader: *mut c_void,
    buf: *mut c_char,
    size: usize,
) -> isize {
    // SAFETY: Any VM is alive during the call, and has a TDP MMU without mirror roots.
    let vm = unsafe { AnyVm::from_raw(kvm) };
    // SAFETY: By the section above `open()` made the reader, and nobody else uses it.
    let reader = unsafe { &mut *reader.cast::<Reader>() };
    // SAFETY: By the section above the bytes are initialised, and the task's alone.
    let mut text = Text::new(unsafe { slice::from_raw_parts_mut(buf.cast::<u8>(), size) });
    match (reader.read(vm, &mut text), text.len()) {
        (Progress::More, 0) => EAGAIN.to_errno() as isize,
        (_, len) => len as isize,
    }
}

/// Frees a reader.
///
/// # Safety
///
/// `reader` was made by [`open`], and nobody uses it any more.
pub(in crate::backend) unsafe extern "C" fn release(reader: *mut c_void) {
    // SAFETY: By the section above `open()` made the reader, and nobody uses it any more.
    drop(unsafe { KBox::<Reader>::from_raw(reader.cast()) });
}
