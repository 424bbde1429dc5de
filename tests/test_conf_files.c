/* SPDX-License-Identifier: BSD-3-Clause */
/* conf/: whole files, read (the user guide's) and made from the rows (example, dump, manual). */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/conf_load.h"

static const char guide_example[] =
	"dpdk_args=[\"--socket-mem\", \"2048,0,0,0\", \"--huge-dir\", \"/mnt/hugepages-lstack\", "
	"\"--proc-type\", \"primary\", \"--legacy-mem\", \"--map-perfect\"]\n"
	"\nuse_ltran=%d\nkni_switch=0\n\nlow_power_mode=0\n\n"
	"num_cpus=\"2,22\"\nnum_wakeup=\"3,23\"\n\n"
	"host_addr=\"192.168.1.10\"\nmask_addr=\"255.255.255.0\"\n"
	"gateway_addr=\"192.168.1.1\"\ndevices=\"aa:bb:cc:dd:ee:ff\"\n\n"
	"send_connect_number=4\nread_connect_number=4\nrpc_number=4\nnic_read_num=128\n"
	"mbuf_pool_size=1024000\n";

static void
example_of_the_user_guide_loads(void)
{
	char text[1024];

	snprintf(text, sizeof(text), guide_example, 0);
	CU_ASSERT_EQUAL(load(text), 0);
	CU_ASSERT_EQUAL(n_errors + n_warnings, 0);
	CU_ASSERT_FALSE(c.use_ltran);

	snprintf(text, sizeof(text), guide_example, 1);
	CU_ASSERT_EQUAL_FATAL(load(text), 0);
	CU_ASSERT_EQUAL(n_errors + n_warnings, 0);
	CU_ASSERT_TRUE(c.use_ltran);
	CU_ASSERT_EQUAL(c.n_dpdk_args, 8);
	CU_ASSERT_STRING_EQUAL(c.dpdk_args[1], "2048,0,0,0");
	CU_ASSERT_STRING_EQUAL(c.dpdk_args[7], "--map-perfect");
	CU_ASSERT_EQUAL(c.num_cpus.n, 2);
	CU_ASSERT_EQUAL(c.num_cpus.cpu[1], 22);
	CU_ASSERT_EQUAL(c.num_wakeup.n, 2);
	CU_ASSERT_EQUAL(c.num_wakeup.cpu[1], 23);
	CU_ASSERT_EQUAL(c.stack_thread_mode, CONF_MODE_RUN_TO_WAKEUP);
	CU_ASSERT_EQUAL(c.stack_num, 2);
	CU_ASSERT_EQUAL(c.gateway_addr, inet_addr("192.168.1.1"));
	CU_ASSERT_TRUE(c.has_devices);
	CU_ASSERT_EQUAL(c.mbuf_pool_size, 1024000);
}

/* Everything the example of a schema is, in a buffer to be freed. */
static char *
example_text(const struct conf_schema *schema)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	CU_ASSERT_EQUAL(conf_print_schema_example(schema, out), 0);
	fclose(out);
	return text;
}

static void
expect_same_file(const char *path, const char *text, const char *what)
{
	static char shipped[32768];
	FILE *f = fopen(path, "r");
	size_t n;

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	n = fread(shipped, 1, sizeof(shipped) - 1, f);
	shipped[n] = '\0';
	fclose(f);
	expect(strcmp(shipped, text) == 0, what);
}

static void
shipped_files_are_made_from_the_rows(void)
{
	char *text = example_text(&lstack_schema);
	struct ltran_conf lc;

	expect_same_file(SOURCE_ROOT "/conf/lstack.conf", text,
		"conf/lstack.conf differs: build/conf/conf-print example > conf/lstack.conf");
	CU_ASSERT_EQUAL(load(text), 0);
	CU_ASSERT_EQUAL(n_warnings, 0);
	free(text);
	text = example_text(&ltran_schema);
	expect_same_file(SOURCE_ROOT "/conf/ltran.conf", text,
		"conf/ltran.conf differs: build/conf/conf-print ltran example > conf/ltran.conf");
	CU_ASSERT_EQUAL(conf_load_text(&ltran_schema, NULL, "ltran.conf", text, &lc, hear, NULL), 0);
	CU_ASSERT_EQUAL(n_warnings, 0);
	ltran_conf_free(&lc);
	free(text);
}

/* "#key=" is a default, "# words" are words. */
static void
uncomment(char *text)
{
	for (char *p = text; p != NULL; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (p[0] == '#' && p[1] != ' ')
			p[0] = ' ';
	}
}

static void
defaults_in_comments_are_legal(void)
{
	char *text = example_text(&lstack_schema);
	struct ltran_conf lc;

	uncomment(text);
	expect(load(text) == 0 && n_warnings == 0, "example with its comments removed");
	CU_ASSERT_EQUAL(c.mbuf_pool_size, 0);
	CU_ASSERT_EQUAL(c.num_cpus.n, 0);
	free(text);
	text = example_text(&ltran_schema);
	uncomment(text);
	expect(conf_load_text(&ltran_schema, NULL, "ltran.conf", text, &lc, hear, NULL) == 0 &&
		n_warnings == 0, "ltran's example with its comments removed");
	CU_ASSERT_EQUAL(lc.rx_mbuf_pool_size, 28672);
	CU_ASSERT_EQUAL(lc.n_rates, 0);
	ltran_conf_free(&lc);
	free(text);
}

static void
dump_is_yaml_with_defaults_marked(void)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	CU_ASSERT_EQUAL(load_line("dpdk_args=[\"a\\\"b\"]\nmtu=1400\nnum_cpus=\"1-2\""), 0);
	CU_ASSERT_EQUAL(conf_dump_yaml(&c, out), 0);
	fclose(out);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "dpdk_args: [\"a\\\"b\"]\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "host_addr: \"192.168.1.10\"\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "mtu: 1400\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "num_cpus: \"1,2\"\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "rpc_number: 0 # default\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "devices: null # default\n"));
	free(text);
}

static void
manual_rows_name_every_key(void)
{
	const struct conf_schema *schemas[] = { &lstack_schema, &ltran_schema };

	for (size_t i = 0; i < sizeof(schemas) / sizeof(schemas[0]); i++) {
		char *text = NULL, name[64];
		size_t len;
		FILE *out = open_memstream(&text, &len);

		CU_ASSERT_EQUAL(conf_print_schema_help(schemas[i], out), 0);
		fclose(out);
		for (unsigned int k = 0; k < schemas[i]->n_rows; k++) {
			snprintf(name, sizeof(name), ".B %s\n", schemas[i]->rows[k].name);
			expect(strstr(text, name) != NULL, name);
		}
		free(text);
	}
}

static void
unreadable_files_are_errors(void)
{
	char path[] = "/tmp/test_conf_XXXXXX";
	int fd = mkstemp(path);

	heard[0] = '\0';
	CU_ASSERT_EQUAL(conf_load("/nonexistent/lstack.conf", &c, hear, NULL), -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(heard, "/nonexistent/lstack.conf: cannot be read: No such"));
	conf_free(&c);
	CU_ASSERT_EQUAL(conf_load("/tmp", &c, hear, NULL), -EISDIR);
	conf_free(&c);
	CU_ASSERT_EQUAL(conf_load("/dev/zero", &c, hear, NULL), -EINVAL);
	conf_free(&c);

	CU_ASSERT_EQUAL(write(fd, "a\0b", 3), 3);
	CU_ASSERT_EQUAL(conf_load(path, &c, hear, NULL), -EILSEQ);
	conf_free(&c);
	CU_ASSERT_EQUAL(ftruncate(fd, 0), 0);
	CU_ASSERT_EQUAL(pwrite(fd, ADDRS "num_cpus=\"0\"", sizeof(ADDRS) + 11, 0),
		(ssize_t)sizeof(ADDRS) + 11);
	close(fd);
	setenv("LSTACK_CONF_PATH", path, 1);
	CU_ASSERT_EQUAL(conf_load(NULL, &c, hear, NULL), 0);
	CU_ASSERT_EQUAL(c.num_cpus.n, 1);
	unsetenv("LSTACK_CONF_PATH");
	unlink(path);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(example_of_the_user_guide_loads),
	CUNIT_TEST(shipped_files_are_made_from_the_rows),
	CUNIT_TEST(defaults_in_comments_are_legal),
	CUNIT_TEST(dump_is_yaml_with_defaults_marked),
	CUNIT_TEST(manual_rows_name_every_key),
	CUNIT_TEST(unreadable_files_are_errors),
};

CUNIT_MAIN("conf_files", tests, NULL, teardown)
