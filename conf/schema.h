/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to conf/: one row per key of lstack.conf and of ltran.conf. Loader, dump, example file and
 * manual page all walk the rows of a schema, so a new key is one row in schema.c or ltran_schema.c and
 * one field in struct conf or struct ltran_conf; the rules between keys are a function of the schema.
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
#include "conf/ltran_conf.h"

#define CONF_WHY_MAX 200   /* bytes of one explanation */
#define CONF_VALUE_MAX 100 /* bytes of a value quoted in a message */
#define CONF_ROWS_MAX 64   /* of one schema */

/* Order of the rows of lstack.conf. */
enum conf_key {
	KEY_DPDK_ARGS,
	KEY_USE_LTRAN,
	KEY_DEVICES,
	KEY_BOND_MODE,
	KEY_BOND_MIIMON,
	KEY_BOND_SLAVE_MAC,
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
	KEY_SYSCALL_GUARD,
	KEY_ON_ERROR,
	CONF_KEYS
};

/* Order of the rows of ltran.conf. */
enum ltran_key {
	LTRAN_FORWARD_KIT_ARGS,
	LTRAN_DISPATCH_SUBNET,
	LTRAN_DISPATCH_SUBNET_LENGTH,
	LTRAN_DISPATCH_MAX_CLIENTS,
	LTRAN_TCP_CONN_SCAN_INTERVAL,
	LTRAN_KNI_SWITCH,
	LTRAN_LOW_POWER_MODE,
	LTRAN_BOND_MODE,
	LTRAN_BOND_MTU,
	LTRAN_BOND_MIIMON,
	LTRAN_BOND_MACS,
	LTRAN_BOND_PORTS,
	LTRAN_RX_MBUF_POOL_SIZE,
	LTRAN_TX_MBUF_POOL_SIZE,
	LTRAN_RATE_LIMIT,
	LTRAN_UNIX_PREFIX,
	LTRAN_CLIENT_GROUP,
	LTRAN_KEYS
};

_Static_assert((int)CONF_KEYS <= CONF_ROWS_MAX && (int)LTRAN_KEYS <= CONF_ROWS_MAX, "rows");

enum conf_type {
	CONF_BOOL, /* 0 or 1 in the file, bool in the struct */
	CONF_UINT, /* uint32_t */
	CONF_WORD, /* one of row->words, int */
	CONF_TEXT, /* char[], row->max characters at most */
	CONF_ADDR, /* dotted quad, uint32_t in network byte order */
	CONF_MAC,  /* uint8_t[6]; row->count is a bool: was it given? */
	CONF_CPUS, /* struct conf_cpus */
	CONF_ARGS, /* array of strings, char *[row->max], owned; row->count says how many */
	CONF_LINE, /* the same, in the file one string that is split at blanks */
	CONF_OWN,  /* row->ops knows */
};

struct conf_word {
	const char *word;
	int value;
};

struct conf_row;

/* A type that one row alone has. `c` is the whole struct. */
struct conf_ops {
	bool (*parse)(void *c, const config_setting_t *s, char *why, size_t why_len);
	void (*reset)(void *c); /* to the default; frees */
	bool (*is_default)(const void *c);
	void (*print)(const void *c, FILE *out);
};

struct conf_row {
	const char *name;
	const char *alias; /* a second accepted name, or NULL */
	enum conf_type type;
	bool mandatory;
	bool saturates;         /* CONF_UINT: more than max is max, and no error */
	size_t offset;          /* in the struct of the schema */
	size_t count;           /* offset of its companion, see enum conf_type */
	uint32_t def, min, max; /* `def` may lie outside: it then means "not given" */
	const char *unit;
	const char *legal;   /* legal values in words; NULL: from min, max and unit */
	const char *absent;  /* what happens without the key, where "default: DEF" does not say it */
	const char *example; /* libconfig text for the example file; NULL: the default, commented out */
	const struct conf_word *words; /* ends with a NULL word; the first is the default */
	/* Is a value of the right type and range legal on its own? If not, says why. */
	bool (*check)(const void *value, char *why, size_t why_len);
	const struct conf_ops *ops;
	const char *help;
};

/* Keys that have a meaning elsewhere: of other versions, or of the other file. */
struct conf_known {
	const char *name;
	const char *off;  /* this value asks for nothing and passes silently; NULL: none does */
	const char *text; /* goes behind the value in the warning */
};

struct conf_load;

/* One file. */
struct conf_schema {
	const char *file;  /* "lstack.conf" */
	const char *about; /* head of the example file */
	const char *other_path; /* how to name another file */
	size_t size;       /* of the struct */
	const struct conf_row *rows;
	unsigned int n_rows;
	const struct conf_known *known;
	size_t n_known;
	const struct conf_schema *other; /* the file that a key may have been meant for */
	int kept; /* row of a CONF_WORD that is honoured even if the file is bad; -1: none */
	/* Rules between keys; resolves values that depend on other keys. */
	void (*check_relations)(struct conf_load *l);
};

extern const struct conf_row conf_rows[CONF_KEYS];
extern const struct conf_row ltran_conf_rows[LTRAN_KEYS];
extern const struct conf_schema lstack_schema, ltran_schema;

/* The row with this name or alias, or -1. */
int conf_find_row(const struct conf_schema *schema, const char *name);
/* The key nearest to a mistyped one, or NULL when none is near enough to be worth naming. */
const char *conf_nearest(const struct conf_schema *schema, const char *key);

/* --- checks.c: what a value must be on its own ------------------------------------------------ */

bool conf_check_power_of_two(const void *value, char *why, size_t why_len);
bool conf_check_unix_prefix(const void *value, char *why, size_t why_len);
bool conf_check_host_addr(const void *value, char *why, size_t why_len);
bool conf_check_mac(const void *value, char *why, size_t why_len);

/* --- values.c --------------------------------------------------------------------------------- */

static inline void *
conf_field(void *c, const struct conf_row *row)
{
	return (char *)c + row->offset;
}

/* What row->count leads to. */
static inline void *
conf_companion(const void *c, const struct conf_row *row)
{
	return (char *)(uintptr_t)c + row->count;
}

static inline const void *
conf_field_const(const void *c, const struct conf_row *row)
{
	return (const char *)c + row->offset;
}

void conf_set_default(void *c, const struct conf_row *row);
bool conf_is_default(const void *c, const struct conf_row *row);
/* Read one setting into its field. False and the reason in `why` if it does not fit; the field then
 * keeps its default. */
bool conf_parse_value(void *c, const struct conf_row *row, const config_setting_t *s,
	char *why, size_t why_len);
/* A whole number within the row's range; false and the reason otherwise. */
bool conf_parse_number(const struct conf_row *row, const config_setting_t *s, uint32_t *out,
	char *why, size_t why_len);
/* "0,2,4-7" or "0x15" */
bool conf_parse_cpus(const char *text, struct conf_cpus *out, char *why, size_t why_len);
/* The setting as it stands in the file, cut to fit. */
void conf_quote_setting(const config_setting_t *s, char *buf, size_t len);
/* The legal values of a row in words. */
void conf_legal_text(const struct conf_row *row, char *buf, size_t len);

/* --- literals.c ------------------------------------------------------------------------------- */

/* A copy of `text`, to be freed, whose whole numbers beyond 32 bits carry the L that libconfig wants;
 * without, it takes them modulo 2^32. NULL: no memory. */
char *conf_widen_literals(const char *text);

/* --- dump.c ----------------------------------------------------------------------------------- */

int conf_dump_schema(const struct conf_schema *schema, const void *c, FILE *out);
int conf_print_schema_example(const struct conf_schema *schema, FILE *out);
int conf_print_schema_help(const struct conf_schema *schema, FILE *out);
void conf_print_quoted(FILE *out, const char *text);

/* --- load.c ----------------------------------------------------------------------------------- */

/* What the rules between keys need to know about the machine; a parameter so that tests choose it. */
struct conf_host {
	cpu_set_t online;
	unsigned int stacks_max; /* stack images in this build */
};

struct conf_load {
	const struct conf_schema *schema;
	const char *path;
	const struct conf_host *host; /* NULL: the schema's rules do not ask */
	void *c;
	conf_report_fn report;
	void *arg;
	unsigned int n_errors;
	const config_setting_t *given[CONF_ROWS_MAX]; /* NULL: absent or bad */
	bool bad[CONF_ROWS_MAX]; /* complained about: the field holds the default, judge it no further */
};

int conf_load_file(const struct conf_schema *schema, const struct conf_host *host, const char *path,
	void *c, conf_report_fn report, void *arg);
int conf_load_text(const struct conf_schema *schema, const struct conf_host *host, const char *path,
	const char *text, void *c, conf_report_fn report, void *arg);
/* Frees what the fields own. */
void conf_clear(const struct conf_schema *schema, void *c);

/* Report about row `k`; names line and value where it was given, and its legal values if `legal`. */
void conf_complain(struct conf_load *l, bool is_error, unsigned int k, bool legal, const char *fmt,
	...) __attribute__((format(printf, 5, 6)));

/* --- relations.c, ltran_relations.c ----------------------------------------------------------- */

void conf_check_relations(struct conf_load *l);
void ltran_conf_check_relations(struct conf_load *l);
/* Arguments of DPDK's start-up that neither program can run with; of row `k`. */
void conf_check_eal_args(struct conf_load *l, unsigned int k, char *const *args, unsigned int n);

#endif
