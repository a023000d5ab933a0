# SPDX-License-Identifier: GPL-2.0
"""The one way to fail: say what is wrong and what to do about it."""


class KvmrsError(Exception):
    """Ends a command; shown as ``kvm_rs: error: <message>; <hint>``.

    `message` is what is wrong, `hint` the way out. `details` (a compiler's output,
    the tail of a console) is printed above that line, never instead of it.
    """

    def __init__(self, message: str, hint: str = "", details: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = details

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message
