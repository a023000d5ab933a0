# SPDX-License-Identifier: GPL-2.0
"""Measures what each operation of the TDP MMU costs: on C and on Rust, and on C with and without the
series.

The machine runs on an emulator whose clock is its count of instructions, so that figures repeat and
a busy build machine does not matter. A plugin of the emulator counts locked instructions. KVM
counts the flushes of TLBs.
"""

import json
import re
from typing import Any, Dict, List, Sequence, Tuple

from ..base import paths, ui
from ..base.errors import KvmrsError
from ..build import crates, kernel, module
from ..machine import boot, kvm_modules, preload
from ..suite import bench, bench_hooks

CRATE = paths.REPO / "selftests" / "bench"
SCENARIOS = CRATE / "src" / "scenarios.rs"
PLUGIN = CRATE / "plugin" / "locked.c"
INSIDE = "/tests/kvmrs-bench"
TIMEOUT = 3600
HEARTBEAT = 2
SILENCE_LIMIT = 400
"""Seconds of real time: the machine's clock is slow where the build machine is busy."""

Sample = Dict[str, Any]
"""As the program reports it."""


def scenarios() -> List[str]:
    """As the benchmark's own list has them."""
    listed = re.search(r"const SCENARIOS[^=]*= \[(.*?)\];", SCENARIOS.read_text(), re.DOTALL)
    assert listed, SCENARIOS
    return re.findall(r'"([\w-]+)"', listed[1])


def run(rounds: int, only: List[str]) -> List[bench.Op]:
    """One boot; both backends take turns in it, in alternating order."""
    tree = kernel.ensure()
    modules = kvm_modules.Modules(tree, module.ensure(tree))
    return bench.collect(*_measure("bench", modules, bench.BACKENDS, rounds, only))


def hooks(rounds: int, only: List[str]) -> List[bench.Op]:
    """VMs on C in one boot of each of the hosts that are compared; a host is in a backend's place."""
    samples: List[Sample] = []
    locked: List[int] = []
    for host, modules in zip(bench_hooks.HOSTS, _hosts(), strict=True):
        found, counts = _measure(f"bench-{host}", modules, ["c"], rounds, only)
        samples += [{**sample, "backend": host} for sample in found]
        locked += counts
    return bench.collect(samples, locked)


def _hosts() -> List[kvm_modules.Modules]:
    """What is loaded on each, in the order of bench_hooks.HOSTS."""
    without = kernel.unpatched()
    tree = kernel.ensure()
    rust = module.ensure(tree)
    return [
        kvm_modules.Modules(without, None),
        kvm_modules.Modules(tree, None),
        kvm_modules.Modules(tree, rust),
    ]


def _measure(
    name: str, modules: kvm_modules.Modules, backends: Sequence[str], rounds: int, only: List[str]
) -> Tuple[List[Sample], List[int]]:
    """One boot: samples in their order, and the locked instructions of each."""
    program = crates.static_program(CRATE, "kvmrs-bench", "the benchmark")
    argv = [INSIDE, ",".join(backends), str(rounds), *only]
    work = {"argv": argv, "timeout": TIMEOUT, "heartbeat": HEARTBEAT}
    counts = paths.logs() / f"{name}-locked.txt"
    machine = boot.Machine(
        name,
        modules.tree,
        {**modules.files(), INSIDE: program},
        {"modules": modules.job(), "work": {"command": work}},
        memory="3G",
        cpus=1,
        qemu=["-plugin", f"{preload.library(PLUGIN)},out={counts}"],
        counted=True,
        silence_limit=SILENCE_LIMIT,
    )
    samples: List[Sample] = []
    with ui.step("measuring") as shown:
        boot.run(machine, lambda event: _on_event(event, samples, shown)).demand_success()
    locked = [int(line) for line in counts.read_text().split()]
    if not samples or len(samples) != len(locked):
        raise KvmrsError(
            f"the benchmark took {len(samples)} samples, and the emulator {len(locked)}",
            f"see out/logs/{name}-console.log",
        )
    return samples, locked


def _on_event(event: boot.Event, samples: List[Sample], shown: ui.step) -> None:
    if event["ev"] not in ("alive", "output") or not event["line"].startswith("{"):
        return
    sample = json.loads(event["line"])
    if event["ev"] == "alive":
        shown.progress(text=f"{sample['backend']}: {sample['op']}, memory x{sample['scale']}")
    else:
        samples.append(sample)
