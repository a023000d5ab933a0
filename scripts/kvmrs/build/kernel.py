# SPDX-License-Identifier: GPL-2.0
"""A patched, built kernel, made once and then only where something changed.

One tree per source and flavor, and one without the patches, to compare with. Its key names
everything that went in; the key is written when the build is complete, so that an equal key means
there is nothing to do, and a missing or different one lets make find out what is left.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Sequence

from ..base import lock, paths, proc, ui
from ..base.errors import KvmrsError
from ..tools import build_machine, packages, toolroot
from . import kconfig, progress, series, source

PRISTINE = ".kvm_rs-pristine"
"""In a tree, the originals of the files that the patches touch."""
UNPATCHED = "unpatched"
"""The name of the tree without the patches."""
HOOK = "kvm_register_vm_backend"
NAMES = {"KBUILD_BUILD_USER": "kvm_rs", "KBUILD_BUILD_HOST": "kvm_rs"}


@dataclass(frozen=True)
class KernelTree:
    """A built kernel tree. `key` changes whenever its contents may have."""

    path: Path
    release: str
    bzimage: Path
    key: str
    flavor: str


def ensure(flavor: str = kconfig.BASE) -> KernelTree:
    """The kernel of that flavor, or the one that KDIR= names; built if need be."""
    given = os.environ.get("KDIR")
    if given:
        return _given(Path(given).absolute())
    return _made(flavor, flavor, series.patches())


def unpatched() -> KernelTree:
    """The base kernel as Linux's maintainers released it."""
    if os.environ.get("KDIR"):
        raise KvmrsError(
            "KDIR= names one kernel, and this needs it without the patches too", "leave it out"
        )
    return _made(UNPATCHED, kconfig.BASE, [])


def sources() -> Path:
    """The sources of the base kernel, which need not be built yet, or those that KDIR= names."""
    given = os.environ.get("KDIR")
    if given:
        return Path(given).absolute()
    toolroot.ensure()
    with lock.hold("unpacking the base kernel", f"linux-{kconfig.BASE}"):
        return _filled(source.ensure(), kconfig.BASE)


def _made(name: str, flavor: str, patches: Sequence[Path]) -> KernelTree:
    """The tree of that name: the flavor's configuration, and these patches."""
    kconfig.fragments(flavor)
    toolroot.ensure()
    with lock.hold(f"building the {name} kernel", f"linux-{name}"):
        origin = source.ensure()
        tree = _filled(origin, name)
        source.warn(origin.version, tree / PRISTINE, tree)
        key = _key(origin, flavor, patches)
        if not _is(tree, key):
            _stamp(tree).unlink(missing_ok=True)
            changed = series.sync(tree, tree / PRISTINE, patches)
            ui.say(f"  patches: {len(patches)} applied, {changed} files written")
            kconfig.write(tree, flavor)
            _build(tree, name)
            _stamp(tree).write_text(key)
    return _described(tree, key, flavor)


def _filled(origin: source.Source, name: str) -> Path:
    """The tree of that name, with everything that its source has now."""
    tree = paths.cache() / f"linux-{origin.name}-{name}"
    if not tree.exists():
        build_machine.need_space(paths.cache(), packages.TREE_GB, "a kernel tree")
    if _update(origin, tree, tree / PRISTINE):
        _stamp(tree).unlink(missing_ok=True)
    return tree


def _update(origin: source.Source, tree: Path, pristine: Path) -> bool:
    """Updates the tree from its source. For patched files, `pristine` is updated instead."""
    patched = series.touched(pristine)
    changed = origin.fill(tree, keep=patched)
    if origin.tree and patched:
        changed |= origin.extract(patched, pristine)
    return changed


def _build(tree: Path, name: str) -> None:
    jobs = os.cpu_count() or 1
    with ui.step(f"building the {name} kernel") as shown:
        proc.run_logged(
            toolroot.command(
                ["make", "-C", str(tree), "LLVM=1", f"-j{jobs + 1}", "bzImage", "modules"], env=NAMES
            ),
            f"kernel-{name}",
            shown,
            on_line=progress.watch(shown, tree, name),
        )
    progress.remember(tree, name)


def _key(origin: source.Source, flavor: str, patches: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for text in (origin.name, flavor, toolroot.versions()):
        digest.update(text.encode() + b"\0")
    for file in (*patches, *kconfig.fragments(flavor)):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _described(tree: Path, key: str, flavor: str) -> KernelTree:
    release = (tree / "include/config/kernel.release").read_text().strip()
    return KernelTree(tree, release, tree / "arch/x86/boot/bzImage", key, flavor)


def _given(tree: Path) -> KernelTree:
    """A user's tree is used as it is, after a look whether it can work at all."""
    problem = problem_of(tree)
    if problem:
        raise problem
    symbols = (tree / "Module.symvers").read_bytes()
    key = hashlib.sha256(str(tree).encode() + symbols).hexdigest()[:16]
    return _described(tree, key, "user")


def need_given() -> None:
    """Stops at once if KDIR= is no tree that can work; what takes the tools to find out comes later."""
    given = os.environ.get("KDIR")
    problem = _unfinished(Path(given).absolute()) if given else None
    if problem:
        raise problem


def problem_of(tree: Path) -> Optional[KvmrsError]:
    """Why KDIR= cannot be used, if so: not built, not patched, or built by another rustc."""
    return _unfinished(tree) or _other_compiler(tree)


def _unfinished(tree: Path) -> Optional[KvmrsError]:
    symbols = tree / "Module.symvers"
    if not symbols.exists():
        return KvmrsError(
            f"KDIR={tree} is not a built kernel tree (no Module.symvers)", "build it first: make LLVM=1"
        )
    if HOOK not in symbols.read_text():
        return KvmrsError(
            f"KDIR={tree} is built without kvm_rs's hooks ({HOOK} is missing)",
            f"make patch-apply KDIR={tree}, configure KVM, KVM_AMD and KVM_INTEL"
            " as modules and RUST=y, and build it again",
        )
    return None


def _other_compiler(tree: Path) -> Optional[KvmrsError]:
    """Rust metadata is readable only by the very compiler that wrote it."""
    theirs = kconfig.parse(tree / ".config").get("CONFIG_RUSTC_VERSION_TEXT", "").strip('"')
    ours = toolroot.output(["rustc", "--version"]).strip()
    if theirs and theirs != ours:
        return KvmrsError(
            f"KDIR={tree} was built with {theirs}, the tools here are {ours}",
            "build the tree again with the tools that `make doctor` lists",
        )
    return None


def _is(tree: Path, key: str) -> bool:
    return _stamp(tree).exists() and _stamp(tree).read_text() == key


def _stamp(tree: Path) -> Path:
    return tree / ".kvm_rs-built"
