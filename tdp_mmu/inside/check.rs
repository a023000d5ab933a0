// SPDX-License-Identifier: GPL-2.0

//! `mmu_check`: a line for each broken rule.
//!
//! The first pass holds every table and entry against the rules. What breaks one is a suspect: on a
//! VM that runs, the entry and what it was compared with may be of different moments. So the check
//! looks again while the VM holds still, and reports what breaks the same rule still.
//!
//! The page statistics and the number of tables are compared at the end of each pass. If they
//! differ, more passes count again, between moments at which the VM holds still: whoever has changed
//! an entry, and not yet the figures, holds `mmu_lock` until both are done. What is reported are
//! figures that KVM did not change during two passes in a row, and that were off by the same both
//! times. If there are no two such passes, the VM is too busy, and the check says so.

use super::{
    rules::{self, Around, Place, Rule},
    run::Size,
    scan::{self, Found, Linked, Look, Next, Progress, Scan},
    text::Text, //
};
use crate::{
    kvm::{
        AnyVm,
        Level,
        Spte, //
    },
    sync::rcu, //
};

/// Passes before the check gives up on figures that do not stay.
const PASSES: u8 = 4;
/// Room for the suspects of a step.
const SUSPECTS: usize = 16;
/// One descent finds so many at most: a table of each level, and an entry.
const AT_ONCE: usize = Level::MAX.raw() as usize;

/// The figures, in the order of their names.
const NAMES: [&str; 4] = ["pages_4k", "pages_2m", "pages_1g", "tables"];
const TABLES: usize = 3;

/// A number for each figure.
type Figures = [i64; 4];
/// What KVM says of each figure, where it does.
type Counted = [Option<i64>; 4];

/// What broke a rule when it was looked at without a lock.
#[derive(Clone, Copy)]
struct Suspect {
    place: Place,
    rule: Rule,
}

/// Suspects, first come, first served.
#[derive(Default)]
struct Suspects {
    list: [Option<Suspect>; SUSPECTS],
    len: usize,
    /// How many were looked at again.
    taken: usize,
}

impl Suspects {
    fn add(&mut self, place: Place, rule: Option<Rule>) {
        let (Some(rule), Some(free)) = (rule, self.list.get_mut(self.len)) else {
            return;
        };
        *free = Some(Suspect { place, rule });
        self.len += 1;
    }

    fn take(&mut self) -> Option<Suspect> {
        let next = self.list.get_mut(self.taken).and_then(Option::take);
        if next.is_some() {
            self.taken += 1;
        } else {
            (self.len, self.taken) = (0, 0);
        }
        next
    }

    fn is_nearly_full(&self) -> bool {
        self.len + AT_ONCE > SUSPECTS
    }
}

/// How far the check has got.
#[derive(Default)]
pub(super) struct Check {
    scan: Scan,
    suspects: Suspects,
    /// The figures when the present pass began; nobody asks at the first.
    at_begin: Option<Counted>,
    /// What the present pass has found.
    found: Figures,
    /// How far the figures were off in the pass before, if they did not change during it.
    off_before: Option<Figures>,
    passes: u8,
    done: bool,
}

impl Check {
    /// Writes the next lines.
    pub(super) fn read(&mut self, vm: &AnyVm, text: &mut Text<'_>) -> Progress {
        while text.has_room() {
            let Some(suspect) = self.suspects.take() else {
                return self.go_on(vm, text);
            };
            if let Some((role, spte)) = suspect.look_again(vm) {
                suspect.report(role, spte, text);
            }
        }
        Progress::More
    }

    fn go_on(&mut self, vm: &AnyVm, text: &mut Text<'_>) -> Progress {
        if self.done {
            return Progress::Done;
        }
        // What is said of figures needs room for a line each.
        if text.len() != 0 {
            return Progress::More;
        }
        let host = vm.host_tables();
        let step = vm.with_slots(|slots| {
            let mut inspector = Inspector {
                around: Around {
                    vm,
                    slots,
                    host: host.as_ref(),
                },
                suspects: &mut self.suspects,
                found: &mut self.found,
                judges: self.passes == 0,
            };
            self.scan.step(vm, &mut inspector)
        });
        if step == Progress::Done {
            self.compare(vm, text);
        }
        Progress::More
    }

    /// Compares the figures at the end of a pass, and begins another one if that is of use.
    fn compare(&mut self, vm: &AnyVm, text: &mut Text<'_>) {
        let counted = match self.passes {
            0 => counted(vm),
            _ => vm.hold_still(|_| counted(vm)),
        };
        let off = difference(&counted, &self.found);
        let off_now = (self.at_begin == Some(counted)).then_some(off);
        self.passes += 1;
        self.done = true;
        if off == [0; 4] {
            return;
        }
        if off_now.is_some() && off_now == self.off_before {
            report_figures(&counted, &self.found, text);
        } else if self.passes == PASSES {
            text.line(format_args!("busy: the figures change all the time"));
        } else {
            self.begin_pass(vm, off_now);
        }
    }

    fn begin_pass(&mut self, vm: &AnyVm, off_before: Option<Figures>) {
        self.off_before = off_before;
        self.at_begin = Some(vm.hold_still(|_| counted(vm)));
        self.found = [0; 4];
        self.scan = Scan::default();
        self.done = false;
    }
}

fn counted(vm: &AnyVm) -> Counted {
    [
        vm.counted_pages(Level::PG_4K),
        vm.counted_pages(Level::PG_2M),
        vm.counted_pages(Level::PG_1G),
        Some(vm.counted_tables()),
    ]
}

fn difference(counted: &Counted, found: &Figures) -> Figures {
    let mut off = [0; 4];
    for (off, (counted, found)) in off.iter_mut().zip(counted.iter().zip(found)) {
        *off = counted.map_or(0, |counted| counted - found);
    }
    off
}

fn report_figures(counted: &Counted, found: &Figures, text: &mut Text<'_>) {
    for (name, (counted, found)) in NAMES.iter().zip(counted.iter().zip(found)) {
        if let Some(counted) = counted.filter(|counted| counted != found) {
            text.line(format_args!("{name}: counted {counted}, found {found}"));
        }
    }
}

impl Suspect {
    /// Whether the rule is broken still while the VM holds still; if so, the role of the root, and
    /// what the entry holds.
    fn look_again(&self, vm: &AnyVm) -> Option<(u32, Spte)> {
        let host = vm.host_tables();
        vm.hold_still(|slots| {
            let rcu = rcu::read_lock();
            let root = scan::find_root(vm, &rcu, self.place.root)?;
            let (mut broken, mut link) = (None, None);
            let gfn = self.place.gfn;
            let found = scan::descend(vm, &rcu, root, gfn, |linked| {
                if linked.parent.level() == self.place.level {
                    broken = rules::of_table(linked);
                    link = Some(linked.parent.look(vm, gfn, &rcu).0);
                }
            });
            if found.level == self.place.level {
                let around = Around {
                    vm,
                    slots,
                    host: host.as_ref(),
                };
                broken = rules::of_entry(&around, &found);
            }
            let spte = link.unwrap_or(found.spte);
            (broken == Some(self.rule)).then(|| (root.role().word(), spte))
        })
    }

    fn report(&self, role: u32, spte: Spte, text: &mut Text<'_>) {
        let Place { gfn, level, .. } = self.place;
        text.line(format_args!(
            "{}: role={role:#x} gfn={:#x} {} spte={:#x}",
            self.rule.text(),
            gfn.raw(),
            Size(level),
            spte.raw(),
        ));
    }
}

/// Looks at the entries of a pass.
struct Inspector<'a> {
    around: Around<'a>,
    suspects: &'a mut Suspects,
    found: &'a mut Figures,
    /// Later passes only count.
    judges: bool,
}

impl Look for Inspector<'_> {
    fn table(&mut self, linked: &Linked<'_>) {
        self.found[TABLES] += 1;
        if self.judges {
            let place = Place {
                root: scan::name_of(linked.root),
                gfn: linked.gfn,
                level: linked.parent.level(),
            };
            self.suspects.add(place, rules::of_table(linked));
        }
    }

    fn entry(&mut self, found: &Found<'_>) -> Next {
        if found.spte.is_present() {
            let index = usize::from(found.level.raw()) - 1;
            if let Some(pages) = self.found[..TABLES].get_mut(index) {
                *pages += 1;
            }
        }
        if self.judges {
            let place = Place {
                root: scan::name_of(found.root),
                gfn: found.gfn,
                level: found.level,
            };
            let rule = rules::of_entry(&self.around, found);
            self.suspects.add(place, rule);
        }
        if self.suspects.is_nearly_full() {
            Next::Pause
        } else {
            Next::On
        }
    }
}
