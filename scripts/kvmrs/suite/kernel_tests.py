# SPDX-License-Identifier: GPL-2.0
"""One boot that runs programs of the kernel's suite, or of selftests/c."""

from typing import Dict, List

from ..build import kernel, kselftest, module
from ..machine import boot, kvm_modules, preload
from ..tools import toolroot
from . import testlist
from .results import Suite, Summary


def run(
    name: str,
    tree: kernel.KernelTree,
    tests: List[testlist.Test],
    backends: List[str],
    settings: List[Dict[str, str]],
) -> Summary:
    """Runs `tests` on each of `backends`; out/<name>.json has every result."""
    programs = kselftest.ensure(tree)
    modules = kvm_modules.Modules(tree, module.ensure(tree) if "rust" in backends else None)
    suite = Suite(name, tests, backends)
    job = {"modules": modules.job(), "settings": settings, "work": suite.work()}
    preloaded = preload.files(preload.CHECK_TABLES)
    bash = {"/bin/bash": toolroot.file("/bin/bash")}
    files = {**modules.files(), **programs.files(), **preloaded, **bash}
    return suite.close(boot.run(boot.Machine(name, tree, files, job), suite.on_event))
