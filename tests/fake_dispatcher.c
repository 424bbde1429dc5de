/* SPDX-License-Identifier: BSD-3-Clause */
/* An ltran without threads, ports and instances, and gazellectl's requests to it, no socket. */
#include "tests/fake_dispatcher.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dispatcher/ltran_ctl.h"
#include "dispatcher/measure.h"
#include "nodes/port.h"
#include "tests/eal.h"

struct ltran fake_lt;
struct ltran_conf fake_conf;
struct dispatch_worker fake_workers[FAKE_WORKERS];
struct member fake_members[FAKE_MEMBERS];
struct bond_slave_stats fake_slave;
unsigned int fake_kicks;

static struct member_stats stats[FAKE_MEMBERS][FAKE_WORKERS];

/* --- stand-ins for bond.c, port.c, registry.c and worker.c ------------------------------------ */

void
registry_each(struct ltran *l, void (*each)(void *arg, const struct member *m), void *arg)
{
	for (unsigned int i = FAKE_MEMBERS; i-- > 0;)
		each(arg, &fake_members[i]);
}

void
workers_kick(struct ltran *l)
{
	fake_kicks++;
}

uint64_t
port_missed(uint16_t port)
{
	return 0;
}

void
bond_get_stats(const struct bond *b, struct bond_stats *out)
{
	*out = (struct bond_stats){.mode = BOND_ACTIVE_BACKUP, .miimon_ms = 100, .n_slaves = 1,
		.switches = 3};
}

void
bond_get_slave_stats(struct bond *b, unsigned int i, struct bond_slave_stats *out)
{
	*out = fake_slave;
}

/* --- life ------------------------------------------------------------------------------------- */

void
fake_dispatcher_setup(void)
{
	struct timespec ts;

	fake_conf = (struct ltran_conf){.dispatch_max_clients = 64, .low_power_mode = true};
	memset(&fake_lt, 0, sizeof(fake_lt));
	fake_lt.conf = &fake_conf;
	fake_lt.pool = eal_test_pool(FAKE_PACKETS, 0, 2048);
	fake_lt.ports[0] = RTE_MAX_ETHPORTS - 1; /* none */
	fake_lt.n_workers = FAKE_WORKERS;
	memset(stats, 0, sizeof(stats));
	for (unsigned int i = 0; i < FAKE_WORKERS; i++) {
		memset(&fake_workers[i], 0, sizeof(fake_workers[i]));
		fake_workers[i].w.index = i;
		fake_workers[i].lt = &fake_lt;
		fake_workers[i].cpu = -1;
		fake_workers[i].walks = 10;
		fake_workers[i].tid = 100 + i;
		fake_lt.workers[i] = &fake_workers[i];
	}
	clock_gettime(CLOCK_MONOTONIC, &ts);
	for (unsigned int i = 0; i < FAKE_MEMBERS; i++) {
		fake_members[i] = (struct member){.index = i, .vid = i == 0 ? 3 : -1, .n_queues = 1,
			.addr = RTE_BE32(0xc6120001 + i), .pid = 4711 + i, .uid = 7, .fd = 20 + i,
			.stats = stats[i], .program = "redis-server",
			.since_us = ts.tv_sec * 1000000ull - 5000000};
	}
	memset(&fake_slave, 0, sizeof(fake_slave));
	fake_kicks = 0;
}

void
fake_dispatcher_teardown(void)
{
	measure_free(&fake_lt);
	eal_test_pool_done(fake_lt.pool);
}

/* --- gazellectl ------------------------------------------------------------------------------- */

void *
fake_ask(enum ctl_command command, const void *request, char **err)
{
	const struct ctl_message *m = ctl_message_find(command);
	struct ctl_server_params p = ltran_ctl_params(&fake_lt);
	struct ctl_header h = {.magic = CTL_MAGIC, .version = CTL_VERSION, .command = command}, out;
	char *body = NULL, *out_body;
	void *answer = NULL;
	size_t len = 0;

	*err = NULL;
	if (m->request != NULL)
		CU_ASSERT_EQUAL_FATAL(ctl_message_encode(m->request, request, &body, &len), 0);
	h.length = len;
	ctl_server_dispatch(&p, &h, body, &out, &out_body);
	free(body);
	if (out.status == CTL_OK) {
		CU_ASSERT_EQUAL(ctl_message_decode(m->answer, out_body, out.length, &answer), 0);
		free(out_body);
	} else {
		*err = out_body;
	}
	return answer;
}

void
fake_ask_done(enum ctl_command command, void *answer)
{
	ctl_message_free(ctl_message_find(command)->answer, answer);
}
