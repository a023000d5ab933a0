// SPDX-License-Identifier: GPL-2.0-only
/*
 * The TDP MMU of a VM is chosen when the VM is created, by kvm.ko's parameter
 * mmu_backend, and stays the VM's whatever is chosen later.  Names of backends
 * that are not there are refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "touch_vm.h"

#define PARAM		"/sys/module/kvm/parameters/mmu_backend"
#define COUNTS		"/sys/kernel/debug/kvm/mmu_backends"

#define MEM_SIZE	SZ_4M
#define MAX_BACKENDS	8
#define NAME_SIZE	32

struct backend {
	char name[NAME_SIZE];
	u64 created;
	u64 alive;
};

/* Returns 0 or an errno. */
static int choose(const char *name)
{
	int fd = open_path_or_exit(PARAM, O_WRONLY);
	int ret = write(fd, name, strlen(name)) < 0 ? errno : 0;

	close(fd);
	return ret;
}

static void chosen(char *name)
{
	FILE *file = fopen(PARAM, "r");

	TEST_ASSERT(file && fscanf(file, "%31s", name) == 1,
		    "Can't read " PARAM);
	fclose(file);
}

static void assert_chosen(const char *name)
{
	char now[NAME_SIZE];

	chosen(now);
	TEST_ASSERT(!strcmp(now, name), "'%s' is chosen, not '%s'", now, name);
}

/* All backends that KVM knows of, registered right now or not. */
static int read_counts(struct backend *backends)
{
	FILE *file = fopen(COUNTS, "r");
	int nr;

	TEST_ASSERT(file, "Can't open " COUNTS);
	for (nr = 0; nr < MAX_BACKENDS; nr++) {
		struct backend *b = &backends[nr];

		if (fscanf(file, "%31s %lu %lu", b->name, &b->created,
			   &b->alive) != 3)
			break;
	}
	fclose(file);
	TEST_ASSERT(nr && !strcmp(backends[0].name, "c"),
		    "The first backend is not C's");
	return nr;
}

/* Since @before, @created VMs were made on backend @i, and none on others. */
static void assert_counts(const struct backend *before, int i, u64 created,
			  u64 alive)
{
	struct backend now[MAX_BACKENDS];
	int j, nr = read_counts(now);

	for (j = 0; j < nr; j++) {
		u64 more_created = j == i ? created : 0;
		u64 more_alive = j == i ? alive : 0;

		TEST_ASSERT(now[j].created == before[j].created + more_created &&
			    now[j].alive == before[j].alive + more_alive,
			    "'%s' has %lu VMs, %lu alive, after one on '%s'",
			    now[j].name, now[j].created, now[j].alive,
			    now[i].name);
	}
}

static void test_wrong_names(const char *name)
{
	static const char * const wrong[] = {
		"C", "cc", "no_such_backend", " c", "c c",
		"a_name_that_is_longer_than_any_backend's_can_be",
	};
	int i;

	TEST_ASSERT(!choose(name), "'%s' is refused", name);
	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		TEST_ASSERT_EQ(choose(wrong[i]), ENODEV);
		assert_chosen(name);
	}
}

/* A VM on backend @i lives through every other choice. */
static void test_backend(struct backend *backends, int nr, int i)
{
	struct touch_vm t;
	int j;

	read_counts(backends);
	TEST_ASSERT(!choose(backends[i].name), "'%s' is refused",
		    backends[i].name);
	assert_chosen(backends[i].name);

	t = touch_vm_create(VM_MEM_SRC_ANONYMOUS, MEM_SIZE, SZ_4K);
	assert_counts(backends, i, 1, 1);

	for (j = 0; j < nr; j++) {
		choose(backends[j].name);
		touch_vm_round(&t);
		assert_counts(backends, i, 1, 1);
	}

	kvm_vm_free(t.vm);
	assert_counts(backends, i, 1, 0);
}

int main(void)
{
	struct backend backends[MAX_BACKENDS];
	char initially[NAME_SIZE];
	int i, nr, tested = 0;

	__TEST_REQUIRE(!access(PARAM, F_OK), "KVM has one TDP MMU only");
	__TEST_REQUIRE(!access(COUNTS, F_OK), "debugfs is needed");

	chosen(initially);
	nr = read_counts(backends);
	for (i = 0; i < nr; i++) {
		/* The counts of a backend outlive its registration. */
		if (choose(backends[i].name) == ENODEV && i)
			continue;

		test_wrong_names(backends[i].name);
		test_backend(backends, nr, i);
		tested++;
	}
	TEST_ASSERT(!choose(initially), "'%s' is refused now", initially);

	pr_info("%d of %d backends are registered and work\n", tested, nr);
	return 0;
}
