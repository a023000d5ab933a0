# SPDX-License-Identifier: GPL-2.0
"""Tests of the commands themselves. Nothing is booted. Where a tool would run, a fake does, except in those
tests that need what the real ones do."""
