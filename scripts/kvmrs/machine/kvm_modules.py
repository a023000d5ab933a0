# SPDX-License-Identifier: GPL-2.0
"""The modules of the test machine: KVM as the tests want it, and kvm_rs.ko."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional

from ..base.errors import KvmrsError
from ..build.kernel import KernelTree

INSIDE = "/modules"
KVM_PARAMS = "force_emulation_prefix=1"
VENDORS = {"kvm-amd": "svm", "kvm-intel": "vmx"}
DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")


@dataclass(frozen=True)
class Modules:
    """`rust` is kvm_rs.ko, or None for C alone."""

    tree: KernelTree
    rust: Optional[Path]
    kvm_params: str = ""
    rust_params: str = ""
    vendor_params: str = ""

    def files(self) -> Dict[str, Path]:
        found = {f"{INSIDE}/{name}.ko": path for name, path in self._in_order().items()}
        return {**found, **({f"{INSIDE}/kvm_rs.ko": self.rust} if self.rust else {})}

    def job(self, load_rust: bool = True) -> List[Dict[str, Any]]:
        """In the order of loading. The processor's flag picks the vendor's module."""
        words: List[Dict[str, Any]] = []
        for name in self._in_order():
            params = f"{KVM_PARAMS} {self.kvm_params}".strip() if name == "kvm" else ""
            word: Dict[str, Any] = {"path": f"{INSIDE}/{name}.ko", "params": params}
            if name in VENDORS:
                word.update(params=self.vendor_params, cpu_flag=VENDORS[name])
            words.append(word)
        if self.rust and load_rust:
            words.append({"path": f"{INSIDE}/kvm_rs.ko", "params": self.rust_params})
        return words

    def _in_order(self) -> Dict[str, Path]:
        """KVM's modules with what they need, each after what it depends on."""
        built = _built(self.tree)
        order: Dict[str, Path] = {}
        for name in VENDORS:
            _add(name, built, order)
        return order


def _add(name: str, built: Dict[str, Path], order: Dict[str, Path]) -> None:
    if name not in built:
        raise KvmrsError(f"the kernel tree has no module {name}", "configure it as a module and build")
    for needed in _depends(built[name]):
        _add(needed, built, order)
    order.setdefault(name, built[name])


def _built(tree: KernelTree) -> Dict[str, Path]:
    """Name -> file of every module that the tree built."""
    objects = (tree.path / "modules.order").read_text().split()
    files = [(tree.path / name).with_suffix(".ko") for name in objects]
    return {file.stem: file for file in files}


def _depends(file: Path) -> List[str]:
    found = DEPENDS.search(file.read_bytes())
    return [name.decode() for name in found.group(1).split(b",") if name] if found else []
