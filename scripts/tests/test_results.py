# SPDX-License-Identifier: GPL-2.0
"""What a suite makes of its boot."""

import io
from contextlib import redirect_stdout
from pathlib import Path
from unittest import TestCase, mock

from kvmrs.base import paths
from kvmrs.machine import boot
from kvmrs.suite.results import Suite, Summary
from kvmrs.suite.testlist import Test

PANIC = "the host kernel panicked"
LOG = paths.REPO / "out" / "logs" / "made-up.log"


class DeadMachineTest(TestCase):
    """A machine that dies in the middle of three tests."""

    def setUp(self) -> None:
        suite = Suite("made-up", [Test(name, 10) for name in ("a", "b", "c")], ["c"], "kasan")
        ended = boot.Ended(LOG, PANIC, "", {}, 1.0)
        passed = {"result": "pass", "seconds": 0.0, "reason": "", "tail": []}
        said = io.StringIO()
        with redirect_stdout(said), mock.patch.object(Path, "write_text"):
            suite.on_event({"ev": "result", "test": "a", "args": "a", "backend": "c", **passed})
            self.summary = suite.close(ended)
        self.said = said.getvalue().splitlines()

    def test_each_test_counts(self) -> None:
        """And the boot itself."""
        self.assertEqual((self.summary.passed, self.summary.failed), (1, 3))
        lines = [line for line in self.said if line.startswith("not ok")]
        self.assertEqual(
            lines,
            [f"not ok {n} kasan c {t} # not run to its end: {PANIC}" for n, t in ((2, "b"), (3, "c"))],
        )

    def test_the_list_of_failures_has_it_once(self) -> None:
        lines = [line for line in self.said if "FAILED" in line]
        self.assertEqual(
            lines, [f"# FAILED kasan 2 tests did not run: {PANIC}", f"# FAILED kasan boot: {PANIC}"]
        )


class SummaryTest(TestCase):
    """Sums of stages."""

    def test_failures_are_counted(self) -> None:
        total = sum([Summary(1, 2, ("a",)), Summary(3, failures=("b", "b"))], Summary())
        self.assertEqual((total.passed, total.failed, total.skipped), (4, 3, 2))
