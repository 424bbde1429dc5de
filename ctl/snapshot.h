/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What requests ask and answers tell, as plain values: filled by the owner of the facts, carried as
 * YAML (messages.c), printed by render.c.
 *
 * Arrays behind pointers come from malloc() and belong to the struct; ctl_message_free() frees them.
 */
#ifndef CTL_SNAPSHOT_H
#define CTL_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#define CTL_NAME_MAX 48 /* bytes, with the terminator */
#define CTL_TEXT_MAX 160
#define CTL_ADDR_MAX 64 /* "255.255.255.255:65535", room for IPv6 */
#define CTL_TRACE_MAX 256 /* packets of one trace request */

/* --- CTL_IDENTITY ------------------------------------------------------------------------------ */

struct ctl_identity {
	uint32_t pid;
	char kind[CTL_NAME_MAX];    /* "lstack", "ltran" */
	char program[CTL_NAME_MAX]; /* name of the executable */
	char addr[CTL_ADDR_MAX];    /* the stack's address; empty: none */
	char version[CTL_NAME_MAX];
};

/* --- CTL_GRAPH_SHOW ---------------------------------------------------------------------------- */

enum ctl_severity { CTL_NORMAL, CTL_ODD, CTL_BROKEN };

struct ctl_error {
	char symbol[CTL_NAME_MAX];
	enum ctl_severity severity;
	char text[CTL_TEXT_MAX];
	uint64_t count;
};

struct ctl_node {
	char name[CTL_NAME_MAX];
	uint64_t calls, packets, cycles;
	struct ctl_error *errors; /* rows that have counted something */
	uint32_t errors_count;
};

struct ctl_core {
	uint32_t index;
	int32_t tid;          /* thread that walked it last */
	struct ctl_node *nodes;
	uint32_t nodes_count;
};

struct ctl_graph {
	uint64_t cycles_hz; /* of the clock behind `cycles` */
	struct ctl_core *cores;
	uint32_t cores_count;
};

/* --- CTL_GRAPH_TRACE --------------------------------------------------------------------------- */

enum ctl_trace_action {
	CTL_TRACE_START,  /* forget old traces, trace the next `packets` packets of each core */
	CTL_TRACE_READ,   /* take what has been traced */
	CTL_TRACE_CANCEL, /* trace no further packets, take what has been traced */
};

struct ctl_trace_request {
	enum ctl_trace_action action;
	uint32_t packets; /* at most CTL_TRACE_MAX */
};

struct ctl_trace {
	uint32_t packets; /* in `lines` */
	char **lines;     /* each packet starts with a line that does not begin with a space */
	uint32_t lines_count;
};

/* --- CTL_LSTACK_SHOW --------------------------------------------------------------------------- */

/* Rows of gazellectl, three to a line; the names are those of Gazelle's own gazellectl. */
#define CTL_STACK_ROWS(X)                                                                          \
	X(rx_pkts)           /* taken from the port */                                             \
	X(rx_drop)           /* of those, dropped by the graph */                                  \
	X(walks)             /* of the graph */                                                    \
	X(tx_pkts)           /* offered to the port */                                             \
	X(tx_drop)           /* of those, not taken */                                             \
	X(tx_allocmbuf_fail) /* no packet buffer for something to send */                          \
	X(conn_num)                                                                                \
	X(listen_num)                                                                              \
	X(wakeup_events)     /* sleeping threads woken */                                          \
	X(call_msg)          /* operations executed */                                             \
	X(call_posted)       /* of those, posted by another thread */                              \
	X(app_events)        /* readiness edges */                                                 \
	X(app_read)                                                                                \
	X(app_write)                                                                               \
	X(idle_percent)      /* walks that found nothing to do */                                  \
	X(app_read_bytes)                                                                          \
	X(app_write_bytes)                                                                         \
	X(mem_kb)            /* of packets that sockets keep, headers and unused room included */ \
	X(mem_high_kb)       /* what those, but for segments before their turn, may have together */ \
	X(mem_pressure)      /* times that connections were held to their share */                \
	X(mem_rx_drop)       /* segments in the window, and datagrams, that found no room */      \
	X(mem_ooo_drop)      /* early segments refused or thrown away */

struct ctl_stack {
	uint32_t index;
	int32_t tid;
#define X(name) uint64_t name;
	CTL_STACK_ROWS(X)
#undef X
};

struct ctl_port {
	char name[CTL_NAME_MAX], driver[CTL_NAME_MAX], mac[CTL_NAME_MAX];
	bool link_up;
	uint64_t rx_pkts, rx_bytes, rx_missed, rx_err, rx_allocmbuf_fail;
	uint64_t tx_pkts, tx_bytes, tx_err;
};

struct ctl_lstack {
	char mode[CTL_NAME_MAX];
	bool low_power_mode;
	uint64_t idle_us; /* CPU time spent looking for work in vain, all threads */
	uint64_t mbuf_pool_size, mbuf_pool_freecnt; /* packets, all stacks together */
	uint64_t bulk_pool_size, bulk_pool_freecnt; /* large ones, for sends */
	struct ctl_port port;
	struct ctl_stack *stacks;
	uint32_t stacks_count;
};

/* --- CTL_LSTACK_CONNS -------------------------------------------------------------------------- */

struct ctl_conns_request {
	uint32_t max; /* rows wanted, of all stacks together */
};

struct ctl_conn {
	uint32_t stack; /* index */
	int32_t tid;    /* thread that ran it last */
	char proto[CTL_NAME_MAX], local[CTL_ADDR_MAX], peer[CTL_ADDR_MAX], state[CTL_NAME_MAX];
	int32_t fd;
	uint32_t recv_queue, send_queue, in_flight, cwnd, rcv_wnd, snd_wnd, mss; /* bytes */
	uint32_t srtt_us, rto_ms, retransmits;
	uint32_t snd_nxt, lastack, rcv_nxt;
	uint64_t rx_bytes, tx_bytes;
	uint32_t accept_queue;
	bool keepalive;
	uint32_t keep_idle_s, keep_intvl_s, keep_cnt;
};

struct ctl_conns {
	uint32_t total; /* sockets there are; `conns` may hold fewer */
	struct ctl_conn *conns;
	uint32_t conns_count;
};

/* --- CTL_LSTACK_SNMP --------------------------------------------------------------------------- */

/* RFC 4293, RFC 4113, RFC 4022, RFC 4293 5 (ICMP) counters, under the names of gazellectl. */
#define CTL_SNMP_ROWS(X)                                                                           \
	X(ip_in_recv)                                                                              \
	X(ip_in_deliver)                                                                           \
	X(ip_out_req)                                                                              \
	X(ip_out_discard)                                                                          \
	X(udp_in_datagrams)                                                                        \
	X(udp_no_ports)                                                                            \
	X(udp_in_errors)                                                                           \
	X(udp_out_datagrams)                                                                       \
	X(tcp_act_open)                                                                            \
	X(tcp_passive_open)                                                                        \
	X(tcp_attempt_fail)                                                                        \
	X(tcp_estab_rst)                                                                           \
	X(tcp_curr_estab)                                                                          \
	X(tcp_out_seg)                                                                             \
	X(tcp_retran_seg)                                                                          \
	X(tcp_in_seg)                                                                              \
	X(tcp_in_err)                                                                              \
	X(tcp_out_rst)                                                                             \
	X(tcp_refused_cnt)                                                                         \
	X(tcp_listen_drops)                                                                        \
	X(tcp_engine_resets)                                                                       \
	X(tcp_abort_on_memory)                                                                     \
	X(tcp_abort_on_timeout)                                                                    \
	X(tcp_time_wait_overflow)                                                                  \
	X(tcp_listen_overflows)                                                                    \
	X(tcp_reqq_full_do_cookies)                                                                \
	X(syncookies_sent)                                                                         \
	X(syncookies_recv)                                                                         \
	X(syncookies_failed)                                                                       \
	X(icmp_in_msgs)                                                                            \
	X(icmp_in_errors)                                                                          \
	X(icmp_in_echos)                                                                           \
	X(icmp_out_msgs)                                                                           \
	X(icmp_out_echo_reps)

struct ctl_snmp_stack {
	uint32_t index;
	int32_t tid;
#define X(name) uint64_t name;
	CTL_SNMP_ROWS(X)
#undef X
};

struct ctl_snmp {
	struct ctl_snmp_stack *stacks;
	uint32_t stacks_count;
};

/* --- CTL_LTRAN_SHOW ---------------------------------------------------------------------------- */

struct ctl_nic {
	uint32_t number; /* DPDK's */
	uint64_t rx_drop, tx_drop; /* packets that the port had no room for */
	char role[CTL_NAME_MAX];   /* in a bond: "active", "passive", "no link", "gone"; else "" */
	uint64_t link_failures;
	struct ctl_port port;
};

/* One core that dispatches. */
#define CTL_WORKER_ROWS(X)                                                                         \
	X(rx_pkts)      /* taken from the port */                                                  \
	X(tx_pkts)      /* offered to the port */                                                  \
	X(drop)         /* dropped by the graph, see `drops` */                                    \
	X(from_pkts)    /* from instances */                                                       \
	X(to_pkts)      /* to instances */                                                         \
	X(kernel_pkts)  /* to the kernel */                                                        \
	X(walks)        /* of the graph */                                                         \
	X(idle_percent) /* walks that found nothing to do */                                       \
	X(sleeps)

struct ctl_worker {
	uint32_t index;
	int32_t tid, cpu; /* cpu -1: not pinned */
#define X(name) uint64_t name;
	CTL_WORKER_ROWS(X)
#undef X
};

/* An error row of a node that has counted something, over all cores. */
struct ctl_drop {
	char node[CTL_NAME_MAX];
	struct ctl_error error;
};

struct ctl_ltran {
	char loglevel[CTL_NAME_MAX];
	bool low_power_mode;
	uint32_t clients, clients_max;
	uint64_t mbuf_pool_size, mbuf_pool_freecnt;
	uint64_t kni_pkts, arp_pkts, tcp_pkts, icmp_pkts, udp_pkts, other_pkts; /* kni: to the kernel */
	uint32_t bond_mode, bond_miimon; /* mode 0: one port and no bond; ms */
	uint64_t bond_switches;          /* of the active port, or of the aggregate */
	struct ctl_nic *nics;
	uint32_t nics_count;
	struct ctl_worker *workers;
	uint32_t workers_count;
	struct ctl_drop *drops;
	uint32_t drops_count;
};

/* --- CTL_LTRAN_INSTANCES ----------------------------------------------------------------------- */

#define CTL_PORTS_MAX 2048

struct ctl_reason {
	char name[CTL_NAME_MAX];
	uint64_t packets;
};

struct ctl_instance {
	char addr[CTL_ADDR_MAX];
	uint32_t id, pid, uid;
	char program[CTL_NAME_MAX];
	uint32_t queues;
	int32_t sockfd;     /* of its registration */
	uint32_t bond_port; /* DPDK's number of the NIC */
	char state[CTL_NAME_MAX]; /* NORMAL, CONNECTING: no ring (yet); BROKEN: its ring was corrupt */
	uint64_t rx_pkts, rx_bytes; /* to the instance */
	uint64_t tx_pkts, tx_bytes; /* from it */
	uint32_t conns, listeners;  /* in its socket table */
	char ports[CTL_PORTS_MAX];  /* for outgoing connections: "32768-33023, 33280-33535" */
	uint64_t age_s;             /* since it registered */
	struct ctl_reason *drops;   /* every reason there is */
	uint32_t drops_count;
};

struct ctl_instances {
	struct ctl_instance *instances;
	uint32_t instances_count;
};

/* --- CTL_LTRAN_MEASURE ------------------------------------------------------------------------- */

struct ctl_measure_request {
	uint32_t for_ms; /* measure for so long from now on; 0: only tell what has been measured */
};

/* Packets, or bursts of them, from `from` to `to`. */
struct ctl_class {
	uint32_t from, to;
	uint64_t n;
};

/* From the NIC to the instance's ring. */
struct ctl_latency {
	char addr[CTL_ADDR_MAX];
	uint32_t pid;
	uint64_t pkts, min_ns, max_ns, average_ns;
};

struct ctl_measure {
	uint64_t us; /* since the measurement began */
	struct ctl_class *lengths; /* bytes of frame with checksum */
	uint32_t lengths_count;
	struct ctl_class *bursts;  /* packets taken at a time */
	uint32_t bursts_count;
	struct ctl_latency *latencies;
	uint32_t latencies_count;
	struct ctl_latency total;
};

/* --- CTL_LTRAN_SET_LOGLEVEL, CTL_LTRAN_QUIT ---------------------------------------------------- */

struct ctl_loglevel {
	char level[CTL_NAME_MAX]; /* error, info, debug; in the answer: the one in effect */
};

struct ctl_quit {
	uint32_t pid; /* ends now */
};

#endif
