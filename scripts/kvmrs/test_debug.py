# SPDX-License-Identifier: GPL-2.0
"""The MMU's tests and a short stress run on kernels that watch: lockdep, KASAN, KCSAN.

    test-debug [FLAVOR...] [--only NAME[,NAME...]] [--backend c|rust]

One boot for each flavor; out/test-debug.json has every result. What the kernel reports in its
log fails the run, unless selftests/klog-allow.toml lists it as the C code's.
"""

import argparse
import os
from typing import Dict, List, Sequence, Tuple

from . import boot, debug_list, host_modules, kernel, kselftest, ktap, module, ownselftests
from . import runner, ui
from .errors import KvmrsError
from .selftests import BACKENDS, HEARTBEAT
from .suite import Result, Suite, Summary

NAME = "test-debug"
CMDLINE = "numa=fake=2 no5lvl"
"""Two nodes, so that pages can move between them. Page tables of four levels: an interrupt while
the kernel identifies its processor meets a KASAN that takes five for four, and its first report is
its last."""
BOOT_LIMIT = 600
SILENCE_LIMIT = 300


def main(words: List[str]) -> int:
    given = _options(words)
    flavors = given.flavor or debug_list.flavors()
    summary = run(flavors, [name for name in given.only.split(",") if name], given.backend)
    ktap.closing(summary.passed, summary.failed, summary.skipped)
    return 1 if summary.failed else 0


def run(flavors: Sequence[str], only: Sequence[str] = (), backend: str = "rust") -> Summary:
    """Builds, boots once a flavor, judges."""
    kernels = [_prepare(flavor) for flavor in flavors]
    chosen = [[test for test in plan.tests if not only or test.name in only] for _, plan in kernels]
    report = ktap.Report(sum(map(len, chosen)))
    total = Summary(0, 0, 0)
    rows: List[Result] = []
    for flavor, (tree, plan), tests in zip(flavors, kernels, chosen):
        suite = Suite(NAME, tests, [backend], flavor, report)
        total += suite.close(boot_with(f"{NAME}-{flavor}", tree, suite, plan.settings), rows)
        rows += suite.rows()
    return total


def _prepare(flavor: str) -> Tuple[kernel.KernelTree, debug_list.Plan]:
    ui.say(f"  flavor {flavor}")
    tree = ensure(flavor)
    return tree, debug_list.plan(flavor, kselftest.ensure(tree).suite)


def ensure(flavor: str) -> kernel.KernelTree:
    """The kernel of that flavor; with KDIR=, the user's, which then has to be one."""
    tree = kernel.ensure(flavor)
    if os.environ.get("KDIR"):
        ui.say(f"  KDIR={tree.path} is taken for a kernel of flavor {flavor}")
    return tree


def boot_with(
    name: str, tree: kernel.KernelTree, suite: Suite, settings: List[Dict[str, str]]
) -> boot.Ended:
    """One boot of `tree` that runs the suite."""
    own = runner.static_program(ownselftests.CRATE, "kvmrs-selftests", "the project's own selftests")
    modules = host_modules.Modules(tree, module.ensure(tree))
    names = [test.name for test in suite.tests.values() if not isinstance(test, debug_list.Own)]
    files = {**modules.files(), **kselftest.ensure(tree).only(names), ownselftests.INSIDE: own}
    work = {
        "backends": suite.backends,
        "heartbeat": HEARTBEAT,
        "tests": [test.job() for test in suite.tests.values()],
    }
    job = {"modules": modules.job(), "settings": settings, "work": {"suite": work}}
    machine = boot.Machine(
        name,
        tree.bzimage,
        files,
        job,
        cmdline=CMDLINE,
        boot_limit=BOOT_LIMIT,
        silence_limit=SILENCE_LIMIT,
    )
    return boot.run(machine, suite.on_event)


def _options(words: List[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="kvmrs test-debug", description=__doc__.splitlines()[0])
    parser.add_argument("flavor", nargs="*", help="flavors instead of all")
    parser.add_argument("--only", default="", help="names of tests, separated by commas")
    parser.add_argument(
        "--backend", choices=BACKENDS, default="rust", help="for tests that are not mixed"
    )
    given = parser.parse_args(words)
    known = debug_list.flavors()
    for flavor in given.flavor:
        if flavor not in known:
            raise KvmrsError(f"there is no debug kernel {flavor!r}", f"known: {', '.join(known)}")
    return given
