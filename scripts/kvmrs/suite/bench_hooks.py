# SPDX-License-Identifier: GPL-2.0
"""What the patches cost VMs on C, against Linux without them.

A VM on C does the same on three hosts: an unpatched kernel, a patched one, and a patched one with the
module loaded. On the last two, no operation may cost more than 0.5 % more than on the first.

What disturbs an operation adds some hundred instructions: an interrupt, a new slab for an object. This is more
than 0.5 % of the cheapest operations, and may happen to most samples of them. But all hosts do the same in the same
order, each sample begins at another part of a tick, and in each turn at others. Those of the same round of the same turn
are often disturbed alike, on all hosts. So they are compared with each other, and the median of these ratios counts: of all
turns, of every other one, and of those between. None of the three may exceed the limit, with memory of any size. If one
does, and some ratios do not, all hosts boot again. Nothing that was measured is dropped.

That an operation costs less than before is no failure, so noise that happens to hide a cost is not noticed, if it does so
in both halves of the turns. What is the difference of two operations is that of their medians in each turn.
"""

from collections import defaultdict
from statistics import median
from typing import DefaultDict, Dict, List, Optional, Tuple

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
"""Every other turn."""

Round = Tuple[int, int]
"""Of a turn: both by number."""


def _rounds(op: Op, host: str, scale: int) -> Dict[Round, float]:
    """The figure of each. What is derived has one for a turn: by round, others would be disturbed in one part than in the
    other."""
    if op.parts:
        more, less = (_turns(part, host, scale) for part in op.parts)
        return {(turn, 0): (median(more[turn]) - median(less[turn])) / op.count for turn in more}
    return {
        (turn, number): figure
        for turn, figures in _turns(op, host, scale).items()
        for number, figure in enumerate(figures)
    }


def _turns(op: Op, host: str, scale: int) -> Dict[int, List[float]]:
    """The figures of each."""
    turns: DefaultDict[int, List[float]] = defaultdict(list)
    for sample in op.samples[scale, host]:
        turns[sample.boot].append(sample.instructions)
    return turns


def _ratios(op: Op, host: str, scale: int, parity: Optional[int] = None) -> List[float]:
    """Those of all turns, or of every other."""
    before, after = (_rounds(op, each, scale) for each in (BEFORE, host))
    return [after[key] / before[key] for key in before if parity is None or key[0] % 2 == parity]


def ratio(op: Op, host: str, scale: int = bench.LARGEST) -> float:
    return median(_ratios(op, host, scale))


def _highest(op: Op, host: str, scale: int) -> float:
    """Of all turns, of every other, and of those between, of which there are none if there is one turn."""
    parts = [_ratios(op, host, scale, parity) for parity in (None, EVEN, ODD)]
    return max(median(ratios) for ratios in parts if ratios)


def highest(op: Op) -> float:
    """What is judged: on both hosts, with memory of each size."""
    return max(_highest(op, host, scale) for host in AFTER for scale in bench.SCALES)


def wrong(op: Op) -> List[str]:
    """Why this operation fails the run, if it does."""
    return [
        f"{100 * (found - 1):.2f} % above unpatched on {host} (memory x{scale})"
        for host in AFTER
        for scale in bench.SCALES
        if (found := _highest(op, host, scale)) > MOST
    ]


def is_undecided(op: Op) -> bool:
    """Whether it exceeds the limit, but not in all samples."""
    return any(
        min(_ratios(op, host, scale)) <= MOST < _highest(op, host, scale)
        for host in AFTER
        for scale in bench.SCALES
    )
