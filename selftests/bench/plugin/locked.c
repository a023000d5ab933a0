// SPDX-License-Identifier: GPL-2.0
/*
 * A plugin of QEMU's emulator: what happens between two marks?
 *
 * The marks are NOPs with a number that nothing else has: kvmtest::mark makes them. For each pair, a line with two
 * numbers goes to the file that the argument out= names. The machine has one processor.
 *
 * The first is that of the locked instructions. The second is the longest stretch of instructions for which the kernel
 * ran on though a thread that goes first had woken up: from the return of the interrupt that woke it to the entry of the
 * scheduler, without other interrupts of the timer in between. If the interrupt itself leads to the scheduler, there is
 * none. What has interrupts off keeps the thread from being woken, and is not seen. The arguments woken=, interrupted=,
 * returned= and switched= are the addresses in hexadecimal where these begin.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qemu_plugin.h"

#define API_VERSION 3
#define NO_REGISTERS 0

EXPORT int qemu_plugin_version = API_VERSION;

enum place { WOKEN, INTERRUPTED, RETURNED, SWITCHED, PLACES };

static const char *const names[PLACES] = { "woken=", "interrupted=", "returned=", "switched=" };
static uint64_t places[PLACES];
static uint64_t locked, longest;
/* Instructions since the start. */
static struct qemu_plugin_u64 all;
/* Interrupts that have not returned, and instructions until the first of them began. */
static unsigned int depth;
static uint64_t interrupted;
/* Whether a thread has woken up, and the interrupt has returned since: when that was, and what interrupts took then. */
static bool woken, returned;
static uint64_t since;
static FILE *out;

static void on_locked(unsigned int cpu, void *data)
{
	locked++;
}

static void on_woken(unsigned int cpu, void *data)
{
	if (woken)
		return;
	woken = true;
	returned = false;
}

static void on_interrupted(unsigned int cpu, void *data)
{
	if (!depth++)
		interrupted = qemu_plugin_u64_get(all, cpu);
}

/* Exceptions return here, too, and what was preempted by an interrupt. */
static void on_returned(unsigned int cpu, void *data)
{
	uint64_t now = qemu_plugin_u64_get(all, cpu);

	if (!depth || --depth)
		return;
	since = returned ? since + (now - interrupted) : now;
	returned = woken;
}

static void on_switched(unsigned int cpu, void *data)
{
	uint64_t stretch = qemu_plugin_u64_get(all, cpu) - since;

	if (returned && stretch > longest)
		longest = stretch;
	woken = returned = false;
	depth = 0;
}

static void on_begin(unsigned int cpu, void *data)
{
	locked = longest = 0;
	woken = returned = false;
}

static void on_end(unsigned int cpu, void *data)
{
	fprintf(out, "%llu %llu\n", (unsigned long long)locked, (unsigned long long)longest);
	fflush(out);
}

static void (*const at_place[PLACES])(unsigned int cpu, void *data) = {
	[WOKEN] = on_woken,
	[INTERRUPTED] = on_interrupted,
	[RETURNED] = on_returned,
	[SWITCHED] = on_switched,
};

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

static void (*callback(struct qemu_plugin_insn *insn))(unsigned int cpu, void *data)
{
	uint64_t address = qemu_plugin_insn_vaddr(insn);
	uint8_t code[16];
	size_t length = qemu_plugin_insn_data(insn, code, sizeof(code));

	for (size_t i = 0; i < PLACES; i++) {
		if (address == places[i])
			return at_place[i];
	}
	if (is_locked(code, length))
		return on_locked;
	if (is_mark(code, length, 'B'))
		return on_begin;

	return is_mark(code, length, 'E') ? on_end : NULL;
}

static void on_translate(uint64_t id, struct qemu_plugin_tb *tb)
{
	size_t count = qemu_plugin_tb_n_insns(tb);

	qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(tb, QEMU_PLUGIN_INLINE_ADD_U64, all, count);
	for (size_t i = 0; i < count; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		void (*cb)(unsigned int cpu, void *data) = callback(insn);

		if (cb)
			qemu_plugin_register_vcpu_insn_exec_cb(insn, cb, NO_REGISTERS, NULL);
	}
}

static bool is_known(const char *argument)
{
	for (size_t i = 0; i < PLACES; i++) {
		size_t length = strlen(names[i]);

		if (!strncmp(argument, names[i], length)) {
			places[i] = strtoull(argument + length, NULL, 16);
			return places[i];
		}
	}
	if (strncmp(argument, "out=", 4))
		return false;
	out = fopen(argument + 4, "w");

	return out;
}

int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
	if (argc != 1 + PLACES)
		return -1;
	for (int i = 0; i < argc; i++) {
		if (!is_known(argv[i]))
			return -1;
	}
	all.score = qemu_plugin_scoreboard_new(sizeof(uint64_t));
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
	return 0;
}
