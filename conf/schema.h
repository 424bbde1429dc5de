/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to conf/: one row per key of lstack.conf. Loader, relations, dump, example file and manual
 * page all walk these rows, so a new key is one row here and one field in struct conf.
 */
#ifndef CONF_SCHEMA_H
#define CONF_SCHEMA_H

#include <libconfig.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "conf/conf.h"

#define CONF_WHY_MAX 200   /* bytes of one explanation */
#define CONF_VALUE_MAX 100 /* bytes of a value quoted in a message */

/* Order of the rows. */
enum conf_key {
	KEY_DPDK_ARGS,
	KEY_USE_LTRAN,
	KEY_DEVICES,
	KEY_HOST_ADDR,
	KEY_MASK_ADDR,
	KEY_GATEWAY_ADDR,
	KEY_MTU,
	KEY_STACK_THREAD_MODE,
	KEY_NUM_CPUS,
	KEY_NUM_WAKEUP,
	KEY_STACK_NUM,
	KEY_APP_BIND_NUMA,
	KEY_APP_EXCLUDE_CPUS,
	KEY_MAIN_THREAD_AFFINITY,
	KEY_LISTEN_SHADOW,
	KEY_UDP_ENABLE,
	KEY_LOW_POWER_MODE,
	KEY_KNI_SWITCH,
	KEY_SEND_CONNECT_NUMBER,
	KEY_READ_CONNECT_NUMBER,
	KEY_RPC_NUMBER,
	KEY_NIC_READ_NUM,
	KEY_NIC_RXQUEUE_SIZE,
	KEY_NIC_TXQUEUE_SIZE,
	KEY_MBUF_POOL_SIZE,
	KEY_DESCRIPTOR_LIMIT,
	KEY_TCP_CONN_COUNT,
	KEY_MBUF_COUNT_PER_CONN,
	KEY_MEM_CACHE_NUM,
	KEY_UNIX_PREFIX,
	KEY_ON_ERROR,
	CONF_KEYS
};

enum conf_type {
	CONF_BOOL, /* 0 or 1 in the file, bool in the struct */
	CONF_UINT, /* uint32_t */
	CONF_WORD, /* one of row->words, int */
	CONF_TEXT, /* char[], row->max characters at most */
	CONF_ADDR, /* dotted quad, uint32_t in network byte order */
	CONF_MAC,  /* uint8_t[6] */
	CONF_CPUS, /* struct conf_cpus */
	CONF_ARGS, /* dpdk_args */
};

struct conf_word {
	const char *word;
	int value;
};

struct conf_row {
	const char *name;
	const char *alias; /* a second accepted name, or NULL */
	enum conf_type type;
	bool mandatory;
	size_t offset;          /* in struct conf */
	uint32_t def, min, max; /* `def` may lie outside: it then means "not given" */
	const char *unit;
	const char *legal;   /* legal values in words; NULL: from min, max and unit */
	const char *absent;  /* what happens without the key, where "default: DEF" does not say it */
	const char *example; /* libconfig text for the example file; NULL: the default, commented out */
	const struct conf_word *words; /* ends with a NULL word; the first is the default */
	/* Is a value of the right type and range legal on its own? If not, says why. */
	bool (*check)(const void *value, char *why, size_t why_len);
	const char *help;
};

extern const struct conf_row conf_rows[CONF_KEYS];

/* Keys that have a meaning elsewhere: of other versions, or of the other file. */
struct conf_known {
	const char *name;
	const char *off;  /* this value asks for nothing and passes silently; NULL: none does */
	const char *text; /* goes behind the value in the warning */
};

extern const struct conf_known conf_known[];
extern const size_t conf_known_n;

/* The key nearest to a mistyped one, or NULL when none is near enough to be worth naming. */
const char *conf_nearest(const char *key);

/* --- values.c --------------------------------------------------------------------------------- */

static inline void *
conf_field(struct conf *c, const struct conf_row *row)
{
	return (char *)c + row->offset;
}

static inline const void *
conf_field_const(const struct conf *c, const struct conf_row *row)
{
	return (const char *)c + row->offset;
}

void conf_set_default(struct conf *c, const struct conf_row *row);
bool conf_is_default(const struct conf *c, const struct conf_row *row);
/* Read one setting into its field. False and the reason in `why` if it does not fit; the field then
 * keeps its default. */
bool conf_parse_value(struct conf *c, const struct conf_row *row, const config_setting_t *s,
	char *why, size_t why_len);
/* "0,2,4-7" or "0x15" */
bool conf_parse_cpus(const char *text, struct conf_cpus *out, char *why, size_t why_len);
/* The setting as it stands in the file, cut to fit. */
void conf_quote_setting(const config_setting_t *s, char *buf, size_t len);
/* The legal values of a row in words. */
void conf_legal_text(const struct conf_row *row, char *buf, size_t len);

/* --- load.c, relations.c ---------------------------------------------------------------------- */

/* What the rules between keys need to know about the machine; a parameter so that tests choose it. */
struct conf_host {
	cpu_set_t online;
	unsigned int stacks_max; /* stack images in this build */
};

struct conf_load {
	const char *path;
	const char *text; /* the whole file */
	const struct conf_host *host;
	struct conf *c;
	conf_report_fn report;
	void *arg;
	unsigned int n_errors;
	const config_setting_t *given[CONF_KEYS]; /* NULL: absent or bad */
	bool bad[CONF_KEYS]; /* complained about: the field holds the default, judge it no further */
};

int conf_load_on(const struct conf_host *host, const char *path, struct conf *c,
	conf_report_fn report, void *arg);
int conf_load_text(const struct conf_host *host, const char *path, const char *text,
	struct conf *c, conf_report_fn report, void *arg);

/* Report about key `k`; names line and value where it was given, and its legal values if `legal`. */
void conf_complain(struct conf_load *l, bool is_error, enum conf_key k, bool legal, const char *fmt,
	...) __attribute__((format(printf, 5, 6)));
/* Rules between keys; resolves "auto" and counts that depend on other keys. */
void conf_check_relations(struct conf_load *l);

#endif
