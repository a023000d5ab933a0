/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For a preloaded library that looks at what a program asks the kernel for: it defines on_ioctl(),
 * which may go on with next_ioctl().
 */
#ifndef KVMRS_IOCTL_H
#define KVMRS_IOCTL_H

#include <dlfcn.h>
#include <stdarg.h>
#include <sys/ioctl.h>

static int on_ioctl(int fd, unsigned long request, void *argument);

static int next_ioctl(int fd, unsigned long request, void *argument)
{
	int (*libc_ioctl)(int fd, unsigned long request, ...) = dlsym(RTLD_NEXT, "ioctl");

	return libc_ioctl(fd, request, argument);
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list rest;
	void *argument;

	va_start(rest, request);
	argument = va_arg(rest, void *);
	va_end(rest);

	return on_ioctl(fd, request, argument);
}

#endif
