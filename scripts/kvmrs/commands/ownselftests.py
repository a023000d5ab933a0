# SPDX-License-Identifier: GPL-2.0
"""The project's own selftests, those of selftests/rust and of selftests/c, in one boot.

ownselftests [--only NAME[,NAME...]] [--backend c|rust]
"""

import argparse
from typing import List

from ..stages import own_selftests
from ..suite.testlist import BACKENDS


def main(words: List[str]) -> int:
    parser = argparse.ArgumentParser(prog="kvmrs ownselftests", description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="names of tests, separated by commas")
    parser.add_argument("--backend", choices=BACKENDS, help="one backend instead of both")
    given = parser.parse_args(words)
    only = [name for name in given.only.split(",") if name]
    return own_selftests.run(only, [given.backend] if given.backend else list(BACKENDS)).close()
