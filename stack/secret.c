/* SPDX-License-Identifier: BSD-3-Clause */
/* The process's secrets; one set for all its stacks, which must agree on them. */
#include "stack/siphash.h"

#include <errno.h>
#include <pthread.h>
#include <sys/random.h>

struct stack_secrets stack_secrets;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int result;

static void
draw(void)
{
	ssize_t n = getrandom(&stack_secrets, sizeof(stack_secrets), 0);

	result = n == (ssize_t)sizeof(stack_secrets) ? 0 : n < 0 ? -errno : -EIO;
}

int
stack_secrets_init(void)
{
	pthread_once(&once, draw);
	return result;
}
