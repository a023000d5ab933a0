// SPDX-License-Identifier: GPL-2.0

//! What `kvmrs watch` sees between two maps.

use super::map_of;
use crate::changes::{between, Change, Changed, Presence};
use crate::map::{Map, Size};

const WHOLE: (u64, u64, &str) = (0, 1024, "2M 2 RWXADMH");

fn ranges(before: &Map, after: &Map) -> Vec<Changed> {
    let mut roots = between(before, after);
    let root = roots.pop().expect("something changed");
    assert!(roots.is_empty() && root.presence == Presence::Stayed);
    root.ranges
}

#[test]
fn nothing() {
    let map = map_of(&[WHOLE], 4096);
    assert!(between(&map, &map).is_empty());
}

#[test]
fn a_split_and_its_end() {
    let before = map_of(&[WHOLE], 4096);
    let runs = [
        (0, 3, "4K 3 RWXADMH"),
        (3, 512, "4K 509 R-XA-MH"),
        (512, 1024, "2M 1 RWXADMH"),
    ];
    let after = map_of(&runs, 4096);
    let lost = |first_gfn, last_gfn, changes: &[Change]| Changed {
        first_gfn,
        last_gfn,
        changes: changes.into(),
        sizes: [Some(Size::Huge), Some(Size::Small)],
        why: None,
    };
    let all = [Change::Lost, Change::Protected, Change::Cleaned];
    let expected = [lost(0, 2, &all[..1]), lost(3, 511, &all)];
    assert_eq!(ranges(&before, &after), expected);
    let back = ranges(&after, &before);
    let all = [Change::Regained, Change::Writable, Change::Dirtied];
    assert_eq!(back[1].changes, all);
}

#[test]
fn each_bit() {
    let cases = [
        ("RWXADMH", "R-XADMH", Change::Protected),
        ("R-XADMH", "RWXADMH", Change::Writable),
        ("RWXA-MH", "RWXADMH", Change::Dirtied),
        ("RWXADMH", "RWXA-MH", Change::Cleaned),
        ("RWX--MH", "RWXA-MH", Change::Accessed),
        ("RWXA-MH", "RWX--MH", Change::Aged),
        ("R-XA-MH", "R-XA--H", Change::Other),
    ];
    for (from, to, change) in cases {
        let [before, after] = [from, to].map(|bits| {
            let text = format!("4K 8 {bits}");
            map_of(&[(8, 16, &text)], 64)
        });
        let expected = Changed {
            first_gfn: 8,
            last_gfn: 15,
            changes: vec![change],
            sizes: [Some(Size::Small); 2],
            why: None,
        };
        assert_eq!(ranges(&before, &after), [expected], "{from} {to}");
    }
}

#[test]
fn mapped_and_unmapped() {
    let (none, some) = (map_of(&[], 4096), map_of(&[WHOLE], 4096));
    assert_eq!(ranges(&none, &some)[0].changes, [Change::Mapped]);
    assert_eq!(ranges(&some, &none)[0].changes, [Change::Unmapped]);
    let mmio = map_of(&[(0, 1, "4K 1 mmio")], 4096);
    assert_eq!(ranges(&none, &mmio)[0].changes, [Change::Other]);
}

#[test]
fn roots_come_and_go() {
    let (none, some) = (Map::default(), map_of(&[WHOLE], 4096));
    assert_eq!(between(&none, &some)[0].presence, Presence::New);
    assert_eq!(between(&some, &none)[0].presence, Presence::Gone);
}
