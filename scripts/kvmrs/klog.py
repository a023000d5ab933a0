# SPDX-License-Identifier: GPL-2.0
"""The kernel log of a boot must be clean: any report in it fails the boot.

Entries of selftests/klog-allow.toml are allowed: whole lines, exactly as the kernel prints
them without the time stamp, each with a reason. They are counted and shown.
"""

import re
import tomllib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Counter as CounterType
from typing import Dict, List

from . import paths

ALLOWED = paths.REPO / "selftests" / "klog-allow.toml"
STAMP = re.compile(r"^\[\s*\d+\.\d+\](?:\[\s*[TC]\d+\])? ?")
MARK = re.compile(r"kvmrs: start (.*)")
REPORT = re.compile(
    r"WARNING:|\bBUG\b|\bOops\b|general protection fault|Kernel panic|Unable to handle kernel|"
    r"detected stall|self-detected stall|soft lockup|hard LOCKUP|blocked for more than|"
    r"circular locking|recursive locking|inconsistent lock state|suspicious RCU usage|"
    r"DEBUG_LOCKS_WARN|Invalid wait context|sleeping function called|scheduling while atomic|"
    r"Invalid SPTE change|\bleak(?:ed|s)?\b|Objects remaining|Bad page|Bad rss-counter|"
    r"refcount_t:|list_(?:add|del) corruption|KASAN|KCSAN|KMSAN|UBSAN|KFENCE|"
    r"unchecked MSR access|starved for|rcu_tasks.*stall|rust_kernel: panicked|panicked at")


@dataclass
class Verdict:
    """What a log has that it should not have, and what it has by permission."""

    reports: List[str] = field(default_factory=list)
    allowed: CounterType[str] = field(default_factory=Counter)

    @property
    def clean(self) -> bool:
        return not self.reports


def scan(log: Path) -> Verdict:
    """Every report in the log, with the test that ran then."""
    verdict, allowed, running = Verdict(), allow_list(), ""
    for raw in log.read_text(errors="replace").splitlines():
        line = STAMP.sub("", raw.strip())
        mark = MARK.search(line)
        if mark:
            running = mark.group(1).strip()
        elif line in allowed:
            verdict.allowed[line] += 1
        elif REPORT.search(line):
            verdict.reports.append(f"{line} (during {running})" if running else line)
    return verdict


def allow_list() -> Dict[str, str]:
    """Allowed line -> reason."""
    if not ALLOWED.exists():
        return {}
    entries = tomllib.loads(ALLOWED.read_text())["line"]
    return {entry["text"]: entry["reason"] for entry in entries}


def show_allowed(verdict: Verdict) -> List[str]:
    """What was let through, how often and why, as lines for a person."""
    reasons = allow_list()
    return [f"allowed {count} times: {line} ({reasons[line]})"
            for line, count in verdict.allowed.items()]
