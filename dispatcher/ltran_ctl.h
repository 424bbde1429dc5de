/* SPDX-License-Identifier: BSD-3-Clause */
/* What ltran's control socket answers, without the socket: for unit tests. */
#ifndef DISPATCHER_LTRAN_CTL_H
#define DISPATCHER_LTRAN_CTL_H

#include "ctl/server.h"

struct ltran;

struct ctl_server_params ltran_ctl_params(struct ltran *lt);

#endif
