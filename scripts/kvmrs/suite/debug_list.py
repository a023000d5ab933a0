# SPDX-License-Identifier: GPL-2.0
"""What to run on a debug kernel: selftests/debug.toml."""

from dataclasses import dataclass
from typing import Dict, List

from ..base import paths
from ..machine import accel
from . import own_tests, testlist
from .own_tests import RustTest

FILE = paths.REPO / "selftests" / "debug.toml"
TIMEOUT = 300
"""Seconds a test: the slowest of these kernels takes ten times as long as the first one."""
STRESS_GRACE = 400
"""Seconds that a stress run may take besides: until it has caused the least that it is for, and for its
end: a phase, swap that comes back, VMs that go."""


@dataclass
class Plan:
    """The tests of one flavor in order, and files of /proc and /sys to write before them."""

    tests: List[testlist.Test]
    settings: List[Dict[str, str]]


def flavors() -> List[str]:
    return list(testlist.read(FILE)["flavor"])


def names() -> List[str]:
    """Everything that may run on some flavor."""
    listed = testlist.read(FILE)
    watchers = [_watcher(entry["watcher"]) for entry in listed["flavor"].values() if "watcher" in entry]
    return [*listed["test"], *listed["c"], *listed["own"], "stress", *watchers]


def plan(flavor: str, suite: List[str]) -> Plan:
    """Everything for one flavor; `suite` are the kernel's tests by name."""
    listed = testlist.read(FILE)
    special = listed["flavor"].get(flavor, {})
    last = [name for name, entry in listed["test"].items() if entry.get("last")]
    named = list(testlist.names_in(FILE, suite))
    tests = testlist.select(suite, named, TIMEOUT, None, accel.emulated(), FILE)
    c_programs = [
        testlist.Test(name, entry.get("timeout", TIMEOUT)) for name, entry in listed["c"].items()
    ]
    own = [
        RustTest(name, entry.get("timeout", TIMEOUT), mixed=entry.get("mixed", False))
        for name, entry in listed["own"].items()
    ]
    watcher = [
        RustTest(_watcher(name), TIMEOUT, ["watcher", name], mixed=True)
        for name in [special.get("watcher")]
        if name
    ]
    in_order = [
        *(test for test in tests if test.name not in last),
        *c_programs,
        *own,
        stress(listed["stress"]["seconds"]),
        *watcher,
        *(test for test in tests if test.name in last),
    ]
    chosen = own_tests.select(in_order, special.get("only", []), emulated=False)
    return Plan(chosen, testlist.settings(FILE) + testlist.pairs(special.get("settings", {})))


def stress(seconds: int, *options: str) -> RustTest:
    """The stress run; it makes VMs on both backends."""
    words = ["stress", "--seconds", str(seconds), *options]
    return RustTest("stress", seconds + STRESS_GRACE, words, mixed=True, shown=True)


def _watcher(name: str) -> str:
    return f"{name}_watches"
