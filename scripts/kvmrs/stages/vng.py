# SPDX-License-Identifier: GPL-2.0
"""The kernel and the module under virtme-ng, as other kernel developers boot them.

A few of the kernel's KVM selftests run on both backends. Only the mark that the guest prints after
the last of them is success: how virtme-ng itself ends is not asked.
"""

import subprocess
from pathlib import Path
from typing import List

from ..base import children, paths, ui
from ..base.errors import KvmrsError
from ..build import kernel, kselftest, module
from ..machine import kvm_modules, vng
from ..suite.results import Summary
from ..suite.testlist import BACKENDS

TESTS = ("kvm_create_max_vcpus", "pre_fault_memory_test", "coalesced_io_test", "guest_memfd_test")
MARK = "kvmrs: all of it has run"
BACKEND = "/sys/module/kvm/parameters/mmu_backend"


def run() -> Summary:
    vng.ensure()
    tree = kernel.ensure()
    modules = kvm_modules.Modules(tree, module.ensure(tree))
    folder = kselftest.ensure(tree).folder
    with ui.step("virtme-ng"):
        said = _boot(modules, _script(folder))
    results = [line.split()[1:] for line in said.splitlines() if line.startswith("kvmrs-result ")]
    for code, backend, test in results:
        ui.say(f"{'ok' if code == '0' else 'not ok'} {backend} {test}")
    if MARK not in said.splitlines() or len(results) != len(TESTS) * len(BACKENDS):
        raise KvmrsError("the guest did not run to its end", "see out/logs/vng.log", said[-2000:])
    failures = tuple(f"{backend} {test}: exit {code}" for code, backend, test in results if code != "0")
    return Summary(len(results) - len(failures), failures=failures)


def _script(folder: Path) -> str:
    """For the guest: every test on each backend, and that the VMs were where they should be."""
    lines = [
        f"echo {backend} >{BACKEND}; {folder}/{test}; echo kvmrs-result $? {backend} {test}"
        for backend in BACKENDS
        for test in TESTS
    ]
    made = "awk '$1 == \"rust\" && $2 == 0 { exit 1 }' /sys/kernel/debug/kvm/mmu_backends"
    return "\n".join([*lines, f"{made} && echo '{MARK}'"])


def _boot(modules: kvm_modules.Modules, script: str) -> str:
    """What the guest says. It goes through a pipe: QEMU would open a file anew and empty it."""
    log = paths.logs() / "vng.log"
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    try:
        said = vng.run(modules, script, timeout=vng.LIMIT, errors="replace", **streams).stdout
    except subprocess.TimeoutExpired as over:
        children.end_all()
        raise KvmrsError(f"virtme-ng did not end in {vng.LIMIT} s") from over
    said = said.replace("\r", "")
    log.write_text(said)
    return said
