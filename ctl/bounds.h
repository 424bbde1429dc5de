/* SPDX-License-Identifier: BSD-3-Clause */
/* What a document may be before a YAML parser sees it. */
#ifndef CTL_BOUNDS_H
#define CTL_BOUNDS_H

#include <stdbool.h>
#include <stddef.h>

/*
 * True: YAML of the style that our encoder writes, nested by indentation only, and not deeper than
 * any message of ours. False: anything else, such as "[[[" (libyaml needs time that grows with the square
 * of the depth, 25 s for 100 KB), anchors, aliases, tags, directives, block scalars, complex keys,
 * and bytes that are neither ASCII text nor line ends.
 */
bool ctl_bounds_hold(const char *body, size_t len);

#endif
