# SPDX-License-Identifier: GPL-2.0
"""The check of the format sees every script."""

from .checkout import CheckoutTest

LOOK = """
from kvmrs.base import proc
from kvmrs.checks import scripts
from kvmrs.tools import toolroot
toolroot.add = lambda *_: None
toolroot.command = lambda argv, cwd: argv
proc.run_logged = lambda argv, *rest, **more: print("\\n".join(argv))
scripts.formatted()
"""


class FormatTest(CheckoutTest):
    """What black is told to look at; black itself need not be there."""

    def test_every_file_is_named(self) -> None:
        given = set(self.run_python(LOOK).stdout.splitlines())
        scripts = self.checkout / "scripts"
        files = {str(file.relative_to(scripts)) for file in scripts.rglob("*.py")}
        self.assertIn("kvmrs/build/kernel.py", files)
        self.assertEqual(files - given, set())
