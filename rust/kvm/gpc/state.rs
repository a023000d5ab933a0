// SPDX-License-Identifier: GPL-2.0

//! The states of a pfn cache, and what leads from one to another.
//!
//! | state | step | to |
//! |---|---|---|
//! | [`Inactive`] | [`activate`](Inactive::activate) | [`Active`], not valid |
//! | [`Active`], valid or not | [`move_to`](Active::move_to) another page | [`Closed`], looking |
//! | [`Active`], valid | [`move_to`](Active::move_to) within the page | [`Found`], looking |
//! | [`Active`], valid or not | [`deactivate`](Active::deactivate) | [`Inactive`] |
//! | [`Closed`], looking | [`look_up`](Closed::look_up) | [`Found`], looking; [`Active`], not valid, if that fails |
//! | [`Found`], looking | [`commit`](Found::commit) | [`Active`], valid |
//! | [`Found`], looking no more | [`commit`](Found::commit) | [`Closed`], to look again |
//! | valid or looking | [`invalidate_caches`](Announced::invalidate_caches), the notifier's | not valid, and looking no more |
//!
//! All but the notifier's step are taken with `refresh_lock` held, and each of the types here has it. What
//! a reader looks at changes in [`Closed`] alone, where nobody has the page pinned.
//!
//! The order of a refresh: the cache is at its new place and *looking*; no change of the host is going on
//! there; the page is looked up; the cache is valid if it is still looking. A change that begins after
//! the second step finds the cache at that place, and ends the looking.
//!
//! The model compiles this file as it is.

#![forbid(unsafe_code)]

use super::{
    place::{Address, Place, Refused},
    raw::{FoundPage, Gpc, Mapping, RefreshLock, Sleeper}, //
};
use crate::kvm::memory::{
    Announced,
    Vm, //
};
use core::ptr;

/// A cache with its `refresh_lock` held.
pub enum Locked<'a> {
    /// It is not in use.
    Inactive(Inactive<'a>),
    /// It is.
    Active(Active<'a>),
}

/// A cache that is not in use. Nobody can pin it, it maps nothing, and no notifier looks at it.
///
/// # Invariants
///
/// The cache is not active.
pub struct Inactive<'a>(RefreshLock<'a>);

/// A cache that is in use, valid or not.
///
/// # Invariants
///
/// The cache is active, so it is on the VM's list. If it is valid, it has a mapping of the page that the
/// host has at its place, or a notifier is on its way to take that away.
pub struct Active<'a>(RefreshLock<'a>);

/// A cache that nobody can pin, and nobody has pinned.
///
/// # Invariants
///
/// The cache is active and not valid, and has no mapping. What it had is in `kept`, for the case that the
/// page is still the same.
pub struct Closed<'a> {
    lock: RefreshLock<'a>,
    kept: Option<Mapping>,
}

/// As [`Closed`], with the page for its place.
///
/// # Invariants
///
/// `mapping` is of the page that the host has at the cache's place, for as long as the cache is looking.
pub struct Found<'a> {
    lock: RefreshLock<'a>,
    mapping: Mapping,
    /// The reference to the page, if it was looked up.
    page: Option<FoundPage>,
}

/// Where a cache is, after it was to move.
pub enum Moved<'a> {
    /// It is valid there, and was before.
    Not,
    /// It stays in its page, which has been found so.
    Within(Found<'a>),
    /// Its page has to be looked up.
    Away(Closed<'a>),
}

impl Gpc {
    /// Takes `refresh_lock`. Sleeps.
    pub fn lock(&self) -> Locked<'_> {
        Locked::new(self.lock_refresh())
    }

    /// As above, unless somebody kills the task while it waits.
    pub fn lock_killable(&self) -> Result<Locked<'_>, Refused> {
        self.lock_refresh_killable()
            .map(Locked::new)
            .ok_or(Refused::Killed)
    }
}

impl<'a> Locked<'a> {
    fn new(lock: RefreshLock<'a>) -> Self {
        match lock.is_active() {
            true => Self::Active(Active(lock)),
            false => Self::Inactive(Inactive(lock)),
        }
    }
}

impl<'a> Inactive<'a> {
    /// The cache comes into use. Notifiers find it before anything can be valid.
    pub fn activate(self) -> Active<'a> {
        self.0.enlist();
        self.0.set_active(true);
        Active(self.0)
    }
}

impl<'a> Active<'a> {
    /// What the cache is for.
    #[inline(always)]
    pub fn address(&self) -> Address {
        self.0.address()
    }

    /// Moves the cache to `address`, going by the task's memory slots.
    pub fn move_to(self, address: Address, task: &Sleeper<'_>) -> Moved<'a> {
        let lock = self.0;
        let place = Place::of(lock.vm(), address, task.slots());
        if lock.pins().is_valid() && lock.is_at(&place) {
            return Moved::Not;
        }
        let was_valid = lock.pins().look();
        let stays = was_valid && lock.page() == place.page();
        let kept = lock.take_mapping();
        lock.set_place(&place);
        match kept {
            // INVARIANT: The cache was valid when it began to look.
            Some(mapping) if stays => Moved::Within(Found {
                lock,
                mapping,
                page: None,
            }),
            kept => Moved::Away(Closed { lock, kept }),
        }
    }

    /// The cache goes out of use.
    pub fn deactivate(self) -> Inactive<'a> {
        let lock = self.0;
        lock.set_active(false);
        lock.pins().invalidate();
        lock.delist();
        drop(lock.take_mapping());
        Inactive(lock)
    }
}

impl<'a> Closed<'a> {
    /// Looks up the page for the cache's place, and maps it. Sleeps, also as long as the host changes it.
    /// An error leaves the cache not valid, without a mapping.
    pub fn look_up(self, task: &mut Sleeper<'_>) -> Result<Found<'a>, Refused> {
        let Self { lock, kept } = self;
        settle(&lock, task)?;
        let page = FoundPage::look_up(&lock, task).ok_or(Refused::NoPage)?;
        let mapping = match kept {
            Some(mapping) if page.is_mapped_by(&mapping) => mapping,
            old => {
                drop(old);
                page.map().ok_or(Refused::NoPage)?
            }
        };
        // INVARIANT: Whoever takes the page away from now on ends the looking, and nobody was about to.
        Ok(Found {
            lock,
            mapping,
            page: Some(page),
        })
    }
}

/// Looks at a time at which the host is changing nothing of the page.
fn settle(cache: &Gpc, task: &mut Sleeper<'_>) -> Result<(), Refused> {
    if !ptr::eq(cache.vm(), task.slots().vm()) {
        cache.vm().bug();
        return Err(Refused::Foreign);
    }
    let page = cache.page().ok_or(Refused::NoPage)?;
    loop {
        // First, as a change may begin between the two.
        cache.pins().look();
        let Some(ended) = cache.vm().is_changing(page) else {
            return Ok(());
        };
        task.wait_for_end(ended)?;
    }
}

impl<'a> Found<'a> {
    /// Makes the cache valid, unless the page was taken away since it was looked up.
    pub fn commit(self) -> Result<Active<'a>, Closed<'a>> {
        let Self {
            lock,
            mapping,
            page,
        } = self;
        lock.put_mapping(mapping);
        if !lock.pins().publish() {
            let kept = lock.take_mapping();
            return Err(Closed { lock, kept });
        }
        if let Some(page) = page {
            page.release();
        }
        // INVARIANT: It was still looking, so the mapping is that of the host's page.
        Ok(Active(lock))
    }
}

impl Announced<'_> {
    /// Takes the memory away from the VM's pfn caches. Nobody uses it by way of them on return.
    pub fn invalidate_caches(&self) {
        self.vm().for_each_cache(|cache| {
            // Not only if it is valid: what it was may still be pinned. It moves when it no longer is.
            if cache.page().is_some_and(|page| page.overlaps(self.range())) {
                cache.pins().invalidate();
            }
        });
    }
}

impl Vm {
    /// Takes all memory away from the VM's pfn caches, as nobody will hear any more what the host changes.
    /// Nobody is looking a page up, nor will be: a [`Sleeper`] is a user of the address space that goes.
    pub fn invalidate_all_caches(&self) {
        self.for_each_cache(|cache| cache.pins().invalidate());
    }
}
