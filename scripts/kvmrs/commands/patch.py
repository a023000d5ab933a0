# SPDX-License-Identifier: GPL-2.0
"""The kernel patches: do they apply, to a kernel tree or to the source that `kernel` builds?

With --build, KVM compiles after each patch of the series: somebody who bisects needs that.
"""

import os
import tempfile
from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..base.errors import KvmrsError
from ..build import known, prefixes, series, source

ACTIONS = ("check", "apply", "unapply")


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("action", choices=ACTIONS)
    parser.add_argument("tree", nargs="?", help="a kernel tree; KDIR= names one, too")
    parser.add_argument("--build", action="store_true", help="with check: compile after each patch")


def main(options: Namespace) -> int:
    given = options.tree or os.environ.get("KDIR")
    if options.build:
        if options.action != "check" or given:
            raise KvmrsError("--build is for `check`, on a copy of kvm_rs's own kernel", "leave it out")
        prefixes.build()
        return 0
    if given:
        return _on_tree(options.action, Path(given).absolute())
    if options.action != "check":
        raise KvmrsError("which kernel tree?", f"make patch-{options.action} KDIR=<kernel tree>")
    return _check_source()


def _on_tree(action: str, tree: Path) -> int:
    version = source.need_supported(tree)
    applied = series.is_applied(tree)
    if not applied:
        source.warn(version, tree)
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
        origin.extract({*series.files_of(series.patches()), *known.files(), "Makefile"}, Path(name))
        source.warn(origin.version, Path(name))
        series.need_to_apply(Path(name))
    print(f"the series ({len(series.patches())} patches) applies to Linux {origin.version}")
    return 0
