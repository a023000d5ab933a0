# SPDX-License-Identifier: GPL-2.0
"""python3 -m kvmrs <command> [arguments]: what the Makefile calls."""

import errno
import importlib
import sys
from typing import List

from .base import paths, privilege
from .base.errors import KvmrsError

COMMANDS = (
    "doctor",
    "kernel",
    "module",
    "install",
    "patch",
    "static",
    "clippy",
    "fmt",
    "rust-analyzer",
    "clean",
    "demo",
    "test",
    "selftests",
    "test-ept",
    "life",
    "allocfail",
    "ownselftests",
    "museum",
    "mutants",
    "model",
    "model-soak",
    "test-debug",
    "stress",
    "bench",
    "shell",
)
"""Each is a module of commands/, whose main() takes the arguments and returns the exit code.

Modules are imported when used, so that `doctor` works where nothing else does."""


def main(words: List[str]) -> int:
    if not words or words[0] not in COMMANDS:
        print(f"usage: python3 -m kvmrs {{{'|'.join(COMMANDS)}}} ...", file=sys.stderr)
        return 2
    try:
        command = importlib.import_module(f".commands.{words[0].replace('-', '_')}", __package__)
        return command.main(words[1:])
    except KvmrsError as error:
        if error.details:
            print(error.details.rstrip(), file=sys.stderr)
        print(f"kvm_rs: error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        print(
            "kvm_rs: error: the disk is full; free some space and run the same command again,"
            " it goes on from here",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("\nkvm_rs: interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    finally:
        privilege.give_back(paths.REPO / "out")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
