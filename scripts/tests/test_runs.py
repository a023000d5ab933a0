# SPDX-License-Identifier: GPL-2.0
"""What fails a run besides the tests themselves."""

import io
import re
import tempfile
import unittest
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Dict, List, Tuple
from unittest import mock

from kvmrs.base import paths
from kvmrs.base.errors import KvmrsError
from kvmrs.checks import known_warnings
from kvmrs.machine import boot, klog
from kvmrs.stages import model
from kvmrs.suite import debug_list, testlist, verdict
from kvmrs.suite.results import Suite, Summary

RULES = (
    "WARNING: arch/x86/kvm/mmu/mmu.c:1 at f [kvm]",
    "BUG: workqueue lockup - pool cpus=0",
    "Oops: 0000 [#1] SMP",
    "traps: a[7] general protection fault ip:1",
    "Kernel panic - not syncing: Fatal exception",
    "Unable to handle kernel paging request",
    "rcu: INFO: rcu_sched self-detected stall on CPU",
    "watchdog: soft lockup - CPU#1 stuck for 22s!",
    "watchdog: hard LOCKUP on cpu 1",
    "INFO: task a:7 blocked for more than 120 seconds.",
    "possible circular locking dependency detected",
    "possible recursive locking detected",
    "inconsistent lock state",
    "suspicious RCU usage",
    "DEBUG_LOCKS_WARN_ON(1)",
    "[ Invalid wait context ]",
    "sleeping function called from invalid context",
    "scheduling while atomic: a/7/0x2",
    "Invalid SPTE change: cannot replace a present leaf",
    "kmemleak: 1 new suspected memory leaks",
    "Objects remaining on __kmem_cache_shutdown()",
    "Bad page state in process a",
    "Bad rss-counter state mm:1 type:MM_ANONPAGES val:1",
    "refcount_t: underflow; use-after-free.",
    "list_del corruption, 1->next is NULL",
    "KASAN: null-ptr-deref in range",
    "KCSAN: data-race in f / g",
    "KMSAN: uninit-value in f",
    "UBSAN: shift-out-of-bounds in a.c:1",
    "KFENCE: memory corruption in f",
    "unchecked MSR access error: WRMSR to 0x1",
    "rcu: rcu_sched kthread starved for 7 jiffies!",
    "rcu_tasks: a stall",
    "rust_kernel: panicked at main.rs:1:2:",
    "** 3 printk messages dropped **",
    "Out of memory: Killed process 77 (guest) total-vm:1kB",
    "Memory cgroup out of memory: Killed process 77 (guest)",
    "dirty_log_test invoked oom-killer: gfp_mask=0xcc0, order=0",
    "runner: page allocation failure: order:9, mode:0xdc0",
    "rcu: INFO: rcu_sched detected expedited stalls on CPUs/tasks: { 1-... }",
)
"""For each rule a line that no other rule finds."""
LISTED = """
[[line]]
text = "WARNING: a.c:7 at f [kvm]"
then = ["RIP: 0010:f [kvm]", "g [kvm]"]
during = "a_test"
most = 1
reason = "C is wrong"
"""
KNOWN = ["WARNING: a.c:7 at f+0x1/0x2 [kvm]", "RIP: 0010:f+0x1/0x2 [kvm]", "g+0x3/0x4 [kvm]"]
ENDED = boot.Ended(paths.REPO / "out" / "logs" / "made-up.log", "", "", {}, 1.0)


def rules() -> List[str]:
    """The parts of the scanner's expression."""
    depth, parts = 0, [""]
    for sign in klog.REPORT.pattern:
        depth += (sign == "(") - (sign == ")")
        if sign == "|" and not depth:
            parts.append("")
        else:
            parts[-1] += sign
    return parts


class KernelLogTest(unittest.TestCase):
    """Made-up logs."""

    def reports(self, *lines: str) -> List[str]:
        with tempfile.TemporaryDirectory() as folder:
            log, listed = Path(folder, "console.log"), Path(folder, "list.toml")
            log.write_text("\n".join(f"[    1.000000] {line}" for line in lines))
            listed.write_text(LISTED)
            with mock.patch.object(klog, "ALLOWED", listed):
                return klog.scan(log).reports

    def test_each_line_has_one_rule_and_each_rule_has_one_line(self) -> None:
        found = [[rule for rule in rules() if re.search(rule, line)] for line in RULES]
        for line, by in zip(RULES, found):
            with self.subTest(line=line):
                self.assertEqual(len(by), 1)
                self.assertEqual(len(self.reports(line)), 1)
        self.assertEqual(sorted(sum(found, [])), sorted(rules()))

    def test_only_the_very_report_that_is_listed_is_allowed(self) -> None:
        start = "kvmrs: start c a_test"
        for lines, wanted in (
            ([start, *KNOWN], 0),
            ([start, *KNOWN[:2], "h [kvm]"], 1),
            ([start, KNOWN[0], KNOWN[2], KNOWN[1]], 1),
            ([start, *KNOWN, *KNOWN], 1),
            (["kvmrs: start c other_test", *KNOWN], 1),
        ):
            self.assertEqual(len(self.reports(*lines)), wanted, lines)

    def test_what_belongs_to_a_test_may_come_after_its_end(self) -> None:
        lines = ["kvmrs: start c a_test", "kvmrs: end c a_test", *KNOWN]
        self.assertEqual(self.reports(*lines), [])

    def test_a_listed_warning_is_where_the_kernel_warns(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            source, listed = Path(folder, "a.c"), Path(folder, "list.toml")
            listed.write_text(LISTED)
            with mock.patch.object(known_warnings, "_ALLOWED", listed):
                for line, wanted in ("WARN_ON(1);", 0), ("return;", 1):
                    source.write_text(6 * "\n" + line + "\n")
                    self.assertEqual(len(known_warnings.misplaced(Path(folder))), wanted)


class SuiteTest(unittest.TestCase):
    """Made-up boots."""

    def closed(self, ended: boot.Ended, *events: Dict[str, Any]) -> Summary:
        """What comes of one test with these results."""
        report = mock.Mock()
        suite = Suite("made-up", [testlist.Test("a", 10)], ["c", "rust"], report=report)
        with redirect_stdout(io.StringIO()), mock.patch.object(Path, "write_text"):
            for event in events:
                passed = {"result": "pass", "seconds": 0.0, "reason": "", "tail": [], "args": ""}
                suite.on_event({"ev": "result", "test": "a", **passed, **event})
            summary = suite.close(ended)
        self.said = [call.args[0] for call in report.comment.call_args_list]
        return summary

    def test_the_kernel_log_fails_a_run_whose_tests_pass(self) -> None:
        both = {"backend": "c"}, {"backend": "rust"}
        self.assertEqual(self.closed(ENDED, *both).failed, 0)
        dirty = boot.Ended(**{**vars(ENDED), "verdict": klog.Verdict(["BUG: x"])})
        self.assertEqual(self.closed(dirty, *both).failures, ("kernel log: BUG: x",))

    def test_what_the_runner_complains_of_fails(self) -> None:
        for complaint in ("1 of its VMs ran on C", "left behind: 1 VMs on rust"):
            event = {"backend": "rust", "complaint": complaint}
            self.assertEqual(self.closed(ENDED, {"backend": "c"}, event).failed, 1)
            for known in "", "listed":
                judged = verdict.judge({"reason": "", "result": "fail", **event}, None, known)
                self.assertEqual(judged, verdict.Verdict("fail", complaint))

    def test_attempts_are_told_for_each_backend(self) -> None:
        self.closed(ENDED, {"backend": "c", "attempts": 1}, {"backend": "rust", "attempts": 3})
        self.assertIn("further attempts: c 0, rust 2", self.said)
        self.closed(ENDED, {"backend": "c", "attempts": 1}, {"backend": "rust", "attempts": 1})
        self.assertFalse([line for line in self.said if "further" in line])

    def test_a_machine_that_ends_early_has_failed(self) -> None:
        machine = boot.Machine("made-up", mock.Mock(), {}, {})
        for event, problem in (
            ({"ev": "end"}, ""),
            ({"ev": "ready", "facts": {}}, "the emulator ended before the end mark"),
            ({"ev": "fatal", "reason": "no"}, "the test machine could not go on: no"),
        ):
            watch = boot._Watch(machine, lambda _: None)
            watch._on_event(event)
            self.assertEqual(watch._why(""), problem)


class StaleTest(unittest.TestCase):
    """Lists that name what does not exist."""

    def test_no_list_names_a_test_that_is_gone(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "list.toml")
            file.write_text("[test.gone]\n[test.there]\n")
            with self.assertRaisesRegex(KvmrsError, "list.toml names tests .*: gone"):
                testlist.names_in(file, ["there"])
            both = ["gone", "there"]
            self.assertEqual(list(testlist.names_in(file, both)), both)
            with self.assertRaisesRegex(KvmrsError, "no such selftest: new"):
                testlist.select(both, ["new"], 10, None, True, file)

    def test_nor_does_the_list_of_own_ones_for_debug_kernels(self) -> None:
        there = mock.patch.object(debug_list.own_tests, "listed", lambda _: [testlist.Test("a", 1)])
        with there, mock.patch.object(debug_list.own_tests, "program"):
            with self.assertRaisesRegex(KvmrsError, "no such selftest: recovery_2m"):
                debug_list.check()


class ScenariosTest(unittest.TestCase):
    """The model checkers."""

    def test_a_run_demands_its_scenarios(self) -> None:
        nothing = mock.patch.multiple(model, _build=mock.Mock(), _run=mock.Mock())
        with nothing, redirect_stdout(io.StringIO()), self.assertRaisesRegex(KvmrsError, "did not run"):
            model.run()

    def soak(self, goal: model.Goal, each: int) -> Tuple[str, List[str]]:
        """Where each test of shuttle gets so far in a round: what is said, and which stages ran."""
        ran: List[str] = []

        def run(stage: model.Stage, tally: model.Tally, _: object) -> None:
            ran.append(f"{stage.name} {' '.join(stage.only)}".strip())
            tally.hear(f"model: {stage.name}, harvest, PCT: {each} interleavings")

        said = io.StringIO()
        with mock.patch.multiple(model, _build=mock.Mock(), _run=run), redirect_stdout(said):
            model.soak(goal)
        return said.getvalue(), ran

    def test_a_soak_ends_when_all_schedules_were_run(self) -> None:
        said, ran = self.soak(model.Goal(schedules=5001, only=["harvest"]), 2500)
        self.assertEqual(ran, ["shuttle harvest"] * 3)
        self.assertRegex(said, r"model-soak: no failure in .*, 3 rounds, 7,500 schedules\n$")

    def test_a_soak_counts_no_histories_as_schedules(self) -> None:
        said, ran = self.soak(model.Goal(schedules=2), 1)
        self.assertEqual(ran, ["shuttle", "histories, and the machine's own threads"] * 2)
        self.assertRegex(said, r", 2 rounds, 2 schedules\n$")

    def test_one_test_can_be_chosen(self) -> None:
        self.assertIn("harvest", model.SHUTTLE.functions())
        self.assertIn("shuttle, harvest, PCT", model.SHUTTLE.scenarios())


if __name__ == "__main__":
    unittest.main()
