#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Version script of liblstack.so from the rows of intercept.def: nothing else is exported.
printf '{\nglobal:\n'
sed -n 's/^[A-Z_]*([^,(]*, \([A-Za-z0-9_]*\),.*/\t\1;/p' "$1"
printf 'local: *;\n};\n'
