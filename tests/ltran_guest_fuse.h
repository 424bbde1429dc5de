/* SPDX-License-Identifier: BSD-3-Clause */
/* A file that makes whoever touches it wait for ever. */
#ifndef TESTS_LTRAN_GUEST_FUSE_H
#define TESTS_LTRAN_GUEST_FUSE_H

/* Its descriptor, once per process, or -errno. The process that has it closes it by ending. */
int guest_fuse_open(void);

#endif
