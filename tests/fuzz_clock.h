/* SPDX-License-Identifier: BSD-3-Clause */
/* Virtual time for nodes that read the TSC: given to the compiler with -include, before their own
 * includes. One cycle is a microsecond. */
#ifndef TESTS_FUZZ_CLOCK_H
#define TESTS_FUZZ_CLOCK_H

#include <stdint.h>

#include <rte_cycles.h>

extern uint64_t fuzz_now_us;

#define rte_rdtsc() fuzz_now_us
#define rte_get_tsc_cycles() fuzz_now_us
#define rte_get_tsc_hz() UINT64_C(1000000)

#endif
