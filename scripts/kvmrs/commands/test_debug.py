# SPDX-License-Identifier: GPL-2.0
"""The MMU's tests and a short stress run on kernels that watch: lockdep, KASAN, KCSAN, PREEMPT_RT.

One boot for each flavor; out/test-debug.json has every result. What the kernel reports in its
log fails the run, unless selftests/klog-allow.toml lists it as the C code's.
"""

from argparse import ArgumentParser, Namespace
from typing import List, Sequence, Tuple

from ..base import ui, words
from ..base.errors import KvmrsError
from ..build import kernel, kselftest
from ..stages import debug_kernels
from ..suite import debug_list, ktap
from ..suite.results import Result, Suite, Summary
from ..suite.testlist import BACKENDS

NAME = "test-debug"


def add_arguments(parser: ArgumentParser) -> None:
    known = debug_list.flavors()
    parser.add_argument("flavor", nargs="*", type=words.one(known), help=f"of {', '.join(known)}")
    words.add_only(parser, debug_list.names())
    parser.add_argument(
        "--backend", choices=BACKENDS, default="rust", help="for tests that are not mixed"
    )


def main(options: Namespace) -> int:
    return _run(options.flavor or debug_list.flavors(), options.only, options.backend).close()


def _run(flavors: Sequence[str], only: Sequence[str], backend: str) -> Summary:
    """Builds, boots once a flavor, judges."""
    kernels = [_prepare(flavor, backend) for flavor in flavors]
    chosen = [[test for test in plan.tests if not only or test.name in only] for _, plan in kernels]
    idle = [flavor for flavor, tests in zip(flavors, chosen) if not tests]
    if idle:
        raise KvmrsError(f"none of these run on {', '.join(idle)}", "name the flavor: FLAVOR=")
    report = ktap.Report(sum(map(len, chosen)))
    total = Summary()
    rows: List[Result] = []
    for flavor, (tree, plan), tests in zip(flavors, kernels, chosen):
        suite = Suite(NAME, tests, [backend], flavor, report)
        total += suite.close(
            debug_kernels.boot_with(f"{NAME}-{flavor}", tree, suite, plan.settings), rows
        )
        rows += suite.rows()
    return total


def _prepare(flavor: str, backend: str) -> Tuple[kernel.KernelTree, debug_list.Plan]:
    ui.say(f"  flavor {flavor}")
    tree = debug_kernels.ensure(flavor)
    return tree, debug_list.plan(flavor, kselftest.ensure(tree).suite, backend)
