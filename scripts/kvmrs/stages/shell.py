# SPDX-License-Identifier: GPL-2.0
"""`make shell` as somebody uses it: keys, the size of the window, the tests, the way out."""

from typing import Callable, List, Sequence, Tuple

from ..base import paths
from ..base.errors import KvmrsError
from ..build import crates, kernel, kselftest, module
from ..machine.terminal import Terminal
from ..suite import ktap
from ..suite.results import Summary

ROWS, COLUMNS = 33, 101
PROMPT = r"^.*# $"
BOOT = 400
ANSWER = 60
"""Seconds: emulated machines take their time."""
CTRL_C, CTRL_Z = "\x03", "\x1a"
CLOCK = (
    "sh -c 'while read -r now rest </proc/uptime; do"
    ' now=${now%%.*}; test "$now" = "$last" || echo t$((1))ck; last=$now;'
    " done'\n"
)
"""Says so each second, and starts no program: one that is stopped between its start and its exec is
waited for by a shell which can't be stopped meanwhile."""
TICK = r"^t1ck$"
"""Only the job itself says this. The echo of the line does not show that the job is in the foreground
already, where a key reaches it."""


def run() -> Summary:
    # Beforehand, so that BOOT is for the boot.
    tree = kernel.ensure()
    module.ensure(tree)
    kselftest.ensure(tree)
    crates.runner()
    terminal = Terminal([str(paths.REPO / "scripts" / "kvmrs.sh"), "shell"], ROWS, COLUMNS)
    report = ktap.Report(len(CHECKS))
    failures: List[str] = []
    try:
        terminal.expect(PROMPT, BOOT)
        for name, check in CHECKS:
            failures += _one(report, name, check, terminal)
    finally:
        terminal.close()
    return Summary(report.counts["pass"], report.counts["skip"], tuple(failures))


def _one(
    report: ktap.Report, name: str, check: Callable[[Terminal], None], terminal: Terminal
) -> List[str]:
    """A check that fails leaves the shell in the middle of something, which says nothing about others."""
    if report.counts["fail"]:
        report.result(name, "skip", 0, "not judged: a check before it failed", [])
        return []
    try:
        check(terminal)
        report.result(name, "pass", 0, "", [])
        return []
    except KvmrsError as error:
        report.result(name, "fail", 0, error.message, error.details.splitlines())
        return [f"{name}: {error.message}"]


def _size(terminal: Terminal) -> None:
    _answers(terminal, "stty size\n", rf"^{ROWS} {COLUMNS}$")


def _tests(terminal: Terminal) -> None:
    there = "ls /run/tests/vm_holder /run/modules/kvm_rs.ko && grep -c ^kvm_rs /proc/modules\n"
    _answers(terminal, there, r"^1$")


def _ctrl_c(terminal: Terminal) -> None:
    _says(terminal, CLOCK, TICK)
    _says(terminal, CTRL_C, PROMPT)
    _answers(terminal, "echo code $?\n", r"^code 130$")


def _ctrl_z(terminal: Terminal) -> None:
    _says(terminal, CLOCK, TICK)
    _answers(terminal, CTRL_Z, r"Stopped")
    _says(terminal, "fg\n", TICK)
    _says(terminal, CTRL_C, PROMPT)


def _answers(terminal: Terminal, keys: str, pattern: str) -> None:
    """The pattern comes, and then the next prompt."""
    _says(terminal, keys, pattern)
    terminal.expect(PROMPT, ANSWER)


def _says(terminal: Terminal, keys: str, pattern: str) -> None:
    terminal.type(keys)
    terminal.expect(pattern, ANSWER)


def _way_out(terminal: Terminal) -> None:
    terminal.type("exit\n")
    code = terminal.ended(ANSWER)
    if code or not terminal.is_as_before():
        raise KvmrsError(
            f"the shell ends with {code}", "it should be 0, with the terminal as before", terminal.said
        )


CHECKS: Sequence[Tuple[str, Callable[[Terminal], None]]] = (
    ("size_of_the_window", _size),
    ("tests_and_modules", _tests),
    ("ctrl_c", _ctrl_c),
    ("ctrl_z", _ctrl_z),
    ("exit", _way_out),
)
