# SPDX-License-Identifier: GPL-2.0
#
# kvm_rs: the commands. The logic is in scripts/kvmrs (Python); the module's own
# build rules are in Kbuild.
#
# Settings, from the environment or the command line:
#   KDIR=        a patched, built Linux 7.3 tree to use as it is
#   KERNEL_SRC=  a Linux 7.3 source tree to build from instead of the distribution's
#   KERNEL_TARBALL=  or a tarball of it

export KDIR KERNEL_SRC KERNEL_TARBALL INSTALL_MOD_PATH

kvmrs := scripts/kvmrs.sh

PHONY := help
help:
	@echo 'make demo             a host with kvm_rs boots, with a Linux guest on it'
	@echo 'make test             all tests'
	@echo 'make test-ept         MMU selftests on an emulated Intel processor'
	@echo 'make differential     the same random histories on C and on Rust, compared'
	@echo '                      (SECONDS=60 SEED=<number>)'
	@echo 'make xen              guests that take the host for Xen, on C and on Rust'
	@echo '                      (GUEST=hvm, shim, all or moves)'
	@echo 'make model            the MMU under model checkers'
	@echo 'make model-soak       goes on with that'
	@echo '                      (SECONDS=<n> SCHEDULES=<n> ONLY=<shuttle test>,...)'
	@echo 'make litmus           orders of memory accesses, under the kernel'"'"'s memory model'
	@echo '                      (needs herd7)'
	@echo 'make museum           puts old bugs back, and has the model'"'"'s tests find each'
	@echo 'make mutants          changes one operator of the MMU at a time: is it seen?'
	@echo 'make test-debug       the MMU on kernels with lockdep, KASAN, KCSAN, or RT'
	@echo '                      (FLAVOR=<one of them>)'
	@echo 'make stress           VMs under everything at once'
	@echo '                      (SECONDS=300 FLAVOR=base SEED=<number>)'
	@echo 'make bench            C and Rust compared, in instructions'
	@echo 'make shell            a shell in the booted host, with kvm_rs.ko at hand'
	@echo 'make vng              the host under virtme-ng, on your root file system'
	@echo '                      (EXEC="<command>")'
	@echo
	@echo 'make doctor           what is there, what is missing and how to get it'
	@echo 'make kernel           the patched host kernel'
	@echo 'make modules          kvm_rs.ko (KDIR=<tree>: for a kernel tree of your own)'
	@echo 'make modules_install  installs it (INSTALL_MOD_PATH=<root>)'
	@echo 'make patch-check      do the kernel patches apply?'
	@echo '                      (KDIR=<tree>, or ARGS=--build: compiles after each)'
	@echo 'make patch-apply      applies them (KDIR=<tree>)'
	@echo 'make patch-unapply    takes them back (KDIR=<tree>)'
	@echo
	@echo 'make static           the checks that need no boot'
	@echo 'make clippy           the Rust linter'
	@echo 'make fmt              formats the Rust files and the scripts'
	@echo 'make rust-analyzer    rust-project.json for editors'
	@echo 'make clean            removes results and built kernels'
	@echo 'make distclean        removes everything made'

PHONY += demo test test-ept model litmus museum mutants bench shell doctor kernel static clippy fmt
PHONY += rust-analyzer clean
demo test test-ept model litmus museum mutants bench shell doctor kernel static clippy fmt rust-analyzer clean:
	@$(kvmrs) $@ $(ARGS)

# SCHEDULES= and ONLY= are of shuttle's tests.
PHONY += model-soak
model-soak:
	@$(kvmrs) $@ $(SECONDS) $(if $(SCHEDULES),--schedules $(SCHEDULES)) $(if $(ONLY),--only $(ONLY)) $(ARGS)

# FLAVOR= is a file of scripts/config; SECONDS= and SEED= are those of the random runs.
PHONY += differential test-debug stress
differential:
	@$(kvmrs) $@ $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED)) $(ARGS)
test-debug:
	@$(kvmrs) $@ $(FLAVOR) $(ARGS)
stress:
	@$(kvmrs) $@ $(if $(FLAVOR),--flavor $(FLAVOR)) $(if $(SECONDS),--seconds $(SECONDS)) \
		$(if $(SEED),--seed $(SEED)) $(ARGS)

# GUEST= is Linux by itself, or below the PV shim of Xen, or both, or Linux that migrates between C and Rust.
PHONY += xen
xen:
	@$(kvmrs) $@ $(if $(GUEST),--guest $(GUEST)) $(ARGS)

# EXEC= is a command line for the guest.
PHONY += vng
export EXEC
vng:
	@$(kvmrs) $@ $${EXEC:+--exec="$$EXEC"} $(ARGS)

PHONY += patch-check patch-apply patch-unapply
patch-check patch-apply patch-unapply:
	@$(kvmrs) patch $(@:patch-%=%) $(ARGS)

PHONY += distclean
distclean:
	@$(kvmrs) clean --all $(ARGS)

# With a tree of the user's, plain kbuild: no tools are fetched, nothing else is built.
PHONY += modules modules_install
ifneq ($(KDIR),)
modules modules_install:
	$(call need_built,$(KDIR))
	$(MAKE) -C $(KDIR) M=$(CURDIR) MO=$(CURDIR)/out/modules LLVM=1 $(ARGS) $@
else
modules:
	@$(kvmrs) module $(ARGS)
modules_install:
	@$(kvmrs) install $(ARGS)
endif

# What kbuild itself says in other words, or of other files.
need_built = $(if $(word 3,$(1) $(CURDIR)),$(error KDIR=$(1) or $(CURDIR) has a space in it: \
		the kernel's make takes none))$(if $(wildcard $(1)/Module.symvers),,$(error KDIR=$(1) is not \
		a built kernel tree (no Module.symvers); build it first: make LLVM=1))$(if $(shell grep -s -m1 \
		kvm_register_vm_backend $(1)/Module.symvers),,$(error KDIR=$(1) is built without kvm_rs's hooks; \
		make patch-apply KDIR=$(1), and build it again))

.PHONY: $(PHONY)
