/* SPDX-License-Identifier: BSD-3-Clause */
/* Signals during a start that waits, see instance_wait.h. */
#include "nodes/instance_wait.h"

#include <pthread.h>

static bool
asks_for_end(int sig)
{
	return sig == SIGTERM || sig == SIGINT || sig == SIGQUIT;
}

bool
instance_signal_ends_wait(const sigset_t *mask)
{
	bool ends = false, any = false;
	sigset_t pending, all;

	sigpending(&pending);
	for (int sig = 1; sig < NSIG; sig++) {
		if (sigismember(&pending, sig) != 1 || sigismember(mask, sig) != 0)
			continue;
		any = true;
		ends |= asks_for_end(sig);
	}
	if (any) {
		pthread_sigmask(SIG_SETMASK, mask, &all);
		pthread_sigmask(SIG_SETMASK, &all, NULL);
	}
	return ends;
}

static bool
has_handler(int sig)
{
	struct sigaction act;

	return sigaction(sig, NULL, &act) == 0 && act.sa_handler != SIG_DFL && act.sa_handler != SIG_IGN;
}

bool
instance_signal_ends_wait_of_other(const sigset_t *mask)
{
	sigset_t pending, let_in;
	bool ends = false;

	sigpending(&pending);
	sigemptyset(&let_in);
	for (int sig = 1; sig < NSIG; sig++) {
		if (sigismember(&pending, sig) != 1 || sigismember(mask, sig) != 0)
			continue;
		if (!has_handler(sig))
			sigaddset(&let_in, sig);
		else
			ends |= asks_for_end(sig);
	}
	pthread_sigmask(SIG_UNBLOCK, &let_in, NULL);
	pthread_sigmask(SIG_BLOCK, &let_in, NULL);
	return ends;
}
