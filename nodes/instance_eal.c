/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DPDK's environment as an instance wants it: from dpdk_args, with a bounded wait for a vhost peer.
 *
 * Memory that is shown to ltran has all its pages before: a page that is missing would be made, and paid
 * for, by ltran, so it accepts none that has holes (huge pages are always there). So the port to ltran, whose
 * driver shows the memory, is made after DPDK has started.
 */
#include "nodes/instance_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_dev.h>

#include "nodes/eal_args.h"
#include "nodes/eal_fill.h"
#include "nodes/instance_peer.h"

static int
fill_memory(const struct instance *in, char *err, size_t err_len)
{
	int ret = in->ltran != NULL && in->eal.no_huge ? eal_fill_memory() : 0;

	if (ret == 0)
		return 0;
	snprintf(err, err_len, "the machine has no room for the %u MB of DPDK's memory that ltran is shown: %s",
		in->eal.memory_mb, strerror(-ret));
	return ret;
}

/* 0 or -errno; the driver waits for ltran in here. */
static int
make_port(const struct instance *in, char *err, size_t err_len)
{
	const char *args = in->ltran_vdev != NULL ? strchr(in->ltran_vdev, ',') : NULL;
	int ret = fill_memory(in, err, err_len);

	if (ret < 0 || args == NULL)
		return ret;
	ret = rte_eal_hotplug_add("vdev", INSTANCE_LTRAN_PORT, args + 1);
	if (ret < 0)
		snprintf(err, err_len, "the port to ltran: %s", strerror(-ret));
	return ret;
}

int
instance_eal_start(struct instance *in, char *err, size_t err_len)
{
	const struct conf *c = in->conf;
	char size_key[96];
	const uint64_t n = instance_pool_wanted(c, size_key, sizeof(size_key));
	const struct eal_params p = {
		.name = "lstack",
		.key = "dpdk_args",
		.args = (const char *const *)c->dpdk_args,
		.n_args = c->n_dpdk_args,
		.extra = in->extra_args,
		.n_extra = in->n_extra_args,
		.one_file = in->ltran != NULL,
		.default_mb = ARGS_MEMORY_MB,
		.size_key = n > 0 ? size_key : NULL,
		.size_n = n,
		.size_mb = n > 0 ? instance_pool_mb(in, n, false) : 0,
		.size_pages_mb = n > 0 ? instance_pool_mb(in, n, true) : 0,
		.cpu = c->num_cpus.n > 0 ? (int)c->num_cpus.cpu[0] : -1,
		.stay_on_core = c->main_thread_affinity,
	};
	struct peer_watch watch;
	int ret, peer;

	peer_watch_start(&watch, &p, &in->signals);
	ret = eal_start(&in->eal, &p, err, err_len);
	if (ret == 0)
		ret = make_port(in, err, err_len);
	peer = peer_watch_stop(&watch);
	if (peer == 0)
		return ret;
	if (peer == -EINTR)
		snprintf(err, err_len, "a signal came while waiting for a vhost peer at %s", watch.addr.sun_path);
	else
		snprintf(err, err_len, "no vhost peer came to %s in %d s", watch.addr.sun_path, PEER_WAIT_S);
	return peer;
}

void
instance_eal_stop(struct instance *in)
{
	eal_stop(&in->eal);
}
