/* SPDX-License-Identifier: BSD-3-Clause */
/* conns: what its client and its server share. Plain POSIX sockets and epoll on both sides. */
#ifndef PERF_CONNS_H
#define PERF_CONNS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONNS_MESSAGE_BYTES 64
#define CONNS_DESCRIPTORS 1048576u /* fs.nr_open of Linux */
#define CONNS_ECHO 'x'  /* first byte of a message that comes back as it is */
#define CONNS_STATE 'S' /* of one that comes back as the server's struct conns_state */

/* In the byte order of the machine: both ends run on it. */
struct conns_state {
	uint64_t command; /* CONNS_STATE */
	uint64_t n_open;
	uint64_t memory_bytes;  /* resident and hugepages */
	uint64_t cpu_ns;        /* of the process */
	uint64_t n_loops;       /* the rest: since the last CONNS_STATE */
	uint64_t gap_max_ns;    /* longest way round the loop; with `busy` one walk of the stack */
	uint64_t gap_cpu_max_ns; /* the same in CPU time: without being preempted */
	uint64_t unused;
};

_Static_assert(sizeof(struct conns_state) == CONNS_MESSAGE_BYTES, "a state is a message");

struct conns_options {
	struct sockaddr_in addr;    /* of the server; the port is the first one */
	unsigned int n_ports;       /* the server listens on that many in a row */
	unsigned int n_connections; /* opened by the client */
	unsigned int n_base;        /* open when the first figures are taken */
	unsigned int in_flight;     /* requests at a time */
	double seconds;             /* of each phase */
	bool idle;                  /* connections are left alone, but one */
	bool busy;                  /* never sleep in epoll_wait */
};

/* The longest way round an event loop. */
struct loop_watch {
	uint64_t n, last_ns, last_cpu_ns, gap_max_ns, gap_cpu_max_ns;
};

void loop_watch_start(struct loop_watch *w);
void loop_watch_turn(struct loop_watch *w);

/* Resident memory of this process and its hugepages, in bytes. */
uint64_t memory_bytes(void);

/* What the whole machine has left, in bytes; the kernel's own memory shows here only. */
uint64_t memory_available_bytes(void);

/* Says what failed, with errno, and ends the program. */
void die(const char *what);

/* Never returns; ends with the process. */
void conns_serve(const struct conns_options *o);

/* Prints the figures as one JSON line. 0, or 1 when connections were lost. */
int conns_ask(const struct conns_options *o);

#endif
