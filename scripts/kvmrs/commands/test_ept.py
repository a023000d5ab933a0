# SPDX-License-Identifier: GPL-2.0
"""The kernel's MMU selftests on EPT, on C and on Rust, in each mode of an Intel processor.

test-ept [--mode MODE] [--only NAME[,NAME...]] [--backend c|rust]
"""

import argparse
from typing import List

from ..stages import selftests_ept
from ..stages.selftests_ept import MODES
from ..suite.testlist import BACKENDS


def main(words: List[str]) -> int:
    return selftests_ept.run(_options(words)).close()


def _options(words: List[str]) -> selftests_ept.Options:
    parser = argparse.ArgumentParser(prog="kvmrs test-ept", description=__doc__.splitlines()[0])
    parser.add_argument("--mode", choices=MODES, help="one mode instead of all")
    parser.add_argument("--only", default="", help="names of tests, separated by commas")
    parser.add_argument("--backend", choices=BACKENDS, help="one backend instead of both")
    given = parser.parse_args(words)
    only = [name for name in given.only.split(",") if name]
    return selftests_ept.Options(
        [given.mode] if given.mode else list(MODES),
        only,
        [given.backend] if given.backend else list(BACKENDS),
    )
