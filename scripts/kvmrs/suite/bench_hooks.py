# SPDX-License-Identifier: GPL-2.0
"""What the patches cost VMs on C, against Linux without them.

A VM on C does the same on three hosts: an unpatched kernel, a patched one, and a patched one with the
module loaded. On the last two, no operation may cost more than 0.5 % more than on the first.

What disturbs an operation adds some hundred instructions: an interrupt, a new slab for an object. This is more
than 0.5 % of the cheapest operations, and may happen to most samples of them. What the patches cost is in
each sample. So a figure is the lower quartile of the samples, of several boots of each host. If that exceeds the
limit, and some samples do not, there are more boots. Nothing that was measured is dropped.

The unpatched kernel is also compared with itself, boots with boots. An operation that is farther off there than the limit
gets more boots, too, and fails the run if it stays so.
"""

from typing import List, Optional

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


EVEN, ODD = 0, 1
"""Every other boot."""


def _samples(op: Op, host: str, scale: int, parity: Optional[int] = None) -> List[float]:
    """Those of some boots or all, from the least on."""
    return sorted(
        sample.instructions
        for sample in op.samples[scale, host]
        if parity is None or sample.boot % 2 == parity
    )


def _quartile(costs: List[float]) -> float:
    """The lower one."""
    return costs[(len(costs) - 1) // 4]


def cost(op: Op, host: str, scale: int = bench.LARGEST, parity: Optional[int] = None) -> float:
    return op.figure(lambda part: _quartile(_samples(part, host, scale, parity)))


def _least(op: Op, host: str, scale: int) -> float:
    return op.figure(lambda part: _samples(part, host, scale)[0])


def ratio(op: Op, host: str, scale: int = bench.LARGEST) -> float:
    return cost(op, host, scale) / cost(op, BEFORE, scale)


def control(op: Op) -> Optional[float]:
    """The unpatched kernel against itself, every other boot against those between, where it is farthest from 1. With one
    boot, there is nothing to compare."""
    if not _has_control(op):
        return None
    found = [cost(op, BEFORE, scale, ODD) / cost(op, BEFORE, scale, EVEN) for scale in bench.SCALES]
    return max(found, key=lambda ratio: abs(ratio - 1))


def _has_control(op: Op) -> bool:
    return all(
        _samples(part, BEFORE, scale, parity)
        for part in op.parts or (op,)
        for scale in bench.SCALES
        for parity in (EVEN, ODD)
    )


def shown(control: Optional[float]) -> str:
    return "-" if control is None else f"{control:.4f}"


def wrong(op: Op) -> List[str]:
    """Why this operation fails the run, if it does."""
    return [*_unmeasurable(op)] + [
        f"{100 * (ratio(op, host, scale) - 1):.2f} % above unpatched on {host} (memory x{scale})"
        for host in AFTER
        for scale in bench.SCALES
        if ratio(op, host, scale) > MOST
    ]


def _unmeasurable(op: Op) -> List[str]:
    """Who cannot tell a kernel from itself to within the limit cannot tell whether another exceeds it."""
    off = abs((control(op) or 1) - 1)
    return [f"not measurable: unpatched is {100 * off:.2f} % off itself"] if off > MOST - 1 else []


def is_undecided(op: Op) -> bool:
    """Whether it is not measurable so far, or exceeds the limit, but not in all samples."""
    return bool(_unmeasurable(op)) or any(
        ratio(op, host, scale) > MOST and _least(op, host, scale) <= MOST * cost(op, BEFORE, scale)
        for host in AFTER
        for scale in bench.SCALES
    )
