# SPDX-License-Identifier: GPL-2.0
"""One program that has all mutants, each behind a switch: see selftests/switches.

The compiler says which mutants are none. An error within a mutant's marks is the mutant's: it is left out,
and the rest compiled again until there are no more errors. That a type lacks a trait or a method is the same
whether the mutant has a switch or not; after any other error the mutant is to be built by itself, as the
switch may be why. An error elsewhere names a function that constants call.
"""

import json
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, Iterator, List, Sequence, Set

from ..base import paths, ui
from ..base.errors import KvmrsError
from ..build import crates, model_copy
from ..tools import toolroot
from . import mutant_copy
from .cargo_mutants import Mutant

SWITCHES = paths.REPO / "selftests" / "switches"
CHOSEN = "KVMRS_MUTANT"
"""The setting that the program reads."""

LACKS_TRAIT = {"E0277", "E0369", "E0599", "E0600"}
NOT_CONSTANT = "E0015"
MARK = re.compile(rb"/\*(?:M(\d+)|E)\*/")
ROUNDS = 30
"""Each brings errors that those before it have hidden. There are some five."""


@dataclass
class Switched:
    """The program, and what is not in it."""

    program: str = ""
    without: Set[int] = field(default_factory=set)
    """Mutants to be built by themselves."""
    broken: Set[int] = field(default_factory=set)
    """Mutants that do not compile."""
    constant: Set[str] = field(default_factory=set)
    """Functions that constants call."""


def build(mutants: Sequence[Mutant], files: Dict[str, bytes]) -> Switched:
    """Has all of the mutants, but for what it says."""
    rewriter = _rewriter()
    switched = _known(files)
    with ui.step("putting the mutants into one program") as shown:
        for round_ in range(ROUNDS):
            shown.progress(text=f"round {round_ + 1}")
            without = _write(rewriter, mutants, files, switched)
            if not _learn(switched, _errors()):
                break
            _note(switched, files)
        else:
            raise KvmrsError("the mutants do not compile, and there is no end of it")
        switched.program = _program()
    switched.without = (switched.without | without) - switched.broken
    return switched


def tree() -> Path:
    return mutant_copy.folder() / "switched"


def _known(files: Dict[str, bytes]) -> Switched:
    """What earlier rounds have learned of these very files."""
    note = _note_of(files)
    if not note.exists():
        return Switched()
    without, broken, constant = map(set, json.loads(note.read_text()))
    return Switched("", without, broken, constant)


def _note(switched: Switched, files: Dict[str, bytes]) -> None:
    """An interrupted run need not learn it again."""
    learned = (switched.without, switched.broken, switched.constant)
    _note_of(files).write_text(json.dumps([sorted(each) for each in learned]))


def _note_of(files: Dict[str, bytes]) -> Path:
    own = {str(file): file.read_bytes() for file in sorted((SWITCHES / "src").glob("*.rs"))}
    folder = mutant_copy.folder() / "learned"
    folder.mkdir(exist_ok=True)
    return folder / mutant_copy.digest({**files, **own})[:16]


def _rewriter() -> str:
    """Builds kvmrs-switches."""
    crates.cargo(["build", "--locked"], "switches-build", SWITCHES)
    target = crates.environment(SWITCHES)["CARGO_TARGET_DIR"]
    return f"{target}/debug/kvmrs-switches"


def _write(
    rewriter: str, mutants: Sequence[Mutant], files: Dict[str, bytes], known: Switched
) -> Set[int]:
    """Writes the files with the switches; which of the mutants have none."""
    left = [m for m in mutants if m.number not in known.without | known.broken]
    wanted = {
        name: {
            "text": files[name].decode(),
            "mutants": [
                {"id": m.number, "genre": m.genre, "span": m.span, "replacement": m.replacement}
                for m in left
                if m.file == name
            ],
        }
        for name in sorted({m.file for m in left})
    }
    asked = json.dumps({"files": wanted, "constant": sorted(known.constant)})
    done = toolroot.run([rewriter], input=asked, stdout=subprocess.PIPE, check=True)
    answer = json.loads(done.stdout)
    texts = {name: text.encode() for name, text in answer["files"].items()}
    root = texts.get(mutant_copy.ROOT, files[mutant_copy.ROOT]) + answer["runtime"].encode()
    model_copy.sync(tree(), {**files, **texts, mutant_copy.ROOT: root})
    return set(answer["without"])


def _learn(switched: Switched, errors: List[Dict[str, Any]]) -> bool:
    """Whether there was an error; it is known now whose."""
    for error in errors:
        code = (error["code"] or {}).get("code", "")
        found = set(_mutants_at(error))
        called = re.search(r"`(?:[^`]*::)?(\w+)(?:::<[^`]*>)?`", error["message"])
        if code == NOT_CONSTANT and called:
            switched.constant.add(called[1])
        elif not found:
            raise KvmrsError("the model with switches does not compile", details=error["rendered"])
        elif code in LACKS_TRAIT:
            switched.broken |= found
        else:
            switched.without |= found
    return bool(errors)


def _mutants_at(error: Dict[str, Any]) -> Iterator[int]:
    """Within whose marks the error is; if it is in none, what it mentions."""
    for is_primary in (True, False):
        places = [span for span in error["spans"] if span["is_primary"] == is_primary]
        found = [number for span in places if (number := _mutant_at(span))]
        if found:
            yield from found
            return


def _mutant_at(span: Dict[str, Any]) -> int:
    """0 if it is in no mutant: marks are not nested."""
    text = (tree() / span["file_name"]).read_bytes()[: span["byte_start"]]
    marks = MARK.findall(text)
    return int(marks[-1] or 0) if marks else 0


def _errors() -> List[Dict[str, Any]]:
    """What the compiler says of the library."""
    messages = _cargo("check", "--lib")
    return [
        each["message"]
        for each in messages
        if each.get("reason") == "compiler-message"
        and each["message"]["level"] == "error"
        and each["message"]["spans"]
    ]


def _program() -> str:
    """The library with its tests."""
    program = _linked()
    if not program:
        # A build that was interrupted may leave what does not link.
        shutil.rmtree(_target(), ignore_errors=True)
        program = _linked()
    if not program:
        raise KvmrsError("the model with switches does not compile", "see above")
    return program


def _linked() -> str:
    """Empty if there is none."""
    built = (each for each in _cargo("test", "--no-run") if each.get("reason") == "compiler-artifact")
    return next((str(each["executable"]) for each in built if each.get("executable")), "")


def _target() -> Path:
    """Of its own: cargo would take what is built of the other copy, which has the same place in it, for this."""
    return mutant_copy.folder() / "switched-target"


def _cargo(*words: str) -> List[Dict[str, Any]]:
    """Its messages. Warnings are of no interest, and what is denied by default must be none for mutants."""
    target = str(_target())
    env = {**mutant_copy.environment(), "CARGO_TARGET_DIR": target, "RUSTFLAGS": "--cap-lints=warn"}
    argv = ["cargo", *words, "--quiet", "--message-format=json"]
    done = toolroot.run(argv, cwd=tree(), env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode and not any(each.get("reason") == "compiler-message" for each in found):
        raise KvmrsError("cargo failed", details=done.stderr)
    return found
