# SPDX-License-Identifier: GPL-2.0
"""Tests of the commands themselves. Nothing is built or booted: where a tool would run, a fake does."""
