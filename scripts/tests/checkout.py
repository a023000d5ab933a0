# SPDX-License-Identifier: GPL-2.0
"""A checkout of its own for each test, with a cache of its own and no tools but python3's, or with those
that this machine has for the commands."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Dict, List, Set

from kvmrs.tools import bootstrap, build_machine, toolroot

REPO = Path(__file__).resolve().parents[2]
GENERATED = shutil.ignore_patterns("out", "target", ".git", "__pycache__", "*.o", "*.ko")
BROUGHT = ("Makefile", "scripts", "selftests", "patches", "docs")
LIMIT = 60
"""Seconds after which a command hangs."""


class CheckoutTest(unittest.TestCase):
    """Has `self.checkout`, `self.cache` and `self.bin`, whose programs come first in PATH."""

    place = "checkout"

    def setUp(self) -> None:
        folder = Path(self.enterContext(tempfile.TemporaryDirectory(prefix="kvmrs-test-")))
        self.checkout, self.cache, self.bin = folder / self.place, folder / "cache", folder / "bin"
        self.bin.mkdir()
        self.checkout.mkdir()
        for name in BROUGHT:
            if (REPO / name).is_dir():
                shutil.copytree(REPO / name, self.checkout / name, ignore=GENERATED)
            else:
                shutil.copy(REPO / name, self.checkout)
        # No command gets as far as to install something on this machine.
        for name in ("apt-get", "debootstrap", "sudo"):
            self.program(name, "exit 9")

    def program(self, name: str, script: str) -> None:
        """A fake program."""
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def environment(self) -> Dict[str, str]:
        return {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "HOME": str(self.cache.parent),
            "XDG_CACHE_HOME": str(self.cache),
            # Where nobody answers: a command that acts all the same does not get far.
            "http_proxy": "http://127.0.0.1:9",
            "https_proxy": "http://127.0.0.1:9",
        }

    def run_command(self, *given: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        return self.run_program(str(self.checkout / "scripts" / "kvmrs.sh"), *given, **settings)

    def run_python(self, script: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        """A script that imports this checkout's kvmrs."""
        return self.run_program(sys.executable, "-P", "-c", script, **self.python_path(), **settings)

    def run_program(self, *argv: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        """timeout(1) ends what the program started, too."""
        return subprocess.run(
            ["timeout", "-k", "5", str(LIMIT), *argv],
            env={**self.environment(), **settings},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    def python_path(self) -> Dict[str, str]:
        return {"PYTHONPATH": str(self.checkout / "scripts"), "PYTHONDONTWRITEBYTECODE": "1"}

    def files(self) -> Set[str]:
        """Everything in the checkout and the cache."""
        return {
            str(path)
            for place in (self.checkout, self.cache)
            for path in place.rglob("*")
            if path.is_file()
        }

    def assert_refused(self, done: "subprocess.CompletedProcess[str]", code: int, says: str) -> None:
        """It ended with this code and with one line, which says why."""
        said = done.stdout + done.stderr
        self.assertEqual(done.returncode, code, said)
        self.assertIn(says, said)
        self.assertEqual(len(said.splitlines()), 1, said)


class MachineTest(CheckoutTest):
    """Runs commands as they are. The tools are lent to its cache: no test fetches any."""

    def setUp(self) -> None:
        super().setUp()
        self.cache_part = self.cache / "kvm_rs"
        self.cache_part.mkdir(parents=True)
        if build_machine.has_tools():
            return
        root = toolroot.default_root()
        if not bootstrap.ready(root):
            self.skipTest("the tools are not there: make kernel fetches them")
        if os.geteuid() != 0:
            self.skipTest("the private Debian root needs root")
        (self.cache_part / root.name).symlink_to(root)

    def apart(self, what: str, script: str, *given: str) -> List[str]:
        """The command line for a script in namespaces of its own: -m of mounts, -n of the network."""
        mine = ["unshare", what] if os.geteuid() == 0 else ["unshare", "-r", what]
        if subprocess.run([*mine, "true"], capture_output=True).returncode:
            self.skipTest(f"unshare {what} is not allowed here")
        return [*mine, "sh", "-ec", script, *given]

    def lend_crates(self) -> str:
        """For a script with mounts of its own: the crates that were fetched, which stay as they are."""
        crates, place = toolroot.crates(), self.cache_part / "cargo"
        if build_machine.has_tools():
            place = Path(self.environment()["HOME"]) / ".cargo"
        if not (crates / "registry").is_dir():
            self.skipTest("the crates are not there: the model's tests fetch them")
        return f"mkdir -p {place}; mount --bind {crates} {place}; mount -o remount,ro,bind {place}\n"
