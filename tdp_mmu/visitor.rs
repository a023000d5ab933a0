// SPDX-License-Identifier: GPL-2.0

//! Visitors: which entries a walk is about, what it does there, and how it goes on.

use crate::kvm::{
    table::TransitionError,
    Entry,
    Gfn,
    Level,
    Mode,
    PendingFlush,
    Spte,
    Vm, //
};
use core::ops::ControlFlow;

/// Whether a walk lets others have the lock and the CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GiveWay {
    /// When somebody waits for them.
    WhenAsked,
    /// Until its end it does not.
    Never,
}

impl GiveWay {
    /// The frame behind which a walk from `start` on may give way.
    #[inline(always)]
    pub(super) fn behind(self, start: Gfn) -> Gfn {
        match self {
            Self::WhenAsked => start,
            Self::Never => Gfn::new(u64::MAX),
        }
    }
}

/// How a walk goes on after a visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// To the next entry.
    Next,
    /// To the same entry, which has changed.
    Again,
    /// Not at all.
    Stop,
    /// To the same entry, after [`Visitor::sleep`] ran without the lock.
    Sleep,
}

/// After a lost race the walk looks at the entry again. After a refusal it ends: the VM is broken.
impl<R> From<TransitionError<R>> for Step {
    #[inline(always)]
    fn from(error: TransitionError<R>) -> Self {
        match error {
            TransitionError::Raced(_) => Self::Again,
            TransitionError::Refused => Self::Stop,
        }
    }
}

/// Frames that a visitor picks.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The first.
    pub first: Gfn,
    /// Which of the 64 from there on, by a bit for each. The first is among them. If none is, nothing is known yet of
    /// those from `first` on.
    pub mask: u64,
}

impl Wanted {
    /// Those of the 64 from `gfn` on whose bits are set in `mask`. If none is, the first lies behind all of them.
    #[inline(always)]
    pub fn of(gfn: Gfn, mask: u64) -> Self {
        let skipped = mask.trailing_zeros();
        Self {
            first: gfn.add(skipped.into()),
            // Of an empty mask, nothing is left in any case.
            mask: mask.wrapping_shr(skipped),
        }
    }
}

/// What a walk is for.
pub trait Visitor<M: Mode> {
    /// Whether the visitor cuts off tables that CPUs may go on using until they flush. The walk
    /// then carries out what is owed before it ends its RCU section.
    const REMOVES_TABLES: bool = false;

    /// Whether the visitor picks frames: the walk passes over those in between without a look at their entries.
    const PICKS: bool = false;

    /// The lowest level that the walk goes down to.
    #[inline(always)]
    fn min_level(&self) -> Level {
        Level::PG_4K
    }

    /// The next frames from `gfn` on that a visitor which picks wants. If they lie behind the walk's range, there
    /// are no more. If it has passed many frames and wants none of them, the walk may give way before it asks again
    /// from `first` on, which must lie behind `gfn`.
    #[inline(always)]
    fn next_wanted(&self, gfn: Gfn) -> Wanted {
        Wanted::of(gfn, u64::MAX)
    }

    /// Whether a present entry of `level` that holds `spte` is to be visited.
    fn wants(&self, spte: Spte, level: Level) -> bool;

    /// Visits an entry that was wanted a moment ago, and is present.
    fn visit(&mut self, entry: Entry<'_, M>, context: &mut VisitContext<'_, '_>) -> Step;

    /// Does what may sleep, after [`Step::Sleep`]. `Break` ends the walk.
    fn sleep(&mut self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// What a visitor may use during a visit.
pub struct VisitContext<'a, 'vm> {
    /// Takes the flushes that the visit makes necessary.
    pub flush: &'a mut PendingFlush<'vm>,
    pub(super) vm: &'a Vm,
    pub(super) may_give_way: bool,
}

impl VisitContext<'_, '_> {
    /// Whether the walk should give way, and may because it has got further since it last did.
    ///
    /// A visitor that takes long returns [`Step::Again`] then.
    #[inline(always)]
    pub fn should_give_way(&self) -> bool {
        self.may_give_way && self.vm.wants_break()
    }
}
