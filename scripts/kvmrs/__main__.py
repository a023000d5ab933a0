# SPDX-License-Identifier: GPL-2.0
"""python3 -m kvmrs <command> [arguments]: what the Makefile calls."""

import errno
import importlib
import sys
from typing import Dict, List, Tuple

from . import paths, privilege
from .errors import KvmrsError

COMMANDS: Dict[str, Tuple[str, str]] = {
    "doctor": ("doctor", "main"),
    "kernel": ("kernel", "main"),
    "module": ("module", "main"),
    "install": ("module", "main_install"),
    "patch": ("series", "main"),
    "static": ("static", "main"),
    "clippy": ("static", "main_clippy"),
    "fmt": ("static", "main_fmt"),
    "rust-analyzer": ("module", "main_rust_analyzer"),
    "clean": ("clean", "main"),
    "demo": ("demo", "main"),
    "test": ("testall", "main"),
    "selftests": ("selftests", "main"),
    "test-ept": ("test_ept", "main"),
    "life": ("life", "main"),
    "allocfail": ("allocfail", "main"),
    "ownselftests": ("ownselftests", "main"),
    "museum": ("museum", "main"),
    "mutants": ("mutants", "main"),
    "model": ("model", "main"),
    "model-soak": ("model", "main_soak"),
    "test-debug": ("test_debug", "main"),
    "stress": ("stress", "main"),
    "bench": ("bench", "main"),
    "shell": ("shell", "main"),
}
"""Command -> (module, function taking the arguments and returning the exit code).

Modules are imported when used, so that `doctor` works where nothing else does."""


def main(words: List[str]) -> int:
    if not words or words[0] not in COMMANDS:
        print(f"usage: python3 -m kvmrs {{{'|'.join(COMMANDS)}}} ...", file=sys.stderr)
        return 2
    name, function = COMMANDS[words[0]]
    try:
        return getattr(importlib.import_module(f".{name}", __package__), function)(words[1:])
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
