#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Entries of the table of system calls that syscall() serves (intercept.c), from the rows of
# intercept.def: one for each row whose name is a system call's on the machine that compiles them.
# NUMBER rows come instead of a row of the same name.
awk -F '[(,]' '
/^[A-Z_]+\(/ {
	kind = $1
	if (kind == "LIBC" || kind == "VARIADIC" || kind == "ALIAS")
		next
	if (kind == "NUMBER" || kind == "NEW_NUMBER") {
		sub(/\).*/, "", $2)
		function_of[$2] = "number_" $2
	} else {
		gsub(/[ *]/, "", $3)
		if (!($3 in function_of))
			function_of[$3] = (kind == "EARLY" || kind == "DESC" ? "early_" : "sys_") $3
	}
}
END {
	for (name in function_of) {
		early = sub(/^early_/, "sys_", function_of[name])
		printf "#if defined(SYS_%s)%s\n", name, early ? " && !defined(SANITIZED)" : ""
		printf "\t[SYS_%s] = (syscall_fn)%s,\n#endif\n", name, function_of[name]
	}
}' "$1"
