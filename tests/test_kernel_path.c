/* SPDX-License-Identifier: BSD-3-Clause */
/* kni_switch of ltran: the tap's properties, and the advice about the NIC. Without CAP_NET_ADMIN it is
 * the refusal that is tested. */
#include "dispatcher/kernel_path.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dispatcher/dispatcher.h"
#include "nodes/kernel.h"
#include "tests/cunit_main.h"
#include "tests/eal.h"

static struct ltran_conf conf;
static struct ltran lt;
static struct dispatch_worker workers[2];
static char err[256];

static void
setup(void)
{
	conf = (struct ltran_conf){.kni_switch = true};
	memset(&lt, 0, sizeof(lt));
	lt.conf = &conf;
	lt.kernel_fd = -1;
	lt.n_workers = 2;
	lt.ports[0] = RTE_MAX_ETHPORTS - 1; /* none */
	for (int i = 0; i < 2; i++) {
		workers[i].w = (struct worker){.mac = {{2, 0, 0, 0, 0, 7}}, .mtu = 1400,
			.kernel_fd = -1};
		lt.workers[i] = &workers[i];
	}
}

static void
teardown(void)
{
	kernel_port_close(lt.kernel_fd);
}

static void
no_tap_without_the_switch(void)
{
	conf.kni_switch = false;
	CU_ASSERT_EQUAL(kernel_path_open(&lt, err, sizeof(err)), 0);
	CU_ASSERT_EQUAL(lt.kernel_fd, -1);
}

/* Bytes of the device's MAC address that are right, or -1. */
static int
inspect(const char *name, short *flags, int *mtu, bool *has_addr)
{
	int sock = socket(AF_INET, SOCK_DGRAM, 0), same = 0;
	struct ifreq r = {0};

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	if (ioctl(sock, SIOCGIFHWADDR, &r) < 0) {
		close(sock);
		return -1;
	}
	for (int i = 0; i < 6; i++)
		same += (uint8_t)r.ifr_hwaddr.sa_data[i] == workers[0].w.mac.addr_bytes[i];
	ioctl(sock, SIOCGIFFLAGS, &r);
	*flags = r.ifr_flags;
	ioctl(sock, SIOCGIFMTU, &r);
	*mtu = r.ifr_mtu;
	*has_addr = ioctl(sock, SIOCGIFADDR, &r) == 0;
	close(sock);
	return same;
}

static void
tap_has_the_mac_and_mtu_of_the_nic_and_no_address(void)
{
	struct ifreq second = {.ifr_name = "kni1"};
	int ret, mtu = 0, fd;
	bool has_addr = true;
	short flags = 0;
	struct ltran other;

	/* In a network of our own, so that no name is taken and nobody sees it. */
	if (unshare(CLONE_NEWNET) < 0) {
		ret = kernel_path_open(&lt, err, sizeof(err));
		CU_ASSERT(ret < 0 && strstr(err, "kni_switch: tap device kni0: ") != NULL);
		return;
	}
	ret = kernel_path_open(&lt, err, sizeof(err));
	if (ret == -ENOENT || ret == -ENXIO || ret == -EPERM)
		return; /* no tun driver here */
	CU_ASSERT_EQUAL_FATAL(ret, 0);
	CU_ASSERT(workers[0].w.kernel_fd == lt.kernel_fd && workers[1].w.kernel_fd == lt.kernel_fd);
	CU_ASSERT_EQUAL(inspect("kni0", &flags, &mtu, &has_addr), 6);
	CU_ASSERT_EQUAL(mtu, 1400);
	CU_ASSERT_TRUE(flags & IFF_UP);
	CU_ASSERT_FALSE(has_addr);
	other = lt;
	other.kernel_fd = -1;
	CU_ASSERT_EQUAL(kernel_path_open(&other, err, sizeof(err)), 0);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	CU_ASSERT_EQUAL(ioctl(fd, SIOCGIFFLAGS, &second), 0); /* the second ltran has the next name */
	close(fd);
	kernel_port_close(other.kernel_fd);
}

static void
set_sysctl(const char *ifname, const char *key, const char *value)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/%s", ifname, key);
	fd = open(path, O_WRONLY);
	if (fd >= 0 && write(fd, value, 1) != 1)
		perror(path);
	if (fd >= 0)
		close(fd);
}

/* Our own network's `lo` stands in for a NIC. */
static void
operator_is_told_when_the_kernel_would_answer_twice(void)
{
	char text[320] = "";

	CU_ASSERT_FALSE(kernel_path_advice("no-such-nic", "kni0", text, sizeof(text)) &&
		access("/proc/sys/net/ipv4/conf/all", R_OK) < 0);
	if (unshare(CLONE_NEWNET) < 0 || access("/proc/sys/net/ipv4/conf/lo/rp_filter", W_OK) < 0)
		return;
	set_sysctl("all", "rp_filter", "0");
	set_sysctl("all", "arp_ignore", "0");
	set_sysctl("lo", "rp_filter", "0");
	set_sysctl("lo", "arp_ignore", "1");
	CU_ASSERT_TRUE(kernel_path_advice("lo", "kni0", text, sizeof(text)));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "sysctl net.ipv4.conf.lo.rp_filter=1"));
	set_sysctl("lo", "rp_filter", "1");
	CU_ASSERT_FALSE(kernel_path_advice("lo", "kni0", text, sizeof(text)));
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(no_tap_without_the_switch),
	CUNIT_TEST(tap_has_the_mac_and_mtu_of_the_nic_and_no_address),
	CUNIT_TEST(operator_is_told_when_the_kernel_would_answer_twice),
};
EAL_TEST_MAIN("kernel_path", tests, setup, teardown)
