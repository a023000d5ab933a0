// SPDX-License-Identifier: GPL-2.0

//! Pfn caches.

#[path = "../../../../../rust/kvm/gpc/bits.rs"]
mod bits;
#[path = "../../../../../rust/kvm/gpc/page.rs"]
mod page;
#[path = "../../../../../rust/kvm/gpc/pins.rs"]
mod pins;
#[path = "../../../../../rust/kvm/gpc/place.rs"]
mod place;
mod raw;
#[path = "../../../../../rust/kvm/gpc/state.rs"]
mod state;

pub use page::GuestPage;
pub use place::{Address, PackedWord, Refused, PAGE_SIZE};
pub use raw::{Caches, Gpc, Memory, Sleeper};
pub use state::{Active, Closed, Found, Inactive, Locked, Moved};
