/* SPDX-License-Identifier: BSD-3-Clause */
/* Mode 6: peers and the addresses they have been told. */
#include "nodes/bond_alb.h"


static uint32_t
mix(uint32_t a, uint32_t b, uint32_t c)
{
	uint64_t h = (uint64_t)a << 32 | b;

	h ^= (uint64_t)c * 0x9e3779b97f4a7c15ull;
	h *= 0xff51afd7ed558ccdull;
	h ^= h >> 33;
	h *= 0xc4ceb9fe1a85ec53ull;
	return h >> 32;
}

/* Rendezvous: when a slave goes, only its peers move. */
uint8_t
bond_alb_assign(uint8_t mask, uint32_t peer, uint32_t own)
{
	uint32_t best = 0;
	uint8_t slave = 0;

	for (uint8_t i = 0; i < 8; i++) {
		uint32_t score = mix(peer, own, i + 1) | 1;

		if ((mask & 1u << i) && score > best) {
			best = score;
			slave = i;
		}
	}
	return slave;
}

void
bond_alb_learn(struct bond_alb *a, uint32_t peer, uint32_t own, const struct rte_ether_addr *mac,
	const struct rte_ether_addr *told)
{
	struct bond_alb_peer *p = &a->peers[mix(peer, own, 0) % BOND_ALB_PEERS];

	rte_spinlock_lock(&a->lock);
	*p = (struct bond_alb_peer){.peer = peer, .own = own, .mac = *mac, .told = *told};
	rte_spinlock_unlock(&a->lock);
}

void
bond_alb_broadcast(struct bond_alb *a, const struct rte_ether_addr *mac)
{
	rte_spinlock_lock(&a->lock);
	for (unsigned int i = 0; i < BOND_ALB_PEERS; i++)
		a->peers[i].told = *mac;
	a->disturbed = true;
	rte_spinlock_unlock(&a->lock);
}

bool
bond_alb_next(struct bond_alb *a, uint8_t mask,
	const struct rte_ether_addr *(*mac_of)(void *arg, unsigned int slave), void *arg,
	struct bond_alb_peer *out, uint8_t *slave)
{
	bool found = false;

	rte_spinlock_lock(&a->lock);
	for (; a->next < BOND_ALB_PEERS && !found && mask != 0; a->next++) {
		struct bond_alb_peer *p = &a->peers[a->next];
		const struct rte_ether_addr *mac;

		if (p->peer == 0)
			continue;
		*slave = bond_alb_assign(mask, p->peer, p->own);
		mac = mac_of(arg, *slave);
		if (rte_is_same_ether_addr(mac, &p->told))
			continue;
		p->told = *mac;
		*out = *p;
		found = true;
	}
	rte_spinlock_unlock(&a->lock);
	return found;
}
