# SPDX-License-Identifier: GPL-2.0
"""Everything that is compiled: kernel, module, selftests, crates; imports base and tools."""
