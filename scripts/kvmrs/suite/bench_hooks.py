# SPDX-License-Identifier: GPL-2.0
"""What the patches cost VMs on C, against Linux without them.

A VM on C does the same on three hosts: an unpatched kernel, a patched one, and a patched one with the
module loaded. On the last two, no operation may cost more than 0.5 % more than on the first.
"""

from typing import List

from . import bench
from .bench import Op

HOSTS = ("unpatched", "patched", "loaded")
BEFORE, *AFTER = HOSTS
MOST = 1.005
"""What an operation may cost at most, against an unpatched kernel."""


def ratio(op: Op, host: str, scale: int = bench.LARGEST) -> float:
    return op.cost(host, scale) / op.cost(BEFORE, scale)


def wrong(op: Op) -> List[str]:
    """Why this operation fails the run, if it does."""
    return [
        f"{100 * (ratio(op, host, scale) - 1):.2f} % above unpatched on {host} (memory x{scale})"
        for host in AFTER
        for scale in bench.SCALES
        if ratio(op, host, scale) > MOST
    ]
