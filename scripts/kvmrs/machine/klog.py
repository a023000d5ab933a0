# SPDX-License-Identifier: GPL-2.0
"""The kernel log of a boot must be clean: any report in it fails the boot.

Entries of selftests/klog-allow.toml are allowed: whole lines, exactly as the kernel prints
them without the time stamp, offsets into functions and who ran where, each with a reason. Where
the line alone could be another bug's, the entry names what must follow it, in order, and the test
that must be running. They are counted, only so many are allowed in a boot, and they are shown.
"""

import re
import tomllib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Counter as CounterType
from typing import List, Optional, Sequence

from ..base import paths

ALLOWED = paths.REPO / "selftests" / "klog-allow.toml"
STAMP = re.compile(r"^\[\s*\d+\.\d+\](?:\[\s*[TC]\d+\])? ?")
VARYING = re.compile(r"\+0x[0-9a-f]+/0x[0-9a-f]+|, CPU#\d+: \S+/\d+$")
"""Offsets into functions; the processor, program and process that a warning names."""
FOLLOWS = 100
"""Lines after its first that belong to a report."""
MARK = re.compile(r"kvmrs: (start|end) (.*)")
PLANTED = "planted"
"""The test with a bug in the module that the kernel must report. The test demands the report, and so
nothing that is in the log while it runs fails the boot."""
MIXED = "mixed"
"""The backend of a test that makes VMs on both."""
REPORT = re.compile(
    r"WARNING:|\bBUG\b|\bOops\b|general protection fault|Kernel panic|Unable to handle kernel|"
    r"detected stall|soft lockup|hard LOCKUP|blocked for more than|"
    r"circular locking|recursive locking|inconsistent lock state|suspicious RCU usage|"
    r"DEBUG_LOCKS_WARN|Invalid wait context|sleeping function called|scheduling while atomic|"
    r"Invalid SPTE change|\bleak(?:ed|s)?\b(?! detector initialized)|Objects remaining|Bad page|Bad rss-counter|"
    r"refcount_t:|list_(?:add|del) corruption|KASAN|KCSAN|KMSAN|UBSAN|KFENCE|"
    r"unchecked MSR access|starved for|rcu_tasks.*stall|panicked at|"
    r"printk messages dropped|Out of memory|out of memory|oom-killer|page allocation failure|"
    r"expedited stalls"
)


@dataclass(frozen=True)
class Known:
    """A report that is allowed `most` times in a boot, if `then` follows it, in that order.

    With `during`, only while the test of that name runs; with `backend`, only while a test runs that
    makes VMs there.
    """

    text: str
    reason: str
    then: Sequence[str] = ()
    most: int = 1
    during: str = ""
    backend: str = ""

    def is_at(self, lines: Sequence[str], running: str) -> bool:
        """Whether the lines begin with this report. `running` is backend, test and its arguments."""
        backend, test, *_ = [*running.split(), "", ""]
        if lines[0] != self.text or (self.during and self.during != test):
            return False
        if self.backend and backend not in (self.backend, MIXED):
            return False
        rest = iter(lines[1:FOLLOWS])
        return all(any(word in line for line in rest) for word in self.then)


@dataclass
class Verdict:
    """The reports in a log: those that fail the boot, and those that are allowed."""

    reports: List[str] = field(default_factory=list)
    allowed: CounterType[str] = field(default_factory=Counter)

    @property
    def clean(self) -> bool:
        return not self.reports


def scan(log: Path) -> Verdict:
    """Every report in the log, with the test that ran then."""
    verdict, known, running = Verdict(), known_reports(), ""
    lines = [
        VARYING.sub("", STAMP.sub("", raw.strip()))
        for raw in log.read_text(errors="replace").splitlines()
    ]
    for number, line in enumerate(lines):
        mark = MARK.search(line)
        if mark:
            # What belongs to a test may come after its end, but not to a test whose bug was planted.
            if mark[1] == "start" or _is_planted(running):
                running = mark[2].strip() if mark[1] == "start" else ""
            continue
        if _is_planted(running):
            continue
        entry = _match(lines[number : number + FOLLOWS], running, known)
        if entry and verdict.allowed[entry.text] < entry.most:
            verdict.allowed[entry.text] += 1
        elif entry or REPORT.search(line):
            verdict.reports.append(f"{line} (during {running})" if running else line)
    return verdict


def _is_planted(running: str) -> bool:
    return running.split()[1:2] == [PLANTED]


def _match(lines: Sequence[str], running: str, known: Sequence[Known]) -> Optional[Known]:
    return next((entry for entry in known if entry.is_at(lines, running)), None)


def known_reports() -> List[Known]:
    """The list, in its order."""
    if not ALLOWED.exists():
        return []
    return [Known(**entry) for entry in tomllib.loads(ALLOWED.read_text())["line"]]


def show_allowed(verdict: Verdict) -> List[str]:
    """What was let through, how often and why, as lines for a person."""
    reasons = {entry.text: entry.reason for entry in known_reports()}
    return [
        f"allowed {count} times: {line} ({reasons[line]})" for line, count in verdict.allowed.items()
    ]
