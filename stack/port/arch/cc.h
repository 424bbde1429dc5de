/* SPDX-License-Identifier: BSD-3-Clause */
/* lwIP's view of the compiler. x86-64 and arm64 Linux: little endian, gcc or clang. */
#ifndef STACK_PORT_CC_H
#define STACK_PORT_CC_H

#include <stdint.h>
#include <stdlib.h>

#define LWIP_ERRNO_INCLUDE <errno.h>


uint32_t stack_hook_random(void);
#define LWIP_RAND() stack_hook_random()

/* A failed assertion costs one connection, not the program: stack/lwip_guard.c. */
void stack_hook_assert(const char *message);
#define LWIP_PLATFORM_ASSERT(x) stack_hook_assert(x)
#define LWIP_PLATFORM_DIAG(x)

#endif
