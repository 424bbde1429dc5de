/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Socket options, with Linux's levels and names. What changes the connection is stored and applied
 * by the holder (SD_OPT). What has no meaning in this stack but is harmless to accept (a hint) is
 * accepted and reported back; everything else is -ENOPROTOOPT, as Linux says for unknown names.
 */
#include "stack/impl.h"

#include <errno.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <sys/time.h>

static int
get_int(const void *val, socklen_t len, int *out)
{
	if (len < sizeof(int))
		return -EINVAL;
	memcpy(out, val, sizeof(*out));
	return 0;
}

static int
put_int(void *val, socklen_t *len, int v)
{
	socklen_t n = *len < sizeof(v) ? *len : sizeof(v);

	memcpy(val, &v, n);
	*len = n;
	return 0;
}

static void
set_flag(struct sock *s, uint32_t f, int on)
{
	if (on)
		sock_flag_set(s, f);
	else
		sock_flag_clear(s, f);
}

/* Or is about to be one. */
static bool
is_connection(const struct sock *s)
{
	return s->kind == SOCK_TCP && (sock_flags(s) & (SF_CONNECTED | SF_CONNECTING)) != 0;
}

static void
apply(struct sock *s)
{
	if (is_connection(s))
		stack_mark_dirty(s, SD_OPT);
}

static int
set_linger(struct sock *s, const void *val, socklen_t len)
{
	struct linger l;

	if (len < sizeof(l))
		return -EINVAL;
	memcpy(&l, val, sizeof(l));
	s->linger_s = l.l_onoff ? l.l_linger : -1;
	return 0;
}

static int
set_timeout(uint32_t *ms, const void *val, socklen_t len)
{
	struct timeval tv;

	if (len < sizeof(tv))
		return -EINVAL;
	memcpy(&tv, val, sizeof(tv));
	if (tv.tv_usec < 0 || tv.tv_usec >= 1000000)
		return -EDOM;
	*ms = tv.tv_sec < 0 ? 0 : tv.tv_sec * 1000 + tv.tv_usec / 1000;
	return 0;
}

static uint32_t
buffer_size(int v)
{
	/* Linux doubles the number for its bookkeeping and has a floor. */
	uint32_t bytes = v < 0 ? 0 : (uint32_t)v;

	if (bytes > 64u * 1024 * 1024)
		bytes = 64u * 1024 * 1024;
	return bytes * 2 < 4608 ? 4608 : bytes * 2;
}

static int
set_socket(struct sock *s, int name, const void *val, socklen_t len)
{
	int v = 0, rc;

	if (name == SO_LINGER)
		return set_linger(s, val, len);
	if (name == SO_RCVTIMEO)
		return set_timeout(&s->rcvtimeo_ms, val, len);
	if (name == SO_SNDTIMEO)
		return set_timeout(&s->sndtimeo_ms, val, len);
	if (name == SO_BINDTODEVICE)
		return len == 0 || *(const char *)val == '\0' ? 0 : -ENODEV;
	rc = get_int(val, len, &v);
	if (rc != 0)
		return rc;
	switch (name) {
	case SO_REUSEADDR:
		set_flag(s, SF_REUSEADDR, v);
		return 0;
	case SO_REUSEPORT:
		set_flag(s, SF_REUSEPORT, v);
		return 0;
	case SO_KEEPALIVE:
		set_flag(s, SF_KEEPALIVE, v);
		apply(s);
		return 0;
	case SO_BROADCAST:
		s->broadcast = v != 0;
		return 0;
	case SO_SNDBUF:
	case SO_SNDBUFFORCE:
		s->sndbuf = buffer_size(v);
		s->sndbuf_fixed = true;
		return 0;
	case SO_RCVBUF:
	case SO_RCVBUFFORCE:
		s->rcvbuf = buffer_size(v);
		return 0;
	case SO_OOBINLINE:
	case SO_PRIORITY:
	case SO_DONTROUTE:
	case SO_TIMESTAMP:
	case SO_RCVLOWAT:
	case SO_MARK:
	case SO_INCOMING_CPU:
	case SO_BUSY_POLL:
	case SO_MAX_PACING_RATE:
	case SO_NO_CHECK:
	case SO_ZEROCOPY:
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

static int
positive(int v, _Atomic uint32_t *out, int max)
{
	if (v < 1 || v > max)
		return -EINVAL;
	*out = (uint32_t)v;
	return 0;
}

static int
set_tcp(struct sock *s, int name, const void *val, socklen_t len)
{
	int v = 0, rc;

	if (s->kind != SOCK_TCP)
		return -EOPNOTSUPP;
	if (name == TCP_CONGESTION)
		return len >= 4 && strncmp(val, "reno", 4) == 0 ? 0 : -ENOENT;
	rc = get_int(val, len, &v);
	if (rc != 0)
		return rc;
	switch (name) {
	case TCP_NODELAY:
		set_flag(s, SF_NODELAY, v);
		break;
	case TCP_CORK:
		s->cork_opt = v != 0;
		set_flag(s, SF_CORK, v);
		if (v == 0 && is_connection(s))
			stack_mark_dirty(s, SD_TX);
		break;
	case TCP_KEEPIDLE:
		rc = positive(v, &s->keep_idle_s, 32767);
		break;
	case TCP_KEEPINTVL:
		rc = positive(v, &s->keep_intvl_s, 32767);
		break;
	case TCP_KEEPCNT:
		rc = positive(v, &s->keep_cnt, 127);
		break;
	case TCP_USER_TIMEOUT:
		if (v < 0)
			return -EINVAL;
		s->user_timeout_ms = (uint32_t)v;
		break;
	case TCP_QUICKACK:
	case TCP_DEFER_ACCEPT:
	case TCP_SYNCNT:
	case TCP_LINGER2:
	case TCP_WINDOW_CLAMP:
	case TCP_MAXSEG:
	case TCP_NOTSENT_LOWAT:
		return 0;
	default:
		return -ENOPROTOOPT;
	}
	if (rc == 0)
		apply(s);
	return rc;
}

static int
set_ip(struct sock *s, int name, const void *val, socklen_t len)
{
	int v = 0;

	if (len >= sizeof(int))
		memcpy(&v, val, sizeof(v));
	else if (len >= 1)
		v = *(const uint8_t *)val;
	switch (name) {
	case IP_TOS:
		s->tos = (uint8_t)v;
		apply(s);
		return 0;
	case IP_TTL:
		if (v == -1)
			v = 64;
		if (v < 1 || v > 255)
			return -EINVAL;
		s->ttl = (uint8_t)v;
		apply(s);
		return 0;
	case IP_MTU_DISCOVER:
	case IP_RECVERR:
	case IP_BIND_ADDRESS_NO_PORT:
	case IP_FREEBIND:
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

int
sock_setopt(struct sock *s, int level, int name, const void *val, socklen_t len)
{
	if (val == NULL && len > 0)
		return -EFAULT;
	switch (level) {
	case SOL_SOCKET:
		return set_socket(s, name, val, len);
	case IPPROTO_TCP:
		return set_tcp(s, name, val, len);
	case IPPROTO_IP:
		return set_ip(s, name, val, len);
	default:
		return -ENOPROTOOPT;
	}
}

/* --- get --------------------------------------------------------------------------------------------------- */

static int
put_timeout(void *val, socklen_t *len, uint32_t ms)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
	socklen_t n = *len < sizeof(tv) ? *len : sizeof(tv);

	memcpy(val, &tv, n);
	*len = n;
	return 0;
}

static int
put_linger(const struct sock *s, void *val, socklen_t *len)
{
	struct linger l = {.l_onoff = s->linger_s >= 0, .l_linger = s->linger_s < 0 ? 0 : s->linger_s};
	socklen_t n = *len < sizeof(l) ? *len : sizeof(l);

	memcpy(val, &l, n);
	*len = n;
	return 0;
}

static int
get_socket(struct sock *s, int name, void *val, socklen_t *len)
{
	uint32_t f = sock_flags(s);

	switch (name) {
	case SO_ERROR:
		return put_int(val, len, sock_take_error(s));
	case SO_TYPE:
		return put_int(val, len, s->kind == SOCK_TCP ? SOCK_STREAM : SOCK_DGRAM);
	case SO_PROTOCOL:
		return put_int(val, len, s->kind == SOCK_TCP ? IPPROTO_TCP : IPPROTO_UDP);
	case SO_DOMAIN:
		return put_int(val, len, AF_INET);
	case SO_ACCEPTCONN:
		return put_int(val, len, (f & SF_LISTEN) != 0);
	case SO_REUSEADDR:
		return put_int(val, len, (f & SF_REUSEADDR) != 0);
	case SO_REUSEPORT:
		return put_int(val, len, (f & SF_REUSEPORT) != 0);
	case SO_KEEPALIVE:
		return put_int(val, len, (f & SF_KEEPALIVE) != 0);
	case SO_BROADCAST:
		return put_int(val, len, s->broadcast);
	case SO_SNDBUF:
		return put_int(val, len, (int)s->sndbuf);
	case SO_RCVBUF:
		return put_int(val, len, (int)s->rcvbuf);
	case SO_LINGER:
		return put_linger(s, val, len);
	case SO_RCVTIMEO:
		return put_timeout(val, len, s->rcvtimeo_ms);
	case SO_SNDTIMEO:
		return put_timeout(val, len, s->sndtimeo_ms);
	case SO_RCVLOWAT:
	case SO_SNDLOWAT:
		return put_int(val, len, 1);
	case SO_OOBINLINE:
	case SO_PRIORITY:
	case SO_DONTROUTE:
	case SO_TIMESTAMP:
	case SO_INCOMING_CPU:
		return put_int(val, len, 0);
	default:
		return -ENOPROTOOPT;
	}
}

struct info_request {
	struct sock *s;
	struct stack_conn_info info;
};

static void
op_info(struct stack *st, void *arg)
{
	struct info_request *r = arg;

	tcp_fill_info(st, r->s, &r->info);
}

static uint8_t
linux_state(const char *name)
{
	static const struct {
		const char *name;
		uint8_t state;
	} rows[] = {
		{"ESTABLISHED", TCP_ESTABLISHED}, {"SYN_SENT", TCP_SYN_SENT},
		{"SYN_RECVD", TCP_SYN_RECV}, {"FIN_WAIT_1", TCP_FIN_WAIT1},
		{"FIN_WAIT_2", TCP_FIN_WAIT2}, {"TIME_WAIT", TCP_TIME_WAIT},
		{"CLOSE_WAIT", TCP_CLOSE_WAIT}, {"LAST_ACK", TCP_LAST_ACK},
		{"LISTEN", TCP_LISTEN}, {"CLOSING", TCP_CLOSING},
	};

	for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strcmp(rows[i].name, name) == 0)
			return rows[i].state;
	}
	return TCP_CLOSE;
}

static int
get_tcp_info(struct sock *s, void *val, socklen_t *len)
{
	struct info_request r = {.s = s, .info = {.state = "CLOSED", .mss = 536}};
	struct tcp_info ti = {0};
	socklen_t n = *len < sizeof(ti) ? *len : sizeof(ti);

	if (s->stack != NULL)
		stack_call(s->stack, op_info, &r);
	ti.tcpi_state = linux_state(r.info.state);
	ti.tcpi_options = TCPI_OPT_SACK | TCPI_OPT_WSCALE;
	ti.tcpi_rto = r.info.rto_ms * 1000;
	ti.tcpi_ato = 40000;
	ti.tcpi_snd_mss = r.info.mss;
	ti.tcpi_rcv_mss = r.info.mss;
	ti.tcpi_advmss = r.info.mss;
	ti.tcpi_pmtu = s->group->params.mtu;
	ti.tcpi_rtt = r.info.srtt_us;
	ti.tcpi_snd_cwnd = r.info.mss != 0 ? r.info.cwnd / r.info.mss : 0;
	ti.tcpi_unacked = r.info.mss != 0 ? (r.info.in_flight + r.info.mss - 1) / r.info.mss : 0;
	ti.tcpi_rcv_space = r.info.rcv_wnd;
	ti.tcpi_total_retrans = r.info.retransmits;
	ti.tcpi_retransmits = 0;
	memcpy(val, &ti, n);
	*len = n;
	return 0;
}

static int
get_tcp(struct sock *s, int name, void *val, socklen_t *len)
{
	uint32_t f = sock_flags(s);
	struct info_request r = {.s = s, .info = {.mss = 536}};

	if (s->kind != SOCK_TCP)
		return -EOPNOTSUPP;
	switch (name) {
	case TCP_NODELAY:
		return put_int(val, len, (f & SF_NODELAY) != 0);
	case TCP_CORK:
		return put_int(val, len, s->cork_opt);
	case TCP_KEEPIDLE:
		return put_int(val, len, (int)s->keep_idle_s);
	case TCP_KEEPINTVL:
		return put_int(val, len, (int)s->keep_intvl_s);
	case TCP_KEEPCNT:
		return put_int(val, len, (int)s->keep_cnt);
	case TCP_USER_TIMEOUT:
		return put_int(val, len, (int)s->user_timeout_ms);
	case TCP_MAXSEG:
		if (s->stack != NULL)
			stack_call(s->stack, op_info, &r);
		return put_int(val, len, (int)r.info.mss);
	case TCP_INFO:
		return get_tcp_info(s, val, len);
	case TCP_CONGESTION:
		if (*len > 5)
			*len = 5;
		memcpy(val, "reno", *len);
		return 0;
	case TCP_QUICKACK:
		return put_int(val, len, 1);
	case TCP_DEFER_ACCEPT:
	case TCP_SYNCNT:
	case TCP_LINGER2:
	case TCP_WINDOW_CLAMP:
	case TCP_NOTSENT_LOWAT:
		return put_int(val, len, 0);
	default:
		return -ENOPROTOOPT;
	}
}

static int
get_ip(struct sock *s, int name, void *val, socklen_t *len)
{
	switch (name) {
	case IP_TOS:
		return put_int(val, len, s->tos);
	case IP_TTL:
		return put_int(val, len, s->ttl);
	case IP_MTU:
		return put_int(val, len, s->group->params.mtu);
	case IP_MTU_DISCOVER:
		return put_int(val, len, IP_PMTUDISC_WANT);
	case IP_OPTIONS:
		*len = 0;
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

int
sock_getopt(struct sock *s, int level, int name, void *val, socklen_t *len)
{
	if (val == NULL || len == NULL)
		return -EFAULT;
	if ((int)*len < 0)
		return -EINVAL;
	switch (level) {
	case SOL_SOCKET:
		return get_socket(s, name, val, len);
	case IPPROTO_TCP:
		return get_tcp(s, name, val, len);
	case IPPROTO_IP:
		return get_ip(s, name, val, len);
	default:
		return -ENOPROTOOPT;
	}
}
