# SPDX-License-Identifier: GPL-2.0
"""Measures what each operation of the TDP MMU costs: on C and on Rust, and on C with and without the
series. And what VMs hold of the host's memory, what becomes of them on a host with two nodes, how their
faults go on while a dirty log is harvested, and what harvests cost.

But for that with two nodes, the machine runs on an emulator whose clock is its count of instructions, so that figures repeat and
a busy build machine does not matter. A plugin of the emulator counts locked instructions, and those for which who waits
is kept waiting. KVM counts the flushes of TLBs.
"""

import json
import re
from typing import Any, Callable, Dict, List, Sequence, Tuple

from ..base import paths, ui
from ..base.errors import KvmrsError
from ..build import crates, kernel, module
from ..machine import accel, boot, kvm_modules, preload
from ..suite import bench, bench_faults, bench_hooks, bench_logs, bench_memory, bench_nodes, bench_storms

CRATE = paths.REPO / "selftests" / "bench"
SCENARIOS = CRATE / "src" / "scenarios.rs"
PLUGIN = CRATE / "plugin" / "locked.c"
INSIDE = "/tests/kvmrs-bench"
TIMEOUT = 3600
HEARTBEAT = 2
SILENCE_LIMIT = 400
"""Seconds of real time: the machine's clock is slow where the build machine is busy."""
COUNTED: Dict[str, Any] = {"memory": "3G", "cpus": 1, "counted": True}
"""The machine whose clock counts instructions."""
OPERATIONS: Dict[str, Any] = {**COUNTED, "memory": "6G", "cmdline": "nokaslr hugepagesz=1G hugepages=1"}
"""The same for operations, with a page of 1G, which must be set aside while memory is still in one piece. The kernel is
where its map says."""
PLACES = {
    "woken": "task_woken_rt",
    "interrupted": "asm_sysvec_apic_timer_interrupt",
    "returned": "native_irq_return_iret",
    "switched": "__schedule",
}
"""Where in the kernel a thread that goes first has woken up, an interrupt begins and returns, and the scheduler begins."""
WIDE = ["-cpu", "max,phys-bits=42"]
"""Guest addresses reach further than a slot of 1 TiB."""
SHOWN = ("backend", "op", "size", "scale", "what")
"""Words of a line that say how far the program is."""

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
    """VMs on C on each of the hosts that are compared, which boot in turns; a host is in a backend's place."""
    hosts = dict(zip(bench_hooks.HOSTS, _hosts(), strict=True))
    samples: List[Sample] = []
    locked: List[int] = []
    ops: List[bench.Op] = []
    for turn in range(bench_hooks.MOST_TURNS):
        for host, modules in hosts.items():
            found, counts = _measure(f"bench-{host}", modules, ["c"], rounds, only, turn)
            samples += [{**sample, "backend": host, "boot": turn} for sample in found]
            locked += counts
        (paths.out() / "bench-hooks.json").write_text(json.dumps([samples, locked]) + "\n")
        if turn + 1 < bench_hooks.TURNS:
            continue
        ops = [op for op in bench.collect(samples, locked) if not op.is_hold()]
        undecided = [op for op in ops if bench_hooks.is_undecided(op)]
        if not undecided:
            break
        only = list(dict.fromkeys(op.scenario for op in undecided))
        ui.say(f"  undecided after {turn + 1} turns: {', '.join(op.name for op in undecided)}")
    return ops


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
    name: str,
    modules: kvm_modules.Modules,
    backends: Sequence[str],
    rounds: int,
    only: List[str],
    turn: int = 0,
) -> Tuple[List[Sample], List[int]]:
    """One boot: samples in their order, and the locked instructions of each. With another `turn`, they begin at other
    moments of the kernel's ticks."""
    counts = paths.logs() / f"{name}-locked.txt"
    words = [",".join(backends), str(rounds), str(turn), *only]
    plugin = [
        "-plugin",
        ",".join([str(preload.library(PLUGIN)), f"out={counts}", *_places(modules.tree)]),
    ]
    samples: List[Sample] = []
    with ui.step("measuring") as shown:
        _boot(
            name,
            modules,
            words,
            lambda event: _on_event(event, samples, shown),
            **OPERATIONS,
            qemu=[*WIDE, *plugin],
        )
    found = [[int(number) for number in line.split()] for line in counts.read_text().splitlines()]
    if not samples or len(samples) != len(found):
        raise KvmrsError(
            f"the benchmark took {len(samples)} samples, and the emulator {len(found)}",
            f"see out/logs/{name}-console.log",
        )
    holds = [
        (sample, longest) for sample, (_, longest) in zip(samples, found) if sample["size"] == bench.HOLD
    ]
    if holds and not any(longest for _, longest in holds):
        raise KvmrsError("the emulator saw no thread wake up", f"are all of these run: {PLACES}?")
    for sample, longest in holds:
        # None if each time the interrupt itself led to the scheduler.
        sample["instructions"] = max(longest, 1)
    return samples, [locked for locked, _ in found]


def _places(tree: kernel.KernelTree) -> List[str]:
    """Words for the plugin, by the map of the kernel."""
    lines = (line.split() for line in (tree.path / "System.map").read_text().splitlines())
    symbols = {name: address for address, _, name in lines}
    return [f"{word}={symbols[name]}" for word, name in PLACES.items()]


def memory() -> List[bench_memory.Row]:
    """One boot; what VMs hold of the host's memory on each backend."""
    return bench_memory.collect(_report("memory", **COUNTED))


def nodes() -> List[bench_nodes.Row]:
    """One boot; what becomes of VMs on each backend where the host has two nodes."""
    return bench_nodes.collect(_report("nodes", memory="4G", cpus=2, qemu=_two_nodes()))


def faults() -> List[bench_faults.Row]:
    """One boot; how a vCPU's faults go on beside a harvest on each backend."""
    return bench_faults.collect(_report("faults", **{**COUNTED, "memory": "6G"}))


def storms() -> List[bench_storms.Row]:
    """One boot; what storms of invalidations cost others on each backend."""
    return bench_storms.collect(_report("storms", **COUNTED))


def logs() -> List[bench_logs.Row]:
    """One boot; what harvests of logs cost on each backend."""
    return bench_logs.collect(_report("logs", **{**COUNTED, "memory": "6G"}))


def _two_nodes() -> List[str]:
    """Words for QEMU. Programs run on one processor of each: an emulated machine has a first one that they do
    not use. Linux warns of processors in one socket and on two nodes."""
    sockets, *processors = (3, "0-1", "2") if accel.choose().name == "tcg" else (2, "0", "1")
    return ["-smp", f"sockets={sockets},cores=1,threads=1"] + [
        word
        for node, mine in enumerate(processors)
        for word in (
            *("-object", f"memory-backend-ram,id=node{node},size=2G"),
            *("-numa", f"node,nodeid={node},cpus={mine},memdev=node{node}"),
        )
    ]


def _report(what: str, **machine: Any) -> List[Sample]:
    """The lines of one boot of such a machine, both backends in it."""
    tree = kernel.ensure()
    modules = kvm_modules.Modules(tree, module.ensure(tree))
    lines: List[Sample] = []
    words = [",".join(bench.BACKENDS), what]
    with ui.step("measuring") as shown:
        _boot(f"bench-{what}", modules, words, lambda event: _on_event(event, lines, shown), **machine)
    return lines


def _boot(
    name: str,
    modules: kvm_modules.Modules,
    words: List[str],
    on_event: Callable[[boot.Event], None],
    **sizes: Any,
) -> None:
    """Runs the program with these words, in a machine of these sizes."""
    program = crates.static_program(CRATE, "kvmrs-bench", "the benchmark")
    work = {"argv": [INSIDE, *words], "timeout": TIMEOUT, "heartbeat": HEARTBEAT}
    machine = boot.Machine(
        name,
        modules.tree,
        {**modules.files(), INSIDE: program},
        {"modules": modules.job(), "work": {"command": work}},
        silence_limit=SILENCE_LIMIT,
        **sizes,
    )
    boot.run(machine, on_event).demand_success()


def _on_event(event: boot.Event, samples: List[Sample], shown: ui.step) -> None:
    if event["ev"] not in ("alive", "output"):
        return
    if not event["line"].startswith("{"):
        if event["ev"] == "output":
            ui.say(f"  {event['line']}")
        return
    sample = json.loads(event["line"])
    if event["ev"] == "alive":
        shown.progress(text=", ".join(str(sample[word]) for word in SHOWN if word in sample))
    else:
        samples.append(sample)
