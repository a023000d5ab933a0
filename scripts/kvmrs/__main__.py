# SPDX-License-Identifier: GPL-2.0
"""python3 -m kvmrs <command> [arguments]: what the Makefile calls."""

import errno
import importlib
import os
import sys
from typing import List

from .base import children, paths, privilege, proc, ui, words
from .base.errors import KvmrsError
from .build import kernel, source

COMMANDS = {
    "doctor": "what is there, what is missing and how to get it",
    "kernel": "the patched host kernel",
    "module": "kvm_rs.ko",
    "install": "installs kvm_rs.ko",
    "patch": "the kernel patches: check, apply, unapply",
    "static": "the checks that need no boot",
    "clippy": "the Rust linter",
    "fmt": "formats the Rust files and the scripts",
    "rust-analyzer": "rust-project.json for editors",
    "clean": "removes results and build products",
    "demo": "a Linux guest on kvm_rs, and what it did",
    "test": "all tests",
    "selftests": "the kernel's KVM selftests on C and on Rust",
    "test-ept": "MMU selftests on an emulated Intel processor",
    "life": "load and unload, refusals, VMs of both backends",
    "allocfail": "allocations that fail, on C and on Rust",
    "ownselftests": "the project's own selftests",
    "xen": "a Linux guest that takes the host for Xen, on C and on Rust",
    "migrate": "a Linux guest that migrates between C and Rust",
    "differential": "the same random histories on C and on Rust, compared step by step",
    "museum": "puts old bugs back and has the tests find each",
    "mutants": "changes one operator of the MMU at a time",
    "model": "the MMU under model checkers",
    "model-soak": "goes on with that, with other random numbers",
    "litmus": "orders of memory accesses, under the kernel's memory model",
    "test-debug": "the MMU on kernels with lockdep, KASAN, KCSAN",
    "stress": "VMs under everything at once",
    "bench": "C and Rust compared, in instructions",
    "shell": "a shell in the booted host",
    "vng": "the kernel and the module under virtme-ng",
}
"""Each is a module of commands/. add_arguments() declares its arguments, if it takes any; main() gets
them and returns the exit code.

Modules are imported when used, so that `doctor` works where nothing else does."""

TREE_OF_ANY_KIND = ("patch", "clean", "fmt")
"""For these, KDIR= need not be a built tree."""
WITHOUT_SOURCE = ("clean", "fmt")
"""These ask for no kernel source, whatever KERNEL_SRC= and KERNEL_TARBALL= say."""

WEAKENING = ("PROPTEST_", "LOOM_", "SHUTTLE_", "MODEL_")
"""Variables of the model's tests. A gate does not ask the user's environment how much to test."""


KNOWN_ERRORS = {errno.ENOSPC: proc.DISK, errno.EPIPE: "nobody reads what this prints any more"}
"""Of the system, wherever they are met."""


def parser(given: List[str]) -> words.Parser:
    """Knows every command, and the arguments of those that are `given`."""
    whole = words.Parser(description="Builds and tests kvm_rs.")
    each = whole.add_subparsers(dest="command", metavar="command", required=True)
    for name, summary in COMMANDS.items():
        if name not in given:
            each.add_parser(name, help=summary)
            continue
        module = importlib.import_module(f".commands.{name.replace('-', '_')}", __package__)
        one = each.add_parser(name, help=summary, description=module.__doc__)
        getattr(module, "add_arguments", _no_arguments)(one)
        one.set_defaults(main=module.main)
    return whole


def _need_places(command: str) -> None:
    """What cannot work is said before anything is fetched or built; doctor says it in its own way."""
    paths.need_usable()
    if command not in TREE_OF_ANY_KIND:
        kernel.need_given()
    if command not in WITHOUT_SOURCE:
        source.need_given()


def _no_arguments(_: words.Parser) -> None:
    pass


def main(given: List[str]) -> int:
    try:
        options = parser(given).parse_args(given)
        for name in [name for name in os.environ if name.startswith(WEAKENING)]:
            del os.environ[name]
        children.end_with_me()
        if options.command != "doctor":
            _need_places(options.command)
        code = options.main(options)
        sys.stdout.flush()
        return code
    except KvmrsError as error:
        if error.details:
            print(error.details.rstrip(), file=sys.stderr)
        return _failed(str(error))
    except OSError as error:
        if error.errno not in KNOWN_ERRORS:
            raise
        return _failed(KNOWN_ERRORS[error.errno])
    except children.Interrupted as signal:
        said = "kvm_rs: interrupted; the same command goes on from here"
        print(f"\n{ui.for_screen(said, sys.stderr)}", file=sys.stderr)
        return signal.exit_code
    finally:
        _drop_what_nobody_takes()
        privilege.give_back(paths.REPO / "out")


def _failed(why: str) -> int:
    ui.show_error(why)
    return 1


def _drop_what_nobody_takes() -> None:
    """Python would try to write it once more at its end, and complain."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
