// SPDX-License-Identifier: GPL-2.0

//! The table of `kvmrs holds`.

use crate::holds::{Class, Sum, Table};

/// As text, with what is missing in it.
pub fn text(table: &Table) -> String {
    let mut text = format!("mmu_lock in {:.1} s\n", table.seconds);
    if table.classes.is_empty() {
        text += "nobody dropped it\n";
    } else {
        text += &rows(table);
    }
    for other in &table.other {
        text += &format!("other: {} in {}\n", other.holds, other.function);
    }
    if table.events_lost > 0 {
        text += &format!("{} events were lost\n", table.events_lost);
    }
    if table.incomplete > 0 {
        text += &format!(
            "{} holds are missing: their begin or end was not seen\n",
            table.incomplete
        );
    }
    text
}

fn rows(table: &Table) -> String {
    let mut text = format!("{:<14}", "held for");
    for mode in ["read", "write"] {
        text += &format!(" {mode:>10} {:>10} {:>10}", "total ms", "longest us");
    }
    text.push('\n');
    for row in &table.classes {
        let cells = [row.read, row.write].map(cells).concat();
        text += &format!("{:<14}{cells}\n", row.class.text());
    }
    text
}

fn cells(sum: Sum) -> String {
    let total = sum.total_ns as f64 / 1e6;
    let longest = sum.longest_ns as f64 / 1e3;
    format!(" {:>10} {total:>10.3} {longest:>10.1}", sum.holds)
}

impl Class {
    fn text(self) -> &'static str {
        match self {
            Self::Faults => "faults",
            Self::Invalidations => "invalidations",
            Self::DirtyLogs => "dirty logs",
            Self::Memslots => "memslots",
            Self::Roots => "roots",
            Self::NxRecovery => "NX recovery",
            Self::Aging => "aging",
            Self::Attributes => "attributes",
            Self::Other => "other",
        }
    }
}
