# SPDX-License-Identifier: GPL-2.0
"""The build machine and the tools that it has or gets; imports base."""
