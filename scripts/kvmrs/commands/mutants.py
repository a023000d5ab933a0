# SPDX-License-Identifier: GPL-2.0
"""cargo-mutants changes one operator of the module at a time, and tests look for it.

It works on a crate's own files, so the copy has the module's in the crate: pfncache/, tdp_mmu/ and xen/,
and what the model compiles of rust/. Tests that take long by themselves are left out, and the others are
modules of the crate: every mutant is built anew, and so it is one crate and one program. The program is
stopped when a test has failed. As long as no source file changes, a run goes on where the last one was
stopped.
"""

import hashlib
import os
import posixpath
import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Set, Tuple

from ..base import lock, paths, proc, ui
from ..base.errors import KvmrsError
from ..build import model_copy, until_failure
from ..checks import model_share
from ..tools import toolroot

VERSION = "25.3.1"
"""The cargo-mutants to use: the tools' cargo is older than what the latest wants."""

DOCUMENT = paths.REPO / "docs" / "mutants.md"
LEFT_OUT = ("compile_fail", "loom", "loom_gpc", "loom_invalidations", "loom_xen", "shuttle", "stress")
SETTINGS = {
    "CARGO_PROFILE_DEV_OPT_LEVEL": "1",
    "CARGO_PROFILE_DEV_DEBUG": "0",
    "CARGO_INCREMENTAL": "1",
    "PROPTEST_CASES": "48",
    "PROPTEST_MAX_SHRINK_ITERS": "0",
}
"""Most builds are small. Without optimisation they are hardly shorter, and the tests take five times as
long. Failing inputs need not be minimised."""

ONE_CRATE = "\n[lib]\ndoctest = false\n"
TESTS_INSIDE = """
#[cfg(test)]
extern crate self as kvmrs_model;
#[cfg(test)]
#[path = "../tests/all/mod.rs"]
mod all;
"""
"""What the manifest and the library's root say more than those of the checkout."""

PATIENCE = 600
"""Time limit of the tests in seconds. They take about two of a CPU, and are ended after some more. This is
for those that only wait, and the machine may be busy."""

SOME_MISSED, SOME_TIMED_OUT = 2, 3

OUTCOMES = {
    "killed": "caught",
    "killed by hanging": "timeout",
    "do not compile": "unviable",
    "killed, or do not compile, in earlier runs": "previously_caught",
    "survive": "missed",
}
"""What becomes of mutants, and cargo-mutants' list of them."""

CORE, TRUSTED = ("pfncache/", "tdp_mmu/", "xen/"), "rust/"
COPIED = "model/src/"
"""Where the copy has the module's files. Those of rust/ are beside the model's own that name them:
cargo-mutants does not follow a path with `..` in it."""


class Survivor(NamedTuple):
    """One mutation. Lines move, so the line's text stands for its number."""

    file: str
    line: str
    column: int
    mutation: str

    def kind(self) -> "Survivor":
        """All that are like it in the file."""
        return Survivor(self.file, "", 0, self.mutation.split(" in ")[0])


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--shard", type=_part, metavar="K/N", help="part K of N, from 0 on")
    parser.add_argument("--re", type=_expression, metavar="REGEX", help="mutants whose names match")
    parser.add_argument("--iterate", action="store_true", help="those that were not killed last time")


def main(options: Namespace) -> int:
    with lock.hold("running cargo-mutants", "mutants"):
        program = _install()
        sources = _layout(model_copy.sources())
        model_copy.sync(_folder() / "tree", sources)
        options.iterate |= _same_as_last_time(sources)
        code = toolroot.run(
            _command(program, _chosen(options)), cwd=_folder() / "tree", env=_env()
        ).returncode
    if code not in (0, SOME_MISSED, SOME_TIMED_OUT):
        raise KvmrsError(f"cargo-mutants failed (exit {code})", "it says why above")
    print("mutants: " + ", ".join(f"{len(_listed(name))} {what}" for what, name in OUTCOMES.items()))
    return _verdict(set(_explained(DOCUMENT.read_text())))


def _verdict(explained: Set[Survivor]) -> int:
    """Prints survivors without a row, and rows without their line."""
    survivors = [(number, found, {found, found.kind()}) for number, found in _survivors()]
    fresh = [_row(number, found) for number, found, rows in survivors if not rows & explained]
    stale = [f"{row.file}: {row.line}" for row in sorted(explained) if not _is_there(row)]
    for what, lines in (("not explained in", fresh), ("without code, in rows of", stale)):
        if lines:
            print(f"{what} {DOCUMENT.name}:", *lines, sep="\n")
    return 1 if fresh or stale else 0


def _is_there(row: Survivor) -> bool:
    """Whether the file still has the row's line."""
    file = paths.REPO / row.file
    if not file.exists():
        return False
    return not row.line or row.line in map(str.strip, file.read_text().splitlines())


def _part(word: str) -> str:
    found = re.fullmatch(r"(\d+)/(\d+)", word, re.ASCII)
    if not found or int(found[1]) >= int(found[2]):
        raise ArgumentTypeError(f"{word!r} is no part such as 0/8")
    return word


def _expression(word: str) -> str:
    try:
        re.compile(word)
    except re.error as error:
        raise ArgumentTypeError(f"{word!r} is no regular expression: {error}") from error
    return word


def _chosen(options: Namespace) -> List[str]:
    """As cargo-mutants wants it."""
    found = [f"--{name}={value}" for name in ("shard", "re") if (value := getattr(options, name))]
    return [*found, *(["--iterate"] if options.iterate else [])]


def _command(program: Path, words: List[str]) -> List[str]:
    """The time limit can be generous: a walk or a guest without progress fails by itself."""
    return [
        str(program),
        "mutants",
        "--in-place",
        "--no-shuffle",
        "--cap-lints=true",
        "--colors=never",
        f"--minimum-test-timeout={PATIENCE}",
        "--output",
        str(paths.out()),
        *(f"--file={COPIED}{folder}**/*.rs" for folder in CORE),
        *(f"--file={COPIED}{name}" for name in sorted(model_share.compiled())),
        *words,
    ]


def _env() -> Dict[str, str]:
    return {
        "CARGO_TARGET_DIR": str(_folder() / "target"),
        "CARGO_BUILD_JOBS": str(os.cpu_count() or 1),
        "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER": f"python3 -P {until_failure.__file__}",
        **SETTINGS,
    }


def _layout(sources: Dict[str, bytes]) -> Dict[str, bytes]:
    """The workspace, with the module in the model's sources and the model's tests in its crate."""
    wanted, tests = {}, []
    shared = {TRUSTED + name for name in model_share.compiled()}
    for original, data in sources.items():
        if original.startswith(TRUSTED) and original not in shared:
            continue
        name = _copied(original)
        test = re.fullmatch(r"model/tests/(\w+)\.rs", name)
        if name.startswith("model/tests/ui/") or test and test[1] in LEFT_OUT:
            continue
        tests += [test[1]] if test else []
        wanted[name.replace("model/tests/", "model/tests/all/")] = _repathed(
            name, data.decode()
        ).encode()
    modules = "".join(f'#[path = "{test}.rs"]\nmod {test};\n' for test in sorted(tests))
    return {**wanted, "model/tests/all/mod.rs": modules.encode()}


def _copied(name: str) -> str:
    if name.startswith(CORE):
        return COPIED + name
    return (
        name.replace(TRUSTED, COPIED, 1) if name.startswith(TRUSTED) else name.replace("selftests/", "")
    )


def _repathed(name: str, text: str) -> str:
    if name == "model/Cargo.toml":
        return re.sub(r"\[\[test\]\]\n(?:[^\n]+\n)+", "", text) + ONE_CRATE
    folder = posixpath.dirname(name)
    text += TESTS_INSIDE if name == "model/src/lib.rs" else ""
    return re.sub(
        rf'"(?:\.\./)+((?:{"|".join(CORE)}|{TRUSTED})[^"]+)"',
        lambda found: f'"{posixpath.relpath(_copied(found[1]), folder)}"',
        text,
    )


def _same_as_last_time(sources: Dict[str, bytes]) -> bool:
    """Whether the last run's results are those of these very files. Takes note of them."""
    digest = hashlib.sha256()
    for name, data in sorted(sources.items()):
        digest.update(f"{name} {len(data)}\n".encode() + data)
    note = _folder() / "sources"
    same = note.exists() and note.read_text() == digest.hexdigest()
    note.write_text(digest.hexdigest())
    return same


def _listed(name: str) -> List[str]:
    """The mutants on one of cargo-mutants' lists; of earlier runs there may be none."""
    path = paths.out() / "mutants.out" / f"{name}.txt"
    return path.read_text().splitlines() if path.exists() else []


def _survivors() -> Iterator[Tuple[int, Survivor]]:
    """What no test noticed in the last run, and the line's number; a mutant that hangs was noticed."""
    for listed in _listed("missed"):
        match = re.match(rf"{COPIED}(\S+\.rs):(\d+):(\d+): (.*)", listed)
        if match:
            file, number = _original(match[1]), int(match[2])
            line = (paths.REPO / file).read_text().splitlines()[number - 1].strip()
            yield number, Survivor(file, line, int(match[3]), match[4])


def _original(name: str) -> str:
    """The file of the checkout that the copy has in the model's sources as `name`."""
    return name if name.startswith(CORE) else TRUSTED + name


_ROW = re.compile(r"^\| (\S+\.rs)(?::\d+:(\d+))? \| (?:`([^`]*)` )?\| `([^`]*)` \|", re.MULTILINE)


def _explained(document: str) -> Iterator[Survivor]:
    """The survivors that the document lists, and the kinds."""
    for file, column, line, mutation in _ROW.findall(document.replace("\\|", "\0")):
        yield Survivor(file, line.replace("\0", "|"), int(column or 0), mutation.replace("\0", "|"))


def _row(number: int, found: Survivor) -> str:
    """As the document lists it, but for the reason."""
    line, mutation = (text.replace("|", "\\|") for text in (found.line, found.mutation))
    return f"| {found.file}:{number}:{found.column} | `{line}` | `{mutation}` | why? |"


def _install() -> Path:
    root = _folder() / VERSION
    program = root / "bin" / "cargo-mutants"
    if not program.exists():
        with ui.step(f"building cargo-mutants {VERSION}") as shown:
            argv = [
                "cargo",
                "install",
                "cargo-mutants",
                "--version",
                VERSION,
                "--locked",
                "--root",
                str(root),
            ]
            proc.run_logged(toolroot.command(argv), "cargo-mutants", shown)
    return program


def _folder() -> Path:
    path = paths.cache() / "mutants"
    path.mkdir(exist_ok=True)
    return path
