# SPDX-License-Identifier: GPL-2.0
"""What the patches cost VMs on C, against Linux without them.

A VM on C does the same on three hosts: an unpatched kernel, a patched one, and a patched one with the
module loaded. On the last two, no operation may cost more than 0.5 % more than on the first.

What disturbs an operation adds some hundred instructions: an interrupt, a new slab for an object. This is more
than 0.5 % of the cheapest operations, and may happen to most samples of them. What the patches cost is in
each sample. So a figure is the lower quartile of the samples, of several boots of each host. If that exceeds the
limit, and some samples do not, there are more boots. Nothing that was measured is dropped.
"""

from typing import Callable, List, Optional

from . import bench
from .bench import Op

HOSTS = ("unpatched", "patched", "loaded")
BEFORE, *AFTER = HOSTS
MOST = 1.005
"""What an operation may cost at most, against an unpatched kernel."""
TURNS = 3
"""How often each host boots for all operations."""
MOST_TURNS = 9
"""How often for those that are undecided."""


def _samples(
    op: Op, host: str, scale: int, of_boot: Callable[[int], bool] = lambda _: True
) -> List[float]:
    """Those of some boots, from the least on."""
    return sorted(sample.instructions for sample in op.samples[scale, host] if of_boot(sample.boot))


def _quartile(costs: List[float]) -> float:
    """The lower one."""
    return costs[(len(costs) - 1) // 4]


def cost(op: Op, host: str, scale: int = bench.LARGEST) -> float:
    return _quartile(_samples(op, host, scale))


def ratio(op: Op, host: str, scale: int = bench.LARGEST) -> float:
    return cost(op, host, scale) / cost(op, BEFORE, scale)


def control(op: Op) -> Optional[float]:
    """The unpatched kernel against itself, every other boot against those between, where it is farthest from 1. With one
    boot, there is nothing to compare."""
    found = []
    for scale in bench.SCALES:
        even = _samples(op, BEFORE, scale, lambda boot: boot % 2 == 0)
        odd = _samples(op, BEFORE, scale, lambda boot: boot % 2 == 1)
        if even and odd:
            found.append(_quartile(odd) / _quartile(even))
    return max(found, key=lambda ratio: abs(ratio - 1)) if found else None


def shown(control: Optional[float]) -> str:
    return "-" if control is None else f"{control:.4f}"


def wrong(op: Op) -> List[str]:
    """Why this operation fails the run, if it does."""
    return [
        f"{100 * (ratio(op, host, scale) - 1):.2f} % above unpatched on {host} (memory x{scale})"
        for host in AFTER
        for scale in bench.SCALES
        if ratio(op, host, scale) > MOST
    ]


def is_undecided(op: Op) -> bool:
    """Whether it exceeds the limit, but not in all samples."""
    return any(
        ratio(op, host, scale) > MOST and _samples(op, host, scale)[0] <= MOST * cost(op, BEFORE, scale)
        for host in AFTER
        for scale in bench.SCALES
    )
