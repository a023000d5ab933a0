# SPDX-License-Identifier: GPL-2.0
"""The kernel and the module under virtme-ng, as other kernel developers boot them.

A few of the kernel's KVM selftests run on both backends. Success is the mark that the guest prints after
the last of them, and that what the guest's command ends with gets here.
"""

import subprocess
from pathlib import Path
from typing import List, Tuple

from ..base import paths, ui
from ..base.errors import KvmrsError
from ..build import kernel, kselftest, module
from ..machine import kvm_modules, vng
from ..suite.results import Summary
from ..suite.testlist import BACKENDS

TESTS = ("kvm_create_max_vcpus", "pre_fault_memory_test", "coalesced_io_test", "guest_memfd_test")
MARK = "kvmrs: all of it has run"
CODE = 7
"""What the guest's command ends with. Nothing else ends with it."""
BACKEND = "/sys/module/kvm/parameters/mmu_backend"


def run() -> Summary:
    vng.ensure()
    tree = kernel.ensure()
    modules = kvm_modules.Modules(tree, module.ensure(tree))
    folder = kselftest.ensure(tree).folder
    with ui.step("virtme-ng"):
        said, code = _boot(modules, _script(folder))
    results = [line.split()[1:] for line in said.splitlines() if line.startswith("kvmrs-result ")]
    for its, backend, test in results:
        ui.say(f"{'ok' if its == '0' else 'not ok'} {backend} {test}")
    if MARK not in said.splitlines() or len(results) != len(TESTS) * len(BACKENDS):
        raise KvmrsError("the guest did not run to its end", "see out/logs/vng.log", said[-2000:])
    failures = [f"{backend} {test}: exit {its}" for its, backend, test in results if its != "0"]
    if code != CODE:
        failures.append(f"the guest's command ended with {CODE}, and virtme-ng with {code}")
    return Summary(len(results) + 1 - len(failures), failures=tuple(failures))


def _script(folder: Path) -> str:
    """For the guest: every test on each backend, and that the VMs were where they should be."""
    lines = [
        f"echo {backend} >{BACKEND}; {folder}/{test}; echo kvmrs-result $? {backend} {test}"
        for backend in BACKENDS
        for test in TESTS
    ]
    made = "awk '$1 == \"rust\" && $2 == 0 { exit 1 }' /sys/kernel/debug/kvm/mmu_backends"
    return "\n".join([*lines, f"{made} && echo '{MARK}'", f"exit {CODE}"])


def _boot(modules: kvm_modules.Modules, script: str) -> Tuple[str, int]:
    """What the guest says, and the exit code. It all goes through a pipe: QEMU would open a file anew and
    empty it."""
    log = paths.logs() / "vng.log"
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = vng.run(modules, script, vng.LIMIT, errors="replace", **streams)
    if done.returncode == vng.OVER:
        raise KvmrsError(f"virtme-ng did not end in {vng.LIMIT} s")
    said = done.stdout.replace("\r", "")
    log.write_text(said)
    return said, done.returncode
