/* SPDX-License-Identifier: BSD-3-Clause */
/* The tap device of ltran (kni_switch). */
#ifndef DISPATCHER_KERNEL_PATH_H
#define DISPATCHER_KERNEL_PATH_H

#include <stdbool.h>
#include <stddef.h>

struct ltran;

/* Opens kni0 (or the next free one) into kernel_fd of `lt` and of all workers, if the settings want
 * it. After the workers' MAC address and MTU are known, before their graphs. 0, or -errno with a line
 * in `err`. Closed with kernel_port_close(). */
int kernel_path_open(struct ltran *lt, char *err, size_t err_len);

/* For unit tests: does the kernel's device `nic` answer beside `tap`? Then `text` says what to do. */
bool kernel_path_advice(const char *nic, const char *tap, char *text, size_t len);

#endif
