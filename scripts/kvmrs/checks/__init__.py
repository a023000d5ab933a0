# SPDX-License-Identifier: GPL-2.0
"""What `static` checks without a boot; imports base, tools and build."""
