# SPDX-License-Identifier: GPL-2.0
"""VMs of both backends under everything that can happen to them, for a chosen time.

The program is selftests/rust/src/stress; here is the machine for it.
"""

from argparse import ArgumentParser, Namespace
from typing import List

from ..base import words
from ..build import kconfig
from ..stages import debug_kernels
from ..suite import debug_list
from ..suite.results import Suite, Summary
from ..suite.testlist import BACKENDS

NAME = "stress"
SECONDS = 300


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--seconds", type=words.whole(1), default=SECONDS, metavar="N", help="how long")
    parser.add_argument(
        "--flavor", choices=kconfig.flavors(), default=kconfig.BASE, help="on which kernel"
    )
    parser.add_argument("--seed", type=words.whole(), metavar="N", help="of a run to repeat")
    parser.add_argument(
        "--backends",
        type=words.names(BACKENDS),
        default=["rust", "c"],
        metavar="NAME[,NAME...]",
        help="of the VMs that live at once",
    )


def main(given: Namespace) -> int:
    options = ["--backends", ",".join(given.backends)]
    if given.seed is not None:
        options += ["--seed", str(given.seed)]
    return _run(given.flavor, given.seconds, options).close()


def _run(flavor: str, seconds: int, options: List[str]) -> Summary:
    """One boot with nothing but the stress run; out/stress.json has its result."""
    tree = debug_kernels.ensure(flavor)
    suite = Suite(NAME, [debug_list.stress(seconds, *options)], ["rust"], flavor)
    return suite.close(debug_kernels.boot_with(f"{NAME}-{flavor}", tree, suite, []))
