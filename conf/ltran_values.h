/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to conf/: types of value that only ltran.conf has. */
#ifndef CONF_LTRAN_VALUES_H
#define CONF_LTRAN_VALUES_H

#include "conf/schema.h"

extern const struct conf_ops ltran_ports_ops; /* bond_ports */
extern const struct conf_ops ltran_rates_ops; /* rate_limit */

#endif
