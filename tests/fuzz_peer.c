/* SPDX-License-Identifier: BSD-3-Clause */
/* A model of a TCP peer: what it knows and says; see fuzz_peer.h. */
#include "tests/fuzz_peer_private.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>

#include "tests/frame_damage.h"
#include "tests/fuzz_main.h"

#define VIEW_MAX 1024u
#define MSS_MIN 48   /* what the stack makes of smaller ones, as Linux */
#define MSS_DEFAULT 536
#define HEADERS (RTE_ETHER_HDR_LEN + sizeof(struct rte_ipv4_hdr) + sizeof(struct rte_tcp_hdr))
#define PORT_FIRST 1024
#define COOKIES 8      /* syn_cookie.c knows so many MSS */

/* What is wrong with a segment: fuzz_segment.kind modulo their number. */
enum {
	DAMAGE_NONE, /* and the next four */
	DAMAGE_SEQ = 5,
	DAMAGE_ACK,
	DAMAGE_WINDOW,
	DAMAGE_FLAGS,
	DAMAGE_OPTION,
	DAMAGE_DATA_OFF,
	DAMAGE_URGENT,
	DAMAGE_LENGTH,
	DAMAGE_CHECKSUM,
	DAMAGE_TWICE,
	DAMAGE_HELD,
	DAMAGES
};

struct fuzz_host fuzz_peer_host;

static uint8_t
mix(uint32_t id, uint32_t at)
{
	return (uint8_t)((at * 2654435761u ^ id * 0x9e3779b1u ^ at >> 7) >> 23);
}

uint8_t
fuzz_peer_byte(const struct fuzz_peer *p, uint32_t at)
{
	return mix(p->id, at);
}

uint8_t
fuzz_peer_host_byte(const struct fuzz_peer *p, uint32_t at)
{
	return mix(~p->id, at);
}

void
fuzz_peer_renew(struct fuzz_peer *p)
{
	static uint32_t n;
	uint8_t *is_sent = p->is_sent != NULL ? p->is_sent : calloc(1, FUZZ_STREAM_MAX / 8);
	uint8_t *is_fin = p->is_fin != NULL ? p->is_fin : calloc(1, FUZZ_STREAM_MAX / 8);
	uint32_t addr = p->addr, used = RTE_MIN(p->high / 8 + 1, FUZZ_STREAM_MAX / 8);

	fuzz_require(is_sent != NULL && is_fin != NULL, "no memory");
	memset(is_sent, 0, used);
	memset(is_fin, 0, used);
	memset(p, 0, sizeof(*p));
	p->is_sent = is_sent;
	p->is_fin = is_fin;
	p->addr = addr;
	p->id = ++n;
	p->port = PORT_FIRST + n % (UINT16_MAX - PORT_FIRST);
	p->mss = FUZZ_PEER_MSS;
	p->iss = n * 0x10001u * 77;
	if (n % 4 == 0)
		p->iss = UINT32_MAX - 3000; /* the numbers wrap */
}

struct fuzz_view
fuzz_peer_view(const struct fuzz_peer *p)
{
	static struct stack_conn_info info[VIEW_MAX];
	unsigned int n = stack_conns(fuzz_peer_host.w.stack, info, VIEW_MAX);
	struct fuzz_view v = {.rcv_nxt = p->iss + 1, .snd_nxt = p->host_iss + 1,
		.rcv_wnd = FUZZ_PEER_WINDOW};

	for (unsigned int i = 0; i < RTE_MIN(n, VIEW_MAX); i++) {
		if (info[i].is_udp || info[i].peer.sin_addr.s_addr != p->addr ||
			info[i].peer.sin_port != htons(p->port) ||
			info[i].local.sin_port != htons(p->lport) ||
			strcmp(info[i].state, "CLOSED") == 0)
			continue;
		v.is_there = true;
		snprintf(v.state, sizeof(v.state), "%s", info[i].state);
		if (strcmp(v.state, "SYN_RECVD") == 0)
			return v;
		v.rcv_nxt = info[i].rcv_nxt;
		v.rcv_wnd = info[i].rcv_wnd;
		v.snd_nxt = info[i].snd_nxt;
	}
	return v;
}

struct fuzz_segment
fuzz_peer_segment(const struct fuzz_peer *p)
{
	return (struct fuzz_segment){.seq = p->iss + 1 + p->next, .wnd = UINT16_MAX, .flags = ACK,
		.ack = p->host_iss + 1 + p->host_next + p->host_fin};
}

/* Whether every option has a length that fits: the graph drops other segments. */
static bool
options_fit(const uint8_t *opt, uint8_t len)
{
	for (uint8_t i = 0; i < len && opt[i] != 0; i += opt[i] == 1 ? 1 : opt[i + 1])
		if (opt[i] != 1 && (i + 1 >= len || opt[i + 1] < 2 || i + opt[i + 1] > len))
			return false;
	return true;
}

static struct fuzz_parts
parse(const struct fuzz_peer *p, const struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(m, void *, RTE_ETHER_HDR_LEN);
	struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)(ip + 1);
	uint32_t total = rte_be_to_cpu_16(ip->total_length), header = (tcp->data_off >> 4) * 4;
	struct fuzz_parts t = {.seq = rte_be_to_cpu_32(tcp->sent_seq), .ack = rte_be_to_cpu_32(tcp->recv_ack),
		.wnd = rte_be_to_cpu_16(tcp->rx_win), .flags = tcp->tcp_flags,
		.payload = (uint8_t *)tcp + header, .opt = (uint8_t *)(tcp + 1)};

	if (header < sizeof(*tcp) || sizeof(*ip) + header > total ||
		RTE_ETHER_HDR_LEN + total > m->data_len ||
		!options_fit(t.opt, header - sizeof(*tcp)))
		return t;
	t.is_whole = true;
	t.opt_len = header - sizeof(*tcp);
	t.len = total - sizeof(*ip) - header;
	t.at = t.seq + !!(t.flags & SYN) - p->iss - 1;
	return t;
}

bool
fuzz_peer_options(const uint8_t *opt, uint8_t len, uint16_t *mss, uint8_t *scale)
{
	bool has_scale = false;
	uint16_t said = 0;

	*scale = 0;
	for (uint8_t i = 0; i < len && opt[i] != 0; i += opt[i] == 1 ? 1 : opt[i + 1]) {
		if (opt[i] == 2 && opt[i + 1] == 4)
			said = RTE_MAX(said, opt[i + 2] << 8 | opt[i + 3]);
		if (opt[i] == 3 && opt[i + 1] == 3) {
			*scale = opt[i + 2] < SCALE_MAX ? RTE_MAX(*scale, opt[i + 2]) : SCALE_MAX;
			has_scale = true;
		}
	}
	*mss = said == 0 ? MSS_DEFAULT : RTE_MAX(said, MSS_MIN);
	return has_scale;
}

static void
note_syn(struct fuzz_peer *p, const struct fuzz_parts *t)
{
	unsigned int i = p->n_syns++ % FUZZ_PEER_SYNS;

	p->syn[i].seq = t->seq;
	fuzz_peer_options(t->opt, t->opt_len, &p->syn[i].mss, &p->syn[i].scale);
}

/* The host connects, and this is an answer to its SYN. */
static void
note_syn_ack(struct fuzz_peer *p, const struct fuzz_parts *t)
{
	if (p->is_proven || !p->heard || t->ack != p->host_iss + 1)
		return;
	p->is_proven = true;
	p->iss = t->seq;
	if (!fuzz_peer_options(t->opt, t->opt_len, &p->mss, &p->scale))
		p->host_scale = 0;
	p->right = p->most_wnd = t->wnd;
}

/* What an acceptable segment tells of the host's stream. */
static void
note_told(struct fuzz_peer *p, const struct fuzz_parts *t)
{
	uint32_t ack = t->ack - p->host_iss - 1, right;

	/* The window of an older segment does not count, its ACK does (RFC 9293 3.10.7.4): the one before stays. */
	p->most_wnd = RTE_MAX(p->most_wnd, t->wnd);
	right = ack + ((uint32_t)p->most_wnd << p->scale);
	if (!is_before(p->n_written + 1, ack) && is_before(p->right, right))
		p->right = right;
	if (is_before(p->host_next, ack) && !is_before(p->n_written, ack))
		p->host_next = ack; /* it has said so, though it is not true */
	p->has_end |= p->is_shut && ack == p->n_written + 1;
}

/* May the host take bytes, or a FIN, of this segment? Also notes what it tells. */
static bool
note_segment(struct fuzz_peer *p, const struct fuzz_parts *t, const struct fuzz_view *v)
{
	uint32_t nxt = v->rcv_nxt - p->iss - 1, end = nxt + v->rcv_wnd, at_end = t->at + t->len;

	if (!v->is_there && p->is_proven && (p->s != NULL || p->is_closed))
		p->is_over = true; /* a cookie that comes again would begin another connection */
	/* Cookies for the same SYN with another MSS are its neighbours, and as good. */
	if (p->heard && !p->is_active && !p->is_proven && !v->is_there && t->ack != p->host_iss + 1 &&
		t->ack - (p->host_iss + 1) + COOKIES < 2 * COOKIES)
		p->is_proven = p->is_over = true;
	if (!p->heard || (p->is_active && !p->is_proven) || p->is_over)
		return false;
	if ((t->flags & (SYN | RST)) != 0 || (t->flags & ACK) == 0 || is_before(v->snd_nxt, t->ack) ||
		is_before(end, at_end) || is_before(end, t->at) ||
		is_before(at_end, nxt - v->rcv_wnd - 1)) /* one octet before the window asks for an ACK */
		return false;
	/* Without a request the ACK is one of a cookie, which knows the SYN's number by the segment's. */
	if (!p->is_proven && !p->is_active && !v->is_there && t->at != 0)
		return false;
	if (!p->is_proven && t->ack == p->host_iss + 1)
		p->is_proven = true;
	note_told(p, t);
	if (is_before(at_end, nxt) || at_end >= FUZZ_STREAM_MAX)
		return false;
	p->high = RTE_MAX(p->high, at_end);
	if (t->flags & FIN)
		p->is_fin[at_end / 8] |= 1 << at_end % 8;
	return true;
}

/* RFC 9293 3.10.7.3, RFC 5961 3.2: a reset that has to be believed. */
static void
note_reset(struct fuzz_peer *p, const struct fuzz_parts *t, const struct fuzz_view *v)
{
	if (strcmp(v->state, "SYN_SENT") == 0 ? (t->flags & ACK) && t->ack == v->snd_nxt :
		t->seq == v->rcv_nxt)
		p->may_be_reset = true;
}

/* Notes what the segment says, and puts in what it carries. */
static void
fill(struct fuzz_peer *p, const struct fuzz_parts *t, uint8_t kind)
{
	struct fuzz_view v = fuzz_peer_view(p);
	uint32_t nxt = v.rcv_nxt - p->iss - 1;
	bool may = false;

	if (!t->is_whole)
		return;
	if (kind != DAMAGE_CHECKSUM) {
		if ((t->flags & (SYN | ACK | RST | FIN)) == SYN)
			note_syn(p, t);
		if ((t->flags & (SYN | ACK | RST)) == (SYN | ACK) && p->is_active)
			note_syn_ack(p, t);
		if (t->flags & RST)
			note_reset(p, t, &v);
		may = note_segment(p, t, &v);
	}
	for (uint32_t i = 0; i < t->len; i++) {
		uint32_t at = t->at + i;
		bool is_good = may && !is_before(at, nxt);

		t->payload[i] = is_good ? fuzz_peer_byte(p, at) : ~fuzz_peer_byte(p, at);
		if (is_good)
			p->is_sent[at / 8] |= 1 << at % 8;
	}
}

static void
damage(struct rte_mbuf *m, uint8_t kind, uint8_t a, uint8_t b)
{
	/* numbers of frame_change_tcp() */
	static const uint8_t as[DAMAGES] = {[DAMAGE_SEQ] = 1, [DAMAGE_ACK] = 2, [DAMAGE_WINDOW] = 3,
		[DAMAGE_FLAGS] = 0, [DAMAGE_OPTION] = 4, [DAMAGE_DATA_OFF] = 6, [DAMAGE_URGENT] = 7};
	struct rte_ipv4_hdr *ip = frame_ip4(m);

	if (kind == DAMAGE_LENGTH)
		ip->total_length = rte_cpu_to_be_16(rte_be_to_cpu_16(ip->total_length) + (int8_t)a);
	else if (kind >= DAMAGE_SEQ && kind <= DAMAGE_URGENT)
		frame_change_tcp(m, frame_tcp(m), (struct frame_damage){as[kind], a, b});
}

static struct rte_mbuf *
make(const struct fuzz_peer *p, const struct fuzz_segment *s)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(fuzz_pool);
	struct rte_ether_hdr *eth;
	struct rte_ipv4_hdr *ip;
	struct rte_tcp_hdr *tcp;

	fuzz_require(m != NULL, "the pool is empty");
	eth = (struct rte_ether_hdr *)rte_pktmbuf_append(m, HEADERS + s->opt_len + s->len);
	memset(eth, 0, m->data_len);
	eth->dst_addr = fuzz_peer_host.w.mac;
	eth->src_addr = (struct rte_ether_addr){{2, 0, 0, 0, 1, (uint8_t)(p->addr >> 24)}};
	eth->ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4);
	ip = (struct rte_ipv4_hdr *)(eth + 1);
	*ip = (struct rte_ipv4_hdr){.version_ihl = RTE_IPV4_VHL_DEF, .time_to_live = 64,
		.total_length = rte_cpu_to_be_16(m->data_len - RTE_ETHER_HDR_LEN),
		.next_proto_id = IPPROTO_TCP, .src_addr = p->addr,
		.dst_addr = fuzz_peer_host.w.addr};
	tcp = (struct rte_tcp_hdr *)(ip + 1);
	*tcp = (struct rte_tcp_hdr){.src_port = htons(p->port), .dst_port = htons(p->lport),
		.sent_seq = htonl(s->seq), .recv_ack = s->flags & ACK ? htonl(s->ack) : 0,
		.data_off = (sizeof(*tcp) + s->opt_len) / 4 << 4, .tcp_flags = s->flags,
		.rx_win = htons(s->wnd)};
	memcpy(tcp + 1, s->opt, s->opt_len);
	return m;
}

bool
fuzz_peer_traces(void)
{
	static int is_on = -1;

	if (is_on < 0)
		is_on = getenv("FUZZ_TRACE") != NULL;
	return is_on;
}

void
fuzz_peer_trace(const struct fuzz_peer *p, const char *who, const struct fuzz_parts *t)
{
	if (fuzz_peer_traces())
		fprintf(stderr, "%llu us, stream %u: %s%s flags %02x at %d ack %d window %u, %u bytes\n",
			(unsigned long long)fuzz_now_us, p->id, who, t->is_whole ? "" : ", senseless,",
			t->flags, (int)t->at, (int)(t->ack - p->host_iss - 1), t->wnd, t->len);
}

static void
let_arrive(struct fuzz_peer *p, const struct fuzz_segment *s)
{
	static struct fuzz_host *const hosts[] = {&fuzz_peer_host};
	struct rte_mbuf *m = make(p, s);
	uint8_t kind = s->kind % DAMAGES;
	struct fuzz_parts t;

	damage(m, kind, s->a, s->b);
	t = parse(p, m);
	fuzz_peer_trace(p, "peer", &t);
	if (fuzz_peer_traces())
		fprintf(stderr, "\tdamage %u %u %u\n", kind, s->a, s->b);
	fill(p, &t, kind);
	frame_seal(m);
	if (kind == DAMAGE_CHECKSUM)
		frame_tcp(m)->cksum ^= 1 << s->a % 16;
	if (kind == DAMAGE_TWICE)
		fuzz_host_arrive(&fuzz_peer_host, rte_pktmbuf_copy(m, fuzz_pool, 0, UINT32_MAX));
	fuzz_host_arrive(&fuzz_peer_host, m);
	fuzz_hosts_run(hosts, 1, 2 * FUZZ_HOST_STEP_US); /* the answer leaves with the second walk */
	fuzz_peer_listen();
}

void
fuzz_peer_send(struct fuzz_peer *p, const struct fuzz_segment *s)
{
	if (s->kind % DAMAGES == DAMAGE_HELD && !p->holds) {
		p->held = *s;
		p->holds = true;
		return;
	}
	p->past[p->n_past++ % FUZZ_PEER_PAST] = *s;
	let_arrive(p, s);
	if (p->holds) {
		p->holds = false;
		let_arrive(p, &p->held);
	}
}
