# SPDX-License-Identifier: GPL-2.0
"""One module for each command, named like it; imports every other folder, and no other command."""
