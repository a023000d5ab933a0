// SPDX-License-Identifier: GPL-2.0

//! A map as a picture. It needs neither fonts nor scripts of its own.

use super::paint::{colour, LEGEND};
use super::text::{address, heading};
use crate::grid::{bytes, Band, Grid, Kind};
use crate::map::{Map, Root};
use std::fmt::Write;

/// Width and height of a cell, with the line around it.
const CELL: u64 = 11;
/// Without that line.
const DASH: u64 = CELL - 1;
/// Height of a line of text.
const LINE: u64 = 18;
/// Where cells begin, right of the addresses.
const LEFT: u64 = 120;
const MARGIN: u64 = 14;
const WIDTH: u64 = LEFT + Grid::COLUMNS * CELL + MARGIN;
const PER_LINE: usize = 6;

/// The whole map of the VM called `name`.
pub fn map(name: &str, map: &Map, block: Option<u64>) -> String {
    let mut picture = Picture {
        body: String::new(),
        y: MARGIN + LINE,
    };
    picture.text(MARGIN, &format!("VM {name}"));
    picture.y += LINE;
    for root in &map.roots {
        picture.root(root, block);
    }
    picture.legend();
    picture.finish()
}

struct Picture {
    body: String,
    /// Where the next line stands.
    y: u64,
}

impl Picture {
    fn root(&mut self, root: &Root, block: Option<u64>) {
        let Grid { cut, bands } = Grid::of(root, block, Grid::COLUMNS);
        self.text(MARGIN, heading(root, cut).trim_end());
        self.y += LINE / 2;
        for band in &bands {
            self.band(band);
        }
        self.y += 2 * LINE;
    }

    fn band(&mut self, band: &Band) {
        match band {
            Band::Gap { first_gfn, frames } => {
                self.y += LINE;
                self.text(MARGIN, &address(*first_gfn));
                self.text(LEFT, &format!("absent: {}", bytes(*frames)));
                self.y += LINE / 2;
            }
            Band::Row { first_gfn, cells } => {
                self.y += CELL;
                self.text(MARGIN, &address(*first_gfn));
                let mut x = LEFT;
                for alike in cells.chunk_by(|kind, next| kind == next) {
                    let width = alike.len() as u64 * CELL;
                    self.cells(x, width, alike[0]);
                    x += width;
                }
            }
        }
    }

    fn legend(&mut self) {
        for kinds in LEGEND.chunks(PER_LINE) {
            for (place, (kind, what)) in kinds.iter().enumerate() {
                let x = MARGIN + place as u64 * (WIDTH - MARGIN) / PER_LINE as u64;
                self.cells(x, CELL, *kind);
                self.text(x + CELL + 4, what);
            }
            self.y += LINE;
        }
    }

    /// Cells side by side that stand on the line: the dashes of one thick line.
    fn cells(&mut self, x: u64, width: u64, kind: Kind) {
        let (red, green, blue) = colour(kind);
        let y = self.y - CELL / 2;
        self.push(format_args!(
            "<path d=\"M{x} {y}h{width}\" stroke=\"#{red:02x}{green:02x}{blue:02x}\"/>"
        ));
    }

    fn text(&mut self, x: u64, text: &str) {
        let y = self.y;
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        self.push(format_args!("<text x=\"{x}\" y=\"{y}\">{text}</text>"));
    }

    fn push(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.body, "{element}");
    }

    fn finish(self) -> String {
        let height = self.y + MARGIN;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
             width=\"{WIDTH}\" height=\"{height}\">\n\
             <style>text{{font:11px monospace;fill:#d8dee9}}\
             path{{stroke-width:{DASH};stroke-dasharray:{DASH} 1}}</style>\n\
             <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#14171c\"/>\n{}</svg>\n",
            self.body
        )
    }
}
