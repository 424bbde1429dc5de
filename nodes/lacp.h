/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The Link Aggregation Control Protocol (IEEE 802.1AX-2008 5.4) of one bond: which ports lead to
 * the same partner, and are agreed upon by both ends.
 *
 * Functions of state, frame and time: `now` is in milliseconds. No I/O, no locks, one owner.
 * Always active, asks its partner for short timeouts, controls collecting and distributing apart.
 */
#ifndef NODES_LACP_H
#define NODES_LACP_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_ether.h>

#define LACP_PORTS_MAX 8
#define LACP_FRAME_LEN 124 /* of a LACPDU or marker, Ethernet header included */
#define LACP_NEVER UINT64_MAX

#define LACP_FAST_MS 1000
#define LACP_SLOW_MS 30000
#define LACP_SHORT_TIMEOUT_MS 3000
#define LACP_LONG_TIMEOUT_MS 90000
#define LACP_WAIT_MS 2000 /* for further links before one is used */
#define LACP_TX_MAX 3     /* LACPDUs of a port within LACP_FAST_MS */

enum lacp_state { /* bits of the state octet, 5.4.2.3 m) */
	LACP_STATE_ACTIVE = 0x01,
	LACP_STATE_SHORT = 0x02,
	LACP_STATE_AGGREGATION = 0x04,
	LACP_STATE_SYNC = 0x08,
	LACP_STATE_COLLECTING = 0x10,
	LACP_STATE_DISTRIBUTING = 0x20,
	LACP_STATE_DEFAULTED = 0x40,
	LACP_STATE_EXPIRED = 0x80,
};

enum lacp_rx { LACP_RX_DISABLED, LACP_RX_EXPIRED, LACP_RX_DEFAULTED, LACP_RX_CURRENT };
enum lacp_mux { LACP_DETACHED, LACP_WAITING, LACP_ATTACHED, LACP_COLLECTING, LACP_DISTRIBUTING };

/* What one end says of itself; host byte order. */
struct lacp_info {
	struct rte_ether_addr system;
	uint16_t system_priority, key, port_priority, port;
	uint8_t state; /* enum lacp_state */
};

struct lacp_port {
	struct lacp_info actor, partner;
	enum lacp_rx rx;
	enum lacp_mux mux;
	bool selected;         /* belongs to the aggregate in use */
	bool ntt;              /* the partner has to hear of us */
	bool is_looped;        /* we have heard ourselves: not used */
	int aggregate;         /* number of its first port; -1: no link */
	uint64_t looped_until;
	uint64_t current_until; /* the partner is silent from then on */
	uint64_t periodic_at;
	uint64_t wait_until;
	uint64_t window_at;     /* LACP_TX_MAX from then on */
	uint8_t n_in_window;
};

struct lacp {
	unsigned int n_ports;
	bool has_lag;          /* an aggregate is in use: */
	struct lacp_info lag_partner;
	uint16_t lag_key;
	int lag_port;          /* ... of this single port; -1: of all with that partner and key */
	bool has_carried;      /* packets, so far */
	uint64_t n_switches;   /* of the aggregate in use */
	struct lacp_port ports[LACP_PORTS_MAX];
};

enum lacp_result {
	LACP_TAKEN,
	LACP_MARKER,        /* to be answered: lacp_answer_marker(), and sent where it came from */
	LACP_SHORT_FRAME,
	LACP_UNKNOWN,       /* another slow protocol, or a marker response nobody has asked for */
	LACP_BAD_TLV,
	LACP_LOOPED,        /* our own LACPDU */
	LACP_NO_LINK,
};

void lacp_init(struct lacp *l, const struct rte_ether_addr *system, unsigned int n_ports);
/* The link of a port. Ports with different keys (speeds) are not aggregated; half-duplex ones
 * (`aggregates` false) never are. */
void lacp_set_link(struct lacp *l, unsigned int port, bool up, uint16_t key, bool aggregates,
	uint64_t now);
/* A frame of type 0x8809 that has come in at `port`. */
enum lacp_result lacp_input(struct lacp *l, unsigned int port, const void *frame, uint32_t len,
	uint64_t now);
/* Let time pass. Call after every other call too, before asking for the results. */
void lacp_run(struct lacp *l, uint64_t now);
uint64_t lacp_due(const struct lacp *l, uint64_t now);

/* True: `frame` (LACP_FRAME_LEN bytes) has been written and is to be sent at `port`. */
bool lacp_take_frame(struct lacp *l, unsigned int port, const struct rte_ether_addr *src,
	uint64_t now, void *frame);

/* Bits of the ports that packets may come from, and go to. */
uint8_t lacp_collecting(const struct lacp *l);
uint8_t lacp_distributing(const struct lacp *l);

/* --- lacp_frame.c: frames begin at their Ethernet header, at an even address ---------------------- */

/* The two ends a LACPDU speaks of; LACP_TAKEN, LACP_MARKER, or what is wrong with it. */
enum lacp_result lacp_read_frame(const void *frame, uint32_t len, struct lacp_info *actor,
	struct lacp_info *partner);
void lacp_write_frame(void *frame, const struct rte_ether_addr *src, const struct lacp_info *actor,
	const struct lacp_info *partner);
/* Turn a marker into its response. */
void lacp_answer_marker(void *frame, const struct rte_ether_addr *src);

#endif
