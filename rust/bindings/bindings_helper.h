/* SPDX-License-Identifier: GPL-2.0 */
/* The headers that the bindings and the helpers are made from. */

#ifndef KVM_RS_BINDINGS_HELPER_H
#define KVM_RS_BINDINGS_HELPER_H

#include <linux/cpufeature.h>
#include <linux/fs.h>
#include <linux/io.h>
#include <linux/kvm_host.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/rculist.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include <asm/cmpxchg.h>
#include <asm/e820/api.h>
#include <asm/memtype.h>
#include <asm/vmx.h>

#include "mmu.h"
#include "mmu/mmu_internal.h"
#include "mmu/page_track.h"
#include "mmu/spte.h"
#include "mmu/tdp_mmu.h"
#include "kvm_mm.h"
#include "vm_backend.h"
#include "x86.h"

#ifdef __BINDGEN__
#include "mmu/mmutrace.h"
#include <trace/events/kvm.h>
#else
/* These have functions with more of Hyper-V than bindgen is given. */
#include "lapic.h"
#include "trace.h"
#include "xen.h"
#endif

#endif
