# SPDX-License-Identifier: GPL-2.0
"""The project's own selftests, those of selftests/rust and of selftests/c, in one boot.

    ownselftests [--only NAME[,NAME...]] [--backend c|rust]

They are judged like the kernel's: what passes on C must pass on Rust. None is known to fail.
"""

import argparse
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List

from . import boot, host_modules, kernel, kselftest, ktap, module, paths, runner, selftests, suite
from . import testlist
from .errors import KvmrsError

NAME = "own-selftests"
CRATE = paths.REPO / "selftests" / "rust"
INSIDE = "/tests/kvmrs-selftests"
CMDLINE = "hugepagesz=1G hugepages=1"
"""A page of 1G must be set aside while memory is still in one piece."""
HUGE_PAGES = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
SETTINGS = [{"path": HUGE_PAGES, "value": "64"}]


@dataclass
class Test(testlist.Test):
    """A mixed test makes VMs on both backends, whichever was chosen."""

    mixed: bool = False

    def job(self) -> Dict[str, Any]:
        return {**super().job(), "mixed": self.mixed}


@dataclass
class RustTest(Test):
    """One of the tests in the program of selftests/rust."""

    def job(self) -> Dict[str, Any]:
        return {**super().job(), "program": INSIDE, "args": [self.name]}


C_TESTS = [
    Test("mmu_backend_test", testlist.TIMEOUT, mixed=True),
    Test("huge_page_recovery_test", testlist.TIMEOUT),
]
"""Of selftests/c; the other programs there have stages of their own."""


def main(words: List[str]) -> int:
    parser = argparse.ArgumentParser(prog="kvmrs ownselftests", description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="names of tests, separated by commas")
    parser.add_argument("--backend", choices=selftests.BACKENDS, help="one backend instead of both")
    given = parser.parse_args(words)
    only = [name for name in given.only.split(",") if name]
    summary = run(only, [given.backend] if given.backend else list(selftests.BACKENDS))
    ktap.closing(summary.passed, summary.failed, summary.skipped)
    return 1 if summary.failed else 0


def run(only: List[str], backends: List[str]) -> suite.Summary:
    """Builds, boots, runs, judges; out/own-selftests.json has every result."""
    tree = kernel.ensure()
    program = runner.static_program(CRATE, "kvmrs-selftests", "the project's own selftests")
    tests = _select([*_listed(program), *C_TESTS], only)
    modules = host_modules.Modules(tree, module.ensure(tree))
    work = {
        "backends": backends,
        "heartbeat": selftests.HEARTBEAT,
        "tests": [test.job() for test in tests],
    }
    job = {"modules": modules.job(), "settings": SETTINGS, "work": {"suite": work}}
    files = {**modules.files(), INSIDE: program, **_c_programs(tree)}
    machine = boot.Machine(NAME, tree.bzimage, files, job, cmdline=CMDLINE)
    results = suite.Suite(NAME, list(tests), backends)
    return results.close(boot.run(machine, lambda event: results.on_event(_plain(event))))


def _listed(program: Path) -> List[Test]:
    """As the program lists them; it knows their names and what each needs."""
    listed = subprocess.run([program, "--list"], text=True, capture_output=True)
    if listed.returncode != 0:
        raise KvmrsError(listed.stderr.strip() or f"{program.name} does not list its tests")
    return [RustTest(**entry) for entry in json.loads(listed.stdout)]


def _select(tests: List[Test], only: List[str]) -> List[Test]:
    names = [test.name for test in tests]
    unknown = [name for name in only if name not in names]
    if unknown:
        raise KvmrsError(f"no such selftest: {' '.join(unknown)}", f"there are: {' '.join(names)}")
    return [test for test in tests if not only or test.name in only]


def _c_programs(tree: kernel.KernelTree) -> Dict[str, Path]:
    programs = kselftest.ensure(tree).files()
    places = [f"{kselftest.INSIDE}/{test.name}" for test in C_TESTS]
    return {place: programs[place] for place in places}


def _plain(event: boot.Event) -> boot.Event:
    """The only argument of a test is its name: nobody wants to read it twice."""
    return {**event, "args": ""} if "args" in event else event
