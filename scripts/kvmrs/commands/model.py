# SPDX-License-Identifier: GPL-2.0
"""make model: the model crate under model checkers; see docs/model.md."""

import time
from typing import List

from ..base import ui
from ..stages import model


def main(_: List[str]) -> int:
    """model"""
    start = time.monotonic()
    model.run()
    print(f"model: passed in {ui.clock(time.monotonic() - start)}", flush=True)
    return 0
