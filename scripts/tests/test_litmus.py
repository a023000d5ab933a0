# SPDX-License-Identifier: GPL-2.0
"""`litmus` compares what herd7 says with what a test expects."""

from .checkout import CheckoutTest

RUN = """
from kvmrs.build import kernel
from kvmrs.commands import litmus
from kvmrs.base import paths
from argparse import Namespace
kernel.ensure = lambda: Namespace(path=paths.REPO)
(paths.REPO / "tools" / "memory-model").mkdir(parents=True)
raise SystemExit(litmus.main(Namespace(test=["fast-path"])))
"""


NOWHERE = """
import shutil
shutil.which = lambda _: None
"""


class LitmusTest(CheckoutTest):
    """With a herd7 that always says the same."""

    def test_another_outcome_fails(self) -> None:
        self.program("herd7", "echo 'Observation fast-path Never 0 2'")
        done = self.run_python(RUN)
        self.assertIn("ok 1 fast-path\n", done.stdout, done.stderr)
        self.assertIn("not ok 2 fast-path-stored # Never, and not Sometimes\n", done.stdout)
        self.assertEqual(done.returncode, 1)

    def test_an_error_is_no_outcome(self) -> None:
        self.program("herd7", "echo 'File 1: unknown macro' >&2; exit 2")
        done = self.run_python(RUN)
        self.assertIn("not ok 1 fast-path # File 1: unknown macro, and not Never\n", done.stdout)

    def test_without_herd7(self) -> None:
        done = self.run_python(NOWHERE + RUN)
        self.assertIn("opam install herdtools7", done.stdout + done.stderr)
