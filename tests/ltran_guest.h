/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of tests/ltran_guest share. */
#ifndef TESTS_LTRAN_GUEST_H
#define TESTS_LTRAN_GUEST_H

#include "nodes/ltran_abi.h"
#include "tests/ltran_guest_frame.h"
#include "tests/ltran_guest_ring.h"

struct guest {
	const char *dir, *prefix; /* where ltran's socket is */
	int registration;
	struct ltran_register request;
	struct ltran_registered answer;
	struct guest_device device;
	bool never_memory, never_doorbell; /* files that never answer */
	struct guest_frame frame; /* what it sends unless a step says otherwise */
};

/* Sends registrations that are wrong in one way each, and says what ltran did: a line per kind. An exit
 * code. */
int guest_send_malformed(const struct guest *g, const char *kind);

#endif
