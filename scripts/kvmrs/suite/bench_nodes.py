# SPDX-License-Identifier: GPL-2.0
"""What a host with two nodes does to a guest that writes to all of its memory from both.

The host moves pages to the node that uses them, and merges equal ones. Faults that are tried again
though nothing of theirs was touched, and flushes that nobody needs, keep the guest from its work. All
figures are counts for each million of the guest's writes: no emulator bends them.
"""

from dataclasses import dataclass
from statistics import median
from typing import Any, Dict, List

MILLION = 1_000_000
RETRIES = 0.1
"""What faults may be tried again, against C."""
COUNTS = {
    "faults": "faults",
    "retries": "faults tried again",
    "invalidations": "invalidations of the guest's memory",
    "flushes": "flushes asked for",
    "moved": "pages moved to the other node",
    "copied": "merged pages copied",
}
"""What the program counts, and what it is called."""


@dataclass
class Row:
    """One count by backend, for each million writes: the median of the runs."""

    what: str
    counts: Dict[str, float]
    wrong: str = ""


def collect(events: List[Dict[str, Any]]) -> List[Row]:
    """One row for each count."""
    rows = {name: Row(what, _medians(events, name)) for name, what in COUNTS.items()}
    retries, flushes, most = rows["retries"], rows["flushes"], rows["invalidations"]
    if not retries.counts["c"]:
        retries.wrong = "none on C: nothing to compare with"
    elif retries.counts["rust"] > RETRIES * retries.counts["c"]:
        retries.wrong = f"more than {RETRIES:.0%} of C's"
    if flushes.counts["rust"] > most.counts["rust"]:
        flushes.wrong = "more than invalidations"
    if not rows["copied"].counts["rust"]:
        rows["copied"].wrong = "the host merged nothing"
    return list(rows.values())


def _medians(events: List[Dict[str, Any]], name: str) -> Dict[str, float]:
    found: Dict[str, List[float]] = {}
    for event in events:
        count = event[name] * MILLION / event["writes"]
        found.setdefault(event["backend"], []).append(count)
    return {backend: median(counts) for backend, counts in found.items()}
