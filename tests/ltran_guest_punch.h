/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory that a hostile instance takes away from under ltran; see ltran_guest_hostile.c. */
#ifndef TESTS_LTRAN_GUEST_PUNCH_H
#define TESTS_LTRAN_GUEST_PUNCH_H

#include <stddef.h>

/* Takes its pages away once, and says what came of it. */
void guest_punch(int memory_fd, size_t bytes);
/* Memory of a kind: "holes" has no pages; "punched" is large, and a process fills and punches it for a second,
 * again and again. A descriptor, for good; `other` where there is no such kind. */
int guest_odd_memory(const char *kind, size_t bytes, int other);

#endif
