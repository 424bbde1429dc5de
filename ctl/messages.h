/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Snapshot structs to YAML documents and back. One row per command names the struct of its request
 * and of its answer; both sides use the same rows.
 */
#ifndef CTL_MESSAGES_H
#define CTL_MESSAGES_H

#include <stddef.h>
#include <stdint.h>

#include "ctl/ctl_abi.h"
#include "ctl/snapshot.h"

struct cyaml_schema_value;

struct ctl_message {
	enum ctl_command command;
	const char *name;
	const struct cyaml_schema_value *request; /* NULL: no body */
	size_t request_size;
	const struct cyaml_schema_value *answer;
	size_t answer_size;
	size_t answer_max;      /* bytes of the document that gazellectl takes, and a server makes */
	unsigned int answer_ms; /* from the connection to the last byte, in all */
};

/* The row of a command, or NULL. */
const struct ctl_message *ctl_message_find(uint16_t command);

/* The document of `data`, to be freed with free(). 0 or -errno. */
int ctl_message_encode(const struct cyaml_schema_value *schema, const void *data, char **body,
	size_t *len);
/* A struct of the schema's type, to be freed with ctl_message_free(). The document may come from
 * anybody: bounds.h says what is refused unread. 0, -EINVAL, -ENOMEM. */
int ctl_message_decode(const struct cyaml_schema_value *schema, const char *body, size_t len,
	void **data);
void ctl_message_free(const struct cyaml_schema_value *schema, void *data);

#endif
