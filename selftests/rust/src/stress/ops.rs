// SPDX-License-Identifier: GPL-2.0

//! What can happen to a VM and its memory while it runs.

use super::dirty::Copy;
use super::host;
use super::machine::{Area, Machine, ECHO_STRIDE};
use super::seen::Effect;
use super::whole;
use crate::rng::Rng;
use anyhow::{ensure, Result};
use kvm_bindings::KVM_MEM_READONLY as READ_ONLY;
use kvmtest::memory::{Memory, Rights, KIB, PAGE_2M, PAGE_4K};
use kvmtest::vm::{Slot, BASE};
use std::ops::Range;
use std::thread::yield_now;
use std::time::{Duration, Instant};

/// A guest that does not see a new page by then is stuck.
const PATIENCE: Duration = Duration::from_secs(90);

/// When an operation may be done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum When {
    /// At any time.
    Always,
    /// The second vCPU copies words in the memory that is taken away.
    Echo,
    /// Nobody follows the dirty log: it is switched, or its slot goes.
    NoCopy,
    /// Somebody does.
    Copy,
}

/// One kind of operation.
pub struct Op {
    /// Its name in reports.
    pub name: &'static str,
    /// How often, compared with others.
    pub weight: u64,
    /// When.
    pub when: When,
    run: fn(&mut Host<'_>, &Range<u64>) -> Result<()>,
}

/// The host's side of a VM: what operations work on.
pub struct Host<'a> {
    /// The VM.
    pub machine: &'a Machine,
    /// Chooses.
    pub rng: &'a mut Rng,
    /// The copy that follows the dirty log, if somebody does.
    pub copy: Option<Copy>,
    /// Whether the second vCPU copies words.
    pub echo: bool,
    /// The last word that was given to it.
    pub token: u32,
}

impl Host<'_> {
    /// Whether it can be done now.
    pub fn may(&self, op: &Op) -> bool {
        match op.when {
            When::Always => true,
            When::Echo => self.echo,
            When::NoCopy => self.copy.is_none(),
            When::Copy => self.copy.is_some(),
        }
    }

    /// A part of the memory that it is about.
    pub fn part_for(&mut self, op: &Op) -> Range<u64> {
        let small = if op.when == When::Echo {
            ECHO_STRIDE
        } else {
            PAGE_4K
        };
        let unit = if self.rng.once_in(2) { PAGE_2M } else { small };
        let size = self.area(op).memory.size();
        self.rng.part(size, unit)
    }

    /// Does it.
    pub fn run(&mut self, op: &Op, part: &Range<u64>) -> Result<()> {
        (op.run)(self, part)
    }

    /// In words, with guest-physical addresses.
    pub fn describe(&self, op: &Op, part: &Range<u64>) -> String {
        let gpa = self.area(op).slot.gpa;
        format!("{} {:#x}..{:#x}", op.name, gpa + part.start, gpa + part.end)
    }

    fn area(&self, op: &Op) -> &Area {
        if op.when == When::Echo {
            &self.machine.taken
        } else {
            &self.machine.kept
        }
    }

    fn kept(&self) -> &Memory {
        &self.machine.kept.memory
    }

    /// Takes pages away in some way; the guest must use what is in their place then, and nothing
    /// may write to the old ones.
    fn take(
        &mut self,
        part: &Range<u64>,
        way: fn(&Memory, &Range<u64>) -> Result<Option<Memory>>,
    ) -> Result<()> {
        const MARK: u32 = 0xdead_0000;
        let memory = &self.machine.taken.memory;
        let old = way(memory, part)?;
        self.token += 1;
        let token = self.token;
        let echoes = || part.clone().step_by(ECHO_STRIDE as usize);
        if let Some(old) = &old {
            echoes().for_each(|place| old.store(place - part.start + 4, MARK));
        }
        echoes().for_each(|place| memory.store(place, token));
        for place in echoes() {
            self.await_echo(place, token)?;
        }
        let written =
            old.and_then(|old| echoes().find(|place| old.load(place - part.start + 4) != MARK));
        let gpa = self.machine.taken.slot.gpa + written.unwrap_or_default();
        ensure!(
            written.is_none(),
            "the guest wrote to the page that was at {gpa:#x}"
        );
        Ok(())
    }

    fn await_echo(&self, place: u64, token: u32) -> Result<()> {
        let start = Instant::now();
        let gpa = self.machine.taken.slot.gpa + place;
        while self.machine.taken.memory.load(place + 4) != token && !self.machine.failed() {
            ensure!(
                start.elapsed() < PATIENCE,
                "the guest does not see the new page at {gpa:#x}"
            );
            yield_now();
        }
        Ok(())
    }

    /// Has the slots of both memories changed, and changed back.
    fn change_slots(&mut self, change: fn(&Slot) -> (Slot, u32)) -> Result<()> {
        let machine = self.machine;
        let areas = [&machine.kept, &machine.taken];
        let area = areas[self.rng.within(0..2) as usize];
        let (slot, flags) = change(&area.slot);
        // A slot cannot become read-only, or stop being so.
        if flags & READ_ONLY != 0 {
            machine.vm.delete(&area.slot)?;
        }
        machine.vm.set(&slot, flags)?;
        machine.vm.mapped()?;
        if flags & READ_ONLY != 0 {
            machine.vm.delete(&area.slot)?;
        }
        machine.vm.set(&area.slot, 0)
    }
}

/// A kind of operation on the whole machine or the kept memory, whose content stays.
const fn op(
    name: &'static str,
    weight: u64,
    run: fn(&mut Host<'_>, &Range<u64>) -> Result<()>,
) -> Op {
    let when = When::Always;
    Op {
        name,
        weight,
        when,
        run,
    }
}

/// All operations.
pub const OPS: &[Op] = &[
    op("mprotect", 4, |host, part| {
        let _access = host.machine.lock_out();
        host.kept().protect(part.clone(), Rights::Read)?;
        host.kept().protect(part.clone(), Rights::All)
    }),
    op("page out", 4, |host, part| {
        // Each page costs a flush of every TLB: where processors are shared, that takes time.
        let few = part.start..part.end.min(part.start + 64 * PAGE_4K);
        host.kept().advise(few, libc::MADV_PAGEOUT)
    }),
    op("cold", 2, |host, part| {
        host.kept().advise(part.clone(), libc::MADV_COLD)
    }),
    op("huge pages", 3, |host, part| {
        host.kept().advise(part.clone(), libc::MADV_HUGEPAGE)
    }),
    op("small pages", 1, |host, part| {
        host.kept().advise(part.clone(), libc::MADV_NOHUGEPAGE)
    }),
    op("collapse", 6, |host, part| {
        // It does not always work out: a page is pinned, or the part is no huge page.
        let _ = host.kept().advise(part.clone(), libc::MADV_COLLAPSE);
        Ok(())
    }),
    op("mergeable", 2, |host, part| {
        host.kept().advise(part.clone(), libc::MADV_MERGEABLE)
    }),
    op("unmergeable", 1, |host, part| {
        host.kept().advise(part.clone(), libc::MADV_UNMERGEABLE)
    }),
    op("mremap", 3, |host, part| {
        let _access = host.machine.lock_out();
        let moved = host::move_and_back(host.kept(), part)?;
        host.machine.seen.add(Effect::Moved, moved.into());
        Ok(())
    }),
    op("move to node", 4, |host, part| {
        let node = host.rng.within(0..2);
        host.kept().move_to_node(part.clone(), node)
    }),
    op("idle", 3, |host, part| {
        let used = host::idle_pages_used(host.kept(), part)?;
        host.machine.seen.add(Effect::Used, used);
        Ok(())
    }),
    op("compact", 1, |_, _| whole::compact()),
    op("reclaim", 1, |_, part| {
        whole::reclaim((part.end - part.start).min(256 * KIB))
    }),
    op("zap everything", 1, |host, _| {
        whole::zap_everything(host.rng.once_in(2))
    }),
    op("statistics", 1, |host, _| {
        host.machine.vm.mapped().map(drop)
    }),
    Op {
        name: "discard",
        weight: 4,
        when: When::Echo,
        run: |host, part| {
            host.take(part, |memory, part| {
                memory.discard(part.clone()).map(|()| None)
            })
        },
    },
    Op {
        name: "replace",
        weight: 4,
        when: When::Echo,
        run: |host, part| {
            host.take(part, |memory, part| {
                memory.replace(part.clone())?;
                memory.advise(part.clone(), libc::MADV_HUGEPAGE)?;
                Ok(None)
            })
        },
    },
    Op {
        name: "move away",
        weight: 4,
        when: When::Echo,
        run: |host, part| {
            host.take(part, |memory, part| {
                memory.move_away(part.clone()).map(Some)
            })
        },
    },
    Op {
        name: "log on and off",
        weight: 4,
        when: When::NoCopy,
        run: |host, _| {
            host.machine.start_log()?;
            host.machine.vm.get_log(&host.machine.kept.slot)?;
            host.machine.end_log()
        },
    },
    Op {
        name: "delete the slot",
        weight: 3,
        when: When::NoCopy,
        run: |host, _| host.change_slots(|slot| (Slot { size: 0, ..*slot }, 0)),
    },
    Op {
        name: "move the slot",
        weight: 3,
        when: When::NoCopy,
        run: |host, _| {
            host.change_slots(|slot| {
                (
                    Slot {
                        gpa: slot.gpa + BASE,
                        ..*slot
                    },
                    0,
                )
            })
        },
    },
    Op {
        name: "read-only slot",
        weight: 2,
        when: When::NoCopy,
        run: |host, _| host.change_slots(|slot| (*slot, READ_ONLY)),
    },
    Op {
        name: "follow the log",
        weight: 12,
        when: When::Copy,
        run: |host, _| {
            let mut copy = host.copy.take().expect("it is there when this is chosen");
            let done = copy.follow(host.machine, host.rng);
            host.copy = Some(copy);
            done
        },
    },
];
