// SPDX-License-Identifier: GPL-2.0

//! What histories are made of.

use super::PAGES;
use kvmrs_model::world::{
    breaks::{ALWAYS, NEVER},
    cpu::Access,
};
use proptest::prelude::*;

/// One thing that happens to a VM. Numbers choose frames of its memory.
#[derive(Clone, Debug)]
pub enum Op {
    Access(usize, u64, Access),
    Mmio(usize),
    Prefetch(usize, u64),
    Move(u64, u32),
    /// A notifier starts, for a part of the memory, and may block or not.
    Start(u64, u64, bool),
    /// The oldest one ends. Before, small pages of its range move.
    End,
    SplitHost(u64),
    Protect(u64, bool),
    Zap(u64, u64),
    ZapAllFast,
    Reload(usize),
    Log {
        smm: bool,
        split: bool,
    },
    Harvest(bool),
    StopLog(bool),
    Split {
        from: u64,
        pages: u64,
        exclusive: bool,
        memory: Option<u64>,
    },
    Recover(bool),
    Age(u64, u64, bool),
    Track(u64),
    NxWorker(u32),
    Nx(bool),
    Breaks(u64),
}

fn access() -> impl Strategy<Value = Access> {
    prop_oneof![Just(Access::Read), Just(Access::Write), Just(Access::Fetch)]
}

pub fn op() -> impl Strategy<Value = Op> {
    let at = || 0..PAGES;
    let cpu = || 0..3usize;
    prop_oneof![
        12 => (cpu(), at(), access()).prop_map(|(c, g, a)| Op::Access(c, g, a)),
        1 => cpu().prop_map(Op::Mmio),
        1 => (cpu(), at()).prop_map(|(c, g)| Op::Prefetch(c, g)),
        2 => (at(), 1..=2u32).prop_map(|(g, level)| Op::Move(g, level)),
        1 => (at(), 1..1500u64, any::<bool>()).prop_map(|(g, n, b)| Op::Start(g, n, b)),
        1 => Just(Op::End),
        1 => at().prop_map(Op::SplitHost),
        1 => (at(), any::<bool>()).prop_map(|(g, w)| Op::Protect(g, w)),
        2 => (at(), 1..1500u64).prop_map(|(g, n)| Op::Zap(g, n)),
        1 => Just(Op::ZapAllFast),
        1 => cpu().prop_map(Op::Reload),
        1 => any::<(bool, bool)>().prop_map(|(smm, split)| Op::Log { smm, split }),
        3 => any::<bool>().prop_map(Op::Harvest),
        1 => any::<bool>().prop_map(Op::StopLog),
        1 => (at(), 1..PAGES, any::<bool>(), prop::option::of(0..3u64)).prop_map(
            |(from, pages, exclusive, memory)| Op::Split { from, pages, exclusive, memory }
        ),
        2 => any::<bool>().prop_map(Op::Recover),
        2 => (at(), 1..1500u64, any::<bool>()).prop_map(|(g, n, t)| Op::Age(g, n, t)),
        1 => at().prop_map(Op::Track),
        1 => (1..4u32).prop_map(Op::NxWorker),
        1 => any::<bool>().prop_map(Op::Nx),
        1 => prop_oneof![Just(NEVER), Just(ALWAYS), any::<u64>()].prop_map(Op::Breaks),
    ]
}
