# SPDX-License-Identifier: GPL-2.0
"""The same random histories on a VM on C and on one on Rust, compared after each step.

Before that, on two VMs on C: what differs between these is the machine's doing. The program is
selftests/rust/src/differential.
"""

from typing import Optional

from ..build import kernel, module
from ..machine import boot, kvm_modules
from ..suite import own_tests
from ..suite.results import Suite, Summary
from ..suite.testlist import BACKENDS

NAME = "differential"
SECONDS = 60
"""Of each of the two, in `make test`."""
SEED = 1
"""`make test` does the same in each run, as far as it gets."""


def run(seconds: int = SECONDS, seed: Optional[int] = SEED) -> Summary:
    """One boot; out/differential.json has its results."""
    tree = kernel.ensure()
    modules = kvm_modules.Modules(tree, module.ensure(tree))
    files = {**modules.files(), own_tests.INSIDE: own_tests.program()}
    suite = Suite(NAME, [own_tests.differential(seconds, seed)], list(BACKENDS))
    job = {"modules": modules.job(), "work": suite.work()}
    return suite.close(boot.run(boot.Machine(NAME, tree, files, job), suite.on_event))
