// SPDX-License-Identifier: GPL-2.0

//! The letter and the colour of each kind of cell.

use crate::grid::{Kind, Use};
use crate::map::Size;

/// Red, green, blue.
pub type Rgb = (u8, u8, u8);

/// All kinds of cells, for a legend, with what they are.
pub const LEGEND: [(Kind, &str); 12] = [
    (Kind::Pages(Size::Small, Use::Dirty), "4K dirty"),
    (Kind::Pages(Size::Small, Use::Clean), "4K clean"),
    (Kind::Pages(Size::Small, Use::Aged), "4K aged"),
    (Kind::Pages(Size::Huge, Use::Dirty), "2M dirty"),
    (Kind::Pages(Size::Huge, Use::Clean), "2M clean"),
    (Kind::Pages(Size::Huge, Use::Aged), "2M aged"),
    (Kind::Pages(Size::Gigantic, Use::Dirty), "1G dirty"),
    (Kind::Pages(Size::Gigantic, Use::Clean), "1G clean"),
    (Kind::Pages(Size::Gigantic, Use::Aged), "1G aged"),
    (Kind::Mmio, "MMIO"),
    (Kind::Frozen, "frozen"),
    (Kind::Absent, "absent"),
];

/// The letter: dirty pages have a capital one, aged ones a digit.
pub fn letter(kind: Kind) -> char {
    let letters = match kind {
        Kind::Absent => return '.',
        Kind::Mmio => return 'o',
        Kind::Frozen => return '*',
        Kind::Pages(Size::Small, _) => ['K', 'k', '4'],
        Kind::Pages(Size::Huge, _) => ['M', 'm', '2'],
        Kind::Pages(..) => ['G', 'g', '1'],
    };
    letters[shade(kind)]
}

/// The colour: dirty pages are bright, aged ones are dim.
pub fn colour(kind: Kind) -> Rgb {
    let colours = match kind {
        Kind::Absent => return (0x26, 0x2b, 0x33),
        Kind::Mmio => return (0xc0, 0x6f, 0xc8),
        Kind::Frozen => return (0xf0, 0x40, 0x40),
        Kind::Pages(Size::Small, _) => [(0xff, 0xb3, 0x47), (0xc4, 0x7f, 0x1c), (0x70, 0x4c, 0x1a)],
        Kind::Pages(Size::Huge, _) => [(0x6c, 0xb8, 0xff), (0x2f, 0x78, 0xc4), (0x23, 0x48, 0x70)],
        Kind::Pages(..) => [(0x7d, 0xe0, 0x8c), (0x33, 0x9a, 0x48), (0x22, 0x5a, 0x30)],
    };
    colours[shade(kind)]
}

fn shade(kind: Kind) -> usize {
    match kind {
        Kind::Pages(_, used) => used as usize,
        _ => 0,
    }
}
