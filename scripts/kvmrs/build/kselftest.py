# SPDX-License-Identifier: GPL-2.0
"""Builds the kernel's own KVM selftests, and this project's programs in their style.

The build is the kernel's: its Makefile, its library, its flags. Programs of selftests/c are
named to it as further ones, found through VPATH. Nothing is written into the kernel tree but
the user headers that `make headers_install` makes there.
"""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Sequence

from ..base import lock, paths, proc, ui
from ..base.errors import KvmrsError
from ..tools import toolroot
from . import kernel
from .kernel import KernelTree

OWN = paths.REPO / "selftests" / "c"
SUITE = "tools/testing/selftests/kvm"
SOURCES = (
    SUITE,
    f"{SUITE}/Makefile.kvm",
    "tools/testing/selftests/lib.mk",
    "tools/include",
    "tools/arch/x86/include",
    "include/uapi",
    "arch/x86/include/uapi",
)
HELPERS = ("nx_huge_pages_test",)
"""Programs that a test of the suite starts itself."""
INSIDE = "/tests"


@dataclass(frozen=True)
class Programs:
    """Stripped programs in `folder`; `suite` names the kernel's tests, in its order."""

    folder: Path
    suite: List[str]

    def files(self) -> Dict[str, Path]:
        """Everything, at its place in the initramfs."""
        return {f"{INSIDE}/{path.name}": path for path in self.folder.iterdir()}

    def only(self, names: List[str]) -> Dict[str, Path]:
        """These tests and the helpers, for a machine on which size matters."""
        return {f"{INSIDE}/{name}": self.folder / name for name in [*names, *HELPERS]}


def ensure(tree: KernelTree) -> Programs:
    """The programs for that kernel's sources; built once for each content.

    Objects are kept, so that a change to a program of this project costs its compilation alone.
    """
    folder = paths.of_checkout(f"selftests-{_key(tree.path)}")
    programs, stamp, own = folder / "programs", folder / "built", _own_key()
    with lock.hold("building the selftests", "selftests"):
        if not stamp.exists() or not stamp.read_text().startswith(own):
            _build(tree.path, folder, programs)
            stamp.write_text(" ".join([own, *_suite(tree.path, folder / "objects")]))
    return Programs(programs, stamp.read_text().split()[1:])


def need(names: Sequence[str], others: Sequence[str] = ()) -> None:
    """Refuses a name that is neither one of the kernel's tests nor one of the `others`. The kernel need
    not be built yet."""
    unknown = [name for name in names if name not in others]
    if not unknown:
        return
    suite = _suite(kernel.sources(), Path("/"))
    unknown = [name for name in unknown if name not in suite]
    if unknown:
        there = " ".join(sorted({*suite, *others}))
        raise KvmrsError(f"no such selftest: {' '.join(unknown)}", f"there are: {there}")


def _build(tree: Path, folder: Path, programs: Path) -> None:
    headers, output = folder / "headers", folder / "objects"
    with ui.step("building the kernel's KVM selftests") as shown:
        _make(shown, "headers_install", f"INSTALL_HDR_PATH={headers}", tree=tree)
        _make(shown, *_arguments(headers, output, OWN), "-k", tree=tree)
        _install(tree, output / "kselftest" / "kvm", programs, _suite(tree, output))


def _make(shown: ui.step, *arguments: str, tree: Path) -> None:
    def see(line: str) -> None:
        shown.progress(text=Path(line.split()[-1]).name if line.strip() else "")

    proc.run_logged(
        toolroot.command(["make", "-C", str(tree), *arguments]),
        "selftests-build",
        shown,
        on_line=see,
        append=True,
    )


def _arguments(headers: Path, output: Path, sources: Path) -> List[str]:
    own = " ".join(source.stem for source in _own())
    return [
        "-C",
        "tools/testing/selftests",
        "TARGETS=kvm",
        f"O={output}",
        "-j2",
        f"KHDR_INCLUDES=-isystem {headers}/include",
        f"--eval=VPATH={sources}",
        f"--eval=TEST_GEN_PROGS_EXTENDED_x86 += {own}",
    ]


def _suite(tree: Path, output: Path) -> List[str]:
    """Every test that the kernel's Makefile lists, by file name, whether it was built or not."""
    listed = toolroot.output(
        [
            "make",
            "-s",
            "-C",
            str(tree / SUITE),
            "emit_tests",
            "COLLECTION=kvm",
            f"OUTPUT={output / 'kselftest' / 'kvm'}",
        ]
    )
    return [line.removeprefix("kvm:") for line in listed.split() if line.startswith("kvm:")]


def _install(tree: Path, built: Path, folder: Path, suite: List[str]) -> None:
    """Copies the programs, stripped. One that `make -k` could not build is an error here."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [*suite, *HELPERS, *(source.stem for source in _own())]
    places = {name: [*built.rglob(name), *(tree / SUITE).rglob(name)] for name in names}
    missing = [name for name, found in places.items() if not found]
    if missing:
        raise KvmrsError(
            f"selftests that do not build: {' '.join(missing)}", "see out/logs/selftests-build.log"
        )
    for name, found in places.items():
        shutil.copy(found[0], folder / name)
    programs = [str(folder / name) for name in names if not name.endswith(".sh")]
    toolroot.run(["strip", *programs], check=True)


def _own() -> List[Path]:
    return sorted(OWN.glob("*.c"))


def _key(tree: Path) -> str:
    """Sources, their place, which make remembers for each object, and compiler. The tests see only
    user headers: patches of KVM do not matter."""
    digest = hashlib.sha256(toolroot.versions().encode() + str(tree).encode())
    for place in SOURCES:
        root = tree / place
        _add(digest, [root] if root.is_file() else sorted(root.rglob("*.[chS]")))
    return digest.hexdigest()[:16]


def _own_key() -> str:
    digest = hashlib.sha256()
    _add(digest, sorted(OWN.iterdir()))
    return digest.hexdigest()[:16]


def _add(digest: "hashlib._Hash", files: List[Path]) -> None:
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
