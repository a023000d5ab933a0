# SPDX-License-Identifier: GPL-2.0
"""The test machine: what it boots from, how it runs, what its log says; imports base, tools and
build."""
