# SPDX-License-Identifier: GPL-2.0
"""Checks of the Rust files: format, lints, where `unsafe` may be, documents, the model's tests."""

import shutil
from typing import List

from ..base import lock, paths, proc, ui
from ..base.errors import KvmrsError
from ..build import crates, kernel, module
from ..tools import toolroot
from . import rust_text

SAFE = ("pfncache", "tdp_mmu", "xen")


def write_format() -> None:
    """Rewrites the files in the kernel's style."""
    _rustfmt([])


def formatted() -> None:
    """rustfmt has nothing to change."""
    _rustfmt(["--check"])


def clippy() -> None:
    """The module compiles under clippy without a warning."""
    tree = kernel.ensure()
    output = module.output_of(tree, "clippy")
    with lock.hold("running clippy", output.name), ui.step("clippy") as shown:
        log = proc.run_logged(module.kbuild(tree, output, "CLIPPY=1", "modules"), "clippy", shown)
    warnings = [line for line in log.splitlines() if line.startswith("warning")]
    if warnings:
        # kbuild takes a file with warnings for done: without this a second run would pass.
        shutil.rmtree(output)
        raise KvmrsError(f"clippy has {len(warnings)} warnings", "see out/logs/clippy.log", details=log)


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
        if not root.exists() or not rust_text.forbids_unsafe(rust_text.code(root.read_text())):
            wrong.append(f"{name}/mod.rs: #![forbid(unsafe_code)] is missing")
    if wrong:
        raise KvmrsError("unsafe code or raw bindings outside rust/", details="\n".join(wrong))


def documents() -> None:
    """rustdoc builds the model crate's documents, and with them the core's, without a warning."""
    crates.cargo(
        ["doc", "--no-deps", "--document-private-items"], "rustdoc", env={"RUSTDOCFLAGS": "-D warnings"}
    )


def model_tests() -> None:
    """The core, built for user space: unit, property and compile-fail tests. The programs' own."""
    crates.cargo(["test"], "model-tests")
    crates.cargo(["test", "--workspace", "--exclude", "kvmrs-model"], "program-tests", crates.RUNNER)


def tool() -> None:
    """The tool's tests pass, and clippy has nothing to say about it."""
    crates.cargo(["test", "--locked"], "tool-tests", crates.TOOL)
    crates.cargo(
        ["clippy", "--locked", "--all-targets", "--", "-D", "warnings"], "tool-clippy", crates.TOOL
    )


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
