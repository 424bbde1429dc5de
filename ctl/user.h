/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Processes of other users. Root does not read their directories with root's rights: what is in them
 * is theirs to forge. He becomes that user instead, for good, and sees what that user would see.
 */
#ifndef CTL_USER_H
#define CTL_USER_H

#include <stddef.h>

/* Give up root for `name`, a user's name or number. 0, or -errno with one line for people in `err`. */
int ctl_user_become(const char *name, char *err, size_t err_len);
/* Root has not found process `what` (NULL: any): whose may it be? The end of a message, or "". */
void ctl_user_hint(const char *what, char *buf, size_t len);

#endif
