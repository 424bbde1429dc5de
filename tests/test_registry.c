/* SPDX-License-Identifier: BSD-3-Clause */
/* Registration: who may, what it gets, and what becomes of it when ltran starts again. */
#include <grp.h>
#include <pwd.h>
#include <sys/wait.h>

#include "tests/registry_rig.h"

/* --- registration -------------------------------------------------------------------------------- */

static void
instance_gets_ring_ports_and_mac(void)
{
	struct instance in;
	char want[LTRAN_PATH_MAX];
	struct stat st;

	begin(&in, ADDR);
	CU_ASSERT_EQUAL(enter(&in), 0);
	CU_ASSERT_EQUAL(memcmp(in.a.mac, &lt->mac, 6), 0);
	CU_ASSERT_EQUAL(in.a.mtu, 1500);
	CU_ASSERT_EQUAL(in.a.queue_size, REGISTRY_QUEUE_SIZE);
	CU_ASSERT_EQUAL(in.a.blocks[0], 0xf);
	CU_ASSERT_EQUAL(in.a.blocks[1], 0);
	snprintf(want, sizeof(want), "%s/ltran_%d_0.vhost", dir, (int)getpid());
	CU_ASSERT_STRING_EQUAL(in.a.path, want);
	CU_ASSERT_EQUAL(n_members(), 1);
	CU_ASSERT_EQUAL(entry_of(ADDR).n, 1);
	CU_ASSERT_EQUAL(stat(lt->registry->path, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 0777, 0600);
	end(&in);
	EVENTUALLY(n_members() == 0);
	EVENTUALLY(n_rings == 0);
}

static void
nothing_stays_in_the_run_directory(void)
{
	struct ltran_conf other = conf;
	struct ltran second = {.conf = &other};
	char path[128];

	snprintf(other.unix_prefix, sizeof(other.unix_prefix), "other-");
	snprintf(path, sizeof(path), "%s/other-" LTRAN_SOCKET ".lock", dir);
	CU_ASSERT_EQUAL_FATAL(registry_start_in(&second, dir, err, sizeof(err)), 0);
	CU_ASSERT_EQUAL(access(path, F_OK), 0);
	registry_stop(&second);
	CU_ASSERT_EQUAL(access(path, F_OK), -1);
	path[strlen(path) - strlen(".lock")] = '\0';
	CU_ASSERT_EQUAL(access(path, F_OK), -1);
}

static void
second_ltran_is_refused(void)
{
	struct ltran second = {.conf = &conf};

	CU_ASSERT_EQUAL(registry_start_in(&second, dir, err, sizeof(err)), -EADDRINUSE);
	CU_ASSERT_PTR_NOT_NULL(strstr(err, "another ltran (pid "));
	CU_ASSERT_PTR_NULL(second.registry);
	/* The first one is as it was. */
	instance_gets_ring_ports_and_mac();
}

static void
prefix_that_does_not_fit_is_refused(void)
{
	struct ltran_conf long_conf = conf;
	struct ltran second = {.conf = &long_conf};

	memset(long_conf.unix_prefix, 'x', CONF_UNIX_PREFIX_MAX);
	CU_ASSERT_EQUAL(registry_start_in(&second, dir, err, sizeof(err)), -ENAMETOOLONG);
	CU_ASSERT_PTR_NOT_NULL(strstr(err, "unix_prefix"));
}

/* One field changed; the answer is `status` with `word` in its text, and the connection ends. */
#define EXPECT_REFUSED(change, expected, word)                                                     \
	do {                                                                                       \
		struct instance in_;                                                               \
		begin(&in_, ADDR);                                                                 \
		change;                                                                            \
		CU_ASSERT_EQUAL(enter(&in_), expected);                                            \
		CU_ASSERT_PTR_NOT_NULL(strstr(in_.a.text, word));                                  \
		CU_ASSERT_TRUE(is_closed(in_.fd));                                                 \
		in_.q.n_queues = 1;                                                                \
		end(&in_);                                                                         \
		CU_ASSERT_EQUAL(n_members(), 0);                                                   \
	} while (0)

static void
fields_out_of_range_are_refused(void)
{
	EXPECT_REFUSED(in_.q.addr = IP(198, 18, 5, 7), -EADDRNOTAVAIL, "dispatch_subnet");
	EXPECT_REFUSED(in_.q.addr = IP(198, 18, 4, 0), -EADDRNOTAVAIL, "broadcast");
	EXPECT_REFUSED(in_.q.addr = IP(198, 18, 4, 255), -EADDRNOTAVAIL, "broadcast");
	EXPECT_REFUSED(in_.q.mask = 0, -EINVAL, "mask_addr");
	EXPECT_REFUSED(in_.q.mask = IP(255, 0, 255, 0), -EINVAL, "mask_addr");
	EXPECT_REFUSED(in_.q.gateway = IP(198, 18, 5, 1), -EINVAL, "gateway_addr");
	EXPECT_REFUSED(in_.q.n_queues = 0, -EINVAL, "queues");
	EXPECT_REFUSED(in_.q.n_queues = 65, -EINVAL, "queues");
	EXPECT_REFUSED(in_.q.mtu = 67, -EINVAL, "mtu");
	EXPECT_REFUSED(in_.q.mac[5] = 9, -EINVAL, "devices");
	EXPECT_REFUSED(in_.q.resumes = 2, -EINVAL, "malformed");
	EXPECT_REFUSED(in_.q.header.status = 1, -EINVAL, "malformed");
	EXPECT_REFUSED(memset(in_.q.program, 'x', 16), -EINVAL, "malformed");
	EXPECT_REFUSED(memset(in_.q.path, '/', LTRAN_PATH_MAX), -EINVAL, "malformed");
	EXPECT_REFUSED(in_.q.header.version++, -EPROTO, "version");
}

static void
swap_table(struct instance *in, int fd)
{
	close(in->table_fd);
	in->table_fd = fd;
}

static int
unsealed_table(void)
{
	int fd = memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	CU_ASSERT_EQUAL(ftruncate(fd, 8192), 0);
	fcntl(fd, F_ADD_SEALS, F_SEAL_GROW);
	return fd;
}

/* A table as the instance has, but for its seals, its size and its pages. */
static int
table_like(const struct instance *in, int seals, off_t more_bytes, bool is_whole)
{
	int fd = memfd_create("like", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	off_t bytes = (off_t)table_bytes(in) + more_bytes;

	CU_ASSERT_EQUAL(is_whole ? fallocate(fd, 0, 0, bytes) : ftruncate(fd, bytes), 0);
	CU_ASSERT_EQUAL(pwrite(fd, in->head, sizeof(*in->head), 0), sizeof(*in->head));
	CU_ASSERT_EQUAL(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

/* Whoever looks at it never waits for its owner, and never pays for its pages. */
static void
socket_table_keeps_all_its_pages(void)
{
	const int seals = F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL, all = seals | F_SEAL_FUTURE_WRITE;

	EXPECT_REFUSED(swap_table(&in_, table_like(&in_, seals, 0, true)), -EINVAL, "sealed");
	EXPECT_REFUSED(swap_table(&in_, table_like(&in_, all, 4096, true)), -EINVAL, "last slot");
	EXPECT_REFUSED(swap_table(&in_, table_like(&in_, all, 0, false)), -EINVAL, "holes");
}

static void
wrong_socket_table_is_refused(void)
{
	EXPECT_REFUSED(swap_table(&in_, -1), -EINVAL, "no socket table");
	EXPECT_REFUSED(swap_table(&in_, open("/dev/zero", O_RDONLY)), -EINVAL, "sealed");
	EXPECT_REFUSED(swap_table(&in_, unsealed_table()), -EINVAL, "sealed");
	EXPECT_REFUSED(in_.head->magic++, -EINVAL, "no socket table");
	EXPECT_REFUSED(in_.head->version++, -EINVAL, "no socket table");
	EXPECT_REFUSED(in_.head->n_tables++, -EINVAL, "impossible");
	EXPECT_REFUSED(in_.head->n_slots = 0, -EINVAL, "impossible");
	EXPECT_REFUSED(in_.head->n_slots = SLOTS + 1, -EINVAL, "impossible");
	EXPECT_REFUSED(in_.head->n_slots = 1u << 31, -EINVAL, "impossible");
	EXPECT_REFUSED(in_.head->n_slots = SLOTS * 2, -EINVAL, "last slot");
}

static void
more_than_the_allowed_instances_are_refused(void)
{
	struct instance in[5];

	for (unsigned int i = 0; i < 5; i++) {
		begin(&in[i], ADDR + RTE_BE32(i));
		CU_ASSERT_EQUAL(enter(&in[i]), i < 4 ? 0 : -EUSERS);
	}
	CU_ASSERT_PTR_NOT_NULL(strstr(in[4].a.text, "dispatch_max_clients"));
	for (unsigned int i = 0; i < 5; i++)
		end(&in[i]);
}

static void
who_registers_too_often_is_refused(void)
{
	struct instance in;
	int ret = 0;
	unsigned int n;

	lt->registry->per_s = 0; /* nothing comes back */
	for (n = 0; ret == 0 && n < 2 * REGISTRY_BURST; n++) {
		begin(&in, ADDR);
		ret = enter(&in);
		end(&in);
	}
	CU_ASSERT_EQUAL(ret, -EBUSY);
	CU_ASSERT_EQUAL(n, REGISTRY_BURST + 2 * 4 + 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(in.a.text, "too often"));
}

/* Where others than ltran's user may come, there is room for them. */
static void
one_user_does_not_get_all(void)
{
	struct instance in[4];

	snprintf(conf.client_group, sizeof(conf.client_group), "users");
	for (unsigned int i = 0; i < 4; i++) {
		begin(&in[i], ADDR + RTE_BE32(i));
		CU_ASSERT_EQUAL(enter(&in[i]), i < 3 ? 0 : -EUSERS);
	}
	CU_ASSERT_PTR_NOT_NULL(strstr(in[3].a.text, "others"));
	for (unsigned int i = 0; i < 4; i++)
		end(&in[i]);
}

static void
silent_connections_of_one_user_leave_room(void)
{
	int fds[REGISTRY_USER_STRANGERS + 1];
	char c;

	for (unsigned int i = 0; i < REGISTRY_USER_STRANGERS + 1; i++)
		fds[i] = dial();
	CU_ASSERT_EQUAL(recv(fds[REGISTRY_USER_STRANGERS], &c, 1, 0), 0); /* one too many */
	CU_ASSERT_EQUAL(recv(fds[0], &c, 1, MSG_DONTWAIT), -1);
	for (unsigned int i = 0; i < REGISTRY_USER_STRANGERS + 1; i++)
		close(fds[i]);
}

static void
message_that_is_none_ends_the_connection(void)
{
	struct {
		struct ltran_register q;
		char more;
	} long_message;
	struct ltran_listen listen = {.header = header};
	struct instance in;
	int fd;

	for (unsigned int i = 0; i < 4; i++) {
		begin(&in, ADDR);
		listen.header.type = i == 0 ? 77 : LTRAN_LISTEN;
		long_message.q = in.q;
		if (i < 2)
			send(in.fd, &listen, sizeof(listen), 0); /* not registered */
		else if (i == 2)
			send(in.fd, &long_message, sizeof(long_message), 0);
		else
			send(in.fd, "x", 1, 0);
		CU_ASSERT_TRUE(is_closed(in.fd));
		end(&in);
	}
	/* A second registration ends the first. */
	begin(&in, ADDR);
	CU_ASSERT_EQUAL(enter(&in), 0);
	send_fds(in.fd, &in.q, sizeof(in.q), &in.table_fd, 1);
	CU_ASSERT_TRUE(is_closed(in.fd));
	EVENTUALLY(n_members() == 0);
	end(&in);
	fd = dial();
	CU_ASSERT(fd >= 0);
	close(fd);
}

static void
surplus_descriptors_are_closed(void)
{
	struct instance in;
	unsigned int before = open_files();
	int fds[8];

	begin(&in, ADDR);
	for (unsigned int i = 0; i < 8; i++)
		fds[i] = in.table_fd;
	send_fds(in.fd, &in.q, sizeof(in.q), fds, 8);
	CU_ASSERT_EQUAL(recv(in.fd, &in.a, sizeof(in.a), 0), sizeof(in.a));
	CU_ASSERT_EQUAL(in.a.header.status, 0);
	CU_ASSERT_EQUAL(open_files(), before + 4); /* ours: connection, table; ltran's: the same */
	end(&in);
	EVENTUALLY(open_files() == before);
}

/* --- sharing ------------------------------------------------------------------------------------- */

static void
instances_of_one_program_share_an_address(void)
{
	struct instance a, b;

	begin(&a, ADDR);
	begin(&b, ADDR);
	CU_ASSERT_EQUAL(enter(&a), 0);
	CU_ASSERT_EQUAL(enter(&b), 0);
	CU_ASSERT_EQUAL(entry_of(ADDR).n, 2);
	CU_ASSERT_EQUAL(a.a.blocks[0], 0x0f);
	CU_ASSERT_EQUAL(b.a.blocks[0], 0xf0);
	CU_ASSERT_STRING_NOT_EQUAL(a.a.path, b.a.path);
	/* One worker each. */
	CU_ASSERT_NOT_EQUAL(((struct map *)lt->map)->members[0]->worker,
		((struct map *)lt->map)->members[1]->worker);
	end(&a);
	EVENTUALLY(entry_of(ADDR).n == 1);
	end(&b);
	EVENTUALLY(entry_of(ADDR).n == 0);
	CU_ASSERT_EQUAL(entry_of(ADDR).addr, ADDR);
}

static void
another_user_or_program_may_not_share(void)
{
	struct registry *r = calloc(1, sizeof(*r));
	struct member m = {.addr = ADDR, .fd = 3, .uid = 5, .exe_dev = 6, .exe_ino = 7, .pid = 8,
		.program = "redis"};
	struct ltran_register q = {.addr = ADDR};
	struct registry_peer same = {.uid = 5, .exe_dev = 6, .exe_ino = 7};
	struct registry_peer others[] = {{.uid = 4, .exe_dev = 6, .exe_ino = 7},
		{.uid = 5, .exe_dev = 5, .exe_ino = 7}, {.uid = 5, .exe_dev = 6, .exe_ino = 8}};
	char text[LTRAN_TEXT_MAX];

	r->members[0] = &m;
	r->n_members = 1;
	CU_ASSERT_EQUAL(registry_check_sharing(r, &q, &same, text), 0);
	for (unsigned int i = 0; i < RTE_DIM(others); i++) {
		CU_ASSERT_EQUAL(registry_check_sharing(r, &q, &others[i], text), -EADDRINUSE);
		CU_ASSERT_PTR_NOT_NULL(strstr(text, "used by redis (process 8)"));
	}
	q.addr = OTHER;
	CU_ASSERT_EQUAL(registry_check_sharing(r, &q, &others[0], text), 0);
	free(r);
}

static int
ask_to_listen(struct instance *in, uint8_t protocol, uint16_t port, bool reuseport, uint64_t identity)
{
	struct ltran_listen q = {.header = header, .identity = identity, .port = htons(port),
		.protocol = protocol, .reuseport = reuseport};

	q.header.type = LTRAN_LISTEN;
	send(in->fd, &q, sizeof(q), 0);
	CU_ASSERT_EQUAL(recv(in->fd, &q, sizeof(q), 0), sizeof(q));
	CU_ASSERT_EQUAL(q.pid, q.header.status < 0 ? (uint32_t)getpid() : 0);
	return q.header.status;
}

static void
port_is_shared_only_if_both_want_it(void)
{
	struct instance a, b, c;
	uint64_t tcp = IPPROTO_TCP, udp = IPPROTO_UDP;

	begin(&a, ADDR);
	begin(&b, ADDR);
	begin(&c, OTHER);
	CU_ASSERT_EQUAL(enter(&a) | enter(&b) | enter(&c), 0);
	ltran_table_add(a.table, SLOTS, ltran_slot_key(0, 0, htons(80)), tcp | 5ull << 32);
	ltran_table_add(a.table, SLOTS, ltran_slot_key(0, 0, htons(81)), tcp | LTRAN_SLOT_REUSEPORT);
	ltran_table_add(a.table, SLOTS, ltran_slot_key(0, 0, htons(53)), udp);
	CU_ASSERT_EQUAL(ask_to_listen(&b, IPPROTO_TCP, 80, false, 0), -EADDRINUSE);
	CU_ASSERT_EQUAL(ask_to_listen(&b, IPPROTO_TCP, 80, true, 6), -EADDRINUSE);
	CU_ASSERT_EQUAL(ask_to_listen(&b, IPPROTO_TCP, 80, false, 5), 0); /* inherited */
	CU_ASSERT_EQUAL(ask_to_listen(&b, IPPROTO_TCP, 81, false, 0), -EADDRINUSE);
	CU_ASSERT_EQUAL(ask_to_listen(&b, IPPROTO_TCP, 81, true, 0), 0);
	CU_ASSERT_EQUAL(ask_to_listen(&b, IPPROTO_TCP, 53, false, 0), 0);
	CU_ASSERT_EQUAL(ask_to_listen(&b, IPPROTO_UDP, 53, false, 0), -EADDRINUSE);
	CU_ASSERT_EQUAL(ask_to_listen(&a, IPPROTO_TCP, 80, false, 5), 0); /* its own */
	CU_ASSERT_EQUAL(ask_to_listen(&c, IPPROTO_TCP, 80, false, 0), 0); /* another address */
	end(&a);
	end(&b);
	end(&c);
}

static void
port_is_promised_before_the_table_shows_it(void)
{
	struct instance a, b;

	begin(&a, ADDR);
	begin(&b, ADDR);
	CU_ASSERT_EQUAL(enter(&a) | enter(&b), 0);
	CU_ASSERT_EQUAL(ask_to_listen(&a, IPPROTO_TCP, 90, false, 0), 0);
	CU_ASSERT_EQUAL(ask_to_listen(&b, IPPROTO_TCP, 90, false, 0), -EADDRINUSE);
	CU_ASSERT_EQUAL(ask_to_listen(&b, IPPROTO_TCP, 91, false, 0), 0);
	end(&a);
	EVENTUALLY(n_members() == 1);
	CU_ASSERT_EQUAL(ask_to_listen(&b, IPPROTO_TCP, 90, false, 0), 0);
	end(&b);
}

static int
more_ports(struct instance *in, uint64_t blocks[LTRAN_BLOCK_WORDS])
{
	struct ltran_ports q = {.header = header};

	q.header.type = LTRAN_PORTS;
	send(in->fd, &q, sizeof(q), 0);
	CU_ASSERT_EQUAL(recv(in->fd, &q, sizeof(q), 0), sizeof(q));
	memcpy(blocks, q.blocks, sizeof(q.blocks));
	return q.header.status;
}

static void
blocks_of_ports_are_never_two_instances(void)
{
	uint64_t of_a[2], of_b[2] = {0};
	struct instance a, b, c;
	unsigned int n;

	begin(&a, ADDR);
	begin(&b, ADDR);
	begin(&c, OTHER);
	CU_ASSERT_EQUAL(enter(&a) | enter(&b) | enter(&c), 0);
	CU_ASSERT_EQUAL(more_ports(&a, of_a), 0);
	CU_ASSERT_EQUAL(of_a[0], 0x10f);
	for (n = 0; more_ports(&b, of_b) == 0 && n < 200; n++)
		CU_ASSERT_EQUAL((of_a[0] & of_b[0]) | (of_a[1] & of_b[1]), 0);
	CU_ASSERT_EQUAL(n, LTRAN_PORT_BLOCKS - 9);
	CU_ASSERT_EQUAL(of_a[0] | of_b[0], UINT64_MAX);
	CU_ASSERT_EQUAL(of_b[1], UINT64_MAX);
	CU_ASSERT_EQUAL(more_ports(&a, of_a), -ENOSPC);
	CU_ASSERT_EQUAL(c.a.blocks[0], 0xf); /* another address, the same ports */
	end(&b);
	EVENTUALLY(n_members() == 2);
	CU_ASSERT_EQUAL(more_ports(&a, of_a), 0);
	end(&a);
	end(&c);
}

/* --- restart of ltran ----------------------------------------------------------------------------- */

/* The server of its ring. */
static int
serve_ring(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	CU_ASSERT_EQUAL(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	CU_ASSERT_EQUAL(listen(fd, 1), 0);
	return fd;
}

static void
resume(struct instance *in)
{
	close(in->fd);
	in->fd = dial();
	in->q.resumes = 1;
	memcpy(in->q.path, in->a.path, sizeof(in->q.path));
	memcpy(in->q.blocks, in->a.blocks, sizeof(in->q.blocks));
}

static void
instance_comes_back_after_a_restart(void)
{
	struct instance a, b;
	int server;

	begin(&a, ADDR);
	CU_ASSERT_EQUAL(enter(&a), 0);
	a.a.blocks[1] = 0xff00;
	server = serve_ring(a.a.path);
	registry_stop(lt);
	CU_ASSERT_EQUAL(access(a.a.path, F_OK), 0);
	CU_ASSERT_EQUAL(registry_start_in(lt, dir, err, sizeof(err)), 0);
	/* A new one waits, so that it does not get what is another's. */
	begin(&b, ADDR);
	send_fds(b.fd, &b.q, sizeof(b.q), &b.table_fd, 1);
	resume(&a);
	CU_ASSERT_EQUAL(enter(&a), 0);
	CU_ASSERT_STRING_EQUAL(a.a.path, a.q.path);
	CU_ASSERT_EQUAL(a.a.blocks[1], 0xff00);
	CU_ASSERT_EQUAL(recv(b.fd, &b.a, sizeof(b.a), 0), sizeof(b.a));
	CU_ASSERT_EQUAL(b.a.header.status, 0);
	CU_ASSERT_EQUAL(b.a.blocks[0], 0xf0);
	CU_ASSERT_STRING_NOT_EQUAL(a.a.path, b.a.path);
	/* A third one claims blocks of the second. */
	resume(&b);
	b.q.blocks[0] = 0xf;
	snprintf(b.q.path, sizeof(b.q.path), "%s/ltran_%d_77.vhost", dir, (int)getpid());
	close(serve_ring(b.q.path));
	CU_ASSERT_EQUAL(enter(&b), -EADDRINUSE);
	unlink(b.q.path);
	close(server);
	end(&a);
	end(&b);
	EVENTUALLY(access(a.a.path, F_OK) < 0);
}

static void
instance_may_register_anew_before_its_end_is_seen(void)
{
	struct instance a;
	int server, old;

	begin(&a, ADDR);
	CU_ASSERT_EQUAL(enter(&a), 0);
	server = serve_ring(a.a.path);
	old = dup(a.fd);
	resume(&a);
	CU_ASSERT_EQUAL(enter(&a), 0);
	CU_ASSERT_EQUAL(n_members(), 1);
	CU_ASSERT_EQUAL(n_rings, 1);
	CU_ASSERT_EQUAL(access(a.a.path, F_OK), 0);
	close(old);
	close(server);
	end(&a);
}

static void
ring_of_somebody_else_is_refused(void)
{
	struct instance in;
	char paths[][LTRAN_PATH_MAX] = {"", "/etc/passwd", "", "", ""};
	int server;

	snprintf(paths[2], LTRAN_PATH_MAX, "%s/ltran_1_0.vhost", dir);
	snprintf(paths[3], LTRAN_PATH_MAX, "%s/../ltran_%d_0.vhost", dir, (int)getpid());
	snprintf(paths[4], LTRAN_PATH_MAX, "%s/ltran_%d_00.vhost", dir, (int)getpid());
	for (unsigned int i = 0; i < RTE_DIM(paths); i++) {
		begin(&in, ADDR);
		in.q.resumes = 1;
		memcpy(in.q.path, paths[i], LTRAN_PATH_MAX);
		CU_ASSERT_EQUAL(enter(&in), -EINVAL);
		CU_ASSERT_PTR_NOT_NULL(strstr(in.a.text, "ring of process"));
		end(&in);
	}
	begin(&in, ADDR);
	in.q.resumes = 1;
	snprintf(in.q.path, LTRAN_PATH_MAX, "%s/ltran_%d_5.vhost", dir, (int)getpid());
	server = open(in.q.path, O_CREAT | O_RDWR, 0600);
	CU_ASSERT_EQUAL(enter(&in), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(in.a.text, "no socket"));
	close(server);
	unlink(in.q.path);
	end(&in);
}

static void
rings_of_dead_processes_are_removed_at_start(void)
{
	char path[LTRAN_PATH_MAX], other[LTRAN_PATH_MAX];

	registry_stop(lt);
	snprintf(path, sizeof(path), "%s/ltran_%d_3.vhost", dir, 0x3fffffff);
	snprintf(other, sizeof(other), "%s/xltran_%d_3.vhost", dir, 0x3fffffff);
	close(serve_ring(path));
	close(serve_ring(other));
	CU_ASSERT_EQUAL(registry_start_in(lt, dir, err, sizeof(err)), 0);
	CU_ASSERT_EQUAL(access(path, F_OK), -1);
	CU_ASSERT_EQUAL(access(other, F_OK), 0); /* of another prefix */
	unlink(other);
}

/* As another user; 0: registered, and its ring is in a directory of its own. */
static int
register_as(uid_t uid)
{
	struct instance in;
	char want[LTRAN_PATH_MAX];
	struct stat st;
	int status;

	if (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
		return 2;
	memset(&in, 0, sizeof(in));
	in.fd = dial();
	if (in.fd < 0)
		return 3;
	close(in.fd);
	begin(&in, ADDR);
	if (enter(&in) != 0)
		return 4;
	snprintf(want, sizeof(want), "%s/ring_%u/ltran_%d_0.vhost", dir, uid, (int)getpid());
	status = strcmp(want, in.a.path) != 0;
	close(serve_ring(in.a.path));
	*strrchr(want, '/') = '\0';
	if (stat(want, &st) < 0 || st.st_uid != uid || (st.st_mode & 0777) != 0700)
		status = 5;
	CU_ASSERT(dup(in.fd) >= 0); /* or its end would be seen first */
	resume(&in);
	return status != 0 ? status : enter(&in) != 0;
}

static int
run_as(uid_t uid)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(register_as(uid));
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

static void
members_of_client_group_may_register(void)
{
	const struct passwd *user = getpwnam("nobody");
	const struct group *group = user != NULL ? getgrgid(user->pw_gid) : NULL;
	char room[LTRAN_PATH_MAX];
	struct stat st;

	if (geteuid() != 0 || group == NULL || user->pw_gid != user->pw_uid)
		return; /* only root can be two users */
	CU_ASSERT_EQUAL(run_as(user->pw_uid), 3);
	registry_stop(lt);
	snprintf(conf.client_group, sizeof(conf.client_group), "%s", group->gr_name);
	CU_ASSERT_EQUAL_FATAL(registry_start_in(lt, dir, err, sizeof(err)), 0);
	CU_ASSERT_EQUAL(stat(lt->registry->path, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 0777, 0660);
	CU_ASSERT_EQUAL(stat(dir, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 0777, 0711);
	CU_ASSERT_EQUAL(run_as(user->pw_uid), 0);
	EVENTUALLY(n_members() == 0);
	snprintf(room, sizeof(room), "%s/ring_%u", dir, user->pw_uid);
	EVENTUALLY(access(room, F_OK) < 0);
	CU_ASSERT_EQUAL(run_as(user->pw_uid - 1), 3); /* not in the group */
	registry_stop(lt);
	snprintf(conf.client_group, sizeof(conf.client_group), "no such group");
	CU_ASSERT_EQUAL(registry_start_in(lt, dir, err, sizeof(err)), -ENOENT);
	CU_ASSERT_EQUAL(chmod(dir, 0700), 0);
	conf.client_group[0] = '\0';
	CU_ASSERT_EQUAL_FATAL(registry_start_in(lt, dir, err, sizeof(err)), 0);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(instance_gets_ring_ports_and_mac),
	CUNIT_TEST(second_ltran_is_refused),
	CUNIT_TEST(nothing_stays_in_the_run_directory),
	CUNIT_TEST(prefix_that_does_not_fit_is_refused),
	CUNIT_TEST(fields_out_of_range_are_refused),
	CUNIT_TEST(wrong_socket_table_is_refused),
	CUNIT_TEST(socket_table_keeps_all_its_pages),
	CUNIT_TEST(more_than_the_allowed_instances_are_refused),
	CUNIT_TEST(who_registers_too_often_is_refused),
	CUNIT_TEST(one_user_does_not_get_all),
	CUNIT_TEST(silent_connections_of_one_user_leave_room),
	CUNIT_TEST(message_that_is_none_ends_the_connection),
	CUNIT_TEST(surplus_descriptors_are_closed),
	CUNIT_TEST(instances_of_one_program_share_an_address),
	CUNIT_TEST(another_user_or_program_may_not_share),
	CUNIT_TEST(port_is_shared_only_if_both_want_it),
	CUNIT_TEST(port_is_promised_before_the_table_shows_it),
	CUNIT_TEST(blocks_of_ports_are_never_two_instances),
	CUNIT_TEST(instance_comes_back_after_a_restart),
	CUNIT_TEST(instance_may_register_anew_before_its_end_is_seen),
	CUNIT_TEST(ring_of_somebody_else_is_refused),
	CUNIT_TEST(rings_of_dead_processes_are_removed_at_start),
	CUNIT_TEST(members_of_client_group_may_register),
};
RIG_MAIN("registry", tests)
