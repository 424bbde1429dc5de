/* SPDX-License-Identifier: BSD-3-Clause */
/* The generator of linerate: trials of one rate and frame size over the port. */
#ifndef PERF_LINERATE_TRIAL_H
#define PERF_LINERATE_TRIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "perf/hist.h"
#include "perf/linerate_calc.h"
#include "perf/linerate_port.h"

#define LINERATE_FRAME_MIN 64
#define LINERATE_FRAME_MAX 1518

struct generator {
	struct rte_mempool *out, *in; /* every packet of `out` holds the template */
	struct rte_ether_addr mac, peer;
	uint32_t trial; /* number of the trial going on; older packets are not counted */
	uint16_t len;   /* of the packets, without CRC */
	uint8_t frame[LINERATE_FRAME_MAX];
};

struct trial {
	double pps, seconds; /* asked for; pps 0: as fast as it goes */
	/* result */
	struct flow flow;
	struct hist latency; /* of all packets */
	double loss;         /* without the times when one end was away, see linerate_trial.c */
	double disturbed;    /* share of such time */
	double offered_pps, received_pps;
};

/* Start the generator on the started port; ends the program when the other end does not answer.
 * `arp`: it is a host; otherwise a wire, which takes any address. */
void generator_start(struct generator *g, bool arp);
/* From now on frames of `frame` bytes, CRC included. */
void generator_set_frame(struct generator *g, uint16_t frame);
void generator_run(struct generator *g, struct trial *t);

#endif
