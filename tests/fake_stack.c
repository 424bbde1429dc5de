/* SPDX-License-Identifier: BSD-3-Clause */
/* The functions of stack/edge.h without a stack behind them. */
#include "tests/fake_stack.h"

#include <arpa/inet.h>
#include <string.h>

#include "stack/edge.h"

uint16_t
stack_priv_size(void)
{
	return 0;
}

static void
keep(struct stack *s, struct rte_mbuf **pkts, uint16_t n, uint64_t *counts,
	struct rte_mbuf **no_socket, uint16_t *n_no_socket)
{
	for (uint16_t i = 0; i < n; i++) {
		counts[s->verdict]++;
		if (s->verdict == STACK_ACCEPTED)
			s->in[s->n_in++] = pkts[i];
		else if (s->verdict == STACK_NO_SOCKET && no_socket != NULL)
			no_socket[(*n_no_socket)++] = pkts[i];
		else
			rte_pktmbuf_free(pkts[i]);
	}
}

void
stack_rx_tcp(struct stack *s, struct rte_mbuf **pkts, uint16_t n, uint64_t *counts,
	struct rte_mbuf **no_socket, uint16_t *n_no_socket)
{
	s->n_tcp += n;
	keep(s, pkts, n, counts, no_socket, n_no_socket);
}

void
stack_rx_udp(struct stack *s, struct rte_mbuf **pkts, uint16_t n, uint64_t *counts,
	struct rte_mbuf **no_socket, uint16_t *n_no_socket)
{
	s->n_udp += n;
	keep(s, pkts, n, counts, no_socket, n_no_socket);
}

void
stack_rx_icmp(struct stack *s, struct rte_mbuf **pkts, uint16_t n, uint64_t *counts)
{
	s->n_icmp += n;
	keep(s, pkts, n, counts, NULL, NULL);
}

uint16_t
stack_tx(struct stack *s, struct rte_mbuf **pkts, uint16_t max)
{
	uint16_t n = RTE_MIN(max, s->n_out);

	s->max_asked = max;
	memcpy(pkts, s->out, n * sizeof(pkts[0]));
	memmove(s->out, s->out + n, (s->n_out - n) * sizeof(pkts[0]));
	s->n_out -= n;
	return n;
}

/* Ports alone, so that tests can tell owners at a glance: the port modulo the stacks. */
void
stack_kick(struct stack *s)
{
	s->n_kicks++;
}

unsigned int
stack_owner_tcp(uint32_t saddr, uint16_t sport, uint32_t daddr, uint16_t dport,
	unsigned int n_stacks)
{
	return ntohs(sport) % n_stacks;
}

unsigned int
stack_owner_udp(uint16_t dport, unsigned int n_stacks)
{
	return ntohs(dport) % n_stacks;
}
