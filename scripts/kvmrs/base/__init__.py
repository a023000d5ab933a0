# SPDX-License-Identifier: GPL-2.0
"""What every other folder uses: errors, paths, steps on the screen, locks; imports nothing else."""
