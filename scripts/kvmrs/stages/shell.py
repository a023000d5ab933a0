# SPDX-License-Identifier: GPL-2.0
"""`make shell` as somebody uses it: keys, the size of the window, the tests, the way out."""

from typing import Callable, List, Sequence, Tuple

from ..base import paths
from ..base.errors import KvmrsError
from ..build import kernel, kselftest, module
from ..machine.terminal import Terminal
from ..suite import ktap
from ..suite.results import Summary

ROWS, COLUMNS = 33, 101
PROMPT = r"^.*# $"
BOOT = 400
ANSWER = 60
"""Seconds: emulated machines take their time."""
CTRL_C, CTRL_Z = "\x03", "\x1a"


def run() -> Summary:
    # Beforehand, so that BOOT is for the boot.
    tree = kernel.ensure()
    module.ensure(tree)
    kselftest.ensure(tree)
    terminal = Terminal([str(paths.REPO / "scripts" / "kvmrs.sh"), "shell"], ROWS, COLUMNS)
    report = ktap.Report(len(CHECKS))
    failures: List[str] = []
    try:
        terminal.expect(PROMPT, BOOT)
        for name, check in CHECKS:
            failures += _one(report, name, check, terminal)
    finally:
        terminal.close()
    return Summary(report.counts["pass"], len(failures), 0, tuple(failures))


def _one(
    report: ktap.Report, name: str, check: Callable[[Terminal], None], terminal: Terminal
) -> List[str]:
    try:
        check(terminal)
        report.result(name, "pass", 0, "", [])
        return []
    except KvmrsError as error:
        report.result(name, "fail", 0, error.message, error.details.splitlines())
        return [f"{name}: {error.message}"]


def _size(terminal: Terminal) -> None:
    terminal.type("stty size\n")
    terminal.expect(rf"^{ROWS} {COLUMNS}$", ANSWER)
    terminal.expect(PROMPT, ANSWER)


def _tests(terminal: Terminal) -> None:
    terminal.type("ls /run/tests/vm_holder /run/modules/kvm_rs.ko && grep -c ^kvm_rs /proc/modules\n")
    terminal.expect(r"^1$", ANSWER)
    terminal.expect(PROMPT, ANSWER)


def _ctrl_c(terminal: Terminal) -> None:
    terminal.type("sleep 1001\n")
    terminal.expect(r"sleep 1001\n", ANSWER)
    terminal.type(CTRL_C)
    terminal.expect(PROMPT, ANSWER)
    terminal.type("echo code $?\n")
    terminal.expect(r"^code 130$", ANSWER)
    terminal.expect(PROMPT, ANSWER)


def _ctrl_z(terminal: Terminal) -> None:
    terminal.type("sleep 1002\n")
    terminal.expect(r"sleep 1002\n", ANSWER)
    terminal.type(CTRL_Z)
    terminal.expect(r"Stopped", ANSWER)
    terminal.expect(PROMPT, ANSWER)
    terminal.type("fg\n")
    terminal.expect(r"^sleep 1002$", ANSWER)
    terminal.type(CTRL_C)
    terminal.expect(PROMPT, ANSWER)


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
