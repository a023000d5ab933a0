# SPDX-License-Identifier: GPL-2.0
"""C and Rust compared: what each operation of the TDP MMU costs, in instructions a page.

The machine runs on an emulator whose clock is its count of instructions, so that figures
repeat and a busy build machine does not matter. They say nothing about caches, TLBs, locks under
contention or time on real hardware. No operation may cost more than 5 % above C, and those
that find nothing to do must cost less; an operation that fails is measured once more.
"""

import json
import re
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Dict, List, Tuple

from ..base import paths, ui, words
from ..base.errors import KvmrsError
from ..build import crates, kernel, module
from ..machine import boot, kvm_modules

CRATE = paths.REPO / "selftests" / "bench"
SCENARIOS = CRATE / "src" / "scenarios.rs"
INSIDE = "/tests/kvmrs-bench"
ROUNDS = 2
MORE_ROUNDS = 3
TIMEOUT = 1500
HEARTBEAT = 2
MOST = 1.05
"""What an operation may cost at most, against C."""
METRIC = "instructions_per_page"
WARNING = (
    "instructions counted by an emulator: they say nothing about caches, TLBs,"
    " contention or time on real hardware"
)

Key = Tuple[str, str]


@dataclass
class Op:
    """The samples of one operation, by backend."""

    name: str
    size: str
    scenario: str
    scan: bool
    samples: Dict[str, List[float]] = field(default_factory=dict)

    def cost(self, backend: str) -> float:
        return median(self.samples[backend])

    @property
    def ratio(self) -> float:
        return self.cost("rust") / self.cost("c")

    @property
    def wrong(self) -> str:
        """Why this operation fails the run, if it does."""
        if self.ratio > MOST:
            return f"{100 * (self.ratio - 1):.1f} % above C"
        if self.scan and self.ratio >= 1:
            return "finds nothing to do, and is not below C"
        return ""

    def row(self) -> Dict[str, Any]:
        return {
            "op": self.name,
            "size": self.size,
            "metric": METRIC,
            "scan": self.scan,
            "c": round(self.cost("c"), 2),
            "rust": round(self.cost("rust"), 2),
            "ratio": round(self.ratio, 4),
        }


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--rounds", type=words.whole(1), default=ROUNDS, metavar="N", help="samples of each operation"
    )
    words.add_only(parser, _scenarios())


def main(options: Namespace) -> int:
    tree = kernel.ensure()
    ops = _measure(tree, options.rounds, options.only)
    again = sorted({op.scenario for op in ops.values() if op.wrong})
    if again:
        ui.say(f"  measuring once more: {', '.join(again)}")
        ops.update(_measure(tree, MORE_ROUNDS, again))
    (paths.out() / "bench.json").write_text(
        json.dumps([op.row() for op in ops.values()], indent=1) + "\n"
    )
    return _show(list(ops.values()))


def _scenarios() -> List[str]:
    """As the benchmark's own list has them."""
    listed = re.search(r"const SCENARIOS[^=]*= \[(.*?)\];", SCENARIOS.read_text(), re.DOTALL)
    assert listed, SCENARIOS
    return re.findall(r'"([\w-]+)"', listed[1])


def _measure(tree: kernel.KernelTree, rounds: int, only: List[str]) -> Dict[Key, Op]:
    """One boot; both backends take turns in it."""
    modules = kvm_modules.Modules(tree, module.ensure(tree))
    program = crates.static_program(CRATE, "kvmrs-bench", "the benchmark")
    work = {"argv": [INSIDE, str(rounds), *only], "timeout": TIMEOUT, "heartbeat": HEARTBEAT}
    job = {"modules": modules.job(), "work": {"command": work}}
    machine = boot.Machine(
        "bench", tree, {**modules.files(), INSIDE: program}, job, memory="3G", cpus=1, counted=True
    )
    ops: Dict[Key, Op] = {}
    with ui.step("measuring") as shown:
        boot.run(machine, lambda event: _on_event(event, ops, shown)).demand_success()
    if not ops:
        raise KvmrsError("the benchmark measured nothing", "see out/logs/bench-console.log")
    return ops


def _on_event(event: boot.Event, ops: Dict[Key, Op], shown: ui.step) -> None:
    if event["ev"] not in ("alive", "output") or not event["line"].startswith("{"):
        return
    sample = json.loads(event["line"])
    if event["ev"] == "alive":
        shown.progress(text=f"{sample['backend']}: {sample['op']}")
        return
    key = (sample["op"], sample["size"])
    op = ops.setdefault(key, Op(*key, sample["scenario"], sample["scan"]))
    op.samples.setdefault(sample["backend"], []).append(sample["instructions"] / sample["pages"])


def _show(ops: List[Op]) -> int:
    """The table; returns the exit code."""
    print(f"\n{'operation':<30}{'size':>5}{'C':>11}{'Rust':>11}{'ratio':>8}")
    for op in ops:
        note = f"  {op.wrong}" if op.wrong else "  (scan)" if op.scan else ""
        print(
            f"{op.name:<30}{op.size:>5}{op.cost('c'):>11.1f}{op.cost('rust'):>11.1f}{op.ratio:>8.3f}{note}"
        )
    print(f"\nInstructions a page of that size, kernel and all ({WARNING}).")
    print("Scans are operations that find nothing to do. All figures: out/bench.json")
    wrong = [op for op in ops if op.wrong]
    if wrong:
        print(
            f"FAILED: {len(wrong)} of {len(ops)} operations: "
            + "; ".join(f"{op.name} {op.size}: {op.wrong}" for op in wrong)
        )
    return 1 if wrong else 0
