# SPDX-License-Identifier: GPL-2.0
"""The copy of the model that mutants are made of, and how it is built.

cargo-mutants works on a crate's own files, so the copy has the module's in the crate: pfncache/, tdp_mmu/ and
xen/, and what the model compiles of rust/. Tests that take long by themselves are left out, and the others
are modules of the crate: one crate and one program, since some mutants are built by themselves.
"""

import hashlib
import os
import posixpath
import re
from pathlib import Path
from typing import Dict

from ..base import paths
from ..build import model_copy, until_failure
from ..checks import model_share

LEFT_OUT = ("compile_fail", "loom", "loom_gpc", "loom_invalidations", "loom_xen", "shuttle", "stress")
TESTS = {"PROPTEST_CASES": "48", "PROPTEST_MAX_SHRINK_ITERS": "0"}
"""Failing inputs need not be minimised."""
SETTINGS = {
    "CARGO_PROFILE_DEV_OPT_LEVEL": "1",
    "CARGO_PROFILE_DEV_DEBUG": "0",
    "CARGO_INCREMENTAL": "1",
    **TESTS,
}
"""Most builds are small. Without optimisation they are hardly shorter, and the tests take five times as
long."""

ONE_CRATE = "\n[lib]\ndoctest = false\n"
TESTS_INSIDE = """
#[cfg(test)]
extern crate self as kvmrs_model;
#[cfg(test)]
#[path = "../tests/all/mod.rs"]
mod all;
"""
"""What the manifest and the library's root say more than those of the checkout."""

CORE, TRUSTED = ("pfncache/", "tdp_mmu/", "xen/"), "rust/"
COPIED = "model/src/"
"""Where the copy has the module's files. Those of rust/ are beside the model's own that name them:
cargo-mutants does not follow a path with `..` in it."""
ROOT = f"{COPIED}lib.rs"


def folder() -> Path:
    path = paths.cache() / "mutants"
    path.mkdir(exist_ok=True)
    return path


def tree() -> Path:
    """Where the files are, without any mutant."""
    return folder() / "tree"


def environment() -> Dict[str, str]:
    return {
        "CARGO_TARGET_DIR": str(folder() / "target"),
        "CARGO_BUILD_JOBS": str(os.cpu_count() or 1),
        "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER": f"python3 -P {until_failure.__file__}",
        **SETTINGS,
    }


def files() -> Dict[str, bytes]:
    """The workspace, with the module in the model's sources and the model's tests in its crate."""
    return layout(model_copy.sources())


def layout(sources: Dict[str, bytes]) -> Dict[str, bytes]:
    """The same, of these files of the checkout."""
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


def mutable() -> Dict[str, str]:
    """Which files have mutants, as cargo-mutants and the document name them."""
    shared = {COPIED + name: TRUSTED + name for name in model_share.compiled()}
    return {**{f"{COPIED}{part}**/*.rs": part for part in CORE}, **dict(sorted(shared.items()))}


def original(name: str) -> str:
    """The file of the checkout that the copy has by this name."""
    name = name.removeprefix(COPIED)
    return name if name.startswith(CORE) else TRUSTED + name


def digest(data: Dict[str, bytes]) -> str:
    """Other files have another one."""
    found = hashlib.sha256()
    for name, text in sorted(data.items()):
        found.update(f"{name} {len(text)}\n".encode() + text)
    return found.hexdigest()


def _copied(name: str) -> str:
    if name.startswith(CORE):
        return COPIED + name
    return (
        name.replace(TRUSTED, COPIED, 1) if name.startswith(TRUSTED) else name.replace("selftests/", "")
    )


def _repathed(name: str, text: str) -> str:
    if name == "model/Cargo.toml":
        return re.sub(r"\[\[test\]\]\n(?:[^\n]+\n)+", "", text) + ONE_CRATE
    place = posixpath.dirname(name)
    text += TESTS_INSIDE if name == ROOT else ""
    return re.sub(
        rf'"(?:\.\./)+((?:{"|".join(CORE)}|{TRUSTED})[^"]+)"',
        lambda found: f'"{posixpath.relpath(_copied(found[1]), place)}"',
        text,
    )
