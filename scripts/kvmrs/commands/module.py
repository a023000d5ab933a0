# SPDX-License-Identifier: GPL-2.0
"""kvm_rs.ko for the kernel that `kernel` builds."""

from typing import List

from ..build import kernel, module


def main(_: List[str]) -> int:
    """module"""
    print(module.ensure(kernel.ensure()))
    return 0
