# SPDX-License-Identifier: GPL-2.0
"""Boots the patched kernel with virtme-ng, with kvm_rs at hand.

With --exec, KVM and kvm_rs are loaded, the command runs, and its exit code is this one's.
"""

import sys
from argparse import ArgumentParser, Namespace

from ..base.errors import KvmrsError
from ..build import kernel, module
from ..machine import kvm_modules, vng


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--exec", default="", metavar="COMMAND", help="run this instead of a shell")


def main(options: Namespace) -> int:
    if not options.exec and not sys.stdin.isatty():
        raise KvmrsError("a shell needs a terminal", "run make vng in one, or give EXEC='<command>'")
    tree = kernel.ensure()
    modules = kvm_modules.Modules(tree, module.ensure(tree))
    vng.ensure()
    return vng.run(modules, options.exec).returncode if options.exec else vng.shell(modules)
