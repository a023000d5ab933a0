# SPDX-License-Identifier: GPL-2.0
"""A small root file system in memory: the runner as /init, busybox, modules, programs.

Programs bring their shared libraries, so that the same image boots anywhere, with or
without a share of the tools root. Written here in the kernel's "newc" format, because the
job changes from boot to boot and is one more archive behind a cached one.
"""

import json
import re
import stat
from pathlib import Path
from typing import Any, BinaryIO, Dict, Iterable, List, Mapping, Sequence

from ..tools import toolroot

BUSYBOX = "/usr/bin/busybox"
# pthread_cancel() loads this at run time, so that no program lists it.
UNLISTED = "/usr/lib/x86_64-linux-gnu/libgcc_s.so.1"
FOLDERS = ("bin", "dev", "proc", "sys", "tmp", "etc", "lib", "share", "root", "run")
LIBRARY = re.compile(r"(/\S+) \(0x")


class Archive:
    """Entries of a cpio archive; a folder is added with the first thing in it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._seen: Dict[str, None] = {}

    def folder(self, name: str) -> None:
        name = name.strip("/")
        if name and name not in self._seen:
            self.folder(str(Path(name).parent) if "/" in name else "")
            self._write(name, stat.S_IFDIR | 0o755, b"")

    def data(self, name: str, data: bytes, mode: int = 0o644) -> None:
        self.folder(str(Path(name.strip("/")).parent).replace(".", ""))
        self._write(name.strip("/"), stat.S_IFREG | mode, data)

    def file(self, name: str, source: Path) -> None:
        self.data(name, source.read_bytes(), 0o755)

    def link(self, name: str, target: str) -> None:
        self._write(name.strip("/"), stat.S_IFLNK | 0o777, target.encode())

    def character(self, name: str, major: int, minor: int) -> None:
        self._write(name.strip("/"), stat.S_IFCHR | 0o600, b"", major, minor)

    def close(self) -> None:
        self._write("TRAILER!!!", 0, b"")

    def _write(self, name: str, mode: int, data: bytes, major: int = 0, minor: int = 0) -> None:
        if name in self._seen:
            return
        self._seen[name] = None
        path = name.encode() + b"\0"
        fields = [len(self._seen), mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(path), 0]
        self._padded(b"070701" + b"".join(b"%08x" % field for field in fields) + path)
        self._padded(data)

    def _padded(self, data: bytes) -> None:
        self._file.write(data + bytes(-len(data) % 4))


def build(image: Path, init: Path, files: Mapping[str, Path], job: Mapping[str, Any]) -> Path:
    """Writes `image`: `init` is /init, `files` maps names inside to files outside.

    The libraries of every dynamic program among `files` come along.
    """
    with open(image, "wb") as out:
        archive = Archive(out)
        for name in FOLDERS:
            archive.folder(name)
        archive.character("dev/console", 5, 1)
        archive.file("init", init)
        archive.data("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n")
        archive.data("job.json", json.dumps(job).encode())
        _add_busybox(archive)
        for name, source in {**files, **libraries(files.values())}.items():
            archive.file(name, source)
        archive.close()
    return image


def _add_busybox(archive: Archive) -> None:
    archive.file("bin/busybox", toolroot.file(BUSYBOX))
    for applet in toolroot.output([BUSYBOX, "--list"]).split():
        if applet != "busybox":
            archive.link(f"bin/{applet}", "busybox")


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
