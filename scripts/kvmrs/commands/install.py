# SPDX-License-Identifier: GPL-2.0
"""Installs kvm_rs.ko among the modules of a system."""

import os
from argparse import Namespace
from pathlib import Path

from ..base import privilege, proc, ui
from ..build import kernel, module


def main(_: Namespace) -> int:
    """install: into the modules of this machine, or of the root INSTALL_MOD_PATH.

    The tools may be in a root of their own: the target is shown there at its own path.
    """
    tree = kernel.ensure()
    module.ensure(tree)
    target = Path(os.environ.get("INSTALL_MOD_PATH") or "/").absolute()
    modules = target / "lib" / "modules"
    try:
        modules.mkdir(parents=True, exist_ok=True)
    except PermissionError:
        privilege.become_root(f"installing into {modules}")
    words = [f"INSTALL_MOD_PATH={target}", "modules_install"]
    with ui.step(f"installing kvm_rs.ko into {modules / tree.release}") as shown:
        proc.run_logged(
            module.kbuild(tree, module.output_of(tree), *words, mounts=[modules]),
            "install",
            shown,
            hint="without root: INSTALL_MOD_PATH=<directory>",
        )
    return 0
