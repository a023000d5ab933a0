# SPDX-License-Identifier: GPL-2.0
"""What a test's result means for the run: C is the yardstick, the list knows its failures.

A listed test must fail, on both backends in the same place, and with the words that are listed: another
failure must not hide behind the list, and a list that is out of date must not hide the next one."""

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


def judge(
    result: Mapping[str, Any],
    on_c: Optional[Mapping[str, Any]],
    known: str,
    skips: Optional[str] = None,
    says: str = "",
) -> Verdict:
    """Judges one result.

    `on_c` is the result on C in this boot (None for C itself, or if C did not run), `known` why the
    test is listed as failing, `says` a part of what it says then, `skips` why it is listed as skipped
    (None: nobody lists that). A complaint of the runner (a VM on the wrong backend, something left
    behind) fails whatever the program says and whatever is listed.
    """
    mine, reason = result["result"], result["reason"]
    if result.get("complaint"):
        return Verdict("fail", result["complaint"])
    theirs = on_c["result"] if on_c else mine
    if mine != theirs and (theirs == "pass" or "skip" in (mine, theirs)):
        return Verdict("fail", f"{theirs} on C, {mine} here: {reason}")
    if skips is not None and skips != (reason if mine == "skip" else ""):
        said = f"{mine} ({reason})" if reason else mine
        wanted = f"listed as skipped: {skips}" if skips else "not listed as skipped"
        return Verdict("fail", f"{said}, but is {wanted}")
    if not known:
        return Verdict(mine, reason)
    if mine in CONTENT:
        return Verdict("fail", f"{mine}, but is listed as failing: {known}")
    if on_c and (theirs, on_c["reason"]) != (mine, reason):
        return Verdict("fail", f"fails in another place than on C ({on_c['reason']}): {reason}")
    if says not in reason:
        return Verdict("fail", f"is listed as failing ({known}), but with {says!r}: {reason}")
    return Verdict("xfail", known)
