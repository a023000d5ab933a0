# SPDX-License-Identifier: GPL-2.0
"""Tests to run and what their results mean; imports base, tools, build and machine."""
