/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two stacks in one process on a simulated wire: seeded loss and reordering, virtual time, no
 * threads. A and B are at 198.18.0.1 and 198.18.0.2.
 */
#ifndef TESTS_SIM_H
#define TESTS_SIM_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "stack/ready.h"
#include "stack/sock.h"
#include "stack/stack.h"

enum { SIM_A, SIM_B };

enum sim_fate {
	SIM_PASS,
	SIM_DROP,
	SIM_HOLD1, /* is overtaken by the next one, two or three packets */
	SIM_HOLD2,
	SIM_HOLD3,
};

struct sim_segment {
	int from;
	uint32_t seq, len; /* payload */
};

struct sim_wire {
	uint32_t loss_permille; /* each way */
	uint32_t reorder_permille;
	uint32_t delay_us; /* one way */
	uint32_t rate_mbps; /* 0: no limit; else packets queue for at most queue_us, each way */
	uint32_t queue_us;
	int cut;           /* nothing passes */
	int whole;         /* large packets arrive as they are, not cut into segments */
	uint64_t lose_nth; /* this one of A's packets with data is lost; 0: none */
	/* decides on every segment with data; NULL: all pass */
	enum sim_fate (*fate)(const struct sim_segment *s);
	/* sees every IP packet first, in one piece; true: it has been taken. NULL: nobody looks */
	bool (*tap)(int from, const uint8_t *ip, uint32_t len);
	uint64_t passed, lost;
	uint64_t with_data;            /* packets of A with data, as the wire sees them */
	uint32_t largest, again_large; /* bytes of A's largest packet; of one sent twice */
};

extern struct sim_wire sim_wire;
extern uint64_t sim_now_us;

void sim_setup(void);    /* new wire settings; the stacks are made once */
void sim_teardown(void); /* lets TIME_WAIT end; every packet must be back in its pool */
/* Both ports cut packets of up to `max` bytes into segments (TSO); 0: they do not, as after set-up. */
void sim_tso(uint16_t max);
struct stack_group *sim_group(int side);
struct stack *sim_stack(int side);
struct sockaddr_in sim_addr(int side, uint16_t port);
/* Run both stacks for `us` of virtual time. */
void sim_run(uint64_t us);
/* A connection from A to a listener on B at `port`, accepted. */
void sim_connect(uint16_t port, struct sock **a, struct sock **b, struct sock **listener);
/* An IP packet arrives at `to` at its next walk, from nowhere. */
void sim_inject(int to, const void *ip, uint16_t len);
unsigned int sim_packets_out(void); /* packets taken from the pools */
#define SIM_PACKETS 8191
unsigned int sim_packets_free(int side); /* of the SIM_PACKETS that a side has for its wire */

#endif
