# SPDX-License-Identifier: GPL-2.0
"""Puts bugs of the past back, one at a time, and has the tests find each.

Each selftests/museum/NN-name.patch changes a copy of the sources, and names the test that must
fail then, and what it must complain about. A mutant is killed by that very test for that very
reason: one that survives, does not apply or does not compile fails the run, as do tests that fail
without any mutant.
"""

import glob
import json
import os
import re
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import List, Sequence, Tuple

from ..base import lock, paths, ui
from ..base.errors import KvmrsError
from ..build import crates, model_copy
from ..checks import museum_list
from ..checks.museum_list import Mutant
from ..suite import ktap
from ..suite.results import Summary
from ..tools import git_apply, toolroot

BUILD_TIMEOUT, TIMEOUT = 900, 120
"""Seconds for a build, and for tests: a mutant that hangs was not caught by an assertion."""


@dataclass
class Result:
    """What became of a mutant; `how` is the test's complaint, or why there is none."""

    mutant: str
    bug: int
    test: str
    killed: bool
    how: str = ""
    build_seconds: float = 0.0
    seconds: float = 0.0


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "mutant", nargs="*", type=_known, help="begins the names of those to try, instead of all"
    )


def main(options: Namespace) -> int:
    return _run(options.mutant).close()


def _known(start: str) -> str:
    if not any(museum_list.MUTANTS.glob(f"{glob.escape(start)}*.patch")):
        raise ArgumentTypeError(f"no mutant in selftests/museum is called {start!r}")
    return start


def _run(only: Sequence[str]) -> Summary:
    """Tries all mutants, or those whose names begin with one of `only`."""
    chosen = [
        mutant for mutant in museum_list.check() if not only or mutant.name.startswith(tuple(only))
    ]
    with lock.hold("running the bug museum", "museum"):
        _sync()
        _need_healthy(chosen)
        results = _try_all(chosen)
    (paths.out() / "museum.json").write_text(
        json.dumps([asdict(result) for result in results], indent=1) + "\n"
    )
    alive = tuple(result.mutant for result in results if not result.killed)
    return Summary(len(results) - len(alive), failures=alive)


def _try_all(chosen: List[Mutant]) -> List[Result]:
    report, results = ktap.Report(len(chosen)), []
    for mutant in chosen:
        result = _try(mutant)
        results.append(result)
        if result.killed:
            report.comment(
                f"{mutant.name}: in {result.seconds:.1f} s, built in"
                f" {result.build_seconds:.0f} s: {result.how}"
            )
        report.result(
            f"{mutant.name} {result.test}",
            "pass" if result.killed else "fail",
            result.seconds,
            result.how,
            [],
        )
        _sync()
    return results


def _try(mutant: Mutant) -> Result:
    """Applies, builds and runs; the copy is left as the mutant made it."""
    result = Result(mutant.name, mutant.bug, f"{mutant.file}::{mutant.test}", False)
    problem = git_apply.problem_of(_tree(), [mutant.patch])
    if problem:
        result.how = f"the patch does not apply: {problem.strip().splitlines()[-1]}"
        return result
    git_apply.apply(_tree(), [mutant.patch])
    code, text, result.build_seconds = _cargo(["--no-run", "--test", mutant.file], BUILD_TIMEOUT)
    if code:
        errors = [line for line in text.splitlines() if line.startswith("error")]
        result.how = f"it does not compile: {(errors or ['no error'])[0]}"
        return result
    words = ["--test", mutant.file, "--", "--exact", mutant.test]
    code, text, result.seconds = _cargo(words, TIMEOUT)
    result.killed, result.how = _verdict(mutant, code, text)
    return result


def _verdict(mutant: Mutant, code: int, text: str) -> Tuple[bool, str]:
    test = mutant.test
    if re.search(rf"^test {test}( - should panic)? \.\.\. FAILED$", text, re.MULTILINE):
        complaint = re.search(r"^thread .* panicked at .*:\n(.*)$", text, re.MULTILINE)
        how = complaint[1] if complaint else "the test did not panic as it should"
        return (True, how) if mutant.says in how else (False, f"not {mutant.says!r}, but: {how}")
    if code == 124:
        return False, f"no verdict in {TIMEOUT} s"
    return False, f"{test} passes" if code == 0 else f"{test} died (exit {code})"


def _need_healthy(chosen: List[Mutant]) -> None:
    """Tests that fail anyway would kill everything."""
    files = sorted({mutant.file for mutant in chosen})
    words = [word for file in files for word in ("--test", file)]
    with ui.step("tests without mutants"):
        code, text, _ = _cargo(words, BUILD_TIMEOUT)
    if code:
        raise KvmrsError(
            "the tests fail without any mutant",
            "see what `make static` says",
            details="\n".join(text.splitlines()[-25:]),
        )


def _cargo(words: List[str], timeout: int) -> Tuple[int, str, float]:
    argv = ["cargo", "test", "--no-fail-fast", f"-j{os.cpu_count() or 1}", *words]
    return _command(argv, _tree() / crates.MODEL.relative_to(paths.REPO), timeout)


def _command(argv: List[str], cwd: Path, timeout: int) -> Tuple[int, str, float]:
    """Exit code, output and seconds. timeout(1) ends the tests that cargo started, too."""
    env = {"CARGO_TARGET_DIR": str(_folder() / "target"), "CARGO_TERM_COLOR": "never"}
    start = time.monotonic()
    done = toolroot.run(
        ["sh", "-c", 'exec timeout -k 5 "$@" 2>&1', "sh", str(timeout), *argv],
        cwd=cwd,
        env=env,
        capture_output=True,
        errors="replace",
    )
    return done.returncode, done.stdout + done.stderr, time.monotonic() - start


def _folder() -> Path:
    return paths.cache() / "museum"


def _tree() -> Path:
    return _folder() / "tree"


def _sync() -> None:
    model_copy.sync(_tree(), model_copy.sources())
