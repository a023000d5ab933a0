# SPDX-License-Identifier: GPL-2.0
"""Allocations of page tables that fail, on C and on Rust: the VM goes on, nothing leaks."""

from argparse import ArgumentParser, Namespace

from ..stages import allocfail
from ..suite.testlist import BACKENDS


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("backend", nargs="?", choices=BACKENDS, help="one backend instead of both")


def main(options: Namespace) -> int:
    backends = [options.backend] if options.backend else list(BACKENDS)
    return allocfail.run(backends).close()
