# SPDX-License-Identifier: GPL-2.0
"""The Rust linter."""

from typing import List

from ..checks import rust
from ..stages import static


def main(_: List[str]) -> int:
    """clippy"""
    return 0 if static.result_of("clippy", rust.clippy).ok else 1
