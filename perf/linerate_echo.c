/* SPDX-License-Identifier: BSD-3-Clause */
/* linerate_echo: a UDP echo server (RFC 862) with plain blocking sockets, for linerate. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define DATAGRAM_MAX 65536
#define PORT 7
#define BUFFER (4 << 20)

int
main(int argc, char **argv)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	static char buf[DATAGRAM_MAX];
	int fd = socket(AF_INET, SOCK_DGRAM, 0), buffer = BUFFER;

	if (argc != 2 || inet_pton(AF_INET, argv[1], &addr.sin_addr) != 1) {
		fprintf(stderr, "usage: linerate_echo ADDRESS\n");
		return 2;
	}
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer)) < 0 ||
		bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		perror("linerate_echo");
		return 1;
	}
	for (;;) {
		struct sockaddr_in from;
		socklen_t from_len = sizeof(from);
		ssize_t n = recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &from_len);

		/* Errors of earlier sends (RFC 1122 4.1.3.3) end nothing; a full port loses a datagram. */
		if (n >= 0)
			sendto(fd, buf, (size_t)n, 0, (struct sockaddr *)&from, from_len);
		else if (errno != EINTR && errno != ECONNREFUSED && errno != EAGAIN)
			return 1;
	}
}
