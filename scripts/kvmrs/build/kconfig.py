# SPDX-License-Identifier: GPL-2.0
"""A kernel configuration from fragments: all off, except what they name, and verified.

Kconfig drops an option whose dependencies are missing without a word. Here every option of
the fragments must come out as asked, so that a test never runs on less than it says.
"""

from pathlib import Path
from typing import Dict, List

from ..base import paths, proc, ui
from ..base.errors import KvmrsError
from ..tools import toolroot

BASE = "base"


def flavors() -> List[str]:
    """The ordinary kernel, and those with something on top."""
    return sorted(file.stem for file in paths.CONFIGS.glob("*.config"))


def fragments(flavor: str) -> List[Path]:
    """scripts/config/base.config, then the flavor's own on top."""
    names = [BASE] if flavor == BASE else [BASE, flavor]
    files = [paths.CONFIGS / f"{name}.config" for name in names]
    for file in files:
        if not file.exists():
            raise KvmrsError(
                f"there is no kernel flavor {file.stem!r}", f"known: {', '.join(flavors())}"
            )
    return files


def write(tree: Path, flavor: str) -> None:
    """Writes tree/.config; its time changes only with its contents."""
    wanted: Dict[str, str] = {}
    for file in fragments(flavor):
        wanted.update(parse(file))
    asked = tree / ".kvm_rs-config"
    asked.write_text("".join(f"{name}={value}\n" for name, value in wanted.items()))
    with ui.step(f"configuring the {flavor} kernel") as shown:
        proc.run_logged(
            toolroot.command(
                ["make", "-C", str(tree), "LLVM=1", "allnoconfig"], env={"KCONFIG_ALLCONFIG": str(asked)}
            ),
            f"config-{flavor}",
            shown,
        )
    verify(wanted, parse(tree / ".config"))


def parse(file: Path) -> Dict[str, str]:
    """CONFIG_X=value lines, with "is not set" as n."""
    values: Dict[str, str] = {}
    for line in file.read_text().splitlines():
        if line.startswith("CONFIG_"):
            name, _, value = line.partition("=")
            values[name] = value
        elif line.startswith("# CONFIG_") and line.endswith(" is not set"):
            values[line.split()[1]] = "n"
    return values


def verify(wanted: Dict[str, str], got: Dict[str, str]) -> None:
    wrong = [
        f"{name}={value} came out as {got.get(name, 'n')}"
        for name, value in wanted.items()
        if got.get(name, "n") != value
    ]
    if wrong:
        raise KvmrsError(
            "the kernel configuration is not what scripts/config asks for",
            "an option's dependencies are missing from the fragment",
            details="\n".join(wrong),
        )
