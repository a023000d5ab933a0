// SPDX-License-Identifier: GPL-2.0
/*
 * Constants and struct layouts as the C compiler sees them.
 *
 * This file is compiled to assembly with the kernel's flags and never linked.
 * Each line in layout/ leaves one line of Rust in the assembly; the build collects
 * them in layout_generated.rs, part of the crate kvm_bindings. Constants need
 * this because bindgen understands few macros and no value with bit 63 set;
 * rust/backend/abi.rs compares them with those that Rust writes down itself.
 * A struct that bindgen laid out differently breaks the build there.
 */

#include <linux/stddef.h>

#include "bindings_helper.h"

#define RUST(text, value)	({ asm volatile("\n.ascii \"->" text "\"" : : "i" (value)); })

#define CONST_AS(type, name, value) \
	RUST("pub const " #name ": " #type " = %c0i64 as " #type ";", (s64)(value))
/* Not through CONST_AS(), which would get @name already expanded. */
#define CONST(type, name) \
	RUST("pub const " #name ": " #type " = %c0i64 as " #type ";", (s64)(name))

#define SIZE(type) \
	RUST("const _: () = assert!(::core::mem::size_of::<" #type ">() == %c0);", \
	     sizeof(struct type))

/* @path: the field's name in Rust, where an anonymous union has one. */
#define OFFSET_AS(type, field, path) \
	RUST("const _: () = assert!(::core::mem::offset_of!(" #type ", " #path ") == %c0);", \
	     offsetof(struct type, field))
#define OFFSET(type, field) \
	RUST("const _: () = assert!(::core::mem::offset_of!(" #type ", " #field ") == %c0);", \
	     offsetof(struct type, field))

#include "layout/spte.c"
#include "layout/fault.c"
#include "layout/gpc.c"
#include "layout/table.c"
#include "layout/vm.c"
#include "layout/vcpu.c"
#include "layout/xen.c"
#include "layout/backend.c"
