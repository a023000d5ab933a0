// SPDX-License-Identifier: GPL-2.0
/*
 * Preloaded into the test programs in C: the page tables of each VM are checked when the program
 * closes it, or ends. A program whose VM breaks a rule fails.
 *
 * The VM is still there then, and its vCPUs do not run: the kernel's library closes them first.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/kvm.h>

#include "ioctl.h"

#define MAX_FD	4096
#define FAIL	1
#define BUSY	"busy: "
#define KVM_DIR	"/sys/kernel/debug/kvm"

/*
 * Who has made the VM behind a descriptor. KVM names directories after the thread and the descriptor.
 * A forked child has the descriptor too, but the vCPUs of its parent may run.
 */
static struct {
	pid_t process;
	pid_t thread;
} made_by[MAX_FD];

static int is_mine(int fd)
{
	return made_by[fd].process == getpid();
}

static void fail(void)
{
	fflush(NULL);
	_exit(FAIL);
}

/* Whether the file must be there. KVM makes no directory for a VM if there is one of the same name. */
static int must_exist(const char *directory)
{
	return !access(directory, F_OK) || access(KVM_DIR, F_OK);
}

/* Without a backend nobody can tell; other errors are the concern of other tests. */
static FILE *open_check(int fd)
{
	char directory[48], path[64];
	FILE *file;

	snprintf(directory, sizeof(directory), KVM_DIR "/%d-%d", made_by[fd].thread, fd);
	snprintf(path, sizeof(path), "%s/mmu_check", directory);
	file = fopen(path, "r");
	if (!file && errno == ENOENT && must_exist(directory)) {
		fprintf(stderr, "not ok # mmu_check: there is no %s\n", path);
		fail();
	}
	return file;
}

static void check(int fd)
{
	FILE *file = open_check(fd);
	char line[256];
	int wrong = 0;

	made_by[fd].process = 0;
	if (!file)
		return;

	while (fgets(line, sizeof(line), file)) {
		if (!strncmp(line, BUSY, strlen(BUSY)))
			continue;
		fprintf(stderr, "not ok # mmu_check: %s", line);
		wrong++;
	}
	fclose(file);

	if (wrong)
		fail();
}

static int on_ioctl(int fd, unsigned long request, void *argument)
{
	int result = next_ioctl(fd, request, argument);

	if (request == KVM_CREATE_VM && result >= 0 && result < MAX_FD) {
		made_by[result].process = getpid();
		made_by[result].thread = gettid();
	}
	return result;
}

int close(int fd)
{
	int (*libc_close)(int fd) = dlsym(RTLD_NEXT, "close");
	int error = errno;

	if (fd >= 0 && fd < MAX_FD && is_mine(fd))
		check(fd);

	errno = error;
	return libc_close(fd);
}

__attribute__((destructor)) static void check_what_is_left(void)
{
	int fd;

	for (fd = 0; fd < MAX_FD; fd++) {
		if (is_mine(fd))
			check(fd);
	}
}
