/* SPDX-License-Identifier: BSD-3-Clause */
/* What the link does with the doorbells; workers use nodes/ltran_bells.h. */
#ifndef NODES_INSTANCE_LTRAN_BELLS_H
#define NODES_INSTANCE_LTRAN_BELLS_H

#include "nodes/ltran_bells.h"

void ltran_bells_init(struct ltran_bells *b, uint16_t n_queues);
/* Those that ltran has sent, in the place of any before. Takes `fds`. 0 or -errno. */
int ltran_bells_take(struct ltran_bells *b, uint16_t worker, const int *fds, unsigned int n);
void ltran_bells_drop(const int *fds, unsigned int n);
void ltran_bells_close(struct ltran_bells *b);

#endif
