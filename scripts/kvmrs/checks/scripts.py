# SPDX-License-Identifier: GPL-2.0
"""Checks of these scripts: types, format and their own tests. The settings are in scripts/pyproject.toml."""

import re
import sys
from typing import List

from ..base import paths, proc, ui
from ..tools import packages, toolroot

SCRIPTS = paths.REPO / "scripts"
SKIPPED = re.compile(r"^(test_\w+) \([^)]*\)(?:\n.*)? \.\.\. skipped ['\"](.*)['\"]$", re.MULTILINE)


def typed() -> None:
    """The types fit."""
    toolroot.add("mypy", "mypy", packages.MYPY)
    with ui.step("mypy") as shown:
        cache = f"--cache-dir={paths.cache() / 'mypy'}"
        proc.run_logged(
            toolroot.command(["mypy", cache, "--package", "kvmrs", "--package", "tests"], cwd=SCRIPTS),
            "mypy",
            shown,
        )


def tested() -> None:
    """scripts/tests pass. Most take nothing but python3; those that this machine skips are named."""
    with ui.step("tests of the commands") as shown:
        argv = [sys.executable, "-B", "-m", "unittest", "discover", "-v", "-t", ".", "-s", "tests"]
        said = proc.run_logged(argv, "scripts-tests", shown, cwd=SCRIPTS)
    for name, reason in SKIPPED.findall(said):
        ui.say(f"# skipped {name}: {reason}")


def write_format() -> None:
    """Rewrites the files in the style of black."""
    _black([])


def formatted() -> None:
    """black has nothing to change."""
    _black(["--check", "--diff"])


def _black(options: List[str]) -> None:
    """Names each file: of a folder, black would pass over what is in one called build."""
    toolroot.add("black", "black", packages.BLACK)
    files = sorted(str(file.relative_to(SCRIPTS)) for file in SCRIPTS.rglob("*.py"))
    with ui.step("black") as shown:
        proc.run_logged(
            toolroot.command(["black", "--quiet", *options, *files], cwd=SCRIPTS),
            "black",
            shown,
            hint="make fmt",
        )
