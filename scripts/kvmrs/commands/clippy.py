# SPDX-License-Identifier: GPL-2.0
"""The Rust linter."""


from argparse import Namespace

from ..checks import rust
from ..stages import static


def main(_: Namespace) -> int:
    return 0 if static.result_of("clippy", rust.clippy).ok else 1
