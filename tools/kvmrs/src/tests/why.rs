// SPDX-License-Identifier: GPL-2.0

//! Why huge pages came and went, from lines of the tracer.

use super::map_of;
use crate::changes::{between, Changed, RootChanges};
use crate::show::text;
use crate::why::events::{Line, What};
use crate::why::tasks::{Tasks, Whose};
use crate::why::{Reason, Reasons, Why};

/// Two huge pages, and 512 small ones in place of the first or of both.
const HUGE: (u64, u64, &str) = (0, 1024, "2M 2 RWXADMH");
const SPLIT: [(u64, u64, &str); 2] = [(0, 512, "4K 512 RWXADMH"), (512, 1024, "2M 1 RWXADMH")];

/// What entries hold: huge pages, a table, nothing, and what a task works on.
const LEAF: &str = "860000bffee00ff7";
const TABLE: &str = "8000000102b3d907";
const NONE: &str = "8000000000000000";
const FROZEN: &str = "80000000000001a0";

/// A line of a task, as the tracer writes it.
fn by(task: &str, what: &str) -> String {
    format!(" {task:>20} [001] .....    94.118437: {what}")
}

fn changed(gfn: u64, old: &str, new: &str) -> String {
    let entry = format!("as id 0 gfn {gfn:x} level 2 old_spte {old} new_spte {new}");
    by("vmm-71", &format!("kvm_tdp_mmu_spte_changed: {entry}"))
}

fn fault(gfn: u64, error_code: &str) -> String {
    let address = gfn << 12;
    by(
        "vmm-71",
        &format!(
            "kvm_page_fault: vcpu 0 rip 0x1005 address 0x{address:016x} error_code {error_code}"
        ),
    )
}

fn unmap(task: &str) -> String {
    by(
        task,
        "kvm_unmap_hva_range: mmu notifier unmap range: 0x00007fbf9fe00000 -- 0x00007fbfa0000000",
    )
}

fn heard(lines: &[&str]) -> Reasons {
    let mut reasons = Reasons::default();
    hear(&mut reasons, lines, Whose::Mine);
    reasons
}

fn hear(reasons: &mut Reasons, lines: &[&str], whose: Whose) {
    for line in lines {
        match Line::parse(line).expect("a line") {
            Line::Event(event) => reasons.hear(&event, whose),
            other => panic!("{other:?}"),
        }
    }
}

/// The reasons of each range between two maps.
fn explained(
    reasons: &Reasons,
    before: &[(u64, u64, &str)],
    after: &[(u64, u64, &str)],
) -> Vec<Changed> {
    root(reasons, before, after).ranges
}

fn root(reasons: &Reasons, before: &[(u64, u64, &str)], after: &[(u64, u64, &str)]) -> RootChanges {
    let mut roots = between(&map_of(before, 1 << 20), &map_of(after, 1 << 20));
    let mut root = roots.pop().expect("something changed");
    reasons.explain(&mut root);
    root
}

/// Why the first huge page was lost.
fn lost(lines: &[&str]) -> Reason {
    let ranges = explained(&heard(lines), &[HUGE], &SPLIT);
    assert_eq!(ranges.len(), 1);
    ranges[0].why.clone().expect("it was huge").reason
}

/// Why it came back.
fn regained(lines: &[&str]) -> Reason {
    let ranges = explained(&heard(lines), &SPLIT, &[HUGE]);
    assert_eq!(ranges.len(), 1);
    ranges[0].why.clone().expect("it is huge").reason
}

#[test]
fn splits() {
    let split = changed(0, LEAF, TABLE);
    assert_eq!(lost(&[&split]), Reason::SplitForLog);
    let faults = [
        ("0x7", Reason::SplitForWrite),
        ("0x15", Reason::SplitForNx),
        ("0x5", Reason::SplitForRead),
    ];
    for (error_code, reason) in faults {
        assert_eq!(lost(&[&fault(3, error_code), &split]), reason);
        // A fault elsewhere is not what splits this page.
        let elsewhere = fault(512, error_code);
        assert_eq!(lost(&[&elsewhere, &split]), Reason::SplitForLog);
    }
}

#[test]
fn a_fault_that_was_over_splits_nothing() {
    let over =
        "fast_page_fault: vcpu 0 gva 3000 error_code P|W sptep 00000000e9f1a1c1 old 0x8 new 9";
    let split = changed(0, LEAF, TABLE);
    let ends = [
        ("spurious 0 fixed 1", Reason::SplitForLog),
        ("spurious 1 fixed 0", Reason::SplitForLog),
    ];
    for (end, reason) in ends {
        let over = by("vmm-71", &format!("{over} {end}"));
        assert_eq!(lost(&[&fault(3, "0x7"), &over, &split]), reason);
    }
    let not_over = by("vmm-71", &format!("{over} spurious 0 fixed 0"));
    assert_eq!(Line::parse(&not_over).expect("a line"), Line::Other);
    // It has split the page once, and later somebody else does it.
    let whole = changed(0, TABLE, LEAF);
    let first = fault(3, "0x7");
    assert_eq!(lost(&[&first, &split, &whole, &split]), Reason::SplitForLog);
}

#[test]
fn zaps() {
    for left in [NONE, FROZEN] {
        let zap = changed(0, LEAF, left);
        assert_eq!(lost(&[&zap]), Reason::ZappedByKvm);
        assert_eq!(lost(&[&unmap("vmm-71"), &zap]), Reason::ZappedByHost);
        assert_eq!(lost(&[&unmap("ksmd-9"), &zap]), Reason::ZappedByKvm);
        let begins = [
            (
                "kvm_mmu_zap_all_fast: kvm-mmu-valid-gen 0 used_pages 3",
                Reason::ZappedWithAll,
            ),
            (
                "kvm_vm_set_mem_attributes: 0x00000000000000 -- 0x00000000000200 [0x8]",
                Reason::ZappedForAttributes,
            ),
        ];
        for (begin, reason) in begins {
            let begin = by("vmm-71", begin);
            assert_eq!(lost(&[&unmap("vmm-71"), &begin, &zap]), reason);
        }
    }
    // Other tasks may free what all of the VM had.
    let all = by(
        "vmm-71",
        "kvm_mmu_zap_all_fast: kvm-mmu-valid-gen 1 used_pages 0",
    );
    assert_eq!(lost(&[&all]), Reason::ZappedWithAll);
}

#[test]
fn pages_that_come_back() {
    let request = by(
        "vmm-71",
        "kvm_mmu_spte_requested: gfn 7 pfn bffee7 level 2 access 7",
    );
    let put_together = changed(0, TABLE, LEAF);
    let mapped = changed(0, NONE, LEAF);
    assert_eq!(regained(&[&put_together]), Reason::Recovered);
    assert_eq!(regained(&[&request, &put_together]), Reason::Faulted);
    assert_eq!(regained(&[&request, &mapped]), Reason::Faulted);
    let zap = changed(0, TABLE, NONE).replace("vmm-71", "kvm-nx-lpage-re-74");
    assert_eq!(
        regained(&[&zap, &request, &mapped]),
        Reason::RecoveredFromNx
    );
}

#[test]
fn what_nobody_heard() {
    assert_eq!(lost(&[]), Reason::Unknown);
    // Of another page, another address space, and of what came instead.
    let split = changed(0, LEAF, TABLE);
    let others = [
        changed(512, LEAF, TABLE),
        split.replace("as id 0", "as id 1"),
        split.replace("level 2", "level 3"),
        changed(0, TABLE, LEAF),
        changed(0, LEAF, LEAF),
    ];
    for other in others {
        assert_eq!(lost(&[&other]), Reason::Unknown, "{other}");
    }
    // An event is good for the next look, too, and no longer.
    let mut reasons = heard(&[&split]);
    reasons.next_look();
    let why = |reasons: &Reasons| explained(reasons, &[HUGE], &SPLIT)[0].why.clone();
    assert_eq!(
        why(&reasons).map(|why| why.reason),
        Some(Reason::SplitForLog)
    );
    reasons.next_look();
    assert_eq!(why(&reasons).map(|why| why.reason), Some(Reason::Unknown));
}

#[test]
fn ranges_are_cut_where_the_reason_changes() {
    let reasons = heard(&[
        &unmap("vmm-71"),
        &changed(0, LEAF, NONE),
        &fault(512, "0x7"),
        &changed(512, LEAF, TABLE),
    ]);
    let root = root(&reasons, &[HUGE], &[]);
    let shown = text::changes(&[root], false);
    let expected = [
        "  0x0-0x1ff 2M -> none: unmapped; zapped by the host (by vmm)",
        "  0x200-0x3ff 2M -> none: unmapped; split when the guest wrote to a logged page (by vmm)",
    ];
    let lines: Vec<&str> = shown.lines().skip(1).collect();
    assert_eq!(lines, expected);
    // Small pages have no reason.
    let small = explained(&reasons, &[(0, 8, "4K 8 RWXADMH")], &[]);
    assert_eq!(small[0].why, None);
}

#[test]
fn another_vm_or_perhaps_another_vm() {
    let split = changed(0, LEAF, TABLE);
    let mut reasons = Reasons::default();
    hear(&mut reasons, &[&split], Whose::Others);
    let why = |reasons: &Reasons| explained(reasons, &[HUGE], &SPLIT)[0].why.clone();
    assert_eq!(why(&reasons).map(|why| why.reason), Some(Reason::Unknown));
    hear(&mut reasons, &[&split], Whose::Unclear);
    let unclear = Why {
        reason: Reason::SplitForLog,
        task: Some("vmm".into()),
        certain: false,
    };
    assert_eq!(why(&reasons), Some(unclear));
    let shown = text::changes(&[root(&reasons, &[HUGE], &SPLIT)], false);
    assert!(
        shown.contains("log (by vmm, if not of another VM)"),
        "{shown}"
    );
}

#[test]
fn reasons_in_json() {
    let names = [
        (Reason::SplitForLog, "split_for_log"),
        (Reason::SplitForWrite, "split_for_write"),
        (Reason::SplitForNx, "split_for_nx"),
        (Reason::SplitForRead, "split_for_read"),
        (Reason::ZappedByHost, "zapped_by_host"),
        (Reason::ZappedForAttributes, "zapped_for_attributes"),
        (Reason::ZappedWithAll, "zapped_with_all"),
        (Reason::ZappedByKvm, "zapped_by_kvm"),
        (Reason::Recovered, "recovered"),
        (Reason::RecoveredFromNx, "recovered_from_nx"),
        (Reason::Faulted, "faulted"),
        (Reason::Unknown, "unknown"),
    ];
    for (reason, name) in names {
        assert_eq!(serde_json::json!(reason), name);
    }
    let reasons = heard(&[&changed(0, LEAF, TABLE)]);
    let range = serde_json::json!(root(&reasons, &[HUGE], &SPLIT).ranges[0]);
    let why = serde_json::json!({ "reason": "split_for_log", "task": "vmm", "certain": true });
    assert_eq!(range["why"], why);
}

/// What a guest on C with two huge pages at 1 GiB left in the tracer: a log began and ended, began
/// again and was written to, the host took all away, the guest wrote again, and the slot was deleted.
const RECORDED: &str = include_str!("../../tests/data/trace_pipe");

#[test]
fn a_recorded_history() {
    let huge = [(0x40000, 0x40400, "2M 2 RWXADMH")];
    let small = [(0x40000, 0x40400, "4K 1024 RWXADMH")];
    let steps = [
        (2, true, Reason::SplitForLog),
        (2, false, Reason::Recovered),
        (6, true, Reason::SplitForWrite),
        (5, false, Reason::Faulted),
        (4, true, Reason::ZappedWithAll),
    ];
    let mut lines = RECORDED.lines();
    for (count, is_lost, reason) in steps {
        let mut reasons = Reasons::default();
        for line in lines.by_ref().take(count) {
            if let Line::Event(event) = Line::parse(line).expect("a line of the tracer's") {
                reasons.hear(&event, Whose::Mine);
            }
        }
        let [before, after] = if is_lost {
            [huge, small]
        } else {
            [small, huge]
        };
        let ranges = root(&reasons, &before, &after).ranges;
        let whole = Why {
            reason,
            task: Some("kvmrs-selftests".into()),
            certain: true,
        };
        assert_eq!((ranges.len(), &ranges[0].why), (1, &Some(whole)));
    }
    assert_eq!(lines.next(), None);
}

#[test]
fn whose_tasks_are_whose() {
    let alone = Tasks::new(Some(7), &[]);
    assert_eq!(alone.of_process(None), Whose::Mine);
    let two = Tasks::new(Some(7), &[Some(8)]);
    assert_eq!(two.of_process(Some(7)), Whose::Mine);
    assert_eq!(two.of_process(Some(8)), Whose::Others);
    assert_eq!(two.of_process(Some(9)), Whose::Unclear);
    assert_eq!(two.of_process(None), Whose::Unclear);
    let in_one_process = Tasks::new(Some(7), &[Some(7), None]);
    assert_eq!(in_one_process.of_process(Some(7)), Whose::Unclear);
    let nobody_knows = Tasks::new(None, &[None]);
    assert_eq!(nobody_knows.of_process(None), Whose::Unclear);
}

#[test]
fn names_of_tasks() {
    let names = [
        ("CPU 0/KVM-1207", "CPU 0/KVM", 1207),
        ("kvm-nx-lpage-re-9", "kvm-nx-lpage-re", 9),
        ("a [b] (c)-d-12", "a [b] (c)-d", 12),
        ("vmm-71      (     70)", "vmm", 71),
    ];
    for (words, task, pid) in names {
        let Ok(Line::Event(event)) = Line::parse(&unmap(words)) else {
            panic!("{words} is not read");
        };
        assert_eq!((event.task.as_str(), event.pid), (task, pid));
        assert_eq!(event.what, What::Unmap);
    }
}

#[test]
fn other_lines() {
    let lost = Line::parse("CPU:1 [LOST 1234 EVENTS]").expect("a line");
    assert_eq!(lost, Line::Lost(1234));
    let unknown = Line::parse("CPU:1 [LOST EVENTS]").expect("a line");
    assert_eq!(unknown, Line::Lost(1));
    assert_eq!(Line::parse("").expect("a line"), Line::Other);
    let strange = [
        changed(0, LEAF, "xyz"),
        changed(0, LEAF, TABLE).replace("level 2", "level 0"),
        changed(0, LEAF, TABLE).replace("gfn", "frame"),
        changed(0, LEAF, TABLE).replace("vmm-71", "vmm"),
        "CPU:1 [LOST many EVENTS]".to_string(),
    ];
    for line in strange {
        let error = format!("{:#}", Line::parse(&line).expect_err("a strange line"));
        assert!(error.contains(&line), "{error}");
    }
}
