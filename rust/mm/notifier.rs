// SPDX-License-Identifier: GPL-2.0

//! Notifications about changes of an address space, for those who use its pages by other means
//! than its own page tables.
//!
//! Who maps pages of a process elsewhere must stop using them before the host takes them away.
//! [`Notifier`] has what is called then, and a [`Registration`] is for how long.
//!
//! - Callbacks run at the same time as each other, in any task. They get `&self`.
//! - [`invalidate_start`](Notifier::invalidate_start) has no result. C lets a notifier refuse where
//!   it may not sleep, but then there must be none for the end: nobody would call it. A notifier
//!   that wants to hear of both must not fail.
//! - What a callback may do is a value that it gets: to sleep is [`MaySleep`], to end a change is
//!   [`Ended`], to let go of everything is [`Released`]. Nobody else can make one.
//! - A start may stay without its end, if the registration or the address space goes in between.
//!
//! # Examples
//!
//! Something that maps pages and forgets all of them at each change:
//!
//! ```
//! use crate::mm::{notifier::{Ended, MaySleep, Notifier, Registration, Released}, HostRange};
//! use core::pin::Pin;
//! use kernel::{mm::MmWithUser, prelude::*};
//!
//! /// What `Mappings` does is left out here.
//! struct Mirror(Mappings);
//!
//! impl Notifier for Mirror {
//!     fn invalidate_start(&self, range: HostRange, sleep: Option<MaySleep<'_>>) {
//!         self.0.forbid(range);
//!         self.0.unmap(range);
//!         if let Some(sleep) = sleep {
//!             self.0.trim(sleep);
//!         }
//!     }
//!     fn invalidate_end(&self, ended: Ended<'_>) {
//!         self.0.permit(ended.range());
//!     }
//!     fn clear_flush_young(&self, range: HostRange) -> bool {
//!         self.clear_young(range)
//!     }
//!     fn clear_young(&self, range: HostRange) -> bool {
//!         self.0.clear_young(range)
//!     }
//!     fn test_young(&self, address: usize) -> bool {
//!         self.0.is_accessed(address)
//!     }
//!     fn release(&self, _released: Released<'_>) {
//!         self.0.unmap_everything();
//!     }
//! }
//!
//! fn mirror(mm: &MmWithUser) -> Result<Pin<KBox<Registration<Mirror>>>> {
//!     KBox::pin_init(Registration::new(mm, Mirror(Mappings::default())), GFP_KERNEL)
//! }
//! ```
//!
//! C header: [`include/linux/mmu_notifier.h`](srctree/include/linux/mmu_notifier.h)

use super::HostRange;
use core::marker::PhantomData;
use kernel::{
    bindings,
    container_of,
    error::to_result,
    ffi::{c_int, c_ulong},
    mm::MmWithUser,
    pr_warn_once,
    prelude::*,
    types::{NotThreadSafe, Opaque}, //
};

/// The right to sleep during a callback.
pub struct MaySleep<'a>(PhantomData<&'a ()>, NotThreadSafe);

impl MaySleep<'_> {
    #[inline(always)]
    fn granted() -> Self {
        Self(PhantomData, NotThreadSafe)
    }
}

/// The host has finished a change. It is there for one end, and is made for that alone.
pub struct Ended<'a>(HostRange, PhantomData<&'a ()>, NotThreadSafe);

impl Ended<'_> {
    /// What was changed: the range that the start had.
    #[inline(always)]
    pub fn range(&self) -> HostRange {
        self.0
    }
}

/// Nobody runs in the address space any more, or the notifier's owner needs it no more.
pub struct Released<'a>(PhantomData<&'a ()>, NotThreadSafe);

/// What happens to an address space.
///
/// Ranges are not empty: no callback hears of one that is. No callback may wait for what allocates
/// memory: the host may be taking pages in order to allocate.
///
/// A registration that is leaked stays, and callbacks go on. So the notifier must not borrow.
pub trait Notifier: Send + Sync + 'static {
    /// Pages of `range` are about to be unmapped, moved or protected. On return nobody may use them
    /// any more, and until the end of it nobody may map pages of the range again.
    ///
    /// Changes of overlapping ranges can be under way at the same time. Without `sleep` the callback
    /// must not sleep.
    fn invalidate_start(&self, range: HostRange, sleep: Option<MaySleep<'_>>);

    /// The pages have been changed. Must not sleep.
    fn invalidate_end(&self, ended: Ended<'_>);

    /// Makes the pages of `range` old, for TLBs too; returns whether any of them was accessed. Must
    /// not sleep.
    fn clear_flush_young(&self, range: HostRange) -> bool;

    /// As [`clear_flush_young`](Self::clear_flush_young), but TLBs may say so later.
    fn clear_young(&self, range: HostRange) -> bool;

    /// Whether the page at `address` was accessed. Must not sleep.
    fn test_young(&self, address: usize) -> bool;

    /// The address space is going away, or the registration is. Nobody may use any page of it after
    /// that. May sleep. Comes once or twice, the second perhaps at the same time: a registration can
    /// end while the address space does. Other callbacks may come meanwhile, and afterwards.
    fn release(&self, released: Released<'_>);
}

/// The time during which a [`Notifier`] is called. It ends when the value is dropped: after that no
/// callback runs.
///
/// One that is leaked is called for as long as the address space lives. C does not know whose code
/// that is: whoever leaks one in a module must keep the module too.
///
/// # Invariants
///
/// `raw` is registered, with [`Self::OPS`].
#[pin_data(PinnedDrop)]
pub struct Registration<T: Notifier> {
    notifier: T,
    #[pin]
    raw: Opaque<bindings::mmu_notifier>,
}

// SAFETY: It may be dropped by any task, and the notifier is `Send`.
unsafe impl<T: Notifier> Send for Registration<T> {}
// SAFETY: No function takes a reference. C's callbacks have one to the notifier, which is `Sync`.
unsafe impl<T: Notifier> Sync for Registration<T> {}

impl<T: Notifier> Registration<T> {
    const OPS: &'static bindings::mmu_notifier_ops = &bindings::mmu_notifier_ops {
        release: Some(Self::release),
        clear_flush_young: Some(Self::clear_flush_young),
        clear_young: Some(Self::clear_young),
        test_young: Some(Self::test_young),
        invalidate_range_start: Some(Self::invalidate_range_start),
        invalidate_range_end: Some(Self::invalidate_range_end),
        arch_invalidate_secondary_tlbs: None,
        alloc_notifier: None,
        free_notifier: None,
    };

    /// Calls `notifier` about changes of `mm` from now on.
    ///
    /// `ENOMEM` without memory, `EINTR` if a signal is pending. Sleeps, and takes the `mmap_lock` of
    /// `mm`.
    pub fn new(mm: &MmWithUser, notifier: T) -> impl PinInit<Self, Error> + use<'_, T> {
        // INVARIANT: The initialiser of `raw` registers it, and comes last: callbacks find the rest.
        try_pin_init!(Self {
            notifier,
            raw <- Opaque::try_ffi_init(|raw: *mut bindings::mmu_notifier| {
                // SAFETY: `raw` is to be initialised, and pinned from now on. `mm` has users. It is
                // unregistered before its memory goes.
                unsafe {
                    (&raw mut (*raw).ops).write(Self::OPS);
                    to_result(bindings::mmu_notifier_register(raw, mm.as_raw()))
                }
            }),
        })
    }

    /// The notifier that C calls.
    ///
    /// # Safety
    ///
    /// `raw` must be what a registration of this type registered, and remain registered during `'a`.
    #[inline(always)]
    unsafe fn notifier<'a>(raw: *mut bindings::mmu_notifier) -> &'a T {
        // SAFETY: `raw` lies in a registration, which is not dropped while it is registered.
        unsafe { &(*container_of!(Opaque::cast_from(raw), Self, raw)).notifier }
    }

    /// # Safety
    ///
    /// As for [`Self::notifier`], during the call. `range` is valid.
    unsafe extern "C" fn invalidate_range_start(
        raw: *mut bindings::mmu_notifier,
        range: *const bindings::mmu_notifier_range,
    ) -> c_int {
        // SAFETY: C calls back for registered notifiers only, with a valid range.
        let (notifier, range) = unsafe { (Self::notifier(raw), &*range) };
        let may_block = range.flags & bindings::MMU_NOTIFIER_RANGE_BLOCKABLE != 0;
        let sleep = may_block.then(MaySleep::granted);
        if let Some(range) = checked(range.start, range.end) {
            notifier.invalidate_start(range, sleep);
        }
        0
    }

    /// # Safety
    ///
    /// As for [`Self::notifier`], during the call. `range` is valid.
    unsafe extern "C" fn invalidate_range_end(
        raw: *mut bindings::mmu_notifier,
        range: *const bindings::mmu_notifier_range,
    ) {
        // SAFETY: C calls back for registered notifiers only, with a valid range.
        let (notifier, range) = unsafe { (Self::notifier(raw), &*range) };
        if let Some(range) = checked(range.start, range.end) {
            notifier.invalidate_end(Ended(range, PhantomData, NotThreadSafe));
        }
    }

    /// # Safety
    ///
    /// As for [`Self::notifier`], during the call.
    unsafe extern "C" fn clear_flush_young(
        raw: *mut bindings::mmu_notifier,
        _mm: *mut bindings::mm_struct,
        start: c_ulong,
        end: c_ulong,
    ) -> bool {
        // SAFETY: C calls back for registered notifiers only.
        let notifier = unsafe { Self::notifier(raw) };
        checked(start, end).is_some_and(|range| notifier.clear_flush_young(range))
    }

    /// # Safety
    ///
    /// As for [`Self::notifier`], during the call.
    unsafe extern "C" fn clear_young(
        raw: *mut bindings::mmu_notifier,
        _mm: *mut bindings::mm_struct,
        start: c_ulong,
        end: c_ulong,
    ) -> bool {
        // SAFETY: C calls back for registered notifiers only.
        let notifier = unsafe { Self::notifier(raw) };
        checked(start, end).is_some_and(|range| notifier.clear_young(range))
    }

    /// # Safety
    ///
    /// As for [`Self::notifier`], during the call.
    unsafe extern "C" fn test_young(
        raw: *mut bindings::mmu_notifier,
        _mm: *mut bindings::mm_struct,
        address: c_ulong,
    ) -> bool {
        // SAFETY: C calls back for registered notifiers only.
        unsafe { Self::notifier(raw) }.test_young(address)
    }

    /// # Safety
    ///
    /// As for [`Self::notifier`], during the call.
    unsafe extern "C" fn release(raw: *mut bindings::mmu_notifier, _mm: *mut bindings::mm_struct) {
        // SAFETY: C calls back for registered notifiers only.
        unsafe { Self::notifier(raw) }.release(Released(PhantomData, NotThreadSafe));
    }
}

/// The range, which [`Notifier`] promises not to be empty.
#[inline(always)]
fn checked(start: usize, end: usize) -> Option<HostRange> {
    let range = HostRange::new(start, end);
    if range.is_empty() {
        pr_warn_once!("an mmu_notifier was called for no address\n");
        return None;
    }
    Some(range)
}

// The value is pinned for ever, so the compiler takes no reference to it for the only one: `drop()`
// may have `&mut Self` while callbacks still have `&T`.
#[pinned_drop]
impl<T: Notifier> PinnedDrop for Registration<T> {
    fn drop(self: Pin<&mut Self>) {
        let raw = self.raw.get();
        // SAFETY: By the type's invariant it is registered, so `mm` is what it was registered with,
        // and is allocated. Callbacks have ended when the function returns.
        unsafe { bindings::mmu_notifier_unregister(raw, (*raw).mm) };
    }
}
