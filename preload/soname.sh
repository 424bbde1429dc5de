#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# soname.sh LIBRARY COMPILER...: the name by which the loader finds LIBRARY, which the compiler links.
set -eu
lib=$1
shift
objdump -p "$("$@" -print-file-name="$lib.so")" | awk '$1 == "SONAME" { print $2; found = 1 } END { exit !found }'
