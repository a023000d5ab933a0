# SPDX-License-Identifier: GPL-2.0
"""Formats the Rust files in the kernel's style, and these scripts."""


from argparse import Namespace

from ..checks import rust, scripts


def main(_: Namespace) -> int:
    rust.write_format()
    scripts.write_format()
    return 0
