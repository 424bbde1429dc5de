/* SPDX-License-Identifier: BSD-3-Clause */
/* Signals during a start that waits, see instance_wait.h. */
#include "nodes/instance_wait.h"

#include <pthread.h>

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
		ends |= sig == SIGTERM || sig == SIGINT || sig == SIGQUIT;
	}
	if (any) {
		pthread_sigmask(SIG_SETMASK, mask, &all);
		pthread_sigmask(SIG_SETMASK, &all, NULL);
	}
	return ends;
}
