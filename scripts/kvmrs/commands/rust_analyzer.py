# SPDX-License-Identifier: GPL-2.0
"""rust-project.json, by which editors understand the module's sources."""

import json
from argparse import Namespace

from ..base import paths, proc, ui
from ..base.errors import KvmrsError
from ..build import kernel, module
from ..tools import toolroot


def main(_: Namespace) -> int:
    """rust-analyzer: rust-project.json in the checkout, for an editor on the build machine.

    kbuild writes paths as the tools see them. Those of the checkout and the cache are
    the build machine's too; only the standard library's lie inside the tools root and are led there.
    """
    tree = kernel.ensure()
    module.ensure(tree)
    output = module.output_of(tree)
    with ui.step("rust-project.json") as shown:
        proc.run_logged(module.kbuild(tree, output, "rust-analyzer"), "rust-analyzer", shown)
    written = output / "rust-project.json"
    if not written.exists():
        raise KvmrsError("kbuild wrote no rust-project.json", "see out/logs/rust-analyzer.log")
    text = json.dumps(json.loads(written.read_text()), indent=1)
    target = paths.REPO / "rust-project.json"
    target.write_text(text.replace('"/usr/lib/', f'"{toolroot.file("/usr/lib/")}/'))
    print(target)
    return 0
