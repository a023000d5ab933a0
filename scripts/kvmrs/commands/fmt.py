# SPDX-License-Identifier: GPL-2.0
"""Formats the Rust files in the kernel's style, and these scripts."""

from typing import List

from ..checks import rust, scripts


def main(_: List[str]) -> int:
    """fmt"""
    rust.write_format()
    scripts.write_format()
    return 0
