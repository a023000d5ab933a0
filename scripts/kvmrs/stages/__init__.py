# SPDX-License-Identifier: GPL-2.0
"""Whole pieces of work that several commands share, such as the stages of `test`; imports every
folder but commands."""
