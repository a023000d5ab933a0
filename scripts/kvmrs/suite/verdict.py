# SPDX-License-Identifier: GPL-2.0
"""What a test's result means for the run: C is the yardstick, the list knows its failures."""

from dataclasses import dataclass
from typing import Any, Mapping, Optional

CONTENT = ("pass", "skip")


@dataclass(frozen=True)
class Verdict:
    """`outcome` is pass, skip, xfail (fails on C too, as listed), fail or timeout."""

    outcome: str
    note: str = ""

    @property
    def failed(self) -> bool:
        return self.outcome in ("fail", "timeout")


def judge(result: Mapping[str, Any], on_c: Optional[str], known: str) -> Verdict:
    """Judges one result.

    `on_c` is how the test ended on C in this boot (None for C itself, or if C did not run),
    `known` why it is listed as failing on C. A complaint of the runner (a VM on the wrong
    backend, something left behind) fails whatever the program says and whatever is listed.
    """
    mine, reason = result["result"], result["reason"]
    if result.get("complaint"):
        return Verdict("fail", result["complaint"])
    if mine != on_c and on_c is not None and (on_c == "pass" or "skip" in (mine, on_c)):
        return Verdict("fail", f"{on_c} on C, {mine} here: {reason}")
    if mine in CONTENT:
        return Verdict(mine, reason)
    return Verdict("xfail", known) if known else Verdict(mine, reason)
