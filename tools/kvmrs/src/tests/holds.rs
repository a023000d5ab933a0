// SPDX-License-Identifier: GPL-2.0

//! Holds of `mmu_lock`, from lines of the tracer.

use crate::holds::classes::{self, Taker};
use crate::holds::lines::{Caller, Event, Line, What};
use crate::holds::pairs::Pairs;
use crate::holds::{probes, Class, Mode, Row, Sum, Table};
use crate::show::holds::text;

/// Of a VM, and of something that is not KVM's.
const LOCK: &str = "0xffffc90000a3d000";
const STRANGE: &str = "0xffff888002e41000";

const FAULT: &str = "kvm_tdp_page_fault+0x117/0x2f0 [kvm]";
const LOG: &str = "kvm_vm_ioctl_get_dirty_log+0x15b/0x3a0 [kvm]";
const PAUSE: &str = "__cond_resched_rwlock_write+0x4e/0x60";

/// A line of a task on a processor, as the tracer writes it.
fn line(pid: u32, cpu: u32, at: u64, what: &str) -> String {
    format!("             vmm-{pid:<7} [{cpu:03}] d..1. {at:12}: {what}\n")
}

fn begin(pid: u32, at: u64, name: &str, caller: &str) -> String {
    let function = format!(
        "_raw_{}",
        name.replace("begin", "lock").replace("try", "trylock")
    );
    let place = format!("({caller} <- {function})");
    line(pid, pid % 4, at, &format!("{name}: {place} lock={LOCK}"))
}

fn end(pid: u32, at: u64, name: &str) -> String {
    let what = format!("{name}: (_raw_read_unlock+0x4/0x30) lock={LOCK}");
    line(pid, pid % 4, at, &what)
}

/// What there is to see in these lines, if a tick is a nanosecond.
fn table(lines: &[String]) -> Table {
    let mut pairs = Pairs::default();
    for line in lines.concat().lines() {
        pairs.hear(&Line::parse(line).expect("a line"));
    }
    pairs.table(1.0, 1_000_000_000)
}

fn sum(holds: u64, total_ns: u64, longest_ns: u64) -> Sum {
    Sum {
        holds,
        total_ns,
        longest_ns,
    }
}

fn row(class: Class, read: Sum, write: Sum) -> Row {
    Row { class, read, write }
}

#[test]
fn events_are_read() {
    let caller = Caller {
        function: "kvm_tdp_page_fault",
        module: Some("kvm"),
    };
    let wanted = |what| Event {
        pid: 71,
        cpu: 3,
        at: 52_000,
        lock: 0xffff_c900_00a3_d000,
        what,
    };
    let begins = begin(71, 52_000, "read_try", FAULT);
    let begins = begins.trim_end().to_string() + " taken=1";
    let taken = wanted(What::Begin(Mode::Read, caller));
    assert_eq!(Line::parse(&begins).expect("a line"), Line::Event(taken));
    // The kernel can be told to add the task's process. A task may be called anything.
    let ends = end(71, 52_000, "write_end").replace("vmm-71     ", "a: (b [1]-71 (     71)");
    let dropped = wanted(What::End(Mode::Write));
    assert_eq!(
        Line::parse(ends.trim_end()).expect("a line"),
        Line::Event(dropped)
    );
}

#[test]
fn other_lines_are_read() {
    let parse = |line| Line::parse(line).expect("a line");
    assert_eq!(parse("CPU:3 [LOST 4711 EVENTS]"), Line::Lost(3, 4711));
    assert_eq!(parse("CPU:3 [LOST EVENTS]"), Line::Lost(3, 1));
    assert_eq!(parse("#"), Line::Other);
    let strange = line(71, 3, 1, "kvm_page_fault: (x) vcpu 0");
    assert_eq!(parse(strange.trim_end()), Line::Other);
    let broken = begin(71, 1, "read_begin", FAULT).replace("lock=0x", "lock=");
    assert!(Line::parse(broken.trim_end()).is_err());
}

#[test]
fn holds_are_added_up() {
    let table = table(&[
        begin(71, 100, "read_try", FAULT),
        begin(72, 150, "read_begin", FAULT),
        end(71, 300, "read_end"),
        end(72, 200, "read_end"),
        begin(71, 1000, "write_begin", LOG),
        end(71, 9000, "write_end"),
    ]);
    let none = Sum::default();
    let wanted = [
        row(Class::Faults, sum(2, 250, 200), none),
        row(Class::DirtyLogs, none, sum(1, 8000, 8000)),
    ];
    assert_eq!(table.classes, wanted);
    assert_eq!((table.incomplete, table.events_lost), (0, 0));
    let shown = text(&table);
    let line = |name: &str| shown.lines().find(|line| line.starts_with(name));
    let words = |name| line(name).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let logs = ["dirty", "logs", "0", "0.000", "0.0", "1", "0.008", "8.0"];
    assert_eq!(words("dirty logs"), Some(logs.to_vec()));
}

#[test]
fn classes_have_names() {
    let names = [Class::DirtyLogs, Class::NxRecovery].map(|class| {
        let row = row(class, Sum::default(), sum(1, 2, 2));
        serde_json::to_value(row).expect("JSON")["class"].clone()
    });
    assert_eq!(names, ["dirty_logs", "nx_recovery"]);
}

#[test]
fn a_pause_ends_a_hold_and_begins_another() {
    let table = table(&[
        begin(71, 100, "write_begin", LOG),
        end(71, 200, "write_end"),
        begin(71, 900, "write_begin", PAUSE),
        end(71, 1400, "write_end"),
    ]);
    let wanted = row(Class::DirtyLogs, Sum::default(), sum(2, 600, 500));
    assert_eq!(table.classes, [wanted]);
}

#[test]
fn others_pause_too() {
    let pauses = [
        begin(71, 100, "write_begin", PAUSE),
        end(71, 200, "write_end"),
        begin(71, 300, "write_begin", "wait_task_zombie+0x1/0x9"),
        end(71, 400, "write_end"),
    ];
    let strange = pauses.map(|line| line.replace(LOCK, STRANGE));
    let table = table(&strange);
    assert_eq!((table.classes, table.incomplete), (vec![], 0));
}

#[test]
fn the_end_of_a_hold_is_lost() {
    let table = table(&[
        begin(71, 100, "read_begin", FAULT),
        begin(70, 100, "read_begin", FAULT),
        "CPU:3 [LOST 2 EVENTS]\n".into(),
        end(71, 9000, "read_end"),
        end(70, 150, "read_end"),
    ]);
    // That of another processor is complete, and the end without a begin says that one is not.
    let wanted = row(Class::Faults, sum(1, 50, 50), Sum::default());
    assert_eq!(table.classes, [wanted]);
    assert_eq!((table.incomplete, table.events_lost), (2, 2));
    let shown = text(&table);
    assert!(shown.contains("2 events were lost"), "{shown}");
    assert!(shown.contains("2 holds are missing"), "{shown}");
}

#[test]
fn what_does_not_belong_together_is_no_hold() {
    let table = table(&[
        begin(71, 100, "read_begin", FAULT),
        begin(71, 200, "read_begin", FAULT),
        end(71, 260, "read_end"),
        begin(71, 300, "read_begin", FAULT),
        end(71, 400, "write_end"),
        begin(71, 500, "read_begin", FAULT),
    ]);
    let wanted = row(Class::Faults, sum(1, 60, 60), Sum::default());
    assert_eq!(table.classes, [wanted]);
    assert_eq!(table.incomplete, 2);
}

#[test]
fn nothing_is_hidden_in_other() {
    let of = |at, caller| {
        [
            begin(71, at, "write_begin", caller),
            end(71, at + 10, "write_end"),
        ]
    };
    let rare = of(100, "kvm_mmu_rmaps_stat_show+0x2/0x9 [kvm]");
    let often = "vmx_set_apic_access_page_addr.part.0+0x2/0x9 [kvm_intel]";
    let table = table(&[rare, of(200, often), of(300, often)].concat());
    let wanted = row(Class::Other, Sum::default(), sum(3, 30, 10));
    assert_eq!(table.classes, [wanted]);
    let shown = text(&table);
    let lines = "other: 2 in vmx_set_apic_access_page_addr\nother: 1 in kvm_mmu_rmaps_stat_show\n";
    assert!(shown.contains(lines), "{shown}");
}

#[test]
fn functions_have_classes() {
    let of = |function, module| classes::of(&Caller { function, module });
    let cases = [
        ("kvm_mmu_fault_wait_read_lock", Taker::For(Class::Faults)),
        (
            "kvm_mmu_notifier_invalidate_range_start",
            Taker::For(Class::Invalidations),
        ),
        (
            "kvm_mmu_slot_remove_write_access.isra.0",
            Taker::For(Class::DirtyLogs),
        ),
        ("kvm_arch_flush_shadow_all", Taker::For(Class::Memslots)),
        ("kvm_mmu_free_roots", Taker::For(Class::Roots)),
        (
            "kvm_nx_huge_page_recovery_worker",
            Taker::For(Class::NxRecovery),
        ),
        ("kvm_age_gfn", Taker::For(Class::Aging)),
        (
            "kvm_vm_ioctl_set_mem_attributes",
            Taker::For(Class::Attributes),
        ),
        ("kvm_zap_gfn_range", Taker::For(Class::Other)),
        ("vcpu_get_pid", Taker::OfOther),
        ("kvm_xen_update_runstate_guest", Taker::OfOther),
    ];
    for (function, wanted) in cases {
        assert_eq!(of(function, Some("kvm")), wanted, "{function}");
    }
    assert_eq!(of("__cond_resched_rwlock_read", None), Taker::Again);
    // KVM may be in the kernel itself. What else is there is not KVM's.
    assert_eq!(of("kvm_mmu_load", None), Taker::For(Class::Roots));
    assert_eq!(of("release_task", None), Taker::OfOther);
    assert_eq!(of("ext4_es_insert_extent", Some("ext4")), Taker::OfOther);
}

/// Of a module that was built.
#[test]
fn functions_in_rust_have_classes() {
    let crates = "_RNvNtNtNtCsfiy7LCOZljz_4main7backend3ops";
    let cases = [
        (format!("{crates}5fault10page_fault"), Taker::For(Class::Faults)),
        (format!("{crates}5roots21zap_invalidated_roots"), Taker::For(Class::Roots)),
        (format!("{crates}5slots20try_split_huge_pages"), Taker::For(Class::DirtyLogs)),
        (
            "_RNvNtNtCsfiy7LCOZljz_4main7tdp_mmu8notifier5start".into(),
            Taker::For(Class::Invalidations),
        ),
        (
            "_RNvYNvNtNtCsfiy7LCOZljz_4main7tdp_mmu7harvest5rearmINtNtNtCs2lKf6AS60Zg_4core3ops8function5FnMutTRNtNtNtNtB8_3kvm6memory3log4PartEE8call_mutB8_"
                .into(),
            Taker::For(Class::DirtyLogs),
        ),
        (
            "_RINvNtNtCsfiy7LCOZljz_4main7tdp_mmu9each_root13for_each_rootNtNtNtNtB6_3kvm4lock4mode6SharedNCINvNtB4_5split9try_splitBW_E0EB6_"
                .into(),
            Taker::For(Class::DirtyLogs),
        ),
        (
            "_RNvNtNtCsfiy7LCOZljz_4main7tdp_mmu2nx7recover".into(),
            Taker::For(Class::NxRecovery),
        ),
        (
            "_RINvNtNtCsfiy7LCOZljz_4main7tdp_mmu3zap10zap_leavesNtNtNtNtB6_3kvm4lock4mode9ExclusiveEB6_"
                .into(),
            Taker::Again,
        ),
        (
            "_RNvMNtNtCsfiy7LCOZljz_4main7tdp_mmu6insideNtB2_6Reader4read".into(),
            Taker::For(Class::Other),
        ),
    ];
    for (function, wanted) in &cases {
        let module = Some("kvm_rs");
        let found = classes::of(&Caller { function, module });
        assert_eq!(found, *wanted, "{}", classes::readable(function));
    }
}

#[test]
fn probes_of_the_dead_are_abandoned() {
    let of = |pid: u32| format!("r16:kvmrs_{pid}/read_try _raw_read_trylock lock=$arg1:x64");
    // No process has a larger number.
    let dead = of(1 << 23);
    let name = format!("kvmrs_{}/read_try", 1 << 23);
    assert_eq!(probes::abandoned(&dead), Some(name.as_str()));
    assert_eq!(probes::abandoned(&of(std::process::id())), None);
    assert_eq!(probes::abandoned("p:kprobes/mine do_exit"), None);
}
