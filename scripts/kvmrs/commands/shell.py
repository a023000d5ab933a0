# SPDX-License-Identifier: GPL-2.0
"""A shell in the test machine: the kernel under test, with the tools root as its file system."""

import sys
from argparse import Namespace

from ..base import ui
from ..base.errors import KvmrsError
from ..build import kernel, kselftest, module
from ..machine import boot, kvm_modules


def main(_: Namespace) -> int:
    if not sys.stdin.isatty():
        raise KvmrsError("a shell needs a terminal", "run make shell in one")
    tree = kernel.ensure()
    modules = kvm_modules.Modules(tree, module.ensure(tree))
    files = {**modules.files(), **kselftest.ensure(tree).files()}
    job = {"modules": modules.job(), "share": boot.SHARE_TAG, "work": "shell"}
    machine = boot.Machine("shell", tree, files, job, share=True, shell=True)
    ui.say("  leave with `exit`; the kernel's console goes to out/logs/shell-console.log")
    boot.run(machine, _show).demand_success()
    return 0


def _show(event: boot.Event) -> None:
    if event["ev"] == "ready":
        facts = event["facts"]
        ui.say(
            f"  Linux {facts['kernel']}, {facts['cpus']} CPUs; kvm, kvm_rs and the selftests"
            f" in /run/tests are there; echo rust >/sys/module/kvm/parameters/mmu_backend"
        )
