# SPDX-License-Identifier: GPL-2.0
"""What storms of invalidations cost a vCPU whose memory they are not about.

A storm outside of all slots must take no mmu_lock, and leave the vCPU's faults as they are. One in another slot must
not make them start again.
"""

from dataclasses import dataclass
from typing import Any, Dict, List

NEAR = 0.02
"""How far the faults beside a storm may be from those without."""


@dataclass
class Row:
    """One backend's figures."""

    backend: str
    outside: Dict[str, Any]
    inside: Dict[str, int]
    wrong: str = ""

    def share(self, what: str) -> float:
        """Of faults beside the storm outside, against those without: of their rate, or of what each takes."""
        beside: float = self.outside["beside"][what]
        alone: float = self.outside["alone"][what]
        return beside / alone

    def shown(self) -> List[str]:
        """For the table."""
        counts = [self.outside["locks"], self.outside["retried"]]
        shares = [f"{self.share('rate'):.3f}", f"{self.share('each'):.3f}"]
        inside = [self.inside["faults"], self.inside["retried"]]
        return [*map(str, counts), *shares, *map(str, inside)]


COLUMNS = (
    "outside: mmu_lock",
    "tried again",
    "rate",
    "instructions each",
    "in another slot: faults",
    "tried again",
)


def collect(events: List[Dict[str, Any]]) -> List[Row]:
    """A row for each backend, C's first."""
    c, rust = [Row(event["backend"], event["outside"], event["inside"]) for event in events]
    c.wrong = "" if c.inside["retried"] else "nothing was to be seen"
    rust.wrong = _wrong(rust)
    return [c, rust]


def _wrong(row: Row) -> str:
    if row.outside["locks"]:
        return "takes mmu_lock for memory of no slot"
    if row.outside["retried"] or row.inside["retried"]:
        return "faults start again of which nothing was touched"
    far = [what for what in ("rate", "each") if abs(row.share(what) - 1) > NEAR]
    return f"faults are disturbed by more than {NEAR:.0%}" if far else ""
