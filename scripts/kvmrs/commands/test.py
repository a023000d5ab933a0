# SPDX-License-Identifier: GPL-2.0
"""make test: every stage, each to its end, a table, what failed, and one line that sums up.

A stage that breaks is a failure and does not stop the others: one run tells everything. Where the
machine is big enough, two run at a time.
"""

import contextlib
import functools
import sys
import time
import traceback
from argparse import Namespace
from dataclasses import dataclass
from typing import Callable, List, Sequence, Tuple

from ..base import aside, ui
from ..base.errors import KvmrsError
from ..machine import bochs
from ..machine import vng as machine_vng
from ..stages import (
    allocfail,
    differential,
    life,
    migrate,
    model,
    own_selftests,
    selftests,
    selftests_ept,
    shell,
    static,
    vng,
    xen,
)
from ..suite.results import Summary
from ..suite.testlist import BACKENDS


@dataclass
class Stage:
    """A finished stage."""

    name: str
    summary: Summary
    seconds: float


def main(_: Namespace) -> int:
    stages = _all()
    _table(stages)
    return sum((stage.summary for stage in stages), Summary()).close()


def _all() -> List[Stage]:
    """The checks first: they make the tools, the kernel and the module, which most others use."""
    (checks, first), *others = STAGES
    done = [_run(checks, first)]
    runs = [(name, functools.partial(_run, name, stage)) for name, stage in others]
    if not aside.possible():
        return [*done, *(run() for _, run in runs)]
    _install()
    return [*done, *aside.Shared(runs, _failed).run()]


def _install() -> None:
    """What may need root, and so begin the whole command anew. Whoever uses it says why it is not there."""
    for ensure in (bochs.ensure, machine_vng.ensure):
        with contextlib.suppress(KvmrsError):
            ensure()


def _run(name: str, stage: Callable[[], Summary]) -> Stage:
    start = time.monotonic()
    ui.say(f"== {name}")
    try:
        return Stage(name, stage(), time.monotonic() - start)
    except KvmrsError as error:
        if error.details:
            print(error.details.rstrip(), file=sys.stderr)
        ui.show_error(str(error))
        return _failed(name, str(error), time.monotonic() - start)
    except Exception as error:
        traceback.print_exc()
        return _failed(name, f"{type(error).__name__}: {error}", time.monotonic() - start)


def _failed(name: str, remark: str, seconds: float = 0.0) -> Stage:
    return Stage(name, Summary(failures=(remark,)), seconds)


def _static(checks: static.Checks) -> Summary:
    results = static.run(checks)
    failures = tuple(result.name for result in results if not result.ok)
    return Summary(len(results) - len(failures), failures=failures)


def _ept(mode: str) -> Summary:
    return selftests_ept.run(selftests_ept.Options([mode]))


STAGES: Sequence[Tuple[str, Callable[[], Summary]]] = (
    ("static checks", lambda: _static(static.CHECKS)),
    ("kernel selftests, C and Rust", lambda: selftests.run(selftests.Options())),
    # Before the model checkers, which build in the same place.
    ("tests of crates and commands", lambda: _static(static.TESTS)),
    *((f"MMU selftests on EPT, {mode}", functools.partial(_ept, mode)) for mode in selftests_ept.MODES),
    ("own selftests, C and Rust", lambda: own_selftests.run([], list(BACKENDS))),
    ("module life", life.run),
    ("differential, C and Rust", differential.run),
    ("model checkers", model.run),
    ("failing allocations", lambda: allocfail.run(list(BACKENDS))),
    ("a Xen guest, C and Rust", lambda: xen.run(list(BACKENDS))),
    ("a Xen guest that migrates", xen.moves),
    ("live migrations, C and Rust", migrate.run),
    ("virtme-ng", vng.run),
    ("the shell, in a terminal", shell.run),
)


def _table(stages: List[Stage]) -> None:
    print(f"\n{'stage':<32}{'passed':>8}{'failed':>8}{'skipped':>9}{'time':>14}")
    for stage in stages:
        counts = stage.summary
        print(
            f"{stage.name:<32}{counts.passed:>8}{counts.failed:>8}{counts.skipped:>9}"
            f"{ui.clock(stage.seconds):>14}"
        )
    for stage in stages:
        for failure in dict.fromkeys(stage.summary.failures):
            print(f"FAILED {stage.name}: {failure}")
