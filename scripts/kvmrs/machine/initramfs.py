# SPDX-License-Identifier: GPL-2.0
"""A small root file system in memory: the runner as /init, busybox, modules, programs.

Programs bring their shared libraries, so that the same image boots anywhere, with or
without a share of the tools root. The kernel tree's own gen_init_cpio writes the archive.
/dev/console is in the archive that every kernel has built in.
"""

import json
import re
import tempfile
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Sequence

from ..build.kernel import KernelTree
from ..tools import toolroot

BUSYBOX = "/usr/bin/busybox"
# pthread_cancel() loads this at run time, so that no program lists it.
UNLISTED = "/usr/lib/x86_64-linux-gnu/libgcc_s.so.1"
FOLDERS = ("bin", "dev", "proc", "sys", "tmp", "etc", "lib", "share", "root", "run")
LIBRARY = re.compile(r"(/\S+) \(0x")
PASSWD = "root:x:0:0:root:/root:/bin/sh\n"


class Listing:
    """What gen_init_cpio reads, a line a name; a folder is listed with the first thing in it."""

    def __init__(self, folders: Iterable[str]) -> None:
        self._lines: Dict[str, str] = {}
        for name in folders:
            self._folder(Path("/", name))

    def file(self, name: str, source: Path, mode: int = 0o755) -> None:
        path = Path("/", name)
        self._add(path, f"file {path} {source} {mode:o} 0 0")

    def link(self, name: str, target: str) -> None:
        path = Path("/", name)
        self._add(path, f"slink {path} {target} 777 0 0")

    def busybox(self, applets: Iterable[str]) -> None:
        """busybox, under the names of its applets."""
        self.file("bin/busybox", toolroot.file(BUSYBOX))
        for applet in applets:
            self.link(f"bin/{applet}", "busybox")

    def write(self, image: Path, tree: KernelTree) -> None:
        """In one step, as others may read the image. The tools see temporary files beside it,
        wherever TMPDIR is."""
        with tempfile.TemporaryDirectory(dir=image.parent) as folder:
            listing, fresh = Path(folder, "listing"), Path(folder, "image")
            listing.write_text("".join(f"{line}\n" for line in self._lines.values()))
            toolroot.output([str(tree.path / "usr/gen_init_cpio"), "-o", str(fresh), str(listing)])
            fresh.replace(image)

    def _folder(self, path: Path) -> None:
        if path != path.parent:
            self._add(path, f"dir {path} 755 0 0")

    def _add(self, path: Path, line: str) -> None:
        """The first line for a name counts."""
        if str(path) not in self._lines:
            self._folder(path.parent)
            self._lines[str(path)] = line


def build(
    image: Path, tree: KernelTree, init: Path, files: Mapping[str, Path], job: Mapping[str, Any]
) -> None:
    """Writes `image`: `init` is /init, `files` maps names inside to files outside.

    The libraries of every dynamic program among `files` come along.
    """
    listing = Listing(FOLDERS)
    listing.file("init", init)
    listing.busybox(name for name in toolroot.output([BUSYBOX, "--list"]).split() if name != "busybox")
    for name, source in {**files, **libraries(files.values())}.items():
        listing.file(name, source)
    with tempfile.TemporaryDirectory(dir=image.parent) as folder:
        for name, text in (("etc/passwd", PASSWD), ("job.json", json.dumps(job))):
            source = Path(folder, Path(name).name)
            source.write_text(text)
            listing.file(name, source, 0o644)
        listing.write(image, tree)


def libraries(programs: Iterable[Path]) -> Dict[str, Path]:
    """Every shared library that the programs load, by its name in the image."""
    dynamic = [str(program) for program in programs if is_dynamic(program)]
    if not dynamic:
        return {}
    names: List[str] = [UNLISTED, *LIBRARY.findall(_ldd(dynamic))]
    return {name: toolroot.file(name).resolve() for name in names}


def is_dynamic(program: Path) -> bool:
    """Whether an ELF executable names an interpreter; modules and scripts do not."""
    with open(program, "rb") as file:
        head = file.read(4096)
    return head.startswith(b"\x7fELF") and b"/ld-linux" in head


def _ldd(programs: Sequence[str]) -> str:
    return toolroot.output(["ldd", *programs])
