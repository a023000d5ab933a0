// SPDX-License-Identifier: GPL-2.0

//! Cells show what most of them is.

use super::map_of;
use crate::grid::{bytes, Band, Grid, Kind, Use};
use crate::map::{Map, Size};

/// Two cells of 2 MiB a row.
fn bands(map: &Map) -> Vec<Band> {
    Grid::of(&map.roots[0], Some(512), 2).bands
}

/// As it fits.
fn fitting(map: &Map) -> Grid {
    Grid::of(&map.roots[0], None, Grid::COLUMNS)
}

fn row(first_gfn: u64, cells: [Kind; 2]) -> Band {
    let cells = cells.into();
    Band::Row { first_gfn, cells }
}

fn gap(first_gfn: u64, frames: u64) -> Band {
    Band::Gap { first_gfn, frames }
}

#[test]
fn rows_and_gaps() {
    let runs = [(1024, 1536, "2M 1 RWXADMH"), (5000, 5001, "4K 1 mmio")];
    let map = map_of(&runs, 1 << 36);
    let huge = Kind::Pages(Size::Huge, Use::Dirty);
    let expected = [
        gap(0, 1024),
        row(1024, [huge, Kind::Absent]),
        gap(2048, 2048),
        row(4096, [Kind::Absent, Kind::Mmio]),
        gap(5120, (1 << 36) - 5120),
    ];
    assert_eq!(bands(&map), expected);
}

#[test]
fn one_dirty_page_makes_a_cell_dirty() {
    let runs = [
        (0, 511, "4K 511 R-XA-MH"),
        (511, 512, "4K 1 RWXADMH"),
        (512, 1023, "4K 511 R-X--MH"),
        (1023, 1024, "4K 1 R-XA-MH"),
    ];
    let kinds = [Use::Dirty, Use::Clean].map(|used| Kind::Pages(Size::Small, used));
    assert_eq!(bands(&map_of(&runs, 1024)), [row(0, kinds)]);
}

#[test]
fn pages_that_nobody_used_are_aged() {
    let map = map_of(&[(0, 512, "2M 1 RWX--MH")], 512);
    let aged = Kind::Pages(Size::Huge, Use::Aged);
    assert_eq!(bands(&map), [row(0, [aged, Kind::Absent])]);
}

#[test]
fn a_page_can_be_larger_than_a_row() {
    let map = map_of(&[(1 << 18, 1 << 19, "1G 1 RWXADMH")], 1 << 36);
    let bands = bands(&map);
    let full = [Kind::Pages(Size::Gigantic, Use::Dirty); 2];
    assert_eq!(bands.len(), 2 + 256);
    assert_eq!(bands[256], row((1 << 19) - 1024, full));
}

#[test]
fn large_memory_gets_large_cells() {
    let small = map_of(&[(0, 1 << 18, "2M 512 RWXADMH")], 1 << 36);
    assert_eq!(fitting(&small).cut.block, 512);
    let large = map_of(&[(0, 1 << 28, "1G 1024 RWXADMH")], 1 << 36);
    let cut = fitting(&large).cut;
    assert_eq!((cut.block, cut.rows(&large.roots[0])), (1 << 15, 128));
    assert_eq!(cut.out().closer(&large.roots[0]), cut);
}

#[test]
fn many_runs_can_be_in_one_row() {
    let runs: Vec<_> = (0..1000)
        .map(|page| (2 * page, 2 * page + 1, "4K 1 RWXADMH"))
        .collect();
    let map = map_of(&runs, 1 << 36);
    let cut = fitting(&map).cut;
    assert_eq!((cut.block, cut.rows(&map.roots[0])), (512, 1));
}

#[test]
fn any_space_fits() {
    let frames = 1 << 45;
    let map = map_of(&[(0, frames, "256T 512 frozen")], frames);
    assert_eq!(fitting(&map).bands.len(), 64);
}

#[test]
fn bytes_as_people_write_them() {
    let texts = [1, 512, 384, 1 << 28, 3 << 17].map(bytes);
    assert_eq!(texts, ["4 KiB", "2 MiB", "1.5 MiB", "1 TiB", "1.5 GiB"]);
}
