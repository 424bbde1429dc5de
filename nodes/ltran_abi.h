/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an instance and ltran say to each other.
 *
 * 1. Messages over DIR/{unix_prefix}ltran_client.sock (AF_UNIX, SOCK_SEQPACKET), one struct each, in
 *    the host's byte order but for addresses and ports (network order). The instance asks, ltran
 *    answers with the same type. The connection is the registration: when it ends, the instance is
 *    gone. Who asks is what SO_PEERCRED says.
 * 2. The ring: the instance listens on `path` as a virtio-user server with `n_queues` queue pairs,
 *    ltran connects as vhost. It comes back after a restart of ltran, under the same path.
 * 3. The socket table: a memfd that the instance sends with LTRAN_REGISTER. It shows which
 *    connections and listeners the instance has, so that ltran keeps no state of its own: it steers
 *    by it where several instances share an address, resets the peers of an instance that was
 *    killed, and knows everything again after its own restart. ltran maps it read only and believes
 *    nothing in it: a wrong table costs its owner (and those who share the address with it) packets.
 *    It has a page for each of its bytes, no bytes more, and is sealed, so that this stays so:
 *    F_SEAL_GROW, F_SEAL_SHRINK, F_SEAL_FUTURE_WRITE (by whoever has mapped it), F_SEAL_SEAL.
 * 4. The doorbells. Whoever sleeps is woken by the other one, by descriptors that ltran makes and sends
 *    with its answer to LTRAN_REGISTER; ltran never uses a descriptor that an instance has made:
 *
 *	LTRAN_FD_AWAKE      a page of ltran's, read only: struct ltran_awake
 *	LTRAN_FD_KICK       eventfd: the instance writes to it what wakes ltran
 *	LTRAN_FD_CALL + q   socket: readable when ltran wants stack q to wake up; n_queues of them
 *
 *    Who wants to sleep says so in memory that the other one reads (struct ltran_awake, the field
 *    `asleep` of the socket table's head), looks once more for packets, and sleeps. Who has put
 *    packets into a ring looks there afterwards (with a full barrier between) and rings. virtio's own
 *    notifications are off in both directions.
 */
#ifndef NODES_LTRAN_ABI_H
#define NODES_LTRAN_ABI_H

#include <stddef.h>
#include <stdint.h>

#define LTRAN_SOCKET "ltran_client.sock" /* behind unix_prefix, in the run directory */
#define LTRAN_RING_FORMAT "ltran_%d_%u.vhost" /* behind unix_prefix: pid, counter */
#define LTRAN_MAGIC 0x4e52544cu /* "LTRN" */
#define LTRAN_VERSION 2
#define LTRAN_QUEUES_MAX 64
#define LTRAN_PATH_MAX 108
#define LTRAN_TEXT_MAX 256

/*
 * Local ports of outgoing connections. Instances that share an address own different blocks, so
 * that no two of them ever choose the same port. Bit i of the masks: ports LTRAN_PORT_FIRST +
 * i * LTRAN_PORT_BLOCK and the next LTRAN_PORT_BLOCK - 1 (host order).
 */
#define LTRAN_PORT_FIRST 32768
#define LTRAN_PORT_BLOCK 256
#define LTRAN_PORT_BLOCKS 128
#define LTRAN_BLOCK_WORDS (LTRAN_PORT_BLOCKS / 64)

enum ltran_type {
	LTRAN_REGISTER = 1, /* first message of a connection; with the socket table's descriptor */
	LTRAN_LISTEN = 2,   /* may this port be listened on, or this UDP port be bound? */
	LTRAN_PORTS = 3,    /* one more block of local ports, please */
};

struct ltran_header {
	uint32_t magic;
	uint16_t version;
	uint16_t type;
	int32_t status; /* answers: 0 or -errno; requests: 0 */
	uint32_t pad;
};

struct ltran_register {
	struct ltran_header header;
	uint32_t addr, mask, gateway; /* gateway 0: none */
	uint16_t n_queues;
	uint16_t mtu;                 /* the instance's */
	uint8_t mac[6];               /* `devices` of lstack.conf; zeros: not given */
	uint8_t resumes;              /* 1: `path` and `blocks` are what an earlier ltran gave */
	uint8_t pad;
	uint64_t blocks[LTRAN_BLOCK_WORDS];
	char path[LTRAN_PATH_MAX];
	char program[16];
};

/* -EADDRINUSE: another user's or program's address; -EADDRNOTAVAIL: not in dispatch_subnet;
 * -EUSERS: dispatch_max_clients; -EINVAL: a field. `text` says it for people. */
struct ltran_registered {
	struct ltran_header header;
	uint8_t mac[6]; /* of the NIC; the only source address ltran lets through */
	uint16_t mtu;   /* of the NIC: the instance uses the smaller one */
	uint16_t queue_size; /* descriptors of each ring */
	uint16_t worker;     /* polls the rings: index into struct ltran_awake */
	uint16_t pad[2];
	uint64_t blocks[LTRAN_BLOCK_WORDS];
	char path[LTRAN_PATH_MAX]; /* to listen on; absolute */
	char text[LTRAN_TEXT_MAX];
};

/* -EADDRINUSE: another instance of this address has it, and not both asked for sharing. */
struct ltran_listen {
	struct ltran_header header;
	uint64_t identity; /* same for descriptors that fork() has copied; see struct ltran_slot */
	uint16_t port;
	uint8_t protocol;  /* IPPROTO_TCP, IPPROTO_UDP */
	uint8_t reuseport; /* SO_REUSEPORT */
	uint32_t pid;      /* answer: who has it */
};

struct ltran_ports {
	struct ltran_header header;
	uint64_t blocks[LTRAN_BLOCK_WORDS]; /* answer: all that are this instance's now; -ENOSPC: all taken */
};

/*
 * The socket table: this head, padding to LTRAN_TABLE_OFFSET, then n_tables arrays of n_slots. Table
 * i is written by the holder of stack i alone and has what that stack owns (stack_owner_tcp(),
 * stack_owner_udp() over n_tables; a listener is in table 0). A port that several sockets of the
 * instance have is shown once, with the identity of one of them; UDP is shown by local port only, also
 * when it is connected. Open addressing, linear probing from ltran_slot_hash() & (n_slots - 1), at
 * most LTRAN_PROBES slots; see ltran_table.h.
 */
#define LTRAN_TABLE_OFFSET 4096
#define LTRAN_PROBES 64

/*
 * A listener that fork() has copied lives on in other processes when this one closes it: on the kernel,
 * connections go on arriving (a prefork server that exchanges its workers). The ports of such
 * listeners are in `left` of the head, so that ltran does not refuse at once who comes before the next
 * process listens. An entry: bits 0-15 the port (network order read as an integer), 16 whether it is
 * listened on still, 32-63 when that ended: the low bits of CLOCK_MONOTONIC in ms. 0: none. Written by
 * the holder of stack 0; see ltran_left.h.
 */
#define LTRAN_LEFT_MAX 32
#define LTRAN_LEFT_LISTENS 0x10000ull
#define LTRAN_LEFT_MS 2000 /* for so long the next listener is waited for */

struct ltran_table_head {
	uint32_t magic;
	uint16_t version;
	uint16_t n_tables; /* = n_queues */
	uint32_t n_slots;  /* of one table; power of two */
	uint32_t pad;
	uint32_t asleep[LTRAN_QUEUES_MAX]; /* of stack i, written by its holder: odd while it sleeps;
					    * goes up by one at each change */
	uint64_t left[LTRAN_LEFT_MAX];
};

/* What LTRAN_FD_AWAKE shows: the workers of ltran, each in a cache line of its own. */
#define LTRAN_WORKERS_MAX 64
struct ltran_awake {
	struct {
		uint32_t asleep; /* 1: it sleeps, or is about to */
		uint32_t pad[15];
	} worker[LTRAN_WORKERS_MAX];
};

enum ltran_fd { LTRAN_FD_AWAKE, LTRAN_FD_KICK, LTRAN_FD_CALL };
#define LTRAN_FDS_MAX (LTRAN_FD_CALL + LTRAN_QUEUES_MAX)

/* Writers: `info`, then `key` (release); to free: key = LTRAN_SLOT_FREED. Readers: key (acquire),
 * info, key again. */
struct ltran_slot {
	uint64_t key;  /* remote address << 32 | remote port << 16 | local port, each as in the packet
			* (network order read as an integer); remote 0: listener or bound socket */
	uint64_t info; /* bits 0-7 protocol, 8-15 LTRAN_SLOT_*, 32-63 identity of a listener (a
			* hash of its kernel socket; 0: it has none) */
};

#define LTRAN_SLOT_EMPTY 0ull /* never used: a search ends here */
#define LTRAN_SLOT_FREED 1ull /* used before: a search goes on */
#define LTRAN_SLOT_REUSEPORT 0x100ull

_Static_assert(sizeof(struct ltran_header) == 16, "wire layout");
_Static_assert(sizeof(struct ltran_register) == 16 + 24 + 16 + 108 + 16 + 4, "wire layout");
_Static_assert(sizeof(struct ltran_registered) == 16 + 16 + 16 + 108 + 256 + 4, "wire layout");
_Static_assert(sizeof(struct ltran_listen) == 32, "wire layout");
_Static_assert(sizeof(struct ltran_ports) == 32, "wire layout");
_Static_assert(sizeof(struct ltran_slot) == 16, "wire layout");
_Static_assert(sizeof(struct ltran_awake) == 4096, "a page");
_Static_assert(sizeof(struct ltran_table_head) <= LTRAN_TABLE_OFFSET, "fits before the tables");

#endif
