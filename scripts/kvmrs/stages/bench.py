# SPDX-License-Identifier: GPL-2.0
"""Measures what each operation of the TDP MMU costs on C and on Rust.

The machine runs on an emulator whose clock is its count of instructions, so that figures repeat and
a busy build machine does not matter. A plugin of the emulator counts locked instructions. KVM
counts the flushes of TLBs.
"""

import json
import re
from typing import Any, Dict, List

from ..base import paths, ui
from ..base.errors import KvmrsError
from ..build import crates, kernel, module
from ..machine import boot, kvm_modules, preload
from ..suite import bench

CRATE = paths.REPO / "selftests" / "bench"
SCENARIOS = CRATE / "src" / "scenarios.rs"
PLUGIN = CRATE / "plugin" / "locked.c"
INSIDE = "/tests/kvmrs-bench"
TIMEOUT = 3600
HEARTBEAT = 2
SILENCE_LIMIT = 400
"""Seconds of real time: the machine's clock is slow where the build machine is busy."""


def scenarios() -> List[str]:
    """As the benchmark's own list has them."""
    listed = re.search(r"const SCENARIOS[^=]*= \[(.*?)\];", SCENARIOS.read_text(), re.DOTALL)
    assert listed, SCENARIOS
    return re.findall(r'"([\w-]+)"', listed[1])


def run(rounds: int, only: List[str]) -> List[bench.Op]:
    """One boot; both backends take turns in it, in alternating order."""
    tree = kernel.ensure()
    modules = kvm_modules.Modules(tree, module.ensure(tree))
    program = crates.static_program(CRATE, "kvmrs-bench", "the benchmark")
    work = {"argv": [INSIDE, str(rounds), *only], "timeout": TIMEOUT, "heartbeat": HEARTBEAT}
    job = {"modules": modules.job(), "work": {"command": work}}
    counts = paths.logs() / "bench-locked.txt"
    machine = boot.Machine(
        "bench",
        tree,
        {**modules.files(), INSIDE: program},
        job,
        memory="3G",
        cpus=1,
        qemu=["-plugin", f"{preload.library(PLUGIN)},out={counts}"],
        counted=True,
        silence_limit=SILENCE_LIMIT,
    )
    samples: List[Dict[str, Any]] = []
    with ui.step("measuring") as shown:
        boot.run(machine, lambda event: _on_event(event, samples, shown)).demand_success()
    locked = [int(line) for line in counts.read_text().split()]
    if not samples or len(samples) != len(locked):
        raise KvmrsError(
            f"the benchmark took {len(samples)} samples, and the emulator {len(locked)}",
            "see out/logs/bench-console.log",
        )
    return bench.collect(samples, locked)


def _on_event(event: boot.Event, samples: List[Dict[str, Any]], shown: ui.step) -> None:
    if event["ev"] not in ("alive", "output") or not event["line"].startswith("{"):
        return
    sample = json.loads(event["line"])
    if event["ev"] == "alive":
        shown.progress(text=f"{sample['backend']}: {sample['op']}, memory x{sample['scale']}")
    else:
        samples.append(sample)
