// SPDX-License-Identifier: GPL-2.0

//! The kernel's address of a page ends with the pin, and nobody gets at it before.

use kvmrs_model::kvm::{
    gpc::{Gpc, GuestPage},
    SlotsHeld,
};

fn kept<'a>(cache: &'a Gpc, slots: SlotsHeld<'a>) -> Option<GuestPage<'a>> {
    GuestPage::pin(cache, &slots, 8) //~ E0515
}

fn taken(page: &GuestPage<'_>) {
    let _ = page.cache; //~ E0616
}

fn borrowed<'a>(page: GuestPage<'a>) -> &'a [u32] {
    &page[..] //~ E0608
}

fn given_away(page: GuestPage<'static>) {
    std::thread::spawn(move || drop(page)); //~ E0277
}

fn main() {}
