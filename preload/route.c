/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The choice between stack and kernel. In this order: the stack's own address is the stack's; what
 * stays on this host (loopback, addresses of the kernel's interfaces) and what is not unicast is
 * the kernel's; then the stack's subnet, which wins over an interface on the same one (the device
 * given to DPDK may still carry kernel addresses); then the subnets of the kernel's interfaces;
 * everything else goes where there is a gateway: the stack's if it has one.
 */
#include "preload/route.h"
#include "conf/conf.h"
#include "preload/boot.h"
#include "preload/thread_room.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <pthread.h>

static struct route_table table;
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

enum route_bind route_table_bind(const struct route_table *t, uint32_t addr)
{
	if (addr == htonl(INADDR_ANY))
		return ROUTE_BIND_ANY;
	return addr == t->addr ? ROUTE_BIND_STACK : ROUTE_BIND_KERNEL;
}

static bool is_unicast(uint32_t addr)
{
	uint32_t host = ntohl(addr);

	return host != INADDR_ANY && host != INADDR_BROADCAST && !IN_MULTICAST(host) &&
		(host >> 24) != 127;
}

bool route_table_to_stack(const struct route_table *t, uint32_t addr)
{
	if (addr == t->addr)
		return true;
	if (!is_unicast(addr))
		return false;
	for (size_t i = 0; i < t->n; i++)
		if (addr == t->ifaces[i].addr)
			return false;
	if (((addr ^ t->addr) & t->mask) == 0)
		return true;
	for (size_t i = 0; i < t->n; i++)
		if (((addr ^ t->ifaces[i].addr) & t->ifaces[i].mask) == 0)
			return false;
	return t->gateway != 0;
}

static uint32_t ipv4_of(const struct sockaddr *sa)
{
	return sa ? ((const struct sockaddr_in *)(const void *)sa)->sin_addr.s_addr : UINT32_MAX;
}

static void read_table(void *arg)
{
	const struct conf *c = boot_conf();
	struct ifaddrs *list;

	table.addr = c->host_addr;
	table.mask = c->mask_addr;
	table.gateway = c->gateway_addr;
	if (getifaddrs(&list) < 0) {
		boot_say("the kernel's addresses cannot be read; all but loopback goes to the stack");
		return;
	}
	for (struct ifaddrs *i = list; i && table.n < ROUTE_IFACES_MAX; i = i->ifa_next) {
		if (i->ifa_addr == NULL || i->ifa_addr->sa_family != AF_INET)
			continue;
		table.ifaces[table.n].addr = ipv4_of(i->ifa_addr);
		table.ifaces[table.n].mask = ipv4_of(i->ifa_netmask);
		table.n++;
	}
	freeifaddrs(list);
}

/* getifaddrs() has arrays of 8 KB on the stack. */
static void make_table(void)
{
	thread_room_run(read_table, NULL);
}

enum route_bind route_bind(uint32_t addr)
{
	pthread_once(&table_once, make_table);
	return route_table_bind(&table, addr);
}

bool route_to_stack(uint32_t addr)
{
	pthread_once(&table_once, make_table);
	return route_table_to_stack(&table, addr);
}
