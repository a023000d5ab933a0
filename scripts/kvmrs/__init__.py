# SPDX-License-Identifier: GPL-2.0
"""Set-up, build and test commands of kvm_rs (run as ``python3 -m kvmrs``).

Folders, each of which imports only from those above it (checks/python_imports.py has the rule):

``base``      errors, paths, steps on the screen, locks
``tools``     the build machine, and compilers and emulators at the same absolute paths
              whether it has them itself or a private Debian root has them
``build``     the kernel source, the patches, the kernel, the module, the selftests, crates
``checks``    what needs no boot
``machine``   the test machine: initramfs, QEMU, Bochs, the kernel's log
``suite``     which tests run, and what their results mean
``stages``    whole pieces of work that commands share
``commands``  one module for each command

A command needs three lines:

    tree = kernel.ensure("base")            # KernelTree(path, release, bzimage, key, flavor)
    ko = module.ensure(tree)                # Path of kvm_rs.ko
    toolroot.run(["qemu-system-x86_64", "-kernel", str(tree.bzimage), ...])
"""
