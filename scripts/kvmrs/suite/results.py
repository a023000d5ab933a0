# SPDX-License-Identifier: GPL-2.0
"""Results of a suite of tests: shown as they come, judged, summed up, written to out/."""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any
from typing import Counter as CounterType
from typing import Dict, List, Optional, Sequence, Tuple

from ..base import paths
from ..machine import boot
from . import ktap, verdict
from .testlist import Test

Result = Dict[str, Any]
HEARTBEAT = 20
"""Seconds between two signs of life of a test."""
KEYS = ("test", "args", "backend", "result", "seconds", "reason", "attempts", "complaint", "vms")


@dataclass
class Summary:
    """What `make test` adds up; a test that fails as listed counts as skipped."""

    passed: int = 0
    skipped: int = 0
    failures: Tuple[str, ...] = ()
    """What failed and why, one for each test. Equal ones have one reason, which is shown once."""

    def __add__(self, other: "Summary") -> "Summary":
        return Summary(
            self.passed + other.passed, self.skipped + other.skipped, self.failures + other.failures
        )

    @property
    def failed(self) -> int:
        return len(self.failures)

    def close(self) -> int:
        """Prints the line that CI reads; returns the exit code of a command."""
        ktap.closing(self.passed, self.failed, self.skipped)
        return 1 if self.failed else 0


class Suite:
    """Takes the events of one boot. In the end, out/<name>.json has its results."""

    def __init__(
        self,
        name: str,
        tests: List[Test],
        backends: List[str],
        mode: str = "",
        report: Optional[ktap.Report] = None,
    ) -> None:
        """`mode` tells this boot's rows from those of others that share `report`."""
        self.name = name
        self.mode = mode
        self.tests = {test.name: test for test in tests}
        self.backends = backends
        self.results: Dict[Tuple[str, str], Result] = {}
        self.outcomes: CounterType[str] = Counter()
        self.failures: List[str] = []
        self.running = ""
        self.report = report or ktap.Report(len(tests) * len(backends))

    def work(self, heartbeat: int = HEARTBEAT) -> Dict[str, Any]:
        """As the runner reads it."""
        return {
            "suite": {
                "backends": self.backends,
                "heartbeat": heartbeat,
                "tests": [test.job() for test in self.tests.values()],
            }
        }

    def on_event(self, event: boot.Event) -> None:
        if event["ev"] == "ready":
            self.report.comment(self._title(boot.describe(event["facts"])))
        elif event["ev"] == "start":
            self.running = self._title(event["backend"], event["test"])
        elif event["ev"] == "alive":
            self.report.comment(f"{self.running}: {event['seconds']} s, {event['line']}")
        elif event["ev"] == "result":
            self._result(event)

    def close(self, ended: boot.Ended, earlier: Sequence[Result] = ()) -> Summary:
        """Writes the results after `earlier` ones of other boots.

        A test that a dead machine did not run has failed.
        """
        self._close_missing(ended.problem)
        rows = json.dumps([*earlier, *self.rows()], indent=1)
        (paths.out() / f"{self.name}.json").write_text(rows + "\n")
        self._close_report(ended)
        skipped = self.outcomes["skip"] + self.outcomes["xfail"]
        return Summary(self.outcomes["pass"], skipped, tuple(self.failures))

    def rows(self) -> List[Result]:
        """What is written to out/."""
        mode = {"mode": self.mode} if self.mode else {}
        return [{**mode, **{key: result.get(key) for key in KEYS}} for result in self.results.values()]

    def _close_missing(self, problem: str) -> None:
        """Each counts, and all fail for the same reason."""
        missing = [
            (test, backend)
            for backend in self.backends
            for test in self.tests.values()
            if (test.name, backend) not in self.results
        ]
        reason = self._title(f"{len(missing)} tests did not run: {problem}")
        for test, backend in missing:
            self._result(_not_run(test, backend, problem), reason)

    def _result(self, result: Result, failure: str = "") -> None:
        """`failure` is what the list of failures says, if not the result's own words."""
        name, backend = result["test"], result["backend"]
        if result["args"] == name:
            # One of a program's tests. Nobody wants to read its name twice.
            result = {**result, "args": ""}
        self.results[name, backend] = result
        on_c = None if backend == "c" else self.results.get((name, "c"))
        test = self.tests[name]
        known = test.known(backend, result["result"])
        judged = verdict.judge(result, on_c, known, test.skips, test.says)
        title = self._title(backend, name, result["args"])
        self.outcomes[judged.outcome] += 1
        if judged.failed:
            self.failures.append(failure or f"{title}: {judged.note}")
        self.report.result(title, judged.outcome, result["seconds"], judged.note, result["tail"])
        if judged.outcome == "pass" and test.shown:
            for line in result["tail"]:
                self.report.comment(line.lstrip("# "))
        if judged.outcome == "pass" and judged.note:
            self.report.comment(f"{title} needed another attempt: {judged.note}")

    def _close_report(self, ended: boot.Ended) -> None:
        """Everything that failed once more, where people look for it: at the end."""
        self.failures += [self._title(line) for line in ended.complaints()]
        failures = [f"FAILED {line}" for line in dict.fromkeys(self.failures)]
        for line in [*failures, *ended.remarks()]:
            self.report.comment(line)
        further = {name: self._further(name) for name in self.backends}
        if any(further.values()):
            counts = ", ".join(f"{name} {count}" for name, count in further.items())
            self.report.comment(self._title(f"further attempts: {counts}"))
        parts = ", ".join(f"{name} {self._seconds(name):.0f} s" for name in self.backends)
        took = self._title(f"boot and tests took {ended.seconds:.0f} s ({parts})")
        self.report.comment(
            f"{took}; results in out/{self.name}.json, console in"
            f" {ended.log.relative_to(paths.REPO)}"
        )

    def _title(self, *words: str) -> str:
        """Words about this boot."""
        return " ".join(word for word in (self.mode, *words) if word)

    def _further(self, backend: str) -> int:
        rows = [row for row in self.results.values() if row["backend"] == backend]
        return sum(row.get("attempts", 1) - 1 for row in rows)

    def _seconds(self, backend: str) -> float:
        return sum(result["seconds"] for result in self.results.values() if result["backend"] == backend)


def _not_run(test: Test, backend: str, problem: str) -> Result:
    return {
        "test": test.name,
        "args": " ".join(test.args),
        "backend": backend,
        "result": "fail",
        "seconds": 0.0,
        "tail": [],
        "reason": f"not run to its end: {problem}",
    }
