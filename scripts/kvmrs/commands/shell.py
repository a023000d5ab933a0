# SPDX-License-Identifier: GPL-2.0
"""A shell in the test machine: the kernel under test, with the tools root as its file system.

The tests are in /run/tests, the modules in /run/modules; all of them are loaded.
"""

import os
import shutil
import sys
from argparse import Namespace
from typing import Any, Dict

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
    job = {"modules": modules.job(), "share": boot.SHARE_TAG, "work": {"shell": _terminal()}}
    machine = boot.Machine("shell", tree, files, job, share=True, shell=True)
    ui.say("  leave with `exit`; the kernel's console goes to out/logs/shell-console.log")
    boot.run(machine, _show).demand_success()
    return 0


def _terminal() -> Dict[str, Any]:
    """As the runner reads it: a serial line does not know what is at its other end."""
    size = shutil.get_terminal_size()
    return {"rows": size.lines, "columns": size.columns, "term": os.environ.get("TERM", "linux")}


def _show(event: boot.Event) -> None:
    if event["ev"] == "ready":
        facts = event["facts"]
        ui.say(
            f"  Linux {facts['kernel']}, {facts['cpus']} CPUs; kvm and kvm_rs are loaded; programs are"
            " in /run/tests, modules in /run/modules; echo rust >/sys/module/kvm/parameters/mmu_backend"
        )
