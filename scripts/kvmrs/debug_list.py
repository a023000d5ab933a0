# SPDX-License-Identifier: GPL-2.0
"""What to run on a debug kernel: selftests/debug.toml."""

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Dict, List

from . import ownselftests, paths, testlist
from .errors import KvmrsError

FILE = paths.REPO / "selftests" / "debug.toml"
TIMEOUT = 300
"""Seconds a test: the slowest of these kernels takes ten times as long as the first one."""
STRESS_GRACE = 280
"""Seconds that a stress run may take for its end: a phase, swap that comes back, VMs that go."""


@dataclass
class Own(testlist.Test):
    """A test of selftests/rust, or one of its commands, which `args` are then."""

    mixed: bool = False

    def job(self) -> Dict[str, Any]:
        return {**super().job(), "program": ownselftests.INSIDE, "args": self.args or [self.name],
                "mixed": self.mixed}


@dataclass
class Plan:
    """The tests of one flavor in order, and files of /proc and /sys to write before them."""

    tests: List[testlist.Test]
    settings: List[Dict[str, str]]


def flavors() -> List[str]:
    return list(_read()["flavor"])


def plan(flavor: str, suite: List[str]) -> Plan:
    """Everything for one flavor; `suite` are the kernel's tests by name."""
    listed, special = _read(), _read()["flavor"].get(flavor, {})
    last = [name for name, entry in listed["test"].items() if entry.get("last")]
    tests = _of_the_kernel(suite, special.get("fails", {}))
    c_programs = [testlist.Test(name, entry.get("timeout", TIMEOUT))
                  for name, entry in listed["c"].items()]
    own = [Own(name, entry.get("timeout", TIMEOUT), mixed=entry.get("mixed", False))
           for name, entry in listed["own"].items()]
    watcher = [Own(f"{name}_watches", TIMEOUT, ["watcher", name], mixed=True)
               for name in [special.get("watcher")] if name]
    in_order = [*(test for test in tests if test.name not in last), *c_programs,
                *own, stress(listed["stress"]["seconds"]), *watcher,
                *(test for test in tests if test.name in last)]
    return Plan(in_order, testlist.settings(FILE) + _pairs(special.get("settings", {})))


def stress(seconds: int, *options: str) -> Own:
    """The stress run; it makes VMs on both backends."""
    return Own("stress", seconds + STRESS_GRACE, ["stress", "--seconds", str(seconds), *options],
               mixed=True)


def _of_the_kernel(suite: List[str], fails: Dict[str, str]) -> List[testlist.Test]:
    """The listed tests of the kernel's suite; `fails` are those that may fail on this flavor."""
    listed = testlist.names_in(FILE, suite)
    stale = [name for name in fails if name not in listed]
    if stale:
        raise KvmrsError(f"{FILE.name} says why tests may fail that it does not run: {' '.join(stale)}",
                         "remove them from the flavor's list")
    tests = testlist.select(suite, list(listed), TIMEOUT, None, FILE)
    return [replace(test, fails=fails.get(test.name, test.fails)) for test in tests]


def _pairs(table: Dict[str, Any]) -> List[Dict[str, str]]:
    return [{"path": path, "value": str(value)} for path, value in table.items()]


def _read(file: Path = FILE) -> Dict[str, Any]:
    return tomllib.loads(file.read_text())
