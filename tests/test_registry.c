/* SPDX-License-Identifier: BSD-3-Clause */
/* Registration: who may, and what it gets. */
#include <sys/wait.h>

#include "tests/registry_rig.h"

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
};
RIG_MAIN("registry", tests)
