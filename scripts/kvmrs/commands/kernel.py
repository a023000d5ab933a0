# SPDX-License-Identifier: GPL-2.0
"""The patched, built kernel of a flavor."""

from typing import List

from ..build import kernel


def main(words: List[str]) -> int:
    """kernel [flavor]"""
    tree = kernel.ensure(*words[:1])
    print(f"Linux {tree.release} ({tree.flavor}): {tree.path}")
    return 0
