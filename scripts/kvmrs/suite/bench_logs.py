# SPDX-License-Identifier: GPL-2.0
"""What the harvest of a dirty log costs, by how large the slot is, and how many of its pages are dirty.

What a dirty page costs is what many of them add to the harvest of a log that has one. All the rest is what the others
cost, which are clean.
"""

from dataclasses import dataclass
from statistics import median
from typing import Any, Dict, List, Tuple

from ..base.errors import KvmrsError

SMALLEST = 64
"""MiB of the smallest slot. Others are so many times as large as their scale says."""
PAGES = SMALLEST * 256
ONE = "one page"
MOST = 0.4
"""What a dirty page may cost on Rust, against C."""
CLEAN = 0.02
"""What a clean page may cost there, against a dirty one."""
COLUMNS = (
    "harvest",
    "slot",
    "dirty",
    "each dirty page: C",
    "Rust",
    "ratio",
    "the whole call",
    "each clean page: C",
    "Rust",
)

Harvest = Tuple[str, int, str]
"""The call, the scale of the slot, and which part of its pages is dirty."""


@dataclass
class Row:
    """Harvests of a slot with such a part of its pages dirty, and of the same with one: instructions (medians), by
    backend."""

    op: str
    scale: int
    part: str
    pages: int
    many: Dict[str, float]
    one: Dict[str, float]

    def each(self, backend: str) -> float:
        """What a dirty page costs."""
        return (self.many[backend] - self.one[backend]) / (self.pages - 1)

    def clean(self, backend: str) -> float:
        """What a clean page costs."""
        return self.one[backend] / (PAGES * self.scale)

    @property
    def ratio(self) -> float:
        return self.each("rust") / self.each("c")

    @property
    def wrong(self) -> str:
        if self.ratio > MOST:
            return f"more than {MOST} of C's"
        if self.clean("rust") > CLEAN * self.each("rust"):
            return f"clean pages cost more than {CLEAN} of dirty ones"
        if self.clean("rust") > self.clean("c"):
            return "clean pages cost more than on C"
        return ""

    def shown(self) -> List[str]:
        """A cell for each of the columns."""
        costs = [f"{self.each('c'):.1f}", f"{self.each('rust'):.1f}", f"{self.ratio:.3f}"]
        whole = f"{self.many['rust'] / self.many['c']:.3f}"
        clean = [f"{self.clean(backend):.3f}" for backend in ("c", "rust")]
        return [self.op, f"{SMALLEST * self.scale} MiB", self.part, *costs, whole, *clean]


def collect(events: List[Dict[str, Any]]) -> List[Row]:
    """A row for each harvest of a log with more than one dirty page."""
    costs: Dict[Harvest, Dict[str, List[float]]] = {}
    pages: Dict[Harvest, int] = {}
    for event in events:
        harvest = event["op"], event["scale"], event["size"]
        costs.setdefault(harvest, {}).setdefault(event["backend"], []).append(event["instructions"])
        pages[harvest] = event["pages"]
    medians = {
        harvest: {backend: median(samples) for backend, samples in by_backend.items()}
        for harvest, by_backend in costs.items()
    }
    rows = [
        Row(op, scale, part, pages[op, scale, part], cost, medians[op, scale, ONE])
        for (op, scale, part), cost in medians.items()
        if part != ONE
    ]
    if not rows:
        raise KvmrsError("the benchmark has harvested no log", "see out/logs/bench-logs-console.log")
    return rows
