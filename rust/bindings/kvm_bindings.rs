// SPDX-License-Identifier: GPL-2.0

//! Raw bindings to KVM's private interfaces, generated at build time.
//!
//! Only the trusted layer in `rust/` uses this crate. Types that KVM does not
//! define itself are those of [`kernel::bindings`].

#![allow(
    clippy::all,
    missing_docs,
    non_camel_case_types,
    non_upper_case_globals,
    non_snake_case,
    improper_ctypes,
    unreachable_pub,
    unsafe_op_in_unsafe_fn
)]
#![allow(
    dead_code,
    clippy::as_underscore,
    clippy::cast_lossless,
    clippy::ptr_as_ptr,
    clippy::ref_as_ptr,
    clippy::undocumented_unsafe_blocks
)]
#![cfg_attr(not(CONFIG_RUSTC_HAS_UNNECESSARY_TRANSMUTES), allow(unknown_lints))]
#![allow(unnecessary_transmutes)]

mod raw {
    use kernel::{
        bindings::*,
        ffi, //
    };

    include!(concat!(env!("KVM_RS_BINDINGS"), "/bindings_generated.rs"));
}

pub use raw::*;

// Assertions that Rust lays structs out as C does, and constants as the C compiler sees them,
// which take precedence over bindgen's of the same name.
include!(concat!(env!("KVM_RS_BINDINGS"), "/layout_generated.rs"));
