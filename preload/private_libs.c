/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libconfig and libcyaml, for the library alone.
 *
 * The loader resolves a name in the program first, then in its libraries. A program that exports a
 * config_init() of its own (lighttpd does) would be called by us, and by libconfig itself. So neither
 * library is linked: they are loaded where nobody else sees their names, and call themselves
 * (self_bound.h). Our code calls the functions below, which liblstack.so does not export.
 */
#include "preload/private_libs.h"
#include "preload/self_bound.h"

#include <cyaml/cyaml.h>
#include <dlfcn.h>
#include <libconfig.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define CALLS(CALL)                                                                                \
	CALL(CONFIG, int, config_read_string, (config_t * c, const char *text), (c, text))         \
	CALL(CONFIG, config_setting_t *, config_lookup, (const config_t *c, const char *path),     \
		(c, path))                                                                         \
	CALL(CONFIG, int, config_setting_get_bool, (const config_setting_t *s), (s))               \
	CALL(CONFIG, config_setting_t *, config_setting_get_elem,                                  \
		(const config_setting_t *s, unsigned int i), (s, i))                               \
	CALL(CONFIG, double, config_setting_get_float, (const config_setting_t *s), (s))           \
	CALL(CONFIG, int, config_setting_get_int, (const config_setting_t *s), (s))                \
	CALL(CONFIG, long long, config_setting_get_int64, (const config_setting_t *s), (s))        \
	CALL(CONFIG, config_setting_t *, config_setting_get_member,                                \
		(const config_setting_t *s, const char *name), (s, name))                          \
	CALL(CONFIG, const char *, config_setting_get_string, (const config_setting_t *s), (s))    \
	CALL(CONFIG, const char *, config_setting_get_string_elem,                                 \
		(const config_setting_t *s, int i), (s, i))                                        \
	CALL(CONFIG, int, config_setting_length, (const config_setting_t *s), (s))                 \
	CALL(CONFIG, int, config_setting_lookup_string,                                            \
		(const config_setting_t *s, const char *name, const char **value),                 \
		(s, name, value))                                                                  \
	CALL(CYAML, void *, cyaml_mem, (void *ctx, void *p, size_t n), (ctx, p, n))                \
	CALL(CYAML, cyaml_err_t, cyaml_load_data,                                                  \
		(const uint8_t *text, size_t n, const cyaml_config_t *c,                           \
			const cyaml_schema_value_t *schema, cyaml_data_t **data, unsigned *count), \
		(text, n, c, schema, data, count))                                                 \
	CALL(CYAML, cyaml_err_t, cyaml_save_data,                                                  \
		(char **text, size_t *n, const cyaml_config_t *c,                                  \
			const cyaml_schema_value_t *schema, const cyaml_data_t *data,              \
			unsigned count),                                                           \
		(text, n, c, schema, data, count))                                                 \
	CALL(CYAML, cyaml_err_t, cyaml_free,                                                       \
		(const cyaml_config_t *c, const cyaml_schema_value_t *schema, cyaml_data_t *data,  \
			unsigned count),                                                           \
		(c, schema, data, count))
#define PROCEDURES(CALL)                                                                           \
	CALL(CONFIG, void, config_init, (config_t * c), (c))                                       \
	CALL(CONFIG, void, config_destroy, (config_t * c), (c))

enum { CONFIG, CYAML, LIBS };

static const char *const files[LIBS] = {LIBCONFIG_FILE, LIBCYAML_FILE};
static pthread_once_t once = PTHREAD_ONCE_INIT;
static char reason[256];

static struct {
#define POINTER(lib, ret, name, params, args) ret(*name) params;
	CALLS(POINTER) PROCEDURES(POINTER)
} real;

static void load(void)
{
	void *libs[LIBS];

	for (int i = 0; i < LIBS; i++) {
		libs[i] = self_bound_load(files[i]);
		if (libs[i] == NULL) {
			snprintf(reason, sizeof(reason), "%s", dlerror());
			return;
		}
	}
#define FIND(lib, ret, name, params, args)                                                         \
	real.name = (ret(*) params)dlsym(libs[lib], #name);                                        \
	if (real.name == NULL)                                                                     \
		snprintf(reason, sizeof(reason), "%s has no %s()", files[lib], #name);
	CALLS(FIND)
	PROCEDURES(FIND)
}

const char *private_libs_load(void)
{
	pthread_once(&once, load);
	return reason[0] != '\0' ? reason : NULL;
}

/* Nobody comes here after private_libs_load() has said what is missing. */
#define HIDDEN __attribute__((visibility("hidden")))
#define FORWARD(lib, ret, name, params, args)                                                      \
	HIDDEN ret name params                                                                     \
	{                                                                                          \
		if (private_libs_load() != NULL)                                                   \
			abort();                                                                   \
		return real.name args;                                                             \
	}
#define FORWARD_PROCEDURE(lib, ret, name, params, args)                                            \
	HIDDEN void name params                                                                    \
	{                                                                                          \
		if (private_libs_load() != NULL)                                                   \
			abort();                                                                   \
		real.name args;                                                                    \
	}
CALLS(FORWARD)
PROCEDURES(FORWARD_PROCEDURE)
