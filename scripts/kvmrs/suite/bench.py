# SPDX-License-Identifier: GPL-2.0
"""What the benchmark measured, and what that means.

An operation may cost at most 5 % more than on C, with memory of each size. Operations that find
nothing to do must cost less. And no operation may cost more than it did, against C: the ratios of an
earlier run are in selftests/bench/reference.json.

For some operations it was measured how long others wait for them instead. That must not grow with memory.
"""

import json
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Callable, Dict, List, Tuple

from ..base import paths

REFERENCE = paths.REPO / "selftests" / "bench" / "reference.json"
MOST = 1.05
"""What an operation may cost at most, against C."""
SLACK = 0.05
"""How much more than in the reference, against C. What others do differs a little from run to run."""
BACKENDS = ("c", "rust")
SCALES = (1, 2, 4)
"""How many times as large as the smallest size memory was."""
LARGEST = SCALES[-1]

HOLD = "hold"
"""In the place of a size: the cost is how long others waited."""
LONGEST = 5000
"""How many instructions they may wait."""
AS_LONG = 1.1
"""How long they may wait against C where C gives way too. The longest of what was met varies so much."""
GIVES_WAY = ("mprotect, ", "NUMA hint, ")
"""How the names of such operations begin. The host itself is longer than LONGEST in some of them."""

Key = Tuple[str, str]


@dataclass
class Sample:
    """Counts a page of one run of an operation."""

    instructions: float
    locked: float
    flushes: float
    boot: int = 0


@dataclass
class Op:
    """One operation on pages of one size: its samples by scale and backend. One that none does by itself has none, but
    `parts`: its figures are the difference of theirs, of which it is there so many times."""

    name: str
    size: str
    scenario: str
    scan: bool
    samples: Dict[Tuple[int, str], List[Sample]] = field(default_factory=dict)
    parts: Tuple["Op", ...] = ()
    count: float = 1

    def figure(self, of: Callable[["Op"], float]) -> float:
        """A figure of what was measured. It is derived from figures, as each sample of a part may be disturbed."""
        if not self.parts:
            return of(self)
        more, less = self.parts
        return (of(more) - of(less)) / self.count

    def cost(self, backend: str, scale: int = LARGEST, what: str = "instructions") -> float:
        return self.figure(
            lambda op: median(getattr(sample, what) for sample in op.samples[scale, backend])
        )

    def ratio(self, scale: int = LARGEST) -> float:
        return self.cost("rust", scale) / self.cost("c", scale)

    def wrong(self, reference: Dict[Key, List[float]]) -> List[str]:
        """Why this operation fails the run, if it does."""
        if self.is_hold():
            return [text for scale in SCALES if (text := self._long_at(scale))]
        before = reference.get((self.name, self.size), [])
        found = [self._wrong_at(scale) for scale in SCALES]
        found += [self._worse(scale, ratio) for scale, ratio in zip(SCALES, before)]
        if not before:
            found.append("is not in the reference")
        return [text for text in found if text]

    def is_hold(self) -> bool:
        return self.size == HOLD

    def _long_at(self, scale: int) -> str:
        cost = self.cost("rust", scale)
        if self.name.startswith(GIVES_WAY):
            longer = self.ratio(scale) > AS_LONG
            return (
                f"others wait {self.ratio(scale):.2f} times as long (memory x{scale})" if longer else ""
            )
        return f"others wait for {cost:.0f} instructions (memory x{scale})" if cost > LONGEST else ""

    def _wrong_at(self, scale: int) -> str:
        ratio = self.ratio(scale)
        if ratio > MOST:
            return f"{100 * (ratio - 1):.1f} % above C (memory x{scale})"
        if self.scan and ratio >= 1:
            return f"finds nothing to do, and is not below C (memory x{scale})"
        return ""

    def _worse(self, scale: int, before: float) -> str:
        ratio = self.ratio(scale)
        return f"was {before:.2f}, is {ratio:.2f} (memory x{scale})" if ratio > before + SLACK else ""

    def row(self) -> Dict[str, Any]:
        """For out/bench.json and the reference."""
        counts = {
            what: {backend: round(self.cost(backend, LARGEST, what), 4) for backend in BACKENDS}
            for what in ("instructions", "locked", "flushes")
        }
        ratios = [round(self.ratio(scale), 4) for scale in SCALES]
        return {"op": self.name, "size": self.size, "scan": self.scan, "ratios": ratios, **counts}


def collect(events: List[Dict[str, Any]], locked: List[int]) -> List[Op]:
    """The operations, out of samples in their order and the locked instructions of each. Round 0 was
    for warming up."""
    ops: Dict[Key, Op] = {}
    for event, count in zip(events, locked, strict=True):
        if event["round"] == 0:
            continue
        key = (event["op"], event["size"])
        op = ops.setdefault(key, Op(*key, event["scenario"], event["scan"]))
        pages = event["pages"]
        figures = (event["instructions"] / pages, count / pages, event["flushes"] / pages)
        sample = Sample(*figures, event.get("boot", 0))
        op.samples.setdefault((event["scale"], event["backend"]), []).append(sample)
    return [*ops.values(), *_derived(ops)]


def _derived(ops: Dict[Key, Op]) -> List[Op]:
    """What no operation does by itself. With one page and with three, the rest of an update is the same. A log with one
    dirty page is gone through as one with many: those are one page in 1024 more. And the host does the same to memory
    that no slot has."""
    wanted: List[Tuple[str, str, str, str, float]] = [
        ("clock, each page", "update", "clock, three pages", "clock, one page", 2),
        ("get log, each dirty page", "4k", "get log, 1 in 1000", "get log, one page", 1 / 1024),
    ]
    for name in ("mprotect, 1G to none", "mprotect, 1G from none"):
        wanted.append((f"{name}, KVM alone", "1g", name, "mprotect, 1G in no slot", 1))
    found = []
    for name, size, *of, count in wanted:
        more, less = (ops.get((part, size)) for part in of)
        if more and less:
            found.append(Op(name, size, more.scenario, more.scan, parts=(more, less), count=count))
    return found


def reference() -> Dict[Key, List[float]]:
    """The ratios of an earlier run, by scale."""
    rows = json.loads(REFERENCE.read_text()) if REFERENCE.exists() else []
    return {(row["op"], row["size"]): row["ratios"] for row in rows}


def ratios(ops: List[Op]) -> Dict[Key, List[float]]:
    """Those of a run, as in the reference."""
    return {(op.name, op.size): op.row()["ratios"] for op in ops}


def text(ops: List[Op]) -> str:
    """For a file."""
    return json.dumps([op.row() for op in ops], indent=1) + "\n"
