/* SPDX-License-Identifier: BSD-3-Clause */
/* The libraries that liblstack.so shares with nobody, see private_libs.c. */
#ifndef PRELOAD_PRIVATE_LIBS_H
#define PRELOAD_PRIVATE_LIBS_H

/* To be called before the first use of any of them. NULL, or what is missing. Any thread. */
const char *private_libs_load(void);

#endif
