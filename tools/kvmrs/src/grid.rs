// SPDX-License-Identifier: GPL-2.0

//! The address space of a root, cut into cells of one size.

use crate::map::{Root, Run, Size, What};
use std::collections::BTreeMap;

/// Bytes of a frame, as a shift.
pub const FRAME_SHIFT: u32 = 12;
/// Frames of the smallest cell, 2 MiB.
const SMALLEST: u64 = 512;
/// Zooming out once makes a cell so many times as large.
const ZOOM: u64 = 8;
/// Nobody wants to see more rows at once.
const ROWS: u64 = 128;
/// The largest cell, in frames.
const LARGEST: u64 = SMALLEST * ZOOM.pow(10);

/// What most of a cell is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Nothing is mapped.
    #[default]
    Absent,
    /// Emulated.
    Mmio,
    /// A task works on it.
    Frozen,
    /// Pages of a size.
    Pages(Size, Use),
}

/// How pages of a cell were used, as far as their bits tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// One is dirty.
    Dirty,
    /// One was accessed, none is dirty.
    Clean,
    /// None was accessed since it was last aged.
    Aged,
}

/// A part of the picture.
#[derive(Debug, PartialEq)]
pub enum Band {
    /// A row of cells.
    Row {
        /// Its first frame.
        first_gfn: u64,
        /// Its cells.
        cells: Vec<Kind>,
    },
    /// Nothing is mapped for so many frames.
    Gap {
        /// Its first frame.
        first_gfn: u64,
        /// How many there are.
        frames: u64,
    },
}

/// How a picture is cut.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cut {
    /// Frames of a cell.
    pub block: u64,
    /// Cells of a row.
    pub columns: u64,
}

impl Cut {
    /// The finest cut with which the root needs no more than [`ROWS`] rows.
    fn fitting(root: &Root, columns: u64) -> Self {
        let block = SMALLEST;
        let mut cut = Self { block, columns };
        while cut.rows(root) > ROWS && cut.block < LARGEST {
            cut = cut.out();
        }
        cut
    }

    /// The next finer cut; it is this one if the root would need far too many rows.
    pub fn closer(self, root: &Root) -> Self {
        let block = (self.block / ZOOM).max(SMALLEST);
        let finer = Self { block, ..self };
        if finer.rows(root) > ROWS * ZOOM * ZOOM {
            return self;
        }
        finer
    }

    /// The next coarser cut.
    pub fn out(self) -> Self {
        let block = (self.block * ZOOM).min(LARGEST);
        Self { block, ..self }
    }

    /// How many rows have something mapped.
    pub fn rows(self, root: &Root) -> u64 {
        let row = self.row();
        let (mut count, mut next) = (0, 0);
        for run in mapped(root) {
            let (first, last) = (run.first_gfn / row, run.last_gfn / row);
            count += (last + 1).saturating_sub(first.max(next));
            next = last + 1;
        }
        count
    }

    fn row(self) -> u64 {
        self.block * self.columns
    }
}

/// A root, cut.
pub struct Grid {
    /// How.
    pub cut: Cut,
    /// The rows of the picture and the gaps between them.
    pub bands: Vec<Band>,
}

impl Grid {
    /// Cells of a row, unless a screen has room for another number.
    pub const COLUMNS: u64 = 64;

    /// With cells of `block` frames, or as it fits.
    pub fn of(root: &Root, block: Option<u64>, columns: u64) -> Self {
        let cut = match block {
            Some(block) => Cut { block, columns },
            None => Cut::fitting(root, columns),
        };
        let bands = bands(root, cut);
        Self { cut, bands }
    }
}

fn bands(root: &Root, cut: Cut) -> Vec<Band> {
    let rows = rows(root, cut);
    let end = root.runs.last().map_or(0, |run| run.last_gfn + 1);
    let mut bands = Vec::new();
    let mut next = 0;
    let gap = |next, first| {
        (next < first).then(|| Band::Gap {
            first_gfn: next,
            frames: first - next,
        })
    };
    for (number, sums) in rows {
        let first_gfn = number * cut.row();
        bands.extend(gap(next, first_gfn));
        let cells = sums.iter().map(Sum::kind).collect();
        bands.push(Band::Row { first_gfn, cells });
        next = first_gfn + cut.row();
    }
    bands.extend(gap(next, end));
    bands
}

fn mapped(root: &Root) -> impl Iterator<Item = &Run> {
    root.runs.iter().filter(|run| run.what != What::Absent)
}

fn rows(root: &Root, cut: Cut) -> BTreeMap<u64, Vec<Sum>> {
    let mut rows: BTreeMap<u64, Vec<Sum>> = BTreeMap::new();
    for run in mapped(root) {
        let mut first = run.first_gfn;
        while first <= run.last_gfn {
            let cell = first / cut.block;
            let end = ((cell + 1) * cut.block).min(run.last_gfn + 1);
            let row = rows.entry(cell / cut.columns);
            let row = row.or_insert_with(|| vec![Sum::default(); cut.columns as usize]);
            row[(cell % cut.columns) as usize].add(run, end - first);
            first = end;
        }
    }
    rows
}

/// What lies in a cell.
#[derive(Clone, Default)]
struct Sum {
    mmio: u64,
    frozen: u64,
    /// Frames in pages of each size.
    pages: [u64; 3],
    accessed: bool,
    dirty: bool,
}

impl Sum {
    fn add(&mut self, run: &Run, frames: u64) {
        match run.what {
            What::Absent => {}
            What::Mmio(_) => self.mmio += frames,
            What::Frozen(_) => self.frozen += frames,
            What::Leaf(pages) => {
                self.pages[pages.entries.size.min(Size::Gigantic) as usize] += frames;
                self.accessed |= pages.bits.accessed;
                self.dirty |= pages.bits.dirty;
            }
        }
    }

    /// What there is most of, but for absent space.
    fn kind(&self) -> Kind {
        let used = match (self.dirty, self.accessed) {
            (true, _) => Use::Dirty,
            (false, true) => Use::Clean,
            (false, false) => Use::Aged,
        };
        let [small, huge, gigantic] = self.pages;
        let kinds = [
            (self.mmio, Kind::Mmio),
            (self.frozen, Kind::Frozen),
            (gigantic, Kind::Pages(Size::Gigantic, used)),
            (huge, Kind::Pages(Size::Huge, used)),
            (small, Kind::Pages(Size::Small, used)),
        ];
        let most = kinds.into_iter().max_by_key(|(frames, _)| *frames);
        most.filter(|(frames, _)| *frames != 0)
            .map_or(Kind::Absent, |(_, kind)| kind)
    }
}

/// So many frames, as people write it.
pub fn bytes(frames: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = frames as f64 * 4.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(value.fract() != 0.0);
    format!("{value:.digits$} {}", UNITS[unit])
}
