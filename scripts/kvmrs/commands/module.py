# SPDX-License-Identifier: GPL-2.0
"""kvm_rs.ko for the kernel that `kernel` builds."""


from argparse import Namespace

from ..build import kernel, module


def main(_: Namespace) -> int:
    print(module.ensure(kernel.ensure()))
    return 0
