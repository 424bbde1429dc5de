/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stacks: one private lwIP per core, behind a lock. Whoever holds the lock is the stack: it may
 * walk the core's graph and call lwIP. lwIP-free and DPDK-free header for the composition root.
 */
#ifndef STACK_STACK_H
#define STACK_STACK_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stack;
struct stack_group; /* all stacks of the process */
struct rte_mempool;

enum stack_mode {
	STACK_RUN_TO_COMPLETION, /* any thread takes the lock and runs the stack inside its own call */
	STACK_RUN_TO_WAKEUP,     /* one pinned thread per stack; applications post and sleep */
};

struct stack_params {
	unsigned int n_stacks;
	enum stack_mode mode;
	const unsigned int *cpus;        /* n_stacks entries, or NULL: not pinned (wakeup mode) */
	const unsigned int *wakeup_cpus; /* n_wakeup entries: threads that wake sleepers */
	unsigned int n_wakeup;
	uint32_t addr, mask, gateway; /* network byte order */
	uint16_t mtu;
	bool listen_shadow;
	bool low_power;
	bool udp_enable;
	uint32_t send_connect_number, read_connect_number, rpc_number; /* work per loop */
	uint32_t conn_max; /* connections per stack; more are refused, never a crash */
	uint64_t (*clock_us)(void); /* NULL: the TSC; tests bring their own time */
};

#define STACK_WAKE_FDS 2
#define STACK_PORT_FIRST 32768 /* local ports that a stack chooses itself; host order */
#define STACK_PORT_BLOCK 256

/* Listeners that live on elsewhere (sock_set_inherited()): so many are remembered, for so long. */
#define STACK_LEFT_MAX 32
#define STACK_LEFT_US 2000000

/* A socket as those see it who have to bring it its packets. Addresses and ports in network order. */
struct stack_shown {
	uint32_t raddr; /* 0: a listener, or a UDP socket */
	uint16_t rport, lport;
	bool is_udp, reuseport;
	bool lives_on;     /* a listener; see sock_set_inherited() */
	uint32_t identity; /* of a listener; see sock_set_identity() */
};

/* For an address that several processes share, through ltran. */
struct stack_sharing {
	void *arg;
	/* May this port be listened on, or bound (UDP)? 0 or -EADDRINUSE. Any thread, without a
	 * stack's lock; may wait for a second. */
	int (*claim)(void *arg, const struct stack_shown *s);
	/* A socket of `table` is there or has another face now; is gone (of a listener, `lives_on`: closed
	 * here, while other processes have it). Connections and UDP sockets: the stack that has them.
	 * Listeners: 0. By the holder of that stack; a few memory accesses. */
	void (*show)(void *arg, unsigned int table, const struct stack_shown *s);
	void (*hide)(void *arg, unsigned int table, const struct stack_shown *s);
	/* Bit i of these words: the STACK_PORT_BLOCK ports from STACK_PORT_FIRST + i *
	 * STACK_PORT_BLOCK are ours to choose from. They may become more at any time. */
	const _Atomic uint64_t *ports;
	/* None of them is free: true if there are more now. Holder; may wait for a moment. */
	bool (*more_ports)(void *arg);
};

/* What one stack needs from the outside, given by the composition root. */
struct stack_wiring {
	void (*walk)(void *arg); /* walk the core's graph once; holder only */
	void *walk_arg;
	struct rte_mempool *pool; /* headers, small sends; private area >= stack_priv_size() */
	struct rte_mempool *bulk; /* large sends; same private area, larger data room */
	/* Bytes of an IP packet with TCP that the port cuts itself, 0: it does not; any thread may
	 * change it. NULL: 0. */
	const _Atomic uint16_t *tso_max;
	/*
	 * low_power_mode, may be NULL: the stack wants to sleep. From here on a packet makes one of
	 * `fds` (room for STACK_WAKE_FDS) readable. Returns their number and lowers *until_us, the
	 * microseconds after which the wire wants a walk in any case; or -EBUSY: not now. Holder.
	 */
	int (*arm)(void *arg, int *fds, uint64_t *until_us);
	void (*disarm)(void *arg); /* the sleep is over, or did not come about; any thread */
	const struct stack_sharing *sharing; /* NULL: the address is this process's alone */
};

/* 0 or -errno; after success every stack waits for stack_group_start(). */
int stack_group_create(const struct stack_params *p, struct stack_group **out);
struct stack *stack_group_get(struct stack_group *g, unsigned int index);
enum stack_mode stack_group_mode(const struct stack_group *g);
void stack_wire(struct stack *s, const struct stack_wiring *w);
/* Start threads: stack and wakeup threads, or the caretaker. */
int stack_group_start(struct stack_group *g);
/* The wire's other end was away and is back: what is not acknowledged is sent again at once, as if
 * nothing had been tried in vain. Any thread; does not wait. */
void stack_group_link_up(struct stack_group *g);
/* Stop threads, abort connections (RST), walk once more so that the resets leave, free. */
void stack_group_stop(struct stack_group *g);

/* --- seeing inside: any thread; executed by the holder ----------------------------------------- */

struct stack_conn_info {
	int fd; /* placeholder descriptor, -1 if the program has closed it */
	bool is_udp;
	struct sockaddr_in local, peer; /* peer.sin_port 0: none */
	const char *state;              /* "ESTABLISHED", "LISTEN", ...; "UDP" */
	uint32_t recv_queue, send_queue; /* bytes not yet read / not yet acknowledged */
	uint32_t in_flight, cwnd, rcv_wnd, snd_wnd; /* bytes */
	uint32_t mss;
	uint32_t srtt_us, rto_ms;
	uint64_t rx_bytes, tx_bytes;
	uint32_t retransmits;
	uint32_t snd_nxt, lastack, rcv_nxt;
	uint32_t accept_queue; /* listeners: connections not yet accepted */
	bool keepalive;
	uint32_t keep_idle_s, keep_intvl_s, keep_cnt;
};

/* Fill `out`; returns the number of sockets of the stack, which may exceed `max`. */
unsigned int stack_conns(struct stack *s, struct stack_conn_info *out, unsigned int max);

/* SNMP-style counters of one stack (RFC 4022, RFC 4113, RFC 4293 names as gazellectl prints them). */
struct stack_snmp {
	uint64_t ip_in_recv, ip_in_deliver, ip_out_req, ip_out_discard;
	uint64_t tcp_act_open, tcp_passive_open, tcp_attempt_fail, tcp_estab_rst;
	uint64_t tcp_in_seg, tcp_out_seg, tcp_retran_seg, tcp_in_err, tcp_out_rst;
	uint64_t tcp_listen_drops, tcp_refused, tcp_curr_estab;
	/* Linux's ListenOverflows, TCPReqQFullDoCookies, SyncookiesSent, -Recv, -Failed */
	uint64_t tcp_listen_overflows, tcp_reqq_full_do_cookies;
	uint64_t syncookies_sent, syncookies_recv, syncookies_failed;
	/* Linux's TCPAbortOnMemory (orphans beyond the limit), TCPAbortOnTimeout, TCPTimeWaitOverflow
	 * (connections in FIN_WAIT_2 and TIME_WAIT that have given way to others) */
	uint64_t tcp_abort_on_memory, tcp_abort_on_timeout, tcp_time_wait_overflow;
	uint64_t tcp_engine_resets; /* connections given up for a failed assertion of lwIP */
	uint64_t udp_in_datagrams, udp_no_ports, udp_in_errors, udp_out_datagrams;
	uint64_t icmp_in_msgs, icmp_in_errors, icmp_in_echos, icmp_out_msgs, icmp_out_echo_reps;
};
void stack_snmp_read(struct stack *s, struct stack_snmp *out);

/* Loop counters of one stack, for `lstack show`. */
struct stack_counters {
	uint64_t walks, idle_walks;
	uint64_t ops, ops_posted; /* operations executed / of those, posted by another thread */
	uint64_t wakeups;         /* sleepers woken */
	uint64_t sleeps;          /* low_power_mode: times it waited for its wire in the kernel */
	uint64_t events;          /* readiness edges delivered */
	uint64_t app_reads, app_writes, app_read_bytes, app_write_bytes;
	uint64_t conns, listeners;
	uint64_t alloc_fail;
	uint64_t mem_bytes, mem_high_bytes; /* packets that sockets keep; their mark, see mem.c */
	uint64_t mem_pressure;              /* times that it began */
	uint64_t mem_rx_drops, mem_ooo_drops;
	int tid; /* thread that ran it last */
};
void stack_counters_read(struct stack *s, struct stack_counters *out);

/* CPU time in microseconds that threads have spent looking for work in vain. What is left of the
 * process's CPU time did something. Any thread. */
uint64_t stack_group_idle_us(const struct stack_group *g);

#endif
