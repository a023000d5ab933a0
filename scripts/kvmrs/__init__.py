# SPDX-License-Identifier: GPL-2.0
"""Set-up, build and test commands of kvm_rs (run as ``python3 -m kvmrs``).

Layers, each using only the ones above it:

``errors``     KvmrsError(message, hint): the one way to fail
``paths``      where things are: REPO, cache(), out(), logs()
``ui``         step("title"): a long step with live elapsed time and progress
``proc``       run_logged(): a command whose output goes to a log file
``privilege``  become_root(), give_back(): root only where it is needed
``lock``       hold(): one run at a time changes a part of the cache
``host``       what this machine has: tools and their versions, disk
``accel``      choose(): KVM where it really gives nested paging, else TCG
``toolroot``   ensure(), command(), run(), popen(): commands that find the right tools,
               in the host or in a private Debian root, at the same absolute paths
``source``     ensure(): the pristine kernel source, from the distribution or KERNEL_SRC=
``series``     check(), apply(), unapply(), sync(): the host-kernel patches
``kconfig``    write(): allnoconfig + fragments, every option verified
``kernel``     ensure(flavor) -> KernelTree: a patched, built kernel
``module``     ensure(tree) -> Path: kvm_rs.ko built for that kernel
``static``     run(): the checks that need no boot
``doctor``     report(): what is there, what is missing, how to get it

A caller needs three lines:

    tree = kernel.ensure("base")            # KernelTree(path, release, bzimage, key, flavor)
    ko = module.ensure(tree)                # Path of kvm_rs.ko
    toolroot.run(["qemu-system-x86_64", "-kernel", str(tree.bzimage), ...])
"""
