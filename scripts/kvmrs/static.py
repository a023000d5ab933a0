# SPDX-License-Identifier: GPL-2.0
"""The checks that need no boot: format, lints, style, where `unsafe` may be, documents."""

import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, List, Sequence, Tuple

from . import kernel, lock, module, packages, paths, proc, runner, rust_text, series, toolroot, ui
from .errors import KvmrsError

SAFE = ("tdp_mmu", "pfncache", "xen")
MODEL = paths.REPO / "selftests" / "model"


@dataclass(frozen=True)
class Result:
    """Outcome of one check; `details` says what failed."""

    name: str
    ok: bool
    seconds: float
    details: str = ""


def run() -> List[Result]:
    """Runs every check, shows each outcome as it comes, and returns them all."""
    return [_result(name, check) for name, check in CHECKS]


def main(_: List[str]) -> int:
    """static"""
    results = run()
    failed = [result.name for result in results if not result.ok]
    print(
        f"static checks: {len(results) - len(failed)} of {len(results)} passed"
        + (f"; FAILED: {', '.join(failed)}" if failed else "")
    )
    return 1 if failed else 0


def main_clippy(_: List[str]) -> int:
    """clippy"""
    return 0 if _result("clippy", clippy).ok else 1


def main_fmt(_: List[str]) -> int:
    """fmt: rewrites the checkout's Rust files in the kernel's style, and these scripts."""
    _rustfmt([])
    _black([])
    return 0


def formatted() -> None:
    """rustfmt has nothing to change."""
    _rustfmt(["--check"])


def clippy() -> None:
    """The module compiles under clippy without a warning."""
    tree = kernel.ensure()
    output = module.output_of(tree, "clippy")
    with lock.hold("running clippy", output.name), ui.step("clippy") as shown:
        log = proc.run_logged(module.kbuild(tree, output, "CLIPPY=1", "modules"), "clippy", shown)
    warnings = [line for line in log.read_text().splitlines() if line.startswith("warning")]
    if warnings:
        # kbuild takes a file with warnings for done: without this a second run would pass.
        shutil.rmtree(output)
        raise KvmrsError(
            f"clippy has {len(warnings)} warnings", "see out/logs/clippy.log", details=log.read_text()
        )


def checkpatch_series() -> None:
    """The kernel patches, by the rules of the kernel they are for.

    MAINTAINERS is not theirs to change, hence the one exception.
    """
    _checkpatch(["--ignore", "FILE_PATH_CHANGES", *map(str, series.patches())], "checkpatch-series")


def checkpatch_c() -> None:
    """The project's own C files."""
    files = [str(path) for path in rust_text.files((".c", ".h"))]
    _checkpatch(["--file", *files], "checkpatch-c")


def unsafe_confined() -> None:
    """`unsafe` only in rust/; the logic forbids it and does not know the raw bindings."""
    wrong: List[str] = []
    for path in rust_text.files():
        top = path.relative_to(paths.REPO).parts[0]
        if top not in ("rust", "selftests"):
            wrong += rust_text.uses_of("unsafe", path)
        if top in SAFE:
            wrong += rust_text.uses_of("bindings", path)
    for name in SAFE:
        root = paths.REPO / name / "mod.rs"
        if root.parent.exists() and not _forbids_unsafe(root):
            wrong.append(f"{name}/mod.rs: #![forbid(unsafe_code)] is missing")
    if wrong:
        raise KvmrsError("unsafe code or raw bindings outside rust/", details="\n".join(wrong))


def typed() -> None:
    """The scripts' types fit."""
    toolroot.add("mypy", "mypy", packages.MYPY)
    with ui.step("mypy") as shown:
        cache = f"--cache-dir={paths.cache() / 'mypy'}"
        proc.run_logged(
            toolroot.command(["mypy", cache, "--package", "kvmrs"], cwd=paths.REPO / "scripts"),
            "mypy",
            shown,
        )


def scripts_formatted() -> None:
    """black has nothing to change in the scripts."""
    _black(["--check", "--diff"])


def documents() -> None:
    """rustdoc builds the model crate's documents, and with them the core's, without a warning."""
    _cargo(["doc", "--no-deps", "--document-private-items"], "rustdoc", {"RUSTDOCFLAGS": "-D warnings"})


def model_tests() -> None:
    """The core, built for user space: unit, property and compile-fail tests. The runner's own."""
    _cargo(["test"], "model-tests", {})
    _cargo(["test"], "runner-tests", {}, runner.CRATE)


CHECKS: Sequence[Tuple[str, Callable[[], None]]] = (
    ("rustfmt", formatted),
    ("unsafe only in rust/", unsafe_confined),
    ("checkpatch of the series", checkpatch_series),
    ("checkpatch of C files", checkpatch_c),
    ("clippy", clippy),
    ("types of the scripts", typed),
    ("format of the scripts", scripts_formatted),
    ("rustdoc", documents),
    ("model tests", model_tests),
)


def _result(name: str, check: Callable[[], None]) -> Result:
    start = time.monotonic()
    try:
        check()
        result = Result(name, True, time.monotonic() - start)
    except KvmrsError as error:
        result = Result(name, False, time.monotonic() - start, f"{error.details}\n{error}".strip())
    ui.say(f"{'ok    ' if result.ok else 'not ok'} {name} ({ui.clock(result.seconds)})")
    for line in result.details.splitlines():
        ui.say(f"# {line}")
    return result


def _rustfmt(options: List[str]) -> None:
    files = [str(path) for path in rust_text.files()]
    with ui.step(f"rustfmt ({len(files)} files)") as shown:
        proc.run_logged(
            toolroot.command(
                [
                    "rustfmt",
                    "--edition",
                    "2021",
                    "--color",
                    "never",
                    "--config-path",
                    str(paths.REPO),
                    *options,
                    *files,
                ]
            ),
            "rustfmt",
            shown,
            hint="make fmt",
        )


def _black(options: List[str]) -> None:
    """The settings are in scripts/pyproject.toml."""
    toolroot.add("black", "black", packages.BLACK)
    with ui.step("black") as shown:
        proc.run_logged(
            toolroot.command(["black", "--quiet", *options, "."], cwd=paths.REPO / "scripts"),
            "black",
            shown,
            hint="make fmt",
        )


def _checkpatch(words: List[str], name: str) -> None:
    tree = kernel.ensure()
    with ui.step(name) as shown:
        proc.run_logged(
            toolroot.command(
                ["perl", "scripts/checkpatch.pl", "--quiet", "--color=never", "--show-types", *words],
                cwd=tree.path,
            ),
            name,
            shown,
        )


def _forbids_unsafe(root: Path) -> bool:
    text = rust_text.code(root.read_text()) if root.exists() else ""
    return bool(re.search(r"#!\[forbid\([^)]*\bunsafe_code\b", text))


def _cargo(words: List[str], name: str, env: dict, crate: Path = MODEL) -> None:
    """cargo on the model crate, or another one, with its products in the cache."""
    if not (crate / "Cargo.toml").exists():
        raise KvmrsError(f"{crate} holds no crate", "the checkout is not complete: clone it again")
    target = {
        "CARGO_TARGET_DIR": str(paths.cache() / f"{crate.name}-target"),
        "CARGO_TERM_COLOR": "never",
    }
    with ui.step(name) as shown:
        proc.run_logged(
            toolroot.command(
                ["cargo", *words, f"-j{os.cpu_count() or 1}"], cwd=crate, env={**target, **env}
            ),
            name,
            shown,
        )
