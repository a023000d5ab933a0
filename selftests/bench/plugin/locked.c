// SPDX-License-Identifier: GPL-2.0
/*
 * A plugin of QEMU's emulator: how many locked instructions run between two marks?
 *
 * The marks are NOPs with a number that nothing else has: kvmtest::mark makes them. For each pair, a
 * line with the count goes to the file that the argument out= names. The machine has one processor.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "qemu_plugin.h"

#define API_VERSION 3
#define NO_REGISTERS 0

EXPORT int qemu_plugin_version = API_VERSION;

static uint64_t locked;
static FILE *out;

static void on_locked(unsigned int cpu, void *data)
{
	locked++;
}

static void on_begin(unsigned int cpu, void *data)
{
	locked = 0;
}

static void on_end(unsigned int cpu, void *data)
{
	fprintf(out, "%llu\n", (unsigned long long)locked);
	fflush(out);
}

/* nopl with a 32-bit displacement: 'kvmB' or 'kvmE'. */
static bool is_mark(const uint8_t *code, size_t length, char last)
{
	static const uint8_t nop[] = { 0x0f, 0x1f, 0x80, 'k', 'v', 'm' };

	return length == sizeof(nop) + 1 && !memcmp(code, nop, sizeof(nop)) &&
	       code[sizeof(nop)] == last;
}

/* A lock prefix, or an exchange with memory, which needs none. */
static bool is_locked(const uint8_t *code, size_t length)
{
	static const char prefixes[] = "\x66\x67\xf2\xf3\x2e\x36\x3e\x26\x64\x65";
	size_t i = 0;

	while (i < length && memchr(prefixes, code[i], sizeof(prefixes) - 1))
		i++;
	if (i < length && code[i] == 0xf0)
		return true;
	if (i < length && (code[i] & 0xf0) == 0x40)
		i++;

	return i + 1 < length && (code[i] & 0xfe) == 0x86 && code[i + 1] >> 6 != 3;
}

static void on_translate(uint64_t id, struct qemu_plugin_tb *tb)
{
	size_t count = qemu_plugin_tb_n_insns(tb);

	for (size_t i = 0; i < count; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		void (*cb)(unsigned int cpu, void *data) = NULL;
		uint8_t code[16];
		size_t length = qemu_plugin_insn_data(insn, code, sizeof(code));

		if (is_locked(code, length))
			cb = on_locked;
		else if (is_mark(code, length, 'B'))
			cb = on_begin;
		else if (is_mark(code, length, 'E'))
			cb = on_end;
		if (cb)
			qemu_plugin_register_vcpu_insn_exec_cb(insn, cb, NO_REGISTERS, NULL);
	}
}

int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
	if (argc != 1 || strncmp(argv[0], "out=", 4))
		return -1;
	out = fopen(argv[0] + 4, "w");
	if (!out)
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
	return 0;
}
