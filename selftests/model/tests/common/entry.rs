// SPDX-License-Identifier: GPL-2.0

//! Single entries, in the state that a test expects.

use super::frame;
use kvmrs_model::{
    kvm::{
        table::{Absent, Leaf, Link},
        Context, Entry, Level, Locked, MmuLock, Mode, State, Vcpu,
    },
    sync::rcu,
};

/// Calls `f` with what reads the entry of `level` on the way to the first frame.
pub fn with_entry<M: Locked, R>(
    vcpu: &Vcpu,
    lock: &MmuLock<'_, M>,
    level: Level,
    f: impl for<'r> Fn(Context<'r, M>, &dyn Fn() -> Entry<'r, M>) -> R,
) -> R {
    let rcu = rcu::read_lock();
    let root = vcpu.root().expect("a root");
    let (cx, mut table) = Context::enter(lock, &rcu, &root).expect("its own VM");
    while table.level() > level {
        table = match Entry::read(cx, table, frame(0)) {
            Some(entry) => link(entry).table(),
            None => panic!("no entry"),
        };
    }
    f(cx, &|| {
        Entry::read(cx, table, frame(0)).expect("in the table")
    })
}

pub fn absent<M: Mode>(entry: Entry<'_, M>) -> Absent<'_, M> {
    match entry.state() {
        State::Absent(absent) => absent,
        _ => panic!("not absent"),
    }
}

pub fn leaf<M: Mode>(entry: Entry<'_, M>) -> Leaf<'_, M> {
    match entry.state() {
        State::Leaf(leaf) => leaf,
        _ => panic!("not a leaf"),
    }
}

pub fn link<M: Mode>(entry: Entry<'_, M>) -> Link<'_, M> {
    match entry.state() {
        State::Link(link) => link,
        _ => panic!("not a link"),
    }
}
