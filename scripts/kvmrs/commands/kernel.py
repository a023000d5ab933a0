# SPDX-License-Identifier: GPL-2.0
"""The patched, built kernel of a flavor."""

from argparse import ArgumentParser, Namespace

from ..build import kconfig, kernel


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "flavor", nargs="?", choices=kconfig.flavors(), default=kconfig.BASE, help="base by default"
    )


def main(options: Namespace) -> int:
    tree = kernel.ensure(options.flavor)
    print(f"Linux {tree.release} ({tree.flavor}): {tree.path}")
    return 0
