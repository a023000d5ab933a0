# SPDX-License-Identifier: GPL-2.0
"""Allocations of page tables that fail, on C and on Rust: the VM goes on, nothing leaks."""

from typing import List

from ..stages import allocfail
from ..suite.testlist import BACKENDS


def main(words: List[str]) -> int:
    """allocfail [c|rust]"""
    return allocfail.run(words or list(BACKENDS)).close()
