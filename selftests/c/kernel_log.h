/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the kernel says while a test runs. A warning that userspace can trigger
 * is a bug; the kernel prints most warnings once, so they are armed again.
 */
#ifndef KVM_RS_KERNEL_LOG_H
#define KVM_RS_KERNEL_LOG_H

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <test_util.h>

#define CLEAR_WARN_ONCE	"/sys/kernel/debug/clear_warn_once"

/* What the log gets from here on can be read from the result. */
static inline int kernel_log_open(void)
{
	int fd = open(CLEAR_WARN_ONCE, O_WRONLY);

	TEST_ASSERT(fd >= 0 && write(fd, "1", 1) == 1, "No " CLEAR_WARN_ONCE);
	close(fd);

	fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	TEST_ASSERT(fd >= 0 && lseek(fd, 0, SEEK_END) >= 0, "No /dev/kmsg");
	return fd;
}

/* Each read() gives one record, and fails when there is none. */
static inline void kernel_log_assert_no_warning(int fd)
{
	char record[8192];
	ssize_t size;

	while ((size = read(fd, record, sizeof(record) - 1)) > 0) {
		record[size] = 0;
		TEST_ASSERT(!strstr(record, ";WARNING:"),
			    "The kernel warns: %s", strchr(record, ';') + 1);
	}
}

#endif /* KVM_RS_KERNEL_LOG_H */
