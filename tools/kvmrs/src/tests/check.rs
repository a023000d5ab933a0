// SPDX-License-Identifier: GPL-2.0

//! Every column of `mmu_check`, and what is none.

use crate::check::{Entry, Figure, Findings, Violation};

#[test]
fn every_column() {
    let text = include_str!("../../tests/data/kvm/1207-9/mmu_check");
    let entry = Entry {
        rule: "writable and clean in the log".into(),
        role: 0x144,
        gfn: 0x40007,
        size: "4K".into(),
        spte: 0x8600_0010_a3c0_0f77,
    };
    let figure = Figure {
        figure: "pages_2m".into(),
        counted: 3,
        found: 2,
    };
    let expected = Findings {
        violations: vec![Violation::Entry(entry), Violation::Figure(figure)],
        busy: true,
    };
    assert_eq!(text.parse::<Findings>().expect("in order"), expected);
}

#[test]
fn nothing_is_sound() {
    assert_eq!(
        "".parse::<Findings>().expect("in order"),
        Findings::default()
    );
}

#[test]
fn counts_below_zero() {
    let findings: Findings = "tables: counted -1, found 0\n".parse().expect("in order");
    assert!(
        matches!(&findings.violations[..], [Violation::Figure(figure)] if figure.counted == -1)
    );
}

#[test]
fn what_is_no_finding_is_refused() {
    for text in [
        "frozen",
        "frozen: role=0x1 gfn=0x2 4K",
        "frozen: role=1x gfn=0x2 4K spte=0x3",
        "frozen: gfn=0x2 role=0x1 4K spte=0x3",
        "pages_4k: counted 3",
        "pages_4k: counted three, found 2",
        "",
    ] {
        let text = format!("{text}\n");
        assert!(text.parse::<Findings>().is_err(), "{text}");
    }
}
