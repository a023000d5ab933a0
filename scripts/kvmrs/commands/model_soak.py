# SPDX-License-Identifier: GPL-2.0
"""make model-soak: the model checkers with other random numbers in each round."""

from typing import List

from ..base.errors import KvmrsError
from ..stages import model


def main(words: List[str]) -> int:
    """model-soak [SECONDS]"""
    model.soak(_seconds(words))
    return 0


def _seconds(words: List[str]) -> float:
    if not words:
        return float("inf")
    if len(words) > 1 or not words[0].isdigit():
        raise KvmrsError(f"{' '.join(words)} is no number of seconds", "make model-soak SECONDS=600")
    return int(words[0])
