# SPDX-License-Identifier: GPL-2.0
"""The checks that need no boot, one after the other."""

import time
import traceback
from dataclasses import dataclass
from typing import Callable, List, Sequence, Tuple

from ..base import ui
from ..base.errors import KvmrsError
from ..checks import (
    kernel_style,
    known_warnings,
    model_share,
    museum_list,
    names,
    public_items,
    python_imports,
    rust,
    rust_imports,
    rust_rooms,
    safe_files,
    scripts,
    sizes,
)


@dataclass(frozen=True)
class Result:
    """Outcome of one check; `details` says what failed."""

    name: str
    ok: bool
    seconds: float
    details: str = ""


Checks = Sequence[Tuple[str, Callable[[], object]]]

CHECKS: Checks = (
    ("rustfmt", rust.formatted),
    ("unsafe only in rust/", rust.unsafe_confined),
    ("files without unsafe forbid it", safe_files.say_so),
    ("checkpatch of the series", kernel_style.patches),
    ("checkpatch of C files", kernel_style.c_files),
    ("clippy", rust.clippy),
    ("types of the scripts", scripts.typed),
    ("format of the scripts", scripts.formatted),
    ("scripts import one way", python_imports.one_way),
    ("Rust files import one way", rust_imports.no_circles),
    ("rooms import one way", rust_rooms.one_way),
    ("public items of rust/", public_items.listed),
    ("what the model compiles", model_share.listed),
    ("length of files", sizes.moderate),
    ("names in documents and comments", names.exist),
    ("names in the museum", museum_list.check),
    ("known warnings of the kernel", known_warnings.in_place),
    ("rustdoc", rust.documents),
)
TESTS: Checks = (
    ("model tests", rust.model_tests),
    ("the tool kvmrs", rust.tool),
    # Some of them take the tools and the crates that the others have fetched.
    ("tests of the commands", scripts.tested),
)


def run(checks: Checks) -> List[Result]:
    """Runs each, shows each outcome as it comes, and returns them all."""
    return [result_of(name, check) for name, check in checks]


def result_of(name: str, check: Callable[[], object]) -> Result:
    start = time.monotonic()
    try:
        check()
        result = Result(name, True, time.monotonic() - start)
    except KvmrsError as error:
        result = Result(name, False, time.monotonic() - start, f"{error.details}\n{error}".strip())
    except Exception:
        result = Result(name, False, time.monotonic() - start, traceback.format_exc())
    ui.say(f"{'ok    ' if result.ok else 'not ok'} {name} ({ui.clock(result.seconds)})")
    for line in result.details.splitlines():
        ui.say(f"# {line}")
    return result
