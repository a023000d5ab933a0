# SPDX-License-Identifier: GPL-2.0
"""The kernel's KVM selftests on C and on Rust in one boot.

selftests [--only NAME[,NAME...]] [--backend c|rust] [--timeout SECONDS] [-- ARGUMENTS]
"""

import argparse
from typing import List

from ..stages import selftests
from ..suite.testlist import BACKENDS, TIMEOUT


def main(words: List[str]) -> int:
    return selftests.run(_options(words)).close()


def _options(words: List[str]) -> selftests.Options:
    parser = argparse.ArgumentParser(prog="kvmrs selftests", description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="names of tests, separated by commas")
    parser.add_argument("--backend", choices=BACKENDS, help="one backend instead of both")
    parser.add_argument("--timeout", type=int, default=TIMEOUT, help="seconds a test")
    parser.add_argument("args", nargs="*", help="arguments for the test, after --")
    given = parser.parse_args(words)
    only = [name for name in given.only.split(",") if name]
    backends = [given.backend] if given.backend else list(BACKENDS)
    return selftests.Options(only, backends, given.timeout, given.args or None)
