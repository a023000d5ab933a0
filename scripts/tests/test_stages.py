# SPDX-License-Identifier: GPL-2.0
"""The table of `test` is complete, however a stage ends."""

import re
import shlex

from kvmrs.commands import test
from kvmrs.machine import vng as vng_machine
from kvmrs.stages import migrate, selftests_ept, vng

from .checkout import REPO, CheckoutTest

BROKEN = """
import os, time
from pathlib import Path
from kvmrs.base import aside
from kvmrs.commands import test
from kvmrs.suite.results import Summary
def wrong():
    raise ValueError("a wrong value")
here = os.getpid()
died = Path(os.environ["XDG_CACHE_HOME"], "died")
def dead():
    assert os.getpid() != here
    died.touch()
    os._exit(3)
def wait():
    while not died.exists():
        time.sleep(0.05)
    wrong()
test.STAGES = (
    ("the checks", lambda: Summary(1)),
    ("the longest", wait),
    ("a wrong one", wrong),
    ("a dead one", dead),
    ("after it", lambda: Summary(1)),
)
aside.possible = lambda: True
test._install = lambda: None
# There may be one processor here; what runs aside leaves one alone.
os.sched_setaffinity = lambda *_: None
raise SystemExit(test.main(None))
"""

GUEST = """
import subprocess
from kvmrs.__main__ import main
from kvmrs.build import kernel, module
from kvmrs.machine import kvm_modules, vng
vng.ensure = lambda: None
kernel.ensure = module.ensure = kvm_modules.Modules = lambda *_: None
vng.load = lambda _: ""
vng.command = lambda _: ["sh", "-c", "shift; exec sh -c \\"$1\\"", "sh"]
vng._run = lambda words, options: subprocess.run(words, **options)
raise SystemExit(main(["vng", "--exec", {command!r}]))
"""
"""The guest's commands run here."""

EPT = [f"MMU selftests on EPT, {mode}" for mode in selftests_ept.MODES]


class StagesTest(CheckoutTest):
    """Made-up stages."""

    def test_the_table_is_complete(self) -> None:
        self.cache.mkdir()
        done = self.run_python(BROKEN)
        said = done.stdout
        self.assertEqual(done.returncode, 1, said + done.stderr)
        table = said[said.index("stage  ") :]
        order = ["the checks", "the longest", "a wrong one", "a dead one", "after it"]
        self.assertEqual(re.findall(r"(?m)^(.+?)(?: +\d+){3} ", table), order)
        for line in (
            r"the checks +1 +0 +0 .*",
            r"the longest +0 +1 +0 .*",
            r"a wrong one +0 +1 +0 .*",
            r"a dead one +0 +1 +0 .*",
            r"after it +1 +0 +0 .*",
            r"FAILED the longest: ValueError: a wrong value",
            r"FAILED a wrong one: ValueError: a wrong value",
            r"FAILED a dead one: broke off; see out/logs/a-dead-one.log",
            r"2 passed, 3 failed, 0 skipped",
        ):
            self.assertRegex(table, rf"(?m)^{line}$")

    def test_ci_has_stages_without_arguments(self) -> None:
        stages = [stage for _, stage in test.STAGES]
        self.assertIn(migrate.run, stages)
        self.assertIn(vng.run, stages)
        self.assertEqual([name for name, _ in test.STAGES if "EPT" in name], EPT)
        self.assertEqual((REPO / ".ci" / "run").read_text().splitlines()[-1], "exec make test")

    def test_the_readme_boots_as_we_do(self) -> None:
        """Those who have vng use it with the same options."""
        readme = (REPO / "README.md").read_text()
        without_kvm = re.findall(r"Without a usable `/dev/kvm`, add `(.*)`", readme)
        self.assertEqual([tuple(shlex.split(words)) for words in without_kvm], [vng_machine.EMULATED])
        kernel = re.findall(r"vng --run arch/x86/boot/bzImage (.*) -- ", readme)
        self.assertEqual([tuple(kernel[0].split())], [vng_machine.OPTIONS[:2]])

    def test_a_command_in_the_guest_ends_the_run(self) -> None:
        for command, code in ("exit 7", 7), ("true", 0), ("false", 1), ("echo '; exit 3'", 0):
            done = self.run_python(GUEST.format(command=command))
            self.assertEqual(done.returncode, code, (command, done.stdout, done.stderr))
