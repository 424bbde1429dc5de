/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a process says must not steer the terminal that it is shown on: control characters, escape
 * sequences and everything else that is not printable ASCII becomes "?".
 */
#ifndef CTL_CLEAN_H
#define CTL_CLEAN_H

#include <stdio.h>

struct cyaml_schema_value;

/* One text: line ends and tabs go as well. */
void ctl_clean_text(char *text);
/* Every text in an answer, which is what ctl_message_decode() has made by `schema`. */
void ctl_clean_answer(const struct cyaml_schema_value *schema, void *data);
/* The last barrier: a stream that passes on to `to` what is printable, and line ends and tabs. NULL:
 * no memory. Closing it flushes `to` and leaves it open. */
FILE *ctl_clean_stream(FILE *to);

#endif
