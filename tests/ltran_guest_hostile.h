/* SPDX-License-Identifier: BSD-3-Clause */
/* Steps of tests/ltran_guest that no honest instance takes. */
#ifndef TESTS_LTRAN_GUEST_HOSTILE_H
#define TESTS_LTRAN_GUEST_HOSTILE_H

#include <stdbool.h>

#include "tests/ltran_guest.h"

/* False: no such step. */
bool guest_take_hostile_step(struct guest *g, const char *step, const char *text);

#endif
