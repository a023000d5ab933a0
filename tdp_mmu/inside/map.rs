// SPDX-License-Identifier: GPL-2.0

//! `mmu_map`: every root, and below it the runs of entries that map in the same way.

use super::{
    run::Run,
    scan::{Found, Look, Next, Progress, Scan},
    text::Text, //
};
use crate::kvm::{
    AnyVm,
    Level,
    ShadowPage, //
};

/// How far the map has got.
#[derive(Default)]
pub(super) struct Map {
    scan: Scan,
    /// What was found and not written yet, because it may go on.
    run: Option<Run>,
}

impl Map {
    /// Writes the next lines.
    pub(super) fn read(&mut self, vm: &AnyVm, text: &mut Text<'_>) -> Progress {
        let run = &mut self.run;
        self.scan.step(vm, &mut Writer { vm, run, text })
    }
}

struct Writer<'a, 't> {
    vm: &'a AnyVm,
    run: &'a mut Option<Run>,
    text: &'a mut Text<'t>,
}

impl Look for Writer<'_, '_> {
    fn begin(&mut self, root: &ShadowPage) -> Next {
        if !self.text.has_room() {
            return Next::Again;
        }
        let role = root.role();
        self.text.line(format_args!(
            "root role={:#x} level={} as_id={} guest_mode={} ad_disabled={} invalid={} refs={}",
            role.word(),
            role.level().map_or(0, Level::raw),
            role.address_space().raw(),
            u8::from(role.is_guest_mode()),
            u8::from(role.is_ad_disabled()),
            u8::from(role.is_invalid()),
            root.root_references(),
        ));
        Next::On
    }

    fn entry(&mut self, found: &Found<'_>) -> Next {
        let new = Run::of(self.vm, found);
        if self.run.as_mut().is_some_and(|run| run.join(&new)) {
            return Next::On;
        }
        let next = self.end();
        if next == Next::On {
            *self.run = Some(new);
        }
        next
    }

    fn end(&mut self) -> Next {
        if !self.text.has_room() {
            return Next::Again;
        }
        if let Some(run) = self.run.take() {
            self.text.line(format_args!("{run}"));
        }
        Next::On
    }
}
