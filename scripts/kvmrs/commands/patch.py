# SPDX-License-Identifier: GPL-2.0
"""The kernel patches: do they apply, to a kernel tree or to the source that `kernel` builds?

    patch check|apply|unapply [TREE]
    patch check --build

With --build, KVM compiles after each patch of the series: somebody who bisects needs that.
"""

import os
import tempfile
from pathlib import Path
from typing import List

from ..base.errors import KvmrsError
from ..build import prefixes, series, source


def main(words: List[str]) -> int:
    if words == ["check", "--build"]:
        prefixes.build()
        return 0
    if not words or words[0] not in ("check", "apply", "unapply") or len(words) > 2:
        raise KvmrsError("usage: patch check|apply|unapply <kernel tree>")
    given = words[1] if len(words) == 2 else os.environ.get("KDIR")
    if given:
        return _on_tree(words[0], Path(given).absolute())
    if words[0] != "check":
        raise KvmrsError("which kernel tree?", f"make patch-{words[0]} KDIR=<kernel tree>")
    return _check_source()


def _on_tree(action: str, tree: Path) -> int:
    version = source.need_supported(tree)
    applied = series.is_applied(tree)
    if action == "check":
        print(
            f"the series is applied to {tree}"
            if applied
            else f"the series applies to {tree} (Linux {version})"
        )
    elif (action == "apply") == applied:
        print(f"nothing to do: the series is {'' if applied else 'not '}applied to {tree}")
    else:
        change = series.apply if action == "apply" else series.unapply
        change(tree)
        print(
            f"{len(series.patches())} patches {action[:-1]}ied, {len(series.files_of(series.patches()))}"
            f" files of {tree} changed"
        )
    return 0


def _check_source() -> int:
    """Checks against the pristine source, of which only the touched files are unpacked."""
    origin = source.ensure()
    with tempfile.TemporaryDirectory(prefix="kvm_rs-source-") as name:
        origin.extract({*series.files_of(series.patches()), "Makefile"}, Path(name))
        series.need_to_apply(Path(name))
    print(f"the series ({len(series.patches())} patches) applies to Linux {origin.version}")
    return 0
