/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading the arguments of DPDK's start-up. Options come as "--name=value", as "--name", "value", or as one string
 * "-l 0,1"; rows below say which take a value and what becomes of them.
 */
#include "nodes/eal_args.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum arg_use {
	ARG_KEEP,
	ARG_NEVER,   /* this DPDK does not have it */
	ARG_MEMORY,  /* replaced by -m on ordinary pages */
	ARG_HUGE,    /* means nothing on ordinary pages */
	ARG_FILES,   /* the same, and makes the memory many files */
};

struct arg_row {
	const char *name;
	bool takes_value;
	enum arg_use use;
	size_t flag; /* offset of a bool in struct args_seen, or NO_FLAG */
};

#define NO_FLAG ((size_t)-1)
#define FLAG(field) offsetof(struct args_seen, field)

static const struct arg_row rows[] = {
	{ "--map-perfect", false, ARG_NEVER, FLAG(map_perfect) },
	{ "--no-huge", false, ARG_KEEP, FLAG(no_huge) },
	{ "-m", true, ARG_MEMORY, NO_FLAG },
	{ "--socket-mem", true, ARG_MEMORY, NO_FLAG },
	{ "--socket-limit", true, ARG_HUGE, NO_FLAG },
	{ "--huge-dir", true, ARG_FILES, NO_FLAG },
	{ "--huge-unlink", false, ARG_FILES, FLAG(huge_unlink) },
	{ "--in-memory", false, ARG_HUGE, FLAG(in_memory) },
	{ "--legacy-mem", false, ARG_FILES, FLAG(legacy_mem) },
	{ "--match-allocations", false, ARG_HUGE, NO_FLAG },
	{ "--single-file-segments", false, ARG_HUGE, FLAG(single_file) },
	{ "--no-shconf", false, ARG_KEEP, FLAG(no_shconf) },
	{ "-l", true, ARG_KEEP, FLAG(cores) },
	{ "-c", true, ARG_KEEP, FLAG(cores) },
	{ "-s", true, ARG_KEEP, FLAG(cores) },
	{ "-S", true, ARG_KEEP, FLAG(cores) },
	{ "--lcores", true, ARG_KEEP, FLAG(cores) },
	{ "--file-prefix", true, ARG_KEEP, FLAG(file_prefix) },
	{ "--vdev", true, ARG_KEEP, FLAG(vdev) },
	{ "-a", true, ARG_KEEP, FLAG(allow) },
	{ "--allow", true, ARG_KEEP, FLAG(allow) },
	{ "-b", true, ARG_KEEP, NO_FLAG },
	{ "--block", true, ARG_KEEP, NO_FLAG },
	{ "--no-pci", false, ARG_KEEP, FLAG(no_pci) },
	{ "--iova-mode", true, ARG_KEEP, FLAG(iova) },
	{ "--telemetry", false, ARG_KEEP, FLAG(telemetry) },
	{ "--no-telemetry", false, ARG_KEEP, FLAG(telemetry) },
	{ "--log-level", true, ARG_KEEP, FLAG(log_level) },
};

/* The row of option `s`, and its value inside the same string, or NULL. */
static const struct arg_row *
find_row(const char *s, const char **value)
{
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t len = strlen(rows[i].name);

		*value = NULL;
		if (strncmp(s, rows[i].name, len) != 0)
			continue;
		if (s[len] == '\0')
			return &rows[i];
		if (s[len] == '=' || s[len] == ' ') {
			*value = s + len + 1;
			return &rows[i];
		}
		if (rows[i].takes_value && s[1] != '-') { /* -m512 */
			*value = s + len;
			return &rows[i];
		}
	}
	return NULL;
}

static unsigned int
sum_list(const char *s)
{
	unsigned int sum = 0;
	char *end;

	for (;;) {
		sum += (unsigned int)strtoul(s, &end, 10);
		if (*end != ',')
			return sum;
		s = end + 1;
	}
}

void
args_scan(struct args_seen *seen, const char *const *v, unsigned int n)
{
	const struct arg_row *row;
	const char *value;
	unsigned int i;

	for (i = 0; i < n; i++) {
		row = find_row(v[i], &value);
		if (row == NULL)
			continue;
		if (row->takes_value && value == NULL && i + 1 < n)
			value = v[++i];
		if (row->flag != NO_FLAG)
			*(bool *)((char *)seen + row->flag) = true;
		if (value == NULL)
			continue;
		if (row->use == ARG_MEMORY)
			seen->memory_mb = sum_list(value);
		else if (strcmp(row->name, "--huge-dir") == 0)
			seen->huge_dir = value;
		else if (strcmp(row->name, "--vdev") == 0 && strstr(value, "virtio_user") != NULL)
			seen->virtio_user = true;
	}
}

void
args_add(struct args *a, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	if (a->n + 1 >= a->max || vasprintf(&a->v[a->n], format, ap) < 0)
		a->failed = true;
	else
		a->v[++a->n] = NULL;
	va_end(ap);
}

/* The number behind `name` in a --vdev, or `otherwise`. */
static unsigned long
vdev_number(const char *vdev, const char *name, unsigned long otherwise)
{
	const char *at = strstr(vdev, name);

	return at == NULL ? otherwise : strtoul(at + strlen(name), NULL, 0);
}

/*
 * An af_packet ring of the driver's own size has 512 frames, which is nothing: while the program is busy
 * for five milliseconds a few thousand clients connect, and what is lost of it (SYNs, and the
 * answers to our ARP requests) is missing for seconds. `option` is what stands before the value.
 */
static void
add_vdev(struct args *a, const struct args_seen *seen, const char *option, const char *vdev)
{
	unsigned long frame = vdev_number(vdev, "framesz=", ARGS_AF_PACKET_FRAME), n;

	if (strncmp(vdev, "net_af_packet", strlen("net_af_packet")) != 0 ||
		strstr(vdev, "framecnt=") != NULL || frame == 0 || seen->small_rings) {
		args_add(a, "%s%s", option, vdev);
		return;
	}
	n = ARGS_AF_PACKET_RING / frame;
	args_add(a, "%s%s,framecnt=%lu", option, vdev,
		n > ARGS_AF_PACKET_LEAST ? n : ARGS_AF_PACKET_LEAST);
}

bool
args_drop_framecnt(char *devargs)
{
	char *at = devargs, *end;

	while ((at = strstr(at, "framecnt=")) != NULL && at != devargs && at[-1] != ',')
		at++;
	if (at == NULL)
		return false;
	end = at + strcspn(at, ",");
	if (*end == ',')
		end++; /* the next argument takes its place */
	else if (at != devargs)
		at--; /* it was the last one */
	memmove(at, end, strlen(end) + 1);
	return true;
}

unsigned int
args_copy(struct args *a, const struct args_seen *seen, const char *const *v, unsigned int n)
{
	bool ordinary = seen->no_huge || seen->drop_huge_options;
	const char *value;
	const struct arg_row *row = find_row(v[0], &value);
	bool separate = row != NULL && row->takes_value && value == NULL && n > 1;
	size_t name_len;

	if (row != NULL && (row->use == ARG_NEVER || (seen->one_file && row->use == ARG_FILES) ||
		(ordinary && (row->use == ARG_HUGE || row->use == ARG_FILES ||
			row->use == ARG_MEMORY))))
		return separate;
	/* EAL's parser wants "-l 0,1" in two strings. */
	name_len = row != NULL ? strlen(row->name) : 0;
	if (value != NULL && v[0][name_len] == ' ') {
		args_add(a, "%s", row->name);
		add_vdev(a, seen, "", value);
		return 0;
	}
	if (value != NULL && strncmp(v[0], "--vdev=", strlen("--vdev=")) == 0) {
		add_vdev(a, seen, "--vdev=", value);
		return 0;
	}
	args_add(a, "%s", v[0]);
	if (separate)
		add_vdev(a, seen, "", v[1]);
	return separate;
}
