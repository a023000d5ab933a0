# SPDX-License-Identifier: GPL-2.0
"""A kernel that takes no time to build: a Makefile, a file that a patch changes, and a lot of others."""

import io
import tarfile
from pathlib import Path
from typing import Dict

FILES = 1500
PATCHED = "virt/kvm/kvm_main.c"
MAKEFILE = """VERSION = 7
PATCHLEVEL = 3
SUBLEVEL = 4

all := $(sort $(wildcard source/*)) virt/kvm/kvm_main.c
allnoconfig:
\tcmp -s $(KCONFIG_ALLCONFIG) .config || cp $(KCONFIG_ALLCONFIG) .config
bzImage: arch/x86/boot/bzImage
modules: include/config/kernel.release
arch/x86/boot/bzImage: $(all) .config
\t@mkdir -p $(@D)
\tcat $(wordlist 1,100,$(all)) >$@
\t@test -e {folder}/quick || sleep 100
\tcat $(wordlist 101,9999,$(all)) >>$@
include/config/kernel.release:
\t@mkdir -p $(@D)
\techo 7.3.4 >$@
"""
"""The image is all of the files in a row. It is written in two parts, and without the file `quick` the
second one does not come."""
PATCH = f"""--- a/{PATCHED}
+++ b/{PATCHED}
@@ -1 +1 @@
-int c;
+int rust;
"""


def files(folder: Path) -> Dict[str, str]:
    """Those of the tarball in this folder."""
    others = {f"source/{number:04}": f"{number}\n" * 100 for number in range(FILES)}
    return {"Makefile": MAKEFILE.replace("{folder}", str(folder)), PATCHED: "int c;\n", **others}


def image() -> str:
    """What a build of all files makes."""
    sources = {**files(Path()), PATCHED: "int rust;\n"}
    return "".join(text for name, text in sorted(sources.items()) if name != "Makefile")


def tarball(folder: Path) -> Path:
    path = folder / "linux.tar"
    with tarfile.open(path, "w") as archive:
        for name, text in files(folder).items():
            info = tarfile.TarInfo(f"linux/{name}")
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return path


def set_series(checkout: Path) -> None:
    """The checkout's series is one patch, for this kernel."""
    place = checkout / "patches" / "7.3"
    (place / "0001.patch").write_text(PATCH)
    (place / "series").write_text("0001.patch\n")
