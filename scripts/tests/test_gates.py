# SPDX-License-Identifier: GPL-2.0
"""Gates that must not open by mistake: what results mean, and what a kernel log says."""

import re
import tempfile
import unittest
from pathlib import Path
from typing import List, Optional
from unittest import mock

from kvmrs.base.errors import KvmrsError
from kvmrs.machine import klog
from kvmrs.stages import debug_kernels, model, selftests_ept
from kvmrs.suite import debug_list, own_tests, results, testlist, verdict

from .checkout import REPO, CheckoutTest

KNOWN = "the emulator's fault"
FAILED = {"ev": "result", "backend": "c", "result": "fail", "args": "", "seconds": 1, "tail": []}


class KernelLogTest(unittest.TestCase):
    """Lines that fail a boot."""

    def reports(self, line: str) -> List[str]:
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder, "console.log")
            log.write_text(f"[    1.000000] kvmrs: start rust a_test\n{line}\n")
            return klog.scan(log).reports

    def test_the_rest_is_no_report(self) -> None:
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

    def test_a_listed_test_fails_with_the_words_that_are_listed(self) -> None:
        for says, wanted in (("a.c:7", "xfail"), ("a.c:8", "fail"), ("", "xfail")):
            judged = verdict.judge(
                {"result": "fail", "reason": "exit 1: a.c:7: x"}, None, KNOWN, says=says
            )
            self.assertEqual(judged.outcome, wanted, says)

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

    def test_a_debug_kernel_skips_what_its_flavor_lists(self) -> None:
        special = {"only": ["a", "b"], "skips": {"b": "no huge pages"}}
        for emulated, wanted in (True, ["", "no huge pages"]), (False, [None, None]):
            tests = [testlist.Test(name, 10) for name in ("a", "b", "c")]
            chosen = debug_list.choose(tests, special, emulated)
            self.assertEqual([(test.name, test.skips) for test in chosen], list(zip("ab", wanted)))

    def test_a_flavor_lists_no_skip_of_what_it_does_not_run(self) -> None:
        special = {"only": ["a"], "skips": {"b": "no huge pages"}}
        with self.assertRaisesRegex(KvmrsError, "no such test: b"):
            debug_list.choose([testlist.Test(name, 10) for name in ("a", "b")], special, True)

    def test_the_lists_of_the_emulators_are_such_lists(self) -> None:
        for file in testlist.FILE, selftests_ept.LIST:
            self.assertTrue(testlist.read(file)["skips_listed"], file)


class ReportsTest(unittest.TestCase):
    """Tests that show bugs of C."""

    def sources(self, ends: str) -> str:
        folder = REPO / "selftests"
        return "\n".join(path.read_text() for path in folder.rglob("*") if re.search(ends, path.name))

    def test_each_report_has_words_that_its_test_says(self) -> None:
        shown = re.findall(r"(?:reported\(|report:)\s*\"(\d\d-[\w-]+)\"", self.sources(r"\.rs$"))
        shown += [Path(test.fails).stem for test in own_tests.C_TESTS if test.fails]
        self.assertEqual(sorted(set(shown)), sorted(own_tests.SAYS))
        texts = self.sources(r"\.(rs|c|h|toml)$")
        for report, says in own_tests.SAYS.items():
            with self.subTest(report=report):
                self.assertTrue((REPO / "docs" / "upstream" / f"{report}.md").exists())
                self.assertTrue(all(part in texts for part in says.split(" == ")))

    def test_the_words_get_to_the_verdict(self) -> None:
        (test,) = [test for test in own_tests.C_TESTS if test.name == "private_recovery_test"]
        self.assertEqual(test.says, own_tests.SAYS["04-private-recovery"])
        suite = results.Suite("gate", [test], ["c"], report=mock.Mock())
        for reason in ("exit 254: kernel_log.h:38: no file", f"exit 254: kernel_log.h:38: {test.says}"):
            suite.on_event({**FAILED, "test": test.name, "reason": reason})
        self.assertEqual(suite.outcomes, {"fail": 1, "xfail": 1})

    def test_a_list_says_what_a_test_of_c_alone_fails_of(self) -> None:
        for words in "", 'says = "a.c:7"':
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder, "list.toml")
                file.write_text(f'[test.a]\nfails = "report"\nc_alone = true\n{words}\n')
                if words:
                    (test,) = testlist.select(["a"], [], 10, None, True, file)
                    self.assertEqual(test.says, "a.c:7")
                else:
                    with self.assertRaisesRegex(KvmrsError, "list.toml.* a fails on C alone"):
                        testlist.select(["a"], [], 10, None, True, file)


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
