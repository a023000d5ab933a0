# SPDX-License-Identifier: GPL-2.0
"""Runs a program of tests until one of them fails, or until it has taken too much of a CPU or of memory.

Cargo runs this file in place of the program, so it needs no more than Python itself.
"""

import resource
import subprocess
import sys
from typing import List

CPU = 20
"""In seconds. The tests take about two."""

MEMORY = 4 << 30


def main(argv: List[str], cpu: int = CPU) -> int:
    """The program inherits the limits."""
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, errors="replace") as tests:
        assert tests.stdout
        for line in tests.stdout:
            print(line, end="", flush=True)
            if line.endswith("... FAILED\n"):
                tests.kill()
    return 1 if tests.returncode else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
