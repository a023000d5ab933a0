// SPDX-License-Identifier: GPL-2.0

//! A pfn cache. A model checker watches that nobody changes what a reader looks at.

use super::{found::Mapping, memory::Memory};
use crate::{
    atomic::{
        lock,
        plain::{lock as lock_plain, AtomicBool, Mutex as PlainMutex},
        Arc, AtomicUsize, Mutex, MutexGuard,
        Ordering::SeqCst,
        Tracked,
    },
    kvm::{
        gpc::{
            pins::Pins,
            place::{page_around, Address, PackedWord, Place},
        },
        memory::Vm,
        types::{Gfn, Pfn},
    },
    lockdep,
    mm::HostRange,
    sync::{Acquire, Number, Relaxed, Release},
};
use std::{ops::Deref, ptr, sync::Weak};

/// No address of the host's.
const NOWHERE: usize = usize::MAX;

/// What changes only while nobody has the cache pinned.
struct Fields {
    /// The guest's address, if it goes by that.
    guest: Option<u64>,
    generation: u64,
    /// The index of its slot.
    slot: Option<usize>,
    mapping: Option<Mapping>,
}

/// A pfn cache.
pub struct Gpc {
    me: Weak<Gpc>,
    vm: Arc<Vm>,
    pins: Number,
    host: AtomicUsize,
    active: AtomicBool,
    refresh_lock: Mutex<()>,
    watched: Tracked,
    fields: PlainMutex<Fields>,
}

impl Gpc {
    /// A cache that is not in use.
    pub fn new(vm: &Arc<Vm>) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            vm: vm.clone(),
            pins: Number::new(0),
            host: AtomicUsize::new(NOWHERE),
            active: AtomicBool::new(false),
            refresh_lock: Mutex::new(()),
            watched: Tracked::default(),
            fields: PlainMutex::new(Fields {
                guest: None,
                generation: 0,
                slot: None,
                mapping: None,
            }),
        })
    }

    /// The VM.
    pub fn vm(&self) -> &Vm {
        &self.vm
    }

    /// Whether it is in use, which may be over by now.
    pub fn is_active(&self) -> bool {
        self.active.load(SeqCst)
    }

    pub(super) fn vm_arc(&self) -> Arc<Vm> {
        self.vm.clone()
    }

    pub(in crate::kvm::gpc) fn pins(&self) -> Pins<'_> {
        Pins::new(&self.pins)
    }

    fn read<R>(&self, read: impl FnOnce(&Fields) -> R) -> R {
        self.watched.read();
        read(&lock_plain(&self.fields))
    }

    fn change<R>(&self, change: impl FnOnce(&mut Fields) -> R) -> R {
        self.watched.write();
        change(&mut lock_plain(&self.fields))
    }

    pub(in crate::kvm::gpc) fn page(&self) -> Option<HostRange> {
        let host = self.host.load(Acquire);
        (host != NOWHERE).then(|| page_around(host))
    }

    pub(in crate::kvm::gpc) fn address(&self) -> Address {
        match self.read(|fields| fields.guest) {
            Some(guest) => Address::Guest(guest),
            None => Address::Host(self.host.load(Relaxed)),
        }
    }

    pub(in crate::kvm::gpc) fn generation(&self) -> u64 {
        self.read(|fields| fields.generation)
    }

    /// The page that is mapped, which the kernel accesses now.
    fn access(&self) -> Pfn {
        let frame = Gfn::of_addr(self.host.load(Relaxed) as u64);
        let mapped = |fields: &Fields| fields.mapping.as_ref().map(Mapping::pfn);
        let pfn = self.read(mapped).expect("late use: nothing is mapped");
        self.vm.access(frame, pfn);
        pfn
    }

    fn memory(&self) -> (&Memory, Pfn) {
        (&self.vm.caches.memory, self.access())
    }

    pub(in crate::kvm::gpc) fn read_u32(&self, offset: usize) -> u32 {
        let (memory, pfn) = self.memory();
        let byte = |at| memory.read(pfn, offset + at);
        u32::from_le_bytes(std::array::from_fn(byte))
    }

    pub(in crate::kvm::gpc) fn write_u32(&self, offset: usize, value: u32) {
        self.write_bytes(offset, &value.to_le_bytes());
    }

    pub(in crate::kvm::gpc) fn write_words<const N: usize>(
        &self,
        offset: usize,
        words: &[PackedWord; N],
    ) {
        let bytes: Vec<_> = words
            .iter()
            .flat_map(|word| { word.0 }.to_le_bytes())
            .collect();
        self.write_bytes(offset, &bytes);
    }

    pub(in crate::kvm::gpc) fn read_u8(&self, offset: usize) -> u8 {
        let (memory, pfn) = self.memory();
        memory.read(pfn, offset)
    }

    pub(in crate::kvm::gpc) fn write_u8(&self, offset: usize, value: u8) {
        self.write_bytes(offset, &[value]);
    }

    pub(in crate::kvm::gpc) fn write_bytes(&self, offset: usize, bytes: &[u8]) {
        let (memory, pfn) = self.memory();
        memory.write(pfn, offset, bytes);
    }

    pub(in crate::kvm::gpc) fn test_and_set_bit(&self, offset: usize, bit: usize) -> bool {
        let (memory, pfn) = self.memory();
        memory.test_and_set_bit(pfn, offset, bit)
    }

    pub(in crate::kvm::gpc) fn mark_dirty(&self) {
        let (slot, guest) = self.read(|fields| (fields.slot, fields.guest));
        if let (Some(slot), Some(guest)) = (slot, guest) {
            self.vm.slots()[slot].mark_dirty(Gfn::of_addr(guest));
        }
    }

    pub(in crate::kvm::gpc) fn lock_refresh(&self) -> RefreshLock<'_> {
        lockdep::might_sleep("refresh_lock");
        RefreshLock(self, lock(&self.refresh_lock))
    }

    pub(in crate::kvm::gpc) fn lock_refresh_killable(&self) -> Option<RefreshLock<'_>> {
        Some(self.lock_refresh())
    }
}

/// A cache with its `refresh_lock` held.
pub(in crate::kvm::gpc) struct RefreshLock<'a>(&'a Gpc, #[allow(dead_code)] MutexGuard<'a, ()>);

impl RefreshLock<'_> {
    pub(in crate::kvm::gpc) fn set_active(&self, active: bool) {
        self.active.store(active, SeqCst);
    }

    pub(in crate::kvm::gpc) fn enlist(&self) {
        let me = self.me.upgrade().expect("it is borrowed");
        let mut list = lock(&self.vm.caches.list);
        let is_there = list.iter().any(|cache| Arc::ptr_eq(cache, &me));
        assert!(!is_there, "a cache in use is set up again");
        list.push(me);
    }

    pub(in crate::kvm::gpc) fn delist(&self) {
        let mut list = lock(&self.vm.caches.list);
        list.retain(|cache| !ptr::eq(&**cache, self.0));
    }

    pub(in crate::kvm::gpc) fn is_at(&self, place: &Place<'_>) -> bool {
        let same_slots = self.generation() == place.generation || place.slot.is_none();
        self.address() == place.address && same_slots && self.page() == place.page()
    }

    pub(in crate::kvm::gpc) fn set_place(&self, place: &Place<'_>) {
        let mut slots = self.vm.slots().iter();
        let slot = place
            .slot
            .and_then(|slot| slots.position(|other| ptr::eq(other, slot)));
        self.change(|fields| {
            fields.guest = match place.address {
                Address::Guest(guest) => Some(guest),
                Address::Host(_) => None,
            };
            fields.generation = place.generation;
            fields.slot = slot;
        });
        self.host.store(place.host.unwrap_or(NOWHERE), Release);
    }

    pub(in crate::kvm::gpc) fn put_mapping(&self, mapping: Mapping) {
        let old = self.change(|fields| fields.mapping.replace(mapping));
        assert!(old.is_none(), "a mapping is replaced");
    }

    pub(in crate::kvm::gpc) fn take_mapping(&self) -> Option<Mapping> {
        self.change(|fields| fields.mapping.take())
    }
}

impl Deref for RefreshLock<'_> {
    type Target = Gpc;

    fn deref(&self) -> &Gpc {
        self.0
    }
}
