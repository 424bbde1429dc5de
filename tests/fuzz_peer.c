/* SPDX-License-Identifier: BSD-3-Clause */
/* A model of a TCP peer that checks what the stack says; see fuzz_peer.h. */
#include "tests/fuzz_peer.h"

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
#define SCALE_MAX 14 /* RFC 7323 2.3 */
#define MSS_MIN 48   /* what the stack makes of smaller ones, as Linux */
#define MSS_DEFAULT 536
#define HEADERS (RTE_ETHER_HDR_LEN + sizeof(struct rte_ipv4_hdr) + sizeof(struct rte_tcp_hdr))
#define PORT_FIRST 1024
#define COOKIES 8      /* syn_cookie.c knows so many MSS */
#define HANDSHAKE_WINDOW 65535u

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

enum { FIN = RTE_TCP_FIN_FLAG, SYN = RTE_TCP_SYN_FLAG, RST = RTE_TCP_RST_FLAG, ACK = RTE_TCP_ACK_FLAG };

struct fuzz_host fuzz_peer_host;

/* Fields of a finished segment; offsets from the streams' beginnings. */
struct parts {
	bool is_whole; /* a receiver understands it */
	uint32_t seq, ack, at, len;
	uint16_t wnd;
	uint8_t flags, *payload;
	const uint8_t *opt;
	uint8_t opt_len;
};

static bool
is_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

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

static bool
was_sent(const struct fuzz_peer *p, uint32_t at)
{
	return at < FUZZ_STREAM_MAX && (p->is_sent[at / 8] & 1 << at % 8) != 0;
}

static bool
has_fin(const struct fuzz_peer *p, uint32_t at)
{
	for (uint32_t i = 0; i < p->n_fins; i++)
		if (p->fins[i] == at)
			return true;
	return false;
}

void
fuzz_peer_renew(struct fuzz_peer *p)
{
	static uint32_t n;
	uint8_t *is_sent = p->is_sent != NULL ? p->is_sent : calloc(1, FUZZ_STREAM_MAX / 8);
	uint32_t addr = p->addr;

	fuzz_require(is_sent != NULL, "no memory");
	memset(is_sent, 0, RTE_MIN(p->high / 8 + 1, FUZZ_STREAM_MAX / 8));
	memset(p, 0, sizeof(*p));
	p->is_sent = is_sent;
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
		.rcv_wnd = HANDSHAKE_WINDOW};

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

/* --- from the peer ------------------------------------------------------------------------------- */

/* Whether every option has a length that fits: the graph drops other segments. */
static bool
options_fit(const uint8_t *opt, uint8_t len)
{
	for (uint8_t i = 0; i < len && opt[i] != 0; i += opt[i] == 1 ? 1 : opt[i + 1])
		if (opt[i] != 1 && (i + 1 >= len || opt[i + 1] < 2 || i + opt[i + 1] > len))
			return false;
	return true;
}

static struct parts
parse(const struct fuzz_peer *p, const struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(m, void *, RTE_ETHER_HDR_LEN);
	struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)(ip + 1);
	uint32_t total = rte_be_to_cpu_16(ip->total_length), header = (tcp->data_off >> 4) * 4;
	struct parts t = {.seq = rte_be_to_cpu_32(tcp->sent_seq), .ack = rte_be_to_cpu_32(tcp->recv_ack),
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

/* MSS and scale of a SYN, the largest if there are several. Returns whether there is a scale. */
static bool
parse_options(const uint8_t *opt, uint8_t len, uint16_t *mss, uint8_t *scale)
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
note_syn(struct fuzz_peer *p, const struct parts *t)
{
	unsigned int i = p->n_syns++ % FUZZ_PEER_SYNS;

	p->syn[i].seq = t->seq;
	parse_options(t->opt, t->opt_len, &p->syn[i].mss, &p->syn[i].scale);
}

/* The host connects, and this is an answer to its SYN. */
static void
note_syn_ack(struct fuzz_peer *p, const struct parts *t)
{
	if (p->is_proven || !p->heard || t->ack != p->host_iss + 1)
		return;
	p->is_proven = true;
	p->iss = t->seq;
	if (!parse_options(t->opt, t->opt_len, &p->mss, &p->scale))
		p->host_scale = 0;
	p->right = p->most_wnd = t->wnd;
}

/* What an acceptable segment tells of the host's stream. */
static void
note_told(struct fuzz_peer *p, const struct parts *t)
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
note_segment(struct fuzz_peer *p, const struct parts *t, const struct fuzz_view *v)
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
	if (!p->is_proven && t->ack == p->host_iss + 1)
		p->is_proven = true;
	note_told(p, t);
	if (is_before(at_end, nxt) || at_end >= FUZZ_STREAM_MAX)
		return false;
	p->high = RTE_MAX(p->high, at_end);
	if ((t->flags & FIN) && !has_fin(p, at_end)) {
		p->fins[p->n_fins % FUZZ_PEER_FINS] = at_end;
		p->n_fins = RTE_MIN(p->n_fins + 1, (uint32_t)FUZZ_PEER_FINS);
	}
	return true;
}

/* RFC 9293 3.10.7.3, RFC 5961 3.2: a reset that has to be believed. */
static void
note_reset(struct fuzz_peer *p, const struct parts *t, const struct fuzz_view *v)
{
	if (strcmp(v->state, "SYN_SENT") == 0 ? (t->flags & ACK) && t->ack == v->snd_nxt :
		t->seq == v->rcv_nxt)
		p->may_be_reset = true;
}

/* Notes what the segment says, and puts in what it carries. */
static void
fill(struct fuzz_peer *p, const struct parts *t, uint8_t kind)
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

/* With FUZZ_TRACE in the environment: what passes, for whoever looks into a finding. */
static bool
is_tracing(void)
{
	static int is_on = -1;

	if (is_on < 0)
		is_on = getenv("FUZZ_TRACE") != NULL;
	return is_on;
}

static void
trace(const struct fuzz_peer *p, const char *who, const struct parts *t)
{
	if (is_tracing())
		fprintf(stderr, "%llu us, stream %u: %s%s flags %02x at %d ack %d window %u, %u bytes\n",
			(unsigned long long)fuzz_now_us, p->id, who, t->is_whole ? "" : ", senseless,",
			t->flags, (int)t->at, (int)(t->ack - p->host_iss - 1), t->wnd, t->len);
}

static void
trace_read(const struct fuzz_peer *p, ssize_t n)
{
	if (is_tracing())
		fprintf(stderr, "%llu us, stream %u: read from %u: %zd\n",
			(unsigned long long)fuzz_now_us, p->id, p->n_read, n);
}

static void
let_arrive(struct fuzz_peer *p, const struct fuzz_segment *s)
{
	static struct fuzz_host *const hosts[] = {&fuzz_peer_host};
	struct rte_mbuf *m = make(p, s);
	uint8_t kind = s->kind % DAMAGES;
	struct parts t;

	damage(m, kind, s->a, s->b);
	t = parse(p, m);
	trace(p, "peer", &t);
	if (is_tracing())
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

/* --- from the host ------------------------------------------------------------------------------- */

static void
hear_syn_ack(struct fuzz_peer *p, uint32_t seq, uint32_t ack, const uint8_t *opt, uint8_t len, uint16_t wnd)
{
	bool is_known = p->n_syns > FUZZ_PEER_SYNS; /* it may be one that we have forgotten */
	uint16_t mss, most = is_known ? FUZZ_PEER_MSS : 0;
	uint8_t scale, peer_scale = is_known ? SCALE_MAX : 0;

	for (unsigned int i = 0; i < RTE_MIN(p->n_syns, (unsigned int)FUZZ_PEER_SYNS); i++) {
		if (p->syn[i].seq + 1 != ack)
			continue;
		is_known = true; /* or several with other options; a cookie is for any of them */
		most = RTE_MAX(most, p->syn[i].mss);
		peer_scale = RTE_MAX(peer_scale, p->syn[i].scale);
	}
	fuzz_require(is_known, "an answer to a SYN that nobody sent");
	if (p->is_proven)
		return;
	parse_options(opt, len, &mss, &scale);
	if (p->iss != ack - 1 || p->host_iss != seq)
		p->n_past = p->holds = 0; /* they have the numbers of before */
	p->iss = ack - 1;
	p->host_iss = seq;
	/* A cookie and a request may both be there: nobody knows which of them the ACK will make. */
	p->is_vague |= p->heard && (len > 4) != p->had_options;
	p->had_options = len > 4;
	p->mss = p->heard ? RTE_MAX(p->mss, most) : most;
	p->host_scale = scale;
	p->scale = RTE_MAX(p->scale, len > 4 ? peer_scale : 0); /* no scale in ours: none of the peer's counts */
	p->heard = true;
	p->said_right = wnd;
	p->most_wnd = HANDSHAKE_WINDOW;
	p->right = RTE_MAX(p->right, HANDSHAKE_WINDOW);
}

static void
check_sacks(const struct fuzz_peer *p, const uint8_t *opt, uint8_t len, uint32_t ack)
{
	for (uint8_t i = 0; i + 1 < len && opt[i] != 0; i += opt[i] == 1 ? 1 : opt[i + 1]) {
		fuzz_require(opt[i] == 1 || opt[i + 1] >= 2, "an option without length");
		if (opt[i] != 5)
			continue;
		fuzz_require(opt[i + 1] % 8 == 2 && i + opt[i + 1] <= len, "a SACK of no length");
		for (uint8_t b = i + 2; b < i + opt[i + 1]; b += 8) {
			rte_be32_t edge[2];
			uint32_t left, right;

			memcpy(edge, opt + b, sizeof(edge));
			left = rte_be_to_cpu_32(edge[0]) - p->iss - 1;
			right = rte_be_to_cpu_32(edge[1]) - p->iss - 1;
			fuzz_require(is_before(left, right), "an empty SACK");
			if (is_before(left, ack))
				continue; /* RFC 2883: came twice */
			fuzz_require(right <= FUZZ_STREAM_MAX, "a SACK far beyond the window");
			for (; left < right; left++)
				fuzz_require(was_sent(p, left) || has_fin(p, left),
					"a SACK of what was never sent");
		}
	}
}

/* The acknowledgement and the window: both go forward only, and not beyond what there was. */
static void
check_ack(struct fuzz_peer *p, uint32_t ack, uint32_t wnd)
{
	uint32_t right = ack + wnd;

	fuzz_require(!is_before(ack, p->said_ack), "an ACK goes back");
	for (uint32_t at = p->said_ack; at < ack; at++)
		fuzz_require(was_sent(p, at) || (at + 1 == ack && has_fin(p, at)),
			"an ACK of what was never sent");
	p->said_ack = ack;
	if (p->is_vague)
		return;
	fuzz_require(!is_before(right + (1u << p->host_scale), p->said_right + 1), "the window goes back");
	if (is_before(p->said_right, right))
		p->said_right = right;
}

static void
check_data(struct fuzz_peer *p, uint32_t at, const uint8_t *data, uint32_t len, bool fin)
{
	fuzz_require(!is_before(p->n_written + 1, at), "a place beyond the end");
	if (len == 0 && !fin)
		return;
	fuzz_require(len <= p->mss, "a segment longer than the peer's MSS");
	fuzz_require(!is_before(p->n_written, at + len), "data that the program did not write");
	fuzz_require(!is_before(p->right + 1, at + len), "data beyond the peer's window");
	fuzz_require(!fin || at + len == p->n_written, "a FIN before the end");
	for (uint32_t i = 0; i < len; i++)
		fuzz_require(data[i] == fuzz_peer_host_byte(p, at + i), "the program wrote something else");
	if (!is_before(p->host_next, at) && is_before(p->host_next, at + len))
		p->host_next = at + len;
	if (fin && p->host_next == at + len)
		p->host_fin = true;
}

void
fuzz_peer_hear(struct fuzz_peer *p, const uint8_t *ip, uint32_t len)
{
	const struct rte_tcp_hdr *tcp = (const void *)(ip + sizeof(struct rte_ipv4_hdr));
	uint32_t seq = rte_be_to_cpu_32(tcp->sent_seq), ack = rte_be_to_cpu_32(tcp->recv_ack);
	uint32_t header = (tcp->data_off >> 4) * 4, payload = len - sizeof(struct rte_ipv4_hdr) - header;
	uint16_t wnd = rte_be_to_cpu_16(tcp->rx_win);
	const uint8_t *opt = (const uint8_t *)(tcp + 1);

	trace(p, "host", &(struct parts){.is_whole = true, .flags = tcp->tcp_flags, .wnd = wnd,
		.at = seq - p->host_iss - 1, .ack = ack - p->iss + p->host_iss, .len = payload});
	fuzz_require(header >= sizeof(*tcp) && sizeof(struct rte_ipv4_hdr) + header <= len, "a bad header");
	if (tcp->tcp_flags & RST) {
		fuzz_require(!p->is_proven || p->s == NULL || p->is_closed || p->is_shut ||
			p->may_be_reset || p->may_time_out, "a good connection is reset");
		p->is_over |= p->is_proven && (p->s != NULL || p->is_closed);
		return;
	}
	if (tcp->tcp_flags & SYN) {
		fuzz_require(payload == 0, "a SYN with data");
		if (tcp->tcp_flags & ACK) {
			hear_syn_ack(p, seq, ack, opt, header - sizeof(*tcp), wnd);
		} else if (!p->heard) {
			uint16_t mss;

			p->heard = true;
			p->host_iss = seq;
			parse_options(opt, header - sizeof(*tcp), &mss, &p->host_scale);
			p->said_right = 0;
		}
		return;
	}
	fuzz_require((tcp->tcp_flags & ACK) != 0, "a segment without ACK");
	if (!p->heard || !p->is_proven || p->may_be_reset || p->is_over || p->has_end)
		return;
	check_sacks(p, opt, header - sizeof(*tcp), ack - p->iss - 1);
	check_ack(p, ack - p->iss - 1, (uint32_t)wnd << p->host_scale);
	check_data(p, seq - p->host_iss - 1, (const uint8_t *)tcp + header, payload,
		(tcp->tcp_flags & FIN) != 0);
}

void
fuzz_peer_read(struct fuzz_peer *p, const uint8_t *data, ssize_t n)
{
	trace_read(p, n);
	for (ssize_t i = 0; i < n; i++) {
		fuzz_require(was_sent(p, p->n_read + i), "the program reads what was never sent");
		fuzz_require(data[i] == fuzz_peer_byte(p, p->n_read + i), "the program reads other bytes");
	}
	if (n > 0)
		p->n_read += n;
	if (n == 0 && !p->is_shut && !p->may_be_reset) {
		fuzz_require(has_fin(p, p->n_read), "the stream ends where no FIN was");
		p->is_eof = true;
	}
	if (n == -ECONNRESET || n == -ECONNREFUSED)
		fuzz_require(p->may_be_reset, "a connection is reset without a reset");
}
