# SPDX-License-Identifier: GPL-2.0
"""The module's life: load and unload, refusals, VMs of both backends at once.

The checks themselves are the runner's, in selftests/runner/src/life.rs; here is what they
need: the module, the module as another kernel's, and parameters that it must not take. Two more
boots are without nested paging, and without the TDP MMU alone, so that no VM can be on Rust.
"""

import re
import tempfile
from pathlib import Path
from typing import Any, Dict, List

from ..base import paths
from ..base.errors import KvmrsError
from ..build import kernel, kselftest, module
from ..machine import boot, kvm_modules
from ..suite import ktap
from ..suite.results import Summary

ROUNDS = 100
NAME = "kvm_rs"
VERMAGIC = re.compile(rb"\0vermagic=(\d+)\.")
PARAMETER = re.compile(rb"\0parmtype=(\w+):(\w+)\0")
FOREIGN = f"{kvm_modules.INSIDE}/foreign.ko"
CHOSEN = "mmu_backend=rust"
WITHOUT_TDP = "npt=0 ept=0"
"""Each vendor's module ignores the other's parameter."""
WITHOUT_TDP_MMU = "tdp_mmu=0"


def run(rounds: int = ROUNDS) -> Summary:
    tree = kernel.ensure()
    rust = module.ensure(tree)
    work = {
        "module": f"{kvm_modules.INSIDE}/{NAME}.ko",
        "name": NAME,
        "foreign": FOREIGN,
        "holder": f"{kselftest.INSIDE}/vm_holder",
        "rounds": rounds,
        **_wrong_parameters(rust),
    }
    ordinary = kvm_modules.Modules(tree, rust, CHOSEN)
    without = {
        "life-without-tdp": kvm_modules.Modules(tree, rust, CHOSEN, vendor_params=WITHOUT_TDP),
        "life-without-tdp-mmu": kvm_modules.Modules(tree, rust, f"{CHOSEN} {WITHOUT_TDP_MMU}"),
    }
    with tempfile.TemporaryDirectory(dir=paths.logs()) as folder:
        foreign = _foreign(rust, Path(folder))
        total = _boot("life", ordinary, foreign, {**work, "tdp_mmu": True})
        for name, modules in without.items():
            total += _boot(name, modules, foreign, {**work, "tdp_mmu": False})
        return total


def _boot(name: str, modules: kvm_modules.Modules, foreign: Path, work: Dict[str, Any]) -> Summary:
    tree = modules.tree
    files = {**modules.files(), **kselftest.ensure(tree).files(), FOREIGN: foreign}
    job = {"modules": modules.job(load_rust=False), "work": {"life": work}}
    report = _Report()
    ended = boot.run(boot.Machine(name, tree, files, job), report.on_event)
    return report.close(ended)


def _foreign(rust: Path, folder: Path) -> Path:
    """A copy of the module that says it was built for another major version."""
    data, count = VERMAGIC.subn(b"\0vermagic=1.", rust.read_bytes())
    if count != 1:
        raise KvmrsError(f"{rust.name} has no version magic to change", "rebuild it: make modules")
    copy = folder / "foreign.ko"
    copy.write_bytes(data)
    return copy


def _wrong_parameters(rust: Path) -> Dict[str, Any]:
    """A value of the wrong type for a parameter that exists, or else a name that does not.

    The kernel refuses the first, and says of the second that it ignores it.
    """
    numeric = [
        name.decode()
        for name, kind in PARAMETER.findall(rust.read_bytes())
        if kind not in (b"charp", b"string")
    ]
    name = numeric[0] if numeric else "no_such_parameter"
    message = f"invalid for parameter `{name}'" if numeric else f"unknown parameter '{name}' ignored"
    return {
        "wrong_params": f"{name}=nonsense",
        "wrong_params_refused": bool(numeric),
        "wrong_params_message": message,
    }


class _Report:
    """Shows each check as it ends."""

    def __init__(self) -> None:
        self.failures: List[str] = []
        self.ktap: ktap.Report = ktap.Report()

    def on_event(self, event: boot.Event) -> None:
        if event["ev"] == "ready":
            self.ktap.comment(boot.describe(event["facts"]))
        if event["ev"] == "result":
            self.ktap.result(event["test"], event["result"], event["seconds"], event["reason"], [])
            if event["result"] != "pass":
                self.failures.append(f"{event['test']}: {event['reason']}")

    def close(self, ended: boot.Ended) -> Summary:
        self.failures += ended.complaints()
        for line in [*(f"FAILED {line}" for line in self.failures), *ended.remarks()]:
            self.ktap.comment(line)
        self.ktap.comment(f"boot and checks took {ended.seconds:.0f} s")
        return Summary(self.ktap.counts["pass"], failures=tuple(self.failures))
