# SPDX-License-Identifier: GPL-2.0
"""One boot of a kernel of any flavor, with what runs on the debug kernels."""

import os
from pathlib import Path
from typing import Dict, List

from ..base import ui
from ..base.errors import KvmrsError
from ..build import kernel, kselftest, module, planted
from ..machine import boot, klog, kvm_modules, preload
from ..suite import own_tests
from ..suite.own_tests import RustTest
from ..suite.results import Suite

CMDLINE = "numa=fake=2 no5lvl"
"""Two nodes, so that pages can move between them. Page tables have four levels: while the kernel
identifies its processor, KASAN takes tables of five levels for tables of four. An interrupt at that
moment makes it report, and the kernel does not survive that."""
OF_FLAVOR = {"rt": "setcpuid=constant_tsc"}
"""With PREEMPT_RT, KVM refuses a processor that does not promise that its time stamps have one rate. An
emulated one does not promise it."""
CANARIES = {
    "lockdep": ("main.o", b"lock_is_held_type"),
    "kasan": ("main.bc", b"__asan_"),
    "kcsan": ("main.bc", b"__tsan_"),
    "rt": ("main.o", b"rt_read_lock"),
}
"""What the module calls where a watcher looks into it, and in which file. main.bc is what rustc makes
of all Rust files. Any other file has calls that clang has put into C. main.o has the helpers as well,
which ask lockdep, and take locks that sleep on PREEMPT_RT."""
BOOT_LIMIT = 600
SILENCE_LIMIT = 300


def ensure(flavor: str) -> kernel.KernelTree:
    """The kernel of that flavor; with KDIR=, the user's, which then has to be one."""
    tree = kernel.ensure(flavor)
    if os.environ.get("KDIR"):
        ui.say(f"  KDIR={tree.path} is taken for a kernel of flavor {flavor}")
    return tree


def boot_with(
    name: str, tree: kernel.KernelTree, suite: Suite, settings: List[Dict[str, str]]
) -> boot.Ended:
    """One boot of `tree` that runs the suite. Its mode is the flavor."""
    rust = module.ensure(tree)
    demand_canary(suite.mode, rust.parent)
    modules = kvm_modules.Modules(tree, rust)
    names = [test.name for test in suite.tests.values() if not isinstance(test, RustTest)]
    files = {
        **modules.files(),
        **kselftest.ensure(tree).only(names),
        **preload.files(preload.CHECK_TABLES),
        own_tests.INSIDE: own_tests.program(),
    }
    if klog.PLANTED in suite.tests:
        files[planted.INSIDE] = planted.ensure(tree, suite.mode)
    job = {"modules": modules.job(), "settings": settings, "work": suite.work()}
    machine = boot.Machine(
        name,
        tree,
        files,
        job,
        qemu=boot.NO_STRUCT_PAGES,
        cmdline=f"{CMDLINE} {OF_FLAVOR.get(suite.mode, '')}".rstrip(),
        boot_limit=BOOT_LIMIT,
        silence_limit=SILENCE_LIMIT,
    )
    return boot.run(machine, suite.on_event)


def demand_canary(flavor: str, built: Path) -> None:
    """A watcher that is awake may still not see the module: it was built without what it needs."""
    if flavor not in CANARIES:
        return
    name, canary = CANARIES[flavor]
    try:
        code = Path(built, name).read_bytes()
    except FileNotFoundError as error:
        raise KvmrsError(
            f"the module was built without {name}, which shows whether {flavor} watches it",
            f"remove {built} and try again",
        ) from error
    if canary not in code:
        raise KvmrsError(f"{name} never calls {canary.decode()}: {flavor} does not watch it")
