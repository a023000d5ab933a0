# SPDX-License-Identifier: GPL-2.0
"""The checks that need no boot: format, lints, style, where `unsafe` may be, documents."""


from argparse import Namespace

from ..stages import static


def main(_: Namespace) -> int:
    results = static.run([*static.CHECKS, *static.TESTS])
    failed = [result.name for result in results if not result.ok]
    print(
        f"static checks: {len(results) - len(failed)} of {len(results)} passed"
        + (f"; FAILED: {', '.join(failed)}" if failed else "")
    )
    return 1 if failed else 0
