/* SPDX-License-Identifier: BSD-3-Clause */
/* Types of the bond keys of lstack.conf. */
#ifndef CONF_BOND_VALUES_H
#define CONF_BOND_VALUES_H

#include "conf/schema.h"

extern const struct conf_ops conf_bond_mode_ops;  /* bond_mode */
extern const struct conf_ops conf_bond_slave_ops; /* bond_slave_mac */

#endif
