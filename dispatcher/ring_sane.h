/* SPDX-License-Identifier: BSD-3-Clause */
/* A look at the rings of a device of librte_vhost. */
#ifndef DISPATCHER_RING_SANE_H
#define DISPATCHER_RING_SANE_H

#include <stdbool.h>

#include "dispatcher/ring.h"

/* No ring of `vid` has more entries waiting than it has room for; else `why` says which one. The device
 * must not go away meanwhile. */
bool ring_indices_are_sane(int vid, char why[RING_TEXT_MAX]);

#endif
