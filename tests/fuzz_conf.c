/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzer of lstack.conf and ltran.conf: every input is read as both. A file that is refused is never refused
 * without a word.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/schema.h"
#include "tests/fuzz_main.h"

static void
swallow(void *arg, bool is_error, const char *line)
{
	*(size_t *)arg += strlen(line) + is_error;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf_host host = {.stacks_max = 16};
	char *text = malloc(size + 1);
	FILE *null = fopen("/dev/null", "w");
	struct ltran_conf lc;
	size_t heard = 0;
	struct conf c;

	if (null == NULL || text == NULL)
		return 0;
	CPU_SET(0, &host.online);
	CPU_SET(1, &host.online);
	memcpy(text, data, size);
	text[size] = '\0';
	if (conf_load_text(&lstack_schema, &host, "fuzz", text, &c, swallow, &heard) == 0)
		conf_dump_yaml(&c, null);
	else
		fuzz_require(heard > 0, "refused without a word");
	conf_free(&c);
	heard = 0;
	if (conf_load_text(&ltran_schema, NULL, "fuzz", text, &lc, swallow, &heard) == 0)
		ltran_conf_dump_yaml(&lc, null);
	else
		fuzz_require(heard > 0, "refused without a word");
	ltran_conf_free(&lc);
	fclose(null);
	free(text);
	return 0;
}

static const char *const seeds[] = {
	"host_addr=\"192.168.1.10\"\nmask_addr=\"255.255.255.0\"\ngateway_addr=\"192.168.1.1\";\n"
	"devices=\"aa:bb:cc:dd:ee:ff\"\nnum_cpus=\"0,1\"\nnum_wakeup=\"0-1\"\n",
	"dpdk_args=[\"--socket-mem\", \"2048\"]\nmtu=0x5dc;rpc_number=4\nunix_prefix=\"a\\nb\"\n",
	"bond_mode=1\nnum_cpu=\"0x3\"\nx={y=(1,2.5,\"z\");}\n// c\n/* d */ on_error=\"exit\"\n",
	"dispatch_subnet=\"192.168.1.0\"\ndispatch_subnet_length=8\nbond_ports=\"0x3\"\n"
	"forward_kit_args=\"-l 0,1 --no-huge -m 512\"\nbond_miimon=18446744073708551615\n"
	"rate_limit=({addr=\"192.168.1.10\";bytes=5000000000;packets=7;},{addr=\"192.168.1.11\";"
	"packets=1;})\n",
};

FUZZ_MAIN(seeds)
