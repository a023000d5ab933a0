# SPDX-License-Identifier: GPL-2.0
"""Gates that must not open by mistake: what results mean, and what a kernel log says."""

import tempfile
import unittest
from pathlib import Path
from typing import List, Optional

from kvmrs.base.errors import KvmrsError
from kvmrs.machine import klog
from kvmrs.stages import debug_kernels, model, selftests_ept
from kvmrs.suite import own_tests, testlist, verdict

from .checkout import CheckoutTest

REPORTS = (
    "** 3 printk messages dropped **",
    "[   10.000000] Out of memory: Killed process 77 (guest) total-vm:1kB",
    "[   10.000000] dirty_log_test invoked oom-killer: gfp_mask=0xcc0, order=0",
    "[   10.000000] runner: page allocation failure: order:9, mode:0xdc0",
    "[   10.000000] rcu: INFO: rcu_sched detected expedited stalls on CPUs/tasks: { 1-... }",
    "[   10.000000] WARNING: CPU: 1 PID: 7 at arch/x86/kvm/mmu/mmu.c:1 f+0x1/0x2 [kvm]",
)
KNOWN = "the emulator's fault"


class KernelLogTest(unittest.TestCase):
    """Lines that fail a boot."""

    def reports(self, line: str) -> List[str]:
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder, "console.log")
            log.write_text(f"[    1.000000] kvmrs: start rust a_test\n{line}\n")
            return klog.scan(log).reports

    def test_each_of_these_is_a_report(self) -> None:
        for line in REPORTS:
            with self.subTest(line=line):
                self.assertEqual(len(self.reports(line)), 1)

    def test_the_rest_is_none(self) -> None:
        self.assertEqual(self.reports("[    2.000000] kvm: Nested Paging enabled"), [])

    def test_what_c_reports_is_no_excuse_for_rust(self) -> None:
        known = klog.Known("a report", "C is wrong", during="a_test", backend="c")
        for running, wanted in (
            ("c a_test -v", True),
            ("mixed a_test", True),
            ("rust a_test", False),
            ("c other_test", False),
            ("", False),
        ):
            self.assertEqual(known.is_at(["a report"], running), wanted, running)


class VerdictTest(unittest.TestCase):
    """Tests that are listed as failing."""

    def outcome(self, mine: str, place: str, on_c: Optional[str], known: str = KNOWN) -> str:
        c = {"result": on_c, "reason": "a.c:7"} if on_c else None
        return verdict.judge({"result": mine, "reason": place}, c, known).outcome

    def test_a_listed_test_fails_in_the_same_place(self) -> None:
        self.assertEqual(self.outcome("fail", "a.c:7", None), "xfail")
        self.assertEqual(self.outcome("fail", "a.c:7", "fail"), "xfail")
        self.assertEqual(self.outcome("fail", "a.c:8", "fail"), "fail")
        self.assertEqual(self.outcome("timeout", "a.c:7", "fail"), "fail")

    def test_a_listed_test_that_does_not_fail_is_an_error(self) -> None:
        for result in ("pass", "skip"):
            self.assertEqual(self.outcome(result, "", None), "fail")
            self.assertEqual(self.outcome(result, "", result), "fail")

    def test_a_skip_is_listed_with_its_reason(self) -> None:
        for listed, result, reason, wanted in (
            ("no SEV", "skip", "no SEV", "skip"),
            ("no SEV", "skip", "no TDX", "fail"),
            ("no SEV", "pass", "", "fail"),
            ("", "skip", "no SEV", "fail"),
            ("", "pass", "one more attempt", "pass"),
            (None, "skip", "no SEV", "skip"),
        ):
            judged = verdict.judge({"result": result, "reason": reason}, None, "", listed)
            self.assertEqual(judged.outcome, wanted, (listed, result, reason))

    def test_a_killed_test_has_not_shown_the_failure_that_is_listed(self) -> None:
        for endless, result, wanted in (
            (False, "fail", KNOWN),
            (False, "timeout", ""),
            (True, "timeout", KNOWN),
            (True, "fail", ""),
            (True, "pass", KNOWN),
        ):
            test = testlist.Test("a", 10, fails=KNOWN, endless=endless)
            self.assertEqual(test.known("c", result), wanted, (endless, result))

    def test_others_are_as_on_c(self) -> None:
        self.assertEqual(self.outcome("pass", "", "fail", ""), "pass")
        self.assertEqual(self.outcome("fail", "a.c:7", "pass", ""), "fail")
        self.assertEqual(self.outcome("skip", "", "pass", ""), "fail")


class ListTest(unittest.TestCase):
    """Lists that say what is skipped."""

    def skips(self, *, emulated: bool = True, args: Optional[List[str]] = None) -> List[Optional[str]]:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "list.toml")
            file.write_text('skips_listed = true\n[test]\nsev.skips = "no SEV"\n')
            tests = testlist.select(["sev", "other"], [], 10, args, emulated, file)
        return [test.skips for test in tests]

    def test_a_list_names_all_skips(self) -> None:
        self.assertEqual(self.skips(), ["no SEV", ""])

    def test_it_says_nothing_of_a_processor_or_of_other_arguments(self) -> None:
        self.assertEqual(self.skips(emulated=False), [None, None])
        self.assertEqual(self.skips(args=["-v"]), [None, None])

    def test_own_tests_are_not_skipped_in_an_emulator(self) -> None:
        for emulated, wanted in (True, ""), (False, None):
            (test,) = own_tests.select([own_tests.Test("a", 10)], ["a"], emulated)
            self.assertEqual(test.skips, wanted)

    def test_the_lists_of_the_emulators_are_such_lists(self) -> None:
        for file in testlist.FILE, selftests_ept.LIST:
            self.assertTrue(testlist.read(file)["skips_listed"], file)


class WatchersTest(unittest.TestCase):
    """The module on a kernel that watches."""

    def test_a_module_that_nobody_watches_is_refused(self) -> None:
        calls = {
            "kvm_rs.ko": b"__asan_load8 __tsan_read8",
            "main.o": b"__asan_load8 __tsan_read8 lock_is_held_type",
            "main.bc": b"__asan_load8",
        }
        with tempfile.TemporaryDirectory() as folder:
            for name, text in calls.items():
                Path(folder, name).write_bytes(text)
            for flavor in ("kasan", "lockdep", "base"):
                debug_kernels.demand_canary(flavor, Path(folder))
            Path(folder, "main.bc").unlink()
            with self.assertRaisesRegex(KvmrsError, "built without main.bc"):
                debug_kernels.demand_canary("kasan", Path(folder))
            Path(folder, "main.bc").write_bytes(b"__asan_load8")
            Path(folder, "main.o").write_bytes(b"")
            for flavor in ("kcsan", "lockdep"):
                with self.assertRaisesRegex(KvmrsError, f"{flavor} does not watch it"):
                    debug_kernels.demand_canary(flavor, Path(folder))


class ModelTest(CheckoutTest):
    """Scenarios of the model checkers."""

    def test_one_that_did_not_run_is_missed(self) -> None:
        scenarios = [*model.LOOM.scenarios(), *model.SHUTTLE.scenarios()]
        self.assertIn("loom, fault-zap", scenarios)
        self.assertIn("shuttle, everything, PCT", scenarios)
        tally = model.Tally()
        for name in scenarios:
            tally.hear(f"model: {name}: 12 interleavings")
        tally.demand(scenarios)
        tally.counts["loom, fault-zap"] = 0
        with self.assertRaisesRegex(KvmrsError, "did not run: loom, fault-zap"):
            tally.demand(scenarios)

    def test_the_environment_does_not_say_how_much_to_test(self) -> None:
        program = (
            "import os; from kvmrs import __main__ as whole; from kvmrs.commands import model;"
            'model.main = lambda _: print(os.environ.get("PROPTEST_CASES")) or 0;'
            'whole._need_places = lambda _: None; whole.main(["model"])'
        )
        done = self.run_python(program, PROPTEST_CASES="1")
        self.assertEqual(done.stdout, "None\n", done.stderr)


if __name__ == "__main__":
    unittest.main()
