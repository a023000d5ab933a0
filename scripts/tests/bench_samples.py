# SPDX-License-Identifier: GPL-2.0
"""Samples of the benchmark, made up for its tests."""

from typing import Dict, List, Mapping


def events(scale: int, costs: Mapping[str, float], rounds: int = 2) -> List[Dict[str, object]]:
    """So many instructions a page; what comes first costs far more."""
    return [
        {
            "op": "zap",
            "size": "4k",
            "scenario": "small",
            "scan": False,
            "scale": scale,
            "round": number,
            "backend": backend,
            "pages": 10,
            "instructions": 10 * cost * (1 if number else 50),
            "flushes": 1,
        }
        for number in range(rounds + 1)
        for backend, cost in costs.items()
    ]
