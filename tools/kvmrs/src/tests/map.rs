// SPDX-License-Identifier: GPL-2.0

//! Every column of `mmu_map`, and what is none.

use crate::map::{Bits, Entries, Map, Pages, Root, Run, Size, What};

const FIRST: &str = include_str!("../../tests/data/kvm/431-11/mmu_map");
const SECOND: &str = include_str!("../../tests/data/kvm/1207-9/mmu_map");
const ROOT: &str = "root role=0x144 level=4 as_id=0 guest_mode=0 ad_disabled=0 invalid=0 refs=3\n";

fn parse(text: &str) -> Map {
    text.parse().expect("the text is in order")
}

fn leaf(size: Size, entries: u64, bits: Bits) -> What {
    let entries = Entries { size, entries };
    What::Leaf(Pages { entries, bits })
}

#[test]
fn every_column_of_a_root() {
    let Map { roots } = parse(SECOND);
    let expected = Root {
        role: 0x1000944,
        level: 4,
        as_id: 1,
        guest_mode: true,
        ad_disabled: true,
        invalid: true,
        refs: 1,
        runs: vec![Run {
            first_gfn: 0,
            last_gfn: 0xf_ffff_ffff,
            what: What::Absent,
        }],
    };
    assert_eq!(roots[1], expected);
    let marks = "root 0x1000944, 4 levels, SMM, nested guest, no A/D bits, invalid";
    assert_eq!(roots[1].title(), marks);
}

#[test]
fn every_kind_of_run() {
    let Map { roots } = parse(SECOND);
    let plain = Bits {
        readable: true,
        accessed: true,
        host_writable: true,
        ..Bits::default()
    };
    let writable = Bits {
        writable: true,
        mmu_writable: true,
        ..plain
    };
    let full = Bits {
        executable: true,
        dirty: true,
        ..writable
    };
    let what: Vec<What> = roots[0].runs.iter().map(|run| run.what).collect();
    let frozen = Entries {
        size: Size::Huge,
        entries: 1,
    };
    let expected = [
        leaf(Size::Small, 512, writable),
        What::Absent,
        leaf(Size::Huge, 2, full),
        What::Frozen(frozen),
        What::Absent,
        leaf(Size::Gigantic, 2, plain),
        What::Absent,
    ];
    assert_eq!(what, expected);
    let mmio = Entries {
        size: Size::Small,
        entries: 1,
    };
    assert_eq!(parse(FIRST).roots[0].runs[5].what, What::Mmio(mmio));
}

#[test]
fn every_letter() {
    type Set = fn(&mut Bits);
    let cases: [(&str, Set); 7] = [
        ("R------", |bits| bits.readable = true),
        ("-W-----", |bits| bits.writable = true),
        ("--X----", |bits| bits.executable = true),
        ("---A---", |bits| bits.accessed = true),
        ("----D--", |bits| bits.dirty = true),
        ("-----M-", |bits| bits.mmu_writable = true),
        ("------H", |bits| bits.host_writable = true),
    ];
    for (text, set) in cases {
        let mut expected = Bits::default();
        set(&mut expected);
        let bits: Bits = text.parse().expect("one letter");
        assert_eq!(bits, expected, "{text}");
    }
}

#[test]
fn counts_pages() {
    let root = &parse(SECOND).roots[0];
    let sizes = [Size::Small, Size::Huge, Size::Gigantic];
    assert_eq!(sizes.map(|size| root.pages(size)), [512, 2, 2]);
}

#[test]
fn a_vm_that_never_ran_has_no_roots() {
    assert_eq!(parse(""), Map::default());
}

#[test]
fn a_root_may_end_early() {
    let map = parse(&format!("{ROOT}  0x0-0xff absent\n{ROOT}"));
    assert_eq!([map.roots[0].runs.len(), map.roots[1].runs.len()], [1, 0]);
}

#[test]
fn what_is_no_map_is_refused() {
    let wrong = [
        ("a run before its root", "  0x0-0x1 absent\n".into()),
        ("a column less", ROOT.replace(" refs=3", "")),
        ("a column more", ROOT.replace("refs=3", "refs=3 new=1")),
        ("another column", ROOT.replace("as_id", "space")),
        ("a number that is none", ROOT.replace("0x144", "0xwhat")),
        (
            "a role that is too large",
            ROOT.replace("0x144", "0x100000000"),
        ),
        ("no range", format!("{ROOT}  0x0 absent\n")),
        ("a range backwards", format!("{ROOT}  0x1-0x0 absent\n")),
        ("a gap", format!("{ROOT}  0x1-0x2 absent\n")),
        ("an unknown kind", format!("{ROOT}  0x0-0x0 strange\n")),
        ("an unknown size", format!("{ROOT}  0x0-0x0 8K 1 RWXADMH\n")),
        ("too few bits", format!("{ROOT}  0x0-0x0 4K 1 RWXADM\n")),
        ("too many bits", format!("{ROOT}  0x0-0x0 4K 1 RWXADMHU\n")),
        (
            "bits in disorder",
            format!("{ROOT}  0x0-0x0 4K 1 WRXADMH\n"),
        ),
        (
            "a letter of two bytes",
            format!("{ROOT}  0x0-0x0 4K 1 RWXADä\n"),
        ),
        (
            "entries that do not fit",
            format!("{ROOT}  0x0-0x1 4K 1 RWXADMH\n"),
        ),
        (
            "far too many",
            format!("{ROOT}  0x0-0x1 1G {} mmio\n", u64::MAX),
        ),
        ("an empty line", format!("{ROOT}\n")),
        (
            "frames beyond any address",
            format!("{ROOT}  0x0-0xffffffffffffffff absent\n"),
        ),
    ];
    for (what, text) in wrong {
        assert!(text.parse::<Map>().is_err(), "{what}: {text}");
    }
}

#[test]
fn errors_name_the_line() {
    let error = format!("{ROOT}  0x0-0x0 8K 1 RWXADMH\n").parse::<Map>();
    let text = format!("{:#}", error.expect_err("no such size"));
    assert!(
        text.contains("line 2") && text.contains("'8K' is no size"),
        "{text}"
    );
}
