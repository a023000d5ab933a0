# SPDX-License-Identifier: GPL-2.0
"""What to run on a debug kernel: selftests/debug.toml."""

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping

from ..base import paths
from ..base.errors import KvmrsError
from ..build import planted
from ..machine import accel, kvm_modules
from ..machine.klog import PLANTED
from . import own_tests, testlist
from .own_tests import RustTest

FILE = paths.REPO / "selftests" / "debug.toml"
TIMEOUT = 300
"""Seconds a test: the slowest of these kernels takes ten times as long as the first one."""
STRESS_GRACE = 500
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
    return [*listed["test"], *listed["c"], *listed["own"], "stress", *watchers, PLANTED]


def check() -> None:
    """Refuses a list that names a test which the project's program does not have. Debug kernels are built
    rarely: who renames a test has to hear of it before."""
    _own(testlist.read(FILE)["own"])


def plan(flavor: str, suite: List[str], backend: str) -> Plan:
    """Everything for one flavor and one backend; `suite` are the kernel's tests by name."""
    listed = testlist.read(FILE)
    special = listed["flavor"].get(flavor, {})
    named = list(testlist.names_in(FILE, suite))
    tests = testlist.select(suite, named, TIMEOUT, None, accel.emulated(), FILE)
    c_programs = [
        testlist.Test(name, entry.get("timeout", TIMEOUT)) for name, entry in listed["c"].items()
    ]
    own = _own(listed["own"])
    watcher = [
        RustTest(_watcher(name), TIMEOUT, ["watcher", name], mixed=True)
        for name in [special.get("watcher")]
        if name
    ]
    everything = [*tests, *c_programs, *own, stress(listed["stress"]["seconds"])]
    last = [test for test in everything if _reports(test, listed, flavor, backend)]
    in_order = [*(test for test in everything if test not in last), *watcher, planted_bug(flavor), *last]
    chosen = choose(in_order, special, accel.emulated())
    return Plan(chosen, testlist.settings(FILE) + testlist.pairs(special.get("settings", {})))


def choose(
    tests: List[testlist.Test], special: Mapping[str, Any], emulated: bool
) -> List[testlist.Test]:
    """Those that a flavor runs. In an emulator, each is skipped for the reason that the flavor has, or
    not at all: a test that suddenly finds its kernel too poor would look at nothing."""
    only = special.get("only", [])
    always = [test.name for test in tests if test.name == PLANTED] if only else []
    chosen = own_tests.select(tests, [*only, *always], emulated)
    skips = special.get("skips", {})
    stale = set(skips) - {test.name for test in chosen}
    if stale:
        raise KvmrsError(f"{FILE.name} skips no such test: {stale.pop()}", "remove it from the list")
    if emulated:
        testlist.list_skips(chosen, skips)
    return chosen


def _own(entries: Dict[str, Dict[str, Any]]) -> List[RustTest]:
    """Those of the program that are listed, with more time."""
    known = own_tests.select(own_tests.listed(own_tests.program()), list(entries), emulated=False)
    found = {test.name: test for test in known}
    return [
        RustTest(
            name,
            entry.get("timeout", TIMEOUT),
            entry.get("args", "").split(),
            fails=found[name].fails,
            c_alone=found[name].c_alone,
            says=found[name].says,
            mixed=found[name].mixed,
        )
        for name, entry in entries.items()
    ]


def _reports(test: testlist.Test, listed: Dict[str, Any], flavor: str, backend: str) -> bool:
    """Whether it has VMs on C that make C's report on that flavor."""
    entry = {**listed["test"], **listed["own"]}.get(test.name, {})
    on_c = backend == "c" or getattr(test, "mixed", False)
    return on_c and flavor in entry.get("reports", [])


def stress(seconds: int, *options: str) -> RustTest:
    """The stress run; it makes VMs on both backends."""
    words = ["stress", "--seconds", str(seconds), *options]
    return RustTest("stress", seconds + STRESS_GRACE, words, mixed=True, shown=True)


def planted_bug(flavor: str) -> RustTest:
    """A bug was put into the module, and the kernel must report it. It comes after the watcher, which must
    have seen nothing until then."""
    words = ["planted", planted.INSIDE, f"{kvm_modules.INSIDE}/kvm_rs.ko", *planted.says(flavor)]
    return RustTest(PLANTED, TIMEOUT, words, mixed=True, shown=True)


def _watcher(name: str) -> str:
    return f"{name}_watches"
