// SPDX-License-Identifier: GPL-2.0
/*
 * C inlines and macros that the module needs, as functions for Rust.
 *
 * bindgen cannot see the inlines and macros of the kernel's headers, so each
 * one that is needed has a wrapper of a few lines in helpers/.  Words of a
 * dirty log are taken there as well, for the kernel's atomics.  All of them are
 * one translation unit.  With CONFIG_RUST_INLINE_HELPERS it is compiled to
 * bitcode and inlined into the Rust code, so that a wrapper costs what the
 * macro costs in C; without it the wrappers are ordinary calls.
 */

#include "bindings_helper.h"

#include <linux/unroll.h>

#ifdef __BINDGEN__
/* bindgen ignores inline functions, and here it must see the prototypes. */
#define __kvmrs_helper
#else
/*
 * Not plain `inline`: clang and rustc disagree on a few target attributes,
 * which would otherwise keep LLVM from inlining one into the other.
 */
#define __kvmrs_helper __always_inline
#endif

#include "helpers/fault.c"
#include "helpers/gmem.c"
#include "helpers/gpc.c"
#include "helpers/host.c"
#include "helpers/lock.c"
#include "helpers/rcu.c"
#include "helpers/spte.c"
#include "helpers/table.c"
#include "helpers/stat.c"
#include "helpers/vm.c"
#include "helpers/mmio.c"
#include "helpers/xen.c"
