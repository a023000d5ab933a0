# SPDX-License-Identifier: GPL-2.0
"""What the build machine has: the tools that Linux 7.3 with Rust wants, and their versions."""

import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import List, Tuple

from ..base.errors import KvmrsError

Version = Tuple[int, ...]

RUSTC: Version = (1, 85, 0)
BINDGEN: Version = (0, 71, 1)
LLVM: Version = (17, 0, 0)

PROGRAMS = (
    "make",
    "gcc",
    "ld.lld",
    "llvm-nm",
    "flex",
    "bison",
    "bc",
    "cpio",
    "rsync",
    "perl",
    "xz",
    "depmod",
    "cargo",
    "rustfmt",
    "clippy-driver",
    "busybox",
    "qemu-system-x86_64",
)
HEADERS = ("libelf.h", "openssl/opensslv.h", "numaif.h", "cap-ng.h", "uuid/uuid.h")


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report; `hint` says how to get what is missing."""

    name: str
    ok: bool
    text: str
    hint: str = ""


def tools() -> List[Finding]:
    """Every tool that builds and boots need, present or not."""
    return [_rustc(), _rust_src(), _bindgen(), _clang(), _programs(), _headers()]


def has_tools() -> bool:
    return all(finding.ok for finding in tools())


def architecture() -> Finding:
    machine = f"{platform.system()} {platform.machine()}"
    return Finding(
        "architecture",
        machine == "Linux x86_64",
        machine,
        "" if machine == "Linux x86_64" else "kvm_rs is for Linux on x86-64 only",
    )


def need_architecture() -> None:
    """Stops a long command at once on a machine where it cannot work."""
    found = architecture()
    if not found.ok:
        raise KvmrsError(f"this machine is {found.text}", found.hint)


def need_space(path: Path, gigabytes: int, what: str) -> None:
    """Stops before the first byte where the disk is too small for the whole of `what`."""
    free = free_bytes(path) / 1e9
    if free < gigabytes:
        raise KvmrsError(
            f"{what} needs {gigabytes} GB, {free:.1f} GB are free in {path}",
            "free some, or point XDG_CACHE_HOME at a larger disk",
        )


def output_of(*argv: str) -> str:
    """What a command prints, or nothing where it is missing or fails."""
    try:
        done = subprocess.run(
            argv,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError:
        return ""
    return done.stdout if done.returncode == 0 else ""


def distribution() -> Tuple[str, str]:
    """(ID, codename) of this machine's distribution, e.g. ("debian", "trixie")."""
    values = {}
    for line in _lines(Path("/etc/os-release")):
        key, _, value = line.partition("=")
        values[key] = value.strip('"')
    return values.get("ID", "unknown"), values.get("VERSION_CODENAME", "")


def free_bytes(path: Path) -> int:
    """Free space where `path` is or will be."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def version_in(text: str, pattern: str) -> Version:
    """The version number that follows `pattern`, () if there is none."""
    found = re.search(pattern + r"\D*?(\d+(?:\.\d+)+)", text)
    return tuple(int(part) for part in found.group(1).split(".")) if found else ()


def dotted(version: Version) -> str:
    return ".".join(str(part) for part in version)


def _rustc() -> Finding:
    return _at_least("rustc", RUSTC, version_in(output_of("rustc", "--version"), "rustc"))


def _bindgen() -> Finding:
    return _at_least("bindgen", BINDGEN, version_in(output_of("bindgen", "--version"), "bindgen"))


def _clang() -> Finding:
    """Inlining the kernel's helpers into Rust needs clang and rustc on one LLVM."""
    clang = version_in(output_of("clang", "--version"), "clang version")
    rust = version_in(output_of("rustc", "-vV"), "LLVM version:")
    if clang and rust and clang[0] != rust[0]:
        return Finding(
            "clang",
            False,
            f"{dotted(clang)}, but rustc uses LLVM {dotted(rust)}",
            f"install clang {rust[0]}",
        )
    return _at_least("clang", LLVM, clang)


def _rust_src() -> Finding:
    sysroot = output_of("rustc", "--print", "sysroot").strip()
    core = Path(sysroot or "/nonexistent") / "lib/rustlib/src/rust/library/core/src/lib.rs"
    return _present("rust-src", core.exists(), "install the package rust-src")


def _programs() -> Finding:
    missing = [name for name in PROGRAMS if not shutil.which(name, path=search_path())]
    return _present("programs", not missing, f"missing: {' '.join(missing)}")


def _headers() -> Finding:
    places = [Path("/usr/include"), Path("/usr/include/x86_64-linux-gnu")]
    missing = [name for name in HEADERS if not any((place / name).exists() for place in places)]
    return _present("headers", not missing, f"missing: {' '.join(missing)}")


def search_path() -> str:
    """PATH with the system directories that users' shells leave out (depmod lives there)."""
    return os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"


def _at_least(name: str, wanted: Version, found: Version) -> Finding:
    if not found:
        return Finding(name, False, "not found", f"install {name} {dotted(wanted)} or later")
    hint = "" if found >= wanted else f"Linux 7.3 wants {dotted(wanted)} or later"
    return Finding(name, found >= wanted, dotted(found), hint)


def _present(name: str, ok: bool, hint: str) -> Finding:
    return Finding(name, ok, "present" if ok else "not complete", "" if ok else hint)


def _lines(path: Path) -> List[str]:
    return path.read_text().splitlines() if path.exists() else []
