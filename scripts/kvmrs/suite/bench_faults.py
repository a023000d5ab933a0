# SPDX-License-Identifier: GPL-2.0
"""How the faults of a vCPU go on while the dirty log of another slot is harvested.

On C, whoever harvests holds mmu_lock for write over the whole log, and nobody faults meanwhile.
"""

from dataclasses import dataclass
from typing import Any, Dict, List

LEAST = 0.9
"""What must be left of the faults on Rust."""
WORST = 0.1
"""What the slowest fault beside a harvest may take, against C."""


@dataclass
class Row:
    """Faults of VMs on one backend, beside a harvest and undisturbed: how many in a second, and the
    microseconds of the slowest."""

    backend: str
    beside: Dict[str, float]
    alone: Dict[str, float]
    wrong: str = ""

    def share(self) -> float:
        return self.beside["rate"] / self.alone["rate"]


def collect(events: List[Dict[str, Any]]) -> List[Row]:
    """A row for each backend, C's first."""
    c, rust = [Row(event["backend"], event["beside"], event["alone"]) for event in events]
    if rust.share() < LEAST:
        rust.wrong = f"less than {LEAST:.0%}"
    elif rust.beside["worst"] > WORST * c.beside["worst"]:
        rust.wrong = f"the slowest takes more than {WORST:.0%} of C's"
    return [c, rust]
