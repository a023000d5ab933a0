# SPDX-License-Identifier: GPL-2.0
"""The model crate under model checkers; see docs/model.md."""

import time
from argparse import Namespace

from ..base import ui
from ..stages import model


def main(_: Namespace) -> int:
    start = time.monotonic()
    model.run()
    print(f"model: passed in {ui.clock(time.monotonic() - start)}", flush=True)
    return 0
