# SPDX-License-Identifier: GPL-2.0
"""VMs of both backends under everything that can happen to them, for a chosen time.

    stress [--seconds N] [--flavor FLAVOR] [--seed N] [--backends NAME[,NAME...]]

The program is selftests/rust/src/stress; here is the machine for it.
"""

import argparse
from typing import List

from ..build import kconfig
from ..machine import boot
from ..stages import debug_kernels
from ..suite import debug_list
from ..suite.results import Suite, Summary

NAME = "stress"
SECONDS = 300


def main(words: List[str]) -> int:
    parser = argparse.ArgumentParser(prog="kvmrs stress", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=SECONDS, help="how long")
    parser.add_argument("--flavor", default=kconfig.BASE, help="on which kernel")
    parser.add_argument("--seed", type=int, help="of a run to repeat")
    parser.add_argument("--backends", default="rust,c", help="of the VMs that live at once")
    given = parser.parse_args(words)
    options = ["--backends", given.backends] + (
        ["--seed", str(given.seed)] if given.seed is not None else []
    )
    return _run(given.flavor, given.seconds, options).close()


class _Shown(Suite):
    """Shows what the run did also when it passed."""

    def on_event(self, event: boot.Event) -> None:
        super().on_event(event)
        if event["ev"] == "result" and event["result"] == "pass":
            for line in event["tail"]:
                self.report.comment(line.lstrip("# "))


def _run(flavor: str, seconds: int, options: List[str]) -> Summary:
    """One boot with nothing but the stress run; out/stress.json has its result."""
    tree = debug_kernels.ensure(flavor)
    suite = _Shown(NAME, [debug_list.stress(seconds, *options)], ["rust"], flavor)
    return suite.close(debug_kernels.boot_with(f"{NAME}-{flavor}", tree, suite, []))
