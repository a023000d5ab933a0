# SPDX-License-Identifier: GPL-2.0
"""cargo-mutants: says which mutants there are, and tries some of them, one build each."""

import json
import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any, Counter as Counts, Dict, Iterator, List, NamedTuple, Sequence, Tuple

from ..base import paths, proc, ui
from ..base.errors import KvmrsError
from ..tools import toolroot
from . import mutant_copy
from .mutant_verdicts import BROKEN, HANGS, KILLED, SURVIVES

VERSION = "25.3.1"
"""The cargo-mutants to use: the tools' cargo is older than what the latest wants."""

PATIENCE = 600
"""Time limit of the tests in seconds. They take about two of a CPU, and are ended after some more. This is
for those that only wait, and the machine may be busy."""

SOME_MISSED, SOME_TIMED_OUT = 2, 3
LISTS = {"caught": KILLED, "timeout": HANGS, "unviable": BROKEN, "missed": SURVIVES}
"""cargo-mutants' lists, and the verdict on what is there."""


class Mutant(NamedTuple):
    """One change of one place."""

    number: int
    name: str
    """As cargo-mutants lists it."""
    key: str
    """Stays while its function does, wherever that is in the file."""
    genre: str
    span: Dict[str, Any]
    replacement: str

    @property
    def file(self) -> str:
        """In the copy."""
        return self.name.partition(":")[0]

    @property
    def line(self) -> int:
        return int(self.span["start"]["line"])

    @property
    def column(self) -> int:
        return int(self.span["start"]["column"])

    @property
    def mutation(self) -> str:
        return self.name.partition(": ")[2]


def mutants() -> List[Mutant]:
    """All that there are in the copy, in a fixed order, and numbered from 1."""
    names = _list().splitlines()
    found = json.loads(_list("--json"))
    seen: Counts[str] = Counter()
    listed = []
    for number, (name, each) in enumerate(zip(names, found, strict=True), 1):
        start = each["span"]["start"]
        if not name.startswith(f"{each['file']}:{start['line']}:{start['column']}: "):
            raise KvmrsError(f"cargo-mutants lists {name} out of order")
        key = _key(name, each)
        seen[key] += 1
        key += f" {seen[key]}"
        listed.append(Mutant(number, name, key, each["genre"], each["span"], each["replacement"]))
    return listed


def try_each(chosen: Sequence[Mutant]) -> None:
    """Builds and tests one after the other; verdicts() has what came of it, also after an interruption."""
    words = [f"--re=^{_escaped(mutant.name)}$" for mutant in chosen]
    code = toolroot.run(
        [*_command(), *words], cwd=mutant_copy.tree(), env=mutant_copy.environment()
    ).returncode
    if code not in (0, SOME_MISSED, SOME_TIMED_OUT):
        raise KvmrsError(f"cargo-mutants failed (exit {code})", "it says why above")


def verdicts(chosen: Sequence[Mutant]) -> Iterator[Tuple[Mutant, str]]:
    """Those of them that the last run of cargo-mutants has come to."""
    by_name = {mutant.name: mutant for mutant in chosen}
    for listed, verdict in LISTS.items():
        yield from ((by_name[name], verdict) for name in _listed(listed) if name in by_name)


def _list(*words: str) -> str:
    argv = [str(_install()), "mutants", "--list", *words, *_files()]
    done = toolroot.run(
        argv,
        cwd=mutant_copy.tree(),
        env=mutant_copy.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    if done.returncode:
        raise KvmrsError("cargo-mutants finds no mutants", proc.way_out(done.stderr), done.stderr)
    return str(done.stdout)


def _key(name: str, each: Dict[str, Any]) -> str:
    """The file, the mutation, the function's lines and the place in them. What is in no function has
    its line."""
    lines = (mutant_copy.tree() / each["file"]).read_text().splitlines()
    place = each["span"]["start"]
    span = each["function"]["span"] if each["function"] else each["span"]
    first, last = span["start"]["line"], span["end"]["line"]
    code = "\n".join(lines[first - 1 : last]).encode()
    where = f"{place['line'] - first}:{place['column']}"
    mutation = name.partition(": ")[2]
    return f"{each['file']} {where} {mutation} {mutant_copy.digest({'': code})[:16]}"


def _command() -> List[str]:
    """The time limit can be generous: a walk or a guest without progress fails by itself."""
    return [
        str(_install()),
        "mutants",
        "--in-place",
        "--no-shuffle",
        "--cap-lints=true",
        "--colors=never",
        f"--minimum-test-timeout={PATIENCE}",
        "--output",
        str(paths.out()),
        *_files(),
    ]


def _files() -> List[str]:
    return [f"--file={name}" for name in mutant_copy.mutable()]


def _escaped(name: str) -> str:
    """For a regular expression of Rust, which has no more escapes than it needs."""
    return re.sub(r"[\\.+*?()|\[\]{}^$#&~-]", r"\\\g<0>", name)


def _listed(name: str) -> List[str]:
    """The mutants on one of cargo-mutants' lists."""
    path = paths.out() / "mutants.out" / f"{name}.txt"
    return path.read_text().splitlines() if path.exists() else []


def _install() -> Path:
    root = mutant_copy.folder() / VERSION
    program = root / "bin" / "cargo-mutants"
    if not program.exists():
        with ui.step(f"building cargo-mutants {VERSION}") as shown:
            argv = ["cargo", "install", "cargo-mutants", "--version", VERSION, "--locked"]
            proc.run_logged(toolroot.command([*argv, "--root", str(root)]), "cargo-mutants", shown)
    return program
