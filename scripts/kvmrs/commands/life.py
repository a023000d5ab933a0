# SPDX-License-Identifier: GPL-2.0
"""The module's life: load and unload, refusals, VMs of both backends at once.

life [--rounds N]
"""

import argparse
from typing import List

from ..stages import life


def main(words: List[str]) -> int:
    parser = argparse.ArgumentParser(prog="kvmrs life", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=life.ROUNDS, help="how often to load and unload")
    return life.run(parser.parse_args(words).rounds).close()
