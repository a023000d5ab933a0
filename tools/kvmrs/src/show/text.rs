// SPDX-License-Identifier: GPL-2.0

//! Maps, changes and tables as plain text.

use super::paint::{letter, LEGEND};
use crate::changes::{Change, Changed, Presence, RootChanges};
use crate::figures::{Row, COLUMNS};
use crate::grid::{bytes, Band, Cut, Grid, FRAME_SHIFT};
use crate::map::{Map, Root, Size};
use crate::why::Why;

/// The whole map, cut into cells of `block` frames, or as it fits.
pub fn map(map: &Map, block: Option<u64>) -> String {
    if map.roots.is_empty() {
        return "no page tables: the VM has not run yet\n".into();
    }
    let mut text = String::new();
    for root in &map.roots {
        let Grid { cut, bands } = Grid::of(root, block, Grid::COLUMNS);
        text += &heading(root, cut);
        for band in &bands {
            text += &line(band);
            text.push('\n');
        }
        text.push('\n');
    }
    text + &legend()
}

/// What a root has, and how large a cell is.
pub fn heading(root: &Root, cut: Cut) -> String {
    let sizes = [Size::Small, Size::Huge, Size::Gigantic];
    let pages = sizes.map(|size| format!("{} of {size}", root.pages(size)));
    format!(
        "{}: {}; a cell is {}\n",
        root.title(),
        pages.join(", "),
        bytes(cut.block)
    )
}

fn line(band: &Band) -> String {
    match band {
        Band::Gap { first_gfn, frames } => {
            format!("{} absent: {}", address(*first_gfn), bytes(*frames))
        }
        Band::Row { first_gfn, cells } => {
            let cells: String = cells.iter().map(|kind| letter(*kind)).collect();
            format!("{} {cells}", address(*first_gfn))
        }
    }
}

/// The guest physical address of a frame, at the begin of a line.
pub fn address(gfn: u64) -> String {
    format!("{:#014x}", u128::from(gfn) << FRAME_SHIFT)
}

fn legend() -> String {
    let words = LEGEND.map(|(kind, what)| format!("{} {what}", letter(kind)));
    let lines: Vec<String> = words.chunks(6).map(|words| words.join("   ")).collect();
    lines.join("\n") + "\n"
}

/// What changed below all roots; without `all`, only counts of what is no change of size.
pub fn changes(roots: &[RootChanges], all: bool) -> String {
    let mut text = String::new();
    for root in roots {
        text += &match root.presence {
            Presence::New => format!("root {:#x}: new\n", root.role),
            Presence::Gone => format!("root {:#x}: gone\n", root.role),
            Presence::Stayed => summary(root),
        };
        let is_shown = |range: &&Changed| all || range.is_of_size() || range.why.is_some();
        for range in root.ranges.iter().filter(is_shown) {
            text += &format!("  {}\n", range.line());
        }
    }
    text
}

fn summary(root: &RootChanges) -> String {
    let words = root
        .frames
        .iter()
        .map(|(change, frames)| format!("{} {}", bytes(*frames), change.text()));
    let words: Vec<String> = words.collect();
    format!("root {:#x}: {}\n", root.role, words.join(", "))
}

impl Changed {
    fn is_of_size(&self) -> bool {
        self.changes
            .iter()
            .any(|change| matches!(change, Change::Lost | Change::Regained))
    }

    fn line(&self) -> String {
        let changes: Vec<&str> = self.changes.iter().map(|change| change.text()).collect();
        let sizes = self
            .sizes
            .map(|size| size.map_or("none".into(), |size| size.to_string()));
        let range = format!("{:#x}-{:#x}", self.first_gfn, self.last_gfn);
        let why = self.why.as_ref().map_or(String::new(), Why::text);
        format!(
            "{range} {} -> {}: {}{why}",
            sizes[0],
            sizes[1],
            changes.join(", ")
        )
    }
}

impl Why {
    fn text(&self) -> String {
        let Some(task) = &self.task else {
            return format!("; {}", self.reason.text());
        };
        let doubt = if self.certain {
            ""
        } else {
            ", if not of another VM"
        };
        format!("; {} (by {task}{doubt})", self.reason.text())
    }
}

impl Change {
    fn text(self) -> &'static str {
        match self {
            Self::Lost => "lost huge pages",
            Self::Regained => "regained huge pages",
            Self::Mapped => "mapped",
            Self::Unmapped => "unmapped",
            Self::Protected => "write-protected",
            Self::Writable => "made writable",
            Self::Dirtied => "dirtied",
            Self::Cleaned => "cleaned",
            Self::Accessed => "accessed",
            Self::Aged => "aged",
            Self::Other => "changed otherwise",
        }
    }
}

/// The table of `kvmrs top`.
pub fn top(rows: &[Row]) -> String {
    let mut text = format!("{:<16} {:<16}", "VM", "program");
    let has_rates = rows.iter().any(|row| row.per_second.is_some());
    for column in &COLUMNS {
        let title = if has_rates {
            column.title
        } else {
            column.title_of_total()
        };
        text += &format!(" {title:>10}");
    }
    text.push('\n');
    for row in rows {
        text += &format!(
            "{:<16} {:<16}",
            row.vm,
            row.program.as_deref().unwrap_or("-")
        );
        for column in &COLUMNS {
            text += &format!(" {:>10}", row.cell(column));
        }
        text.push('\n');
    }
    text
}
