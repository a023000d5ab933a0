# SPDX-License-Identifier: GPL-2.0
"""The model crate under model checkers; see docs/model.md.

`make model` does the same in each run. `make model-soak` goes on with other random numbers until
its time is over, it has run as many schedules as were wanted, or it is interrupted. Then it says what it
has done.
"""

import os
import re
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Dict, List, Mapping, Sequence

from ..base import paths, proc, ui
from ..base.errors import KvmrsError
from ..build import crates
from ..suite.results import Summary
from ..tools import toolroot

LINE = re.compile(r"model: (.+): (\d+) interleavings")
SCENARIO = re.compile(r'^    (?:explore|check|check_program)\(\s*"([^"]+)"', re.MULTILINE)
"""Where a test names its scenario."""
TEST = re.compile(r"^#\[test\]\nfn (\w+)", re.MULTILINE)
BUILD_LIMIT, LIMIT = 900, 600
"""Seconds after which a build or a stage is taken for a deadlock. `timeout` ends the tests that cargo
started, too."""
SLICE = 30
"""Seconds of each test in a round of the soak."""
HISTORIES_A_SECOND = 200
"""Histories that run in a second."""
BEFORE, AFTER = 5, 6
"""Lines around a panic that belong to it: the schedule's file before, the message after."""


@dataclass(frozen=True)
class Stage:
    """Tests that are built in the same way."""

    name: str
    tests: Sequence[str]
    feature: str = ""
    ways: Sequence[str] = ()
    """In which ways each scenario runs, as the tests name them."""
    only: Sequence[str] = ()
    """Of their functions. If there are none, all run."""

    def functions(self) -> List[str]:
        """Those in the tests' own files."""
        files = (crates.MODEL / "tests" / f"{test}.rs" for test in self.tests)
        return [name for file in files for name in TEST.findall(file.read_text())]

    def scenarios(self) -> List[str]:
        """Those that must run, by the names in the tests' sources."""
        tests = crates.MODEL / "tests"
        files = [file for test in self.tests for file in tests.glob(f"{test}.rs")]
        files += [file for test in self.tests for file in sorted(tests.glob(f"{test}/*.rs"))]
        functions = [part for file in files for part in file.read_text().split("#[test]")]
        # One that has to panic does not come to its end, and so does not say how often it ran.
        must_end = [part for part in functions if "#[should_panic" not in part]
        names = [name for part in must_end for name in SCENARIO.findall(part)]
        return [way.format(name) for name in names for way in self.ways]

    def cargo(self, words: Sequence[str], limit: int) -> List[str]:
        features = ["--features", self.feature] if self.feature else []
        tests = [word for test in self.tests for word in ("--test", test)]
        jobs = f"-j{os.cpu_count() or 1}"
        return ["timeout", "-k", "5", str(limit), "cargo", "test", jobs, *features, *tests, *words]


HISTORIES = Stage("histories, and the machine's own threads", ("history", "stress"))
LOOM = Stage("loom", ("loom", "loom_gpc", "loom_invalidations", "loom_xen"), "loom", ("loom, {}",))
SHUTTLE = Stage("shuttle", ("shuttle",), "shuttle", ("shuttle, {}, random", "shuttle, {}, PCT"))


@dataclass
class Tally:
    """Interleavings by scenario."""

    counts: Counter = field(default_factory=Counter)

    def hear(self, line: str) -> None:
        """Reads a line of a test's output; shows those that count."""
        found = LINE.search(line)
        if found:
            self.counts[found[1]] += int(found[2])
            ui.say(f"    {found[1]}: {int(found[2]):,}")

    def schedules(self) -> int:
        """Those of shuttle."""
        return sum(count for name, count in self.counts.items() if name.startswith(f"{SHUTTLE.name}, "))

    def demand(self, scenarios: Sequence[str]) -> None:
        """Fails unless each of these ran."""
        missing = [name for name in scenarios if not self.counts[name]]
        if missing or not scenarios:
            raise KvmrsError(
                f"scenarios that did not run: {'; '.join(missing) or 'all'}", "see out/logs/model-*.log"
            )

    def report(self) -> None:
        for name, count in sorted(self.counts.items()):
            print(f"{name:<48}{count:>14,}")
        print(f"{'interleavings':<48}{sum(self.counts.values()):>14,}", flush=True)


def run() -> Summary:
    """Every stage; each scenario of the checkers counts as a test."""
    tally = Tally()
    for stage in (HISTORIES, LOOM, SHUTTLE):
        _build(stage)
        _run(stage, tally, {})
    tally.report()
    tally.demand([*LOOM.scenarios(), *SHUTTLE.scenarios()])
    return Summary(len(tally.counts))


@dataclass(frozen=True)
class Goal:
    """When a soak is over: after so long, or so many schedules of shuttle's."""

    seconds: float = float("inf")
    schedules: float = float("inf")
    only: Sequence[str] = ()
    """Functions of shuttle's tests, if there is to be nothing else."""

    def stages(self) -> List[Stage]:
        shuttle = replace(SHUTTLE, only=self.only)
        return [shuttle] if self.only else [shuttle, HISTORIES]


def soak(goal: Goal) -> None:
    """Rounds of what takes random numbers, until the goal is reached."""
    for stage in goal.stages():
        _build(stage)
    start, tally, rounds = time.monotonic(), Tally(), 0
    verdict = "failed"
    try:
        while tally.schedules() < goal.schedules and time.monotonic() < start + goal.seconds:
            _round(goal, start + goal.seconds - time.monotonic(), tally)
            rounds += 1
        verdict = "no failure"
    except KeyboardInterrupt:
        verdict = "stopped, no failure"
    finally:
        tally.report()
        taken = ui.clock(time.monotonic() - start)
        print(
            f"model-soak: {verdict} in {taken}, {rounds} rounds, {tally.schedules():,} schedules",
            flush=True,
        )


def _round(goal: Goal, left: float, tally: Tally) -> None:
    """Each stage for a while, if so many seconds are left."""
    part = max(1, int(min(SLICE, left / 10)))
    for stage in goal.stages():
        _run(stage, tally, {"MODEL_SECONDS": part, "PROPTEST_CASES": HISTORIES_A_SECOND * part})


def _build(stage: Stage) -> None:
    with ui.step(f"building for {stage.name}") as shown:
        argv = stage.cargo(["--no-run"], BUILD_LIMIT)
        proc.run_logged(_command(argv, {}), f"{_log(stage)}-build", shown)


def _run(stage: Stage, tally: Tally, settings: Mapping[str, int]) -> None:
    env = {name: str(value) for name, value in settings.items()}
    only = ["--exact", *stage.only] if stage.only else []
    argv = stage.cargo(["--", "--nocapture", *only], LIMIT)
    with ui.step(stage.name) as shown:
        try:
            proc.run_logged(
                _command(argv, env),
                _log(stage),
                shown,
                on_line=tally.hear,
                hint="docs/model.md says how to read it",
            )
        except KvmrsError as error:
            error.details = _complaint(paths.logs() / f"{_log(stage)}.log")
            raise


def _log(stage: Stage) -> str:
    return f"model-{stage.feature or 'histories'}"


def _complaint(log: Path) -> str:
    """What the tests said; the end of the log is only about cargo."""
    lines = log.read_text(errors="replace").splitlines()
    panics = [number for number, line in enumerate(lines) if "panicked at" in line]
    first = panics[0] if panics else len(lines)
    smallest = [number for number, line in enumerate(lines) if "minimal failing input" in line]
    shown = lines[max(0, first - BEFORE) : first + AFTER]
    for number in smallest:
        shown += lines[number : number + proc.TAIL]
    return "\n".join(shown + [line for line in lines if line.endswith("... FAILED")])


def _command(argv: List[str], settings: Mapping[str, str]) -> List[str]:
    env = {**crates.environment(crates.MODEL), "RUST_BACKTRACE": "0", **settings}
    return toolroot.command(argv, cwd=crates.MODEL, env=env)
