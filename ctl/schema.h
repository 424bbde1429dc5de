/* SPDX-License-Identifier: BSD-3-Clause */
/* How the schemas of messages*.c are written, and what they share. */
#ifndef CTL_SCHEMA_H
#define CTL_SCHEMA_H

#include <cyaml/cyaml.h>

#include "ctl/snapshot.h"

#define D CYAML_FLAG_DEFAULT
#define PTR CYAML_FLAG_POINTER
/* A sequence may be absent: an empty one is. */
#define SEQ (CYAML_FLAG_POINTER_NULL | CYAML_FLAG_OPTIONAL)

#define TEXT(type, member) CYAML_FIELD_STRING(#member, D, struct type, member, 0)
#define UINT(type, member) CYAML_FIELD_UINT(#member, D, struct type, member)
#define INT(type, member) CYAML_FIELD_INT(#member, D, struct type, member)
#define BOOL(type, member) CYAML_FIELD_BOOL(#member, D, struct type, member)

/* Every field of a type that is a sequence of structs behind a pointer. */
#define LIST(type, member, value)                                                                  \
	CYAML_FIELD_SEQUENCE(#member, SEQ, struct type, member, value, 0, CYAML_UNLIMITED)

#define ROOT(type, fields)                                                                         \
	static const cyaml_schema_value_t type##_root = {                                          \
		CYAML_VALUE_MAPPING(PTR, struct type, fields),                                     \
	}

/* messages.c */
extern const cyaml_schema_field_t ctl_error_fields[], ctl_port_fields[];

/* messages_ltran.c */
extern const cyaml_schema_value_t ctl_ltran_root, ctl_instances_root, ctl_measure_request_root,
	ctl_measure_root, ctl_loglevel_root, ctl_quit_root;

#endif
