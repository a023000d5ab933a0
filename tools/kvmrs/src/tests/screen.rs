// SPDX-License-Identifier: GPL-2.0

//! What is on the screen, on the smallest one that people use.

use crate::figures::Row;
use crate::show::screen::draw_top;
use ratatui::backend::TestBackend;
use ratatui::Terminal;

/// The lines of `kvmrs top` on 80 columns.
fn top(rows: &[Row]) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(80, 6)).expect("a screen");
    terminal.draw(|frame| draw_top(frame, rows)).expect("drawn");
    let cells = terminal.backend().buffer().content();
    let lines = cells.chunks(80);
    lines
        .map(|line| line.iter().map(|cell| cell.symbol()).collect())
        .collect()
}

#[test]
fn large_figures_are_not_cut() {
    let figures = [
        ("pages_4k", 12_345_678),
        ("pages_2m", 65_432),
        ("pf_taken", 7_654_321),
        ("remote_tlb_flush", 234_567),
        ("pages_dirtied", 3_456_789),
        ("mmu_lock_wait_ns", 987_654_300_000),
        ("mmu_lock_wait_max_ns", 4_567_890),
    ];
    let figures = figures.map(|(name, value)| (name.into(), value)).into();
    let program = Some("qemu-system-x86".into());
    let lines = top(&[Row::of("4194303-11".into(), program, figures, None)]);
    let words: Vec<&str> = lines[2].split_whitespace().collect();
    let shown = [
        "12345678", "65432", "-", "7654321", "-", "234567", "3456789", "987654.3", "4568",
    ];
    assert_eq!(words[0], "4194303-11", "{lines:#?}");
    assert_eq!(words[words.len() - shown.len()..], shown, "{lines:#?}");
}

#[test]
fn titles_have_their_units() {
    let lines = top(&[]);
    let titles: Vec<&str> = lines[1].split_whitespace().collect();
    assert_eq!(titles, ["/s", "/s", "/s", "/s", "ms/s", "us"], "{lines:#?}");
}
