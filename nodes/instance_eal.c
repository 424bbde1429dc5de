/* SPDX-License-Identifier: BSD-3-Clause */
/* DPDK's environment as an instance wants it: from dpdk_args, with a bounded wait for a vhost peer. */
#include "nodes/instance_private.h"

#include <errno.h>
#include <stdio.h>

#include "nodes/eal_args.h"
#include "nodes/instance_peer.h"

/* Memory for the pools of an instance nobody gave a size for, plus what drivers and graphs take. */
static unsigned int
default_memory_mb(const struct conf *c)
{
	uint64_t n = c->mbuf_pool_size;
	uint64_t mb;

	if (n == 0)
		n = (uint64_t)c->tcp_conn_count * c->mbuf_count_per_conn;
	if (n == 0)
		return ARGS_MEMORY_MB;
	mb = n * (2048 + 512 + 16384 / 16) / (1024 * 1024) + 128;
	return mb < ARGS_MEMORY_MB ? ARGS_MEMORY_MB : mb > 65536 ? 65536 : (unsigned int)mb;
}

int
instance_eal_start(struct instance *in, char *err, size_t err_len)
{
	const struct conf *c = in->conf;
	const struct eal_params p = {
		.name = "lstack",
		.key = "dpdk_args",
		.args = (const char *const *)c->dpdk_args,
		.n_args = c->n_dpdk_args,
		.extra = in->extra_args,
		.n_extra = in->n_extra_args,
		.one_file = in->ltran != NULL,
		.default_mb = default_memory_mb(c),
		.cpu = c->num_cpus.n > 0 ? (int)c->num_cpus.cpu[0] : -1,
		.stay_on_core = c->main_thread_affinity,
	};
	struct peer_watch watch;
	int ret;

	peer_watch_start(&watch, &p);
	ret = eal_start(&in->eal, &p, err, err_len);
	if (!peer_watch_stop(&watch))
		return ret;
	snprintf(err, err_len, "no vhost peer came to %s in %d s", watch.addr.sun_path, PEER_WAIT_S);
	return -ETIMEDOUT;
}

void
instance_eal_stop(struct instance *in)
{
	eal_stop(&in->eal);
}
