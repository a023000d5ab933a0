# SPDX-License-Identifier: GPL-2.0
"""What VMs hold of the host's memory, on C and on Rust.

The module keeps a part of its own for each VM. Nothing else may take more than on C.
"""

from dataclasses import dataclass, field
from typing import Any, Dict, List

OWN = {"VM": 4096}
"""Bytes that the module may keep for each."""
MOST = 1.01
"""What anything may take besides, against C: others allocate memory at the same time."""


@dataclass
class Row:
    """Bytes that one of something takes, by backend, and those of them that are page tables."""

    what: str
    all: Dict[str, float] = field(default_factory=dict)
    tables: Dict[str, float] = field(default_factory=dict)

    def wrong(self) -> str:
        """Why this fails the run, if it does."""
        most = MOST * self.all["c"] + OWN.get(self.what, 0)
        more = self.all["rust"] - most
        return f"{more:.0f} bytes more than it may take" if more > 0 else ""


def collect(events: List[Dict[str, Any]]) -> List[Row]:
    """Rows in the order of the program's lines."""
    rows: Dict[str, Row] = {}
    for event in events:
        row = rows.setdefault(event["what"], Row(event["what"]))
        row.all[event["backend"]] = event["all"]
        row.tables[event["backend"]] = event["tables"]
    return list(rows.values())
