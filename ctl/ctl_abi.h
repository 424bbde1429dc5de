/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The wire between gazellectl and a Gazelle process: a header, then `length` bytes of body.
 *
 * Both sides run on one host, so numbers are in the host's byte order; the magic shows a mismatch.
 * The body of a request and of a good answer is one YAML document (messages.h) or empty; the body of
 * any other answer is one line of text for people. A connection carries any number of requests, one
 * at a time. Bump CTL_VERSION when an old reader could misunderstand a new document; new optional
 * fields and new commands do not need it.
 */
#ifndef CTL_CTL_ABI_H
#define CTL_CTL_ABI_H

#include <stddef.h>
#include <stdint.h>

#define CTL_MAGIC 0x4c435a47u /* "GZCL" */
#define CTL_VERSION 1

#define CTL_REQUEST_MAX 4096        /* bytes of a request's body */
#define CTL_ANSWER_MAX (64u << 20)  /* bytes of an answer's body; messages.c has less for most */
#define CTL_REFUSAL_MAX 1024        /* bytes of a body that says why not */
#define CTL_EXCHANGE_MS 1000        /* for a whole exchange, on both sides */

enum ctl_command {
	/* every process */
	CTL_IDENTITY = 1,
	CTL_GRAPH_SHOW = 2,
	CTL_GRAPH_TRACE = 3,
	/* lstack */
	CTL_LSTACK_SHOW = 32,
	CTL_LSTACK_CONNS = 33,
	CTL_LSTACK_SNMP = 34,
	/* ltran */
	CTL_LTRAN_SHOW = 64,
	CTL_LTRAN_INSTANCES = 65,
	CTL_LTRAN_MEASURE = 66,
	CTL_LTRAN_SET_LOGLEVEL = 67,
	CTL_LTRAN_QUIT = 68,
};

enum ctl_status {
	CTL_OK = 0,
	CTL_BAD_VERSION = 1, /* the other side speaks another version; its header carries it */
	CTL_BAD_COMMAND = 2, /* unknown here */
	CTL_BAD_REQUEST = 3, /* the body does not fit the command */
	CTL_DENIED = 4,
	CTL_BUSY = 5, /* too many clients */
	CTL_FAILED = 6,
};

struct ctl_header {
	uint32_t magic;
	uint16_t version;
	uint16_t command; /* enum ctl_command, the same in the answer */
	uint32_t status;  /* enum ctl_status; 0 in requests */
	uint32_t length;  /* bytes of body */
};

_Static_assert(sizeof(struct ctl_header) == 16, "wire layout");
_Static_assert(offsetof(struct ctl_header, version) == 4, "wire layout");
_Static_assert(offsetof(struct ctl_header, command) == 6, "wire layout");
_Static_assert(offsetof(struct ctl_header, status) == 8, "wire layout");
_Static_assert(offsetof(struct ctl_header, length) == 12, "wire layout");

#endif
