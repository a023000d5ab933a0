# SPDX-License-Identifier: GPL-2.0
"""Machines on which a command cannot work: one clear line, at once."""

import shutil
import subprocess
import unittest
from math import ceil
from pathlib import Path

from kvmrs.tools import packages

from .checkout import REPO, CheckoutTest

LOGGED = """
from kvmrs.__main__ import main
from kvmrs.base import proc, ui
import kvmrs.commands.fmt as fmt
def act(_):
    with ui.step("building") as shown:
        proc.run_logged(["sh", "-c", {script!r}], "build", shown)
fmt.main = act
raise SystemExit(main(["fmt"]))
"""
CARGO_FULL = "error: failed to write /x/lib.rmeta: No space left on device (os error 28)"
CARGO_OFFLINE = "error: failed to download from the registry: [6] Could not resolve hostname"
RUSTC = "error[E0308]: mismatched types"
SMALL = """
import os
from kvmrs.__main__ import main
from kvmrs.tools import build_machine
sysconf = os.sysconf
os.sysconf = lambda name: 10**6 if name == "SC_PHYS_PAGES" else sysconf(name)
build_machine.free_bytes = lambda _: 9 * 10**9
raise SystemExit(main(["doctor"]))
"""
"""A machine with 4 GB of memory and 9 GB of disk."""


class SurroundingsTest(CheckoutTest):
    """An ordinary place, with something missing."""

    def failing(self, words: str) -> "subprocess.CompletedProcess[str]":
        return self.run_python(LOGGED.format(script=f"echo '{words}' >&2; exit 101"))

    def test_python_too_old(self) -> None:
        self.program("python3", 'case $1 in --version) echo "Python 3.9.2";; *) exit 1;; esac')
        for command in ("doctor", "demo"):
            done = self.run_command(command)
            self.assert_refused(done, 1, "Python 3.9.2 is too old; install Python 3.11 or later")

    def test_disk_full(self) -> None:
        said = self.failing(CARGO_FULL).stderr
        self.assertIn("the disk is full", said)
        self.assertNotIn("network", said)

    def test_disk_full_while_python_writes(self) -> None:
        script = LOGGED.replace(
            "    with ui", "    print('x', file=open('/dev/full', 'w'), flush=True)\n    with ui"
        )
        self.assert_refused(self.run_python(script.format(script="")), 1, "the disk is full")

    def test_no_network(self) -> None:
        self.assertIn("check the network", self.failing(CARGO_OFFLINE).stderr)

    def test_an_error_of_the_compiler_is_not_the_network(self) -> None:
        said = self.failing(RUSTC).stderr
        self.assertIn(RUSTC, said)
        self.assertNotIn("network", said)

    def test_wrong_kernel_trees(self) -> None:
        for command in ("demo", "test", "test-ept", "bench"):
            done = self.run_command(command, KDIR="/nonexistent")
            self.assert_refused(done, 1, "KDIR=/nonexistent is not a built kernel tree")

    def test_read_only_checkout(self) -> None:
        script = (
            "mount --bind '{0}' '{0}' && mount -o remount,ro,bind '{0}' && exec '{0}/scripts/kvmrs.sh' demo"
        ).format(self.checkout)
        if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
            self.skipTest("mounts need root")
        done = self.run_program("unshare", "-m", "sh", "-c", script)
        self.assert_refused(done, 1, "is read-only")

    def test_doctor_on_a_small_machine(self) -> None:
        said = self.run_python(SMALL).stdout
        self.assertRegex(said, r"(?m)^MISSING  memory +4\.1 GB, 7\.5 GB needed")
        self.assertRegex(said, r"(?m)^MISSING  disk +9 GB free in .*, 10 GB needed")
        self.assertRegex(said, r"(?m)^ok +later +still to be fetched: .*\bbochs\b.*\bvng\b")

    def test_the_readme_says_the_same(self) -> None:
        text = " ".join((REPO / "README.md").read_text().split())
        self.assertIn(
            f"takes {packages.DISK_GB} GB of disk and {ceil(packages.MEMORY_GB)} GB of memory", text
        )

    def test_doctor_says_all_of_it(self) -> None:
        done = self.run_command("doctor", KDIR="/nonexistent")
        self.assertEqual(done.returncode, 1)
        self.assertIn("KDIR=/nonexistent is not a built kernel tree", done.stdout)
        self.assertNotIn("Traceback", done.stdout + done.stderr)


class SpaceTest(CheckoutTest):
    """A checkout whose path the kernel's make would take for two."""

    place = "a checkout"

    def test_path_with_a_space(self) -> None:
        self.assert_refused(self.run_command("demo"), 1, "has a space or a colon in it")
        done = self.run_command("doctor")
        self.assertEqual(done.returncode, 1)
        self.assertIn("has a space or a colon in it", done.stdout)

    def test_make_finds_the_commands_there(self) -> None:
        if shutil.which("make") is None:
            self.skipTest("no make")
        done = self.run_program("make", "-C", str(self.checkout), "demo")
        self.assertIn("has a space or a colon in it", done.stderr)
        self.assertFalse(Path(self.cache, "kvm_rs", "root").exists())


if __name__ == "__main__":
    unittest.main()
