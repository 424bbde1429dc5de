#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The tree check: the house rules that a machine can hold (HACKING.md has them in words).

Every broken rule is one line "FILE:LINE: what is wrong"; the last line is "N passed, N failed", one
count per rule. With --build DIR also looks at what liblstack.so exports.
"""

import argparse
import fnmatch
import pathlib
import re
import shutil
import subprocess
import sys

import check_commands

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDERS = ("common", "graph", "nodes", "stack", "preload", "dispatcher", "ctl", "conf", "perf", "tests")
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 500
TEST_LINES_MAX = 800  # tables of cases

# Who may include what: file pattern -> prefixes of "folder/file.h" and <file.h>. The first pattern
# that matches a file counts. rte_ is DPDK. A *_abi.h is neutral ground and may go anywhere.
DPDK = ("rte_", "cmdline")
LWIP = ("lwip/", "netif/", "arch/")
MAY_INCLUDE = (
    ("common/*", ()),
    ("graph/*", ("graph/",) + DPDK),
    ("nodes/instance*", ("nodes/", "graph/", "conf/", "stack/stack.h", "stack/edge.h",
                         "ctl/", "numa.h") + DPDK),
    ("nodes/facts*", ("nodes/", "graph/", "ctl/") + DPDK),
    ("nodes/*", ("nodes/", "graph/", "stack/edge.h") + DPDK),
    ("stack/edge.c", ("stack/",) + LWIP + DPDK),
    ("stack/edge_*", ("stack/",) + DPDK),
    ("stack/port/*", ("stack/",) + LWIP),
    ("stack/*", ("stack/",) + LWIP),
    ("preload/private_libs.c", ("preload/", "libconfig.h", "cyaml/")),
    ("preload/*", ("preload/", "nodes/instance.h", "stack/sock.h", "stack/ready.h",
                    "stack/chunk.h", "stack/user.h", "conf/")),
    ("dispatcher/*", ("dispatcher/", "graph/", "nodes/", "stack/edge.h", "conf/", "ctl/") + DPDK),
    ("ctl/*", ("ctl/", "cyaml/")),
    ("conf/*", ("conf/", "libconfig.h", "cyaml/")),
)
# Prefixes that the table above speaks about; every other header (libc's) is free for all.
RULED = tuple(f + "/" for f in FOLDERS) + DPDK + LWIP + ("libconfig.h", "cyaml/", "numa.h")

# Functions longer than the limit, with their length today. The list only shrinks: an entry that is
# too large or not needed any more is an error as well.
LONG_FUNCTIONS = {
}

BANNED_CALLS = ("strcpy", "strcat", "sprintf", "vsprintf", "gets", "atoi", "atol", "system", "popen")


class Check:
    """Collects complaints, per rule."""

    def __init__(self):
        self.rules = {}

    def rule(self, name):
        self.current = self.rules.setdefault(name, [])

    def complain(self, path, line, text):
        self.current.append(f"{path}:{line}: {text}")


def sources(*patterns):
    """Tracked and untracked C files of the house, relative to the root."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if any(fnmatch.fnmatch(path.name, p) for p in patterns):
                yield path.relative_to(ROOT)


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


def code_only(text):
    """The text with comments and string contents blanked, line structure kept."""
    def blank(match):
        s = match.group(0)
        if s[0] == "/":
            return re.sub(r"[^\n]", " ", s)
        return s[0] + " " * (len(s) - 2) + s[-1]
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', blank, text,
                  flags=re.S)


def check_headings(check):
    check.rule("headings: licence line, one-line role, file length")
    for path in sources("*.c", "*.h", "*.py", "meson.build"):
        lines = read(path).split("\n")
        if not any("SPDX-License-Identifier: BSD-3-Clause" in line for line in lines[:2]):
            check.complain(path, 1, "no SPDX line")
        if path.suffix in (".c", ".h"):
            if not any("/*" in line for line in lines[1:4]):
                check.complain(path, 2, "the file does not say what it is for")
            limit = TEST_LINES_MAX if path.parts[0] == "tests" else FILE_LINES_MAX
            if len(lines) - 1 > limit:
                check.complain(path, len(lines) - 1, f"longer than {limit} lines")


def may_include(path, header):
    if header.endswith("_abi.h") or header.startswith("common/") or not header.startswith(RULED):
        return True
    for pattern, allowed in MAY_INCLUDE:
        if fnmatch.fnmatch(str(path), pattern):
            return header.startswith(allowed)
    return True


def check_includes(check):
    check.rule("includes: the arrows of the house never turn back")
    include = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')
    for path in sources("*.c", "*.h", "*.def"):
        for number, line in enumerate(read(path).split("\n"), 1):
            match = include.match(line)
            if not match:
                continue
            header = match.group(1)
            if path.suffix == ".h" and path.stem.endswith("_abi") and header.startswith(RULED):
                check.complain(path, number, f"an ABI header includes nothing of ours: {header}")
            elif not may_include(path, header):
                check.complain(path, number, f"{path.parts[0]}/ may not include {header}")


def functions(text):
    """(name, first line, lines) of every function: its braces stand in column 0."""
    lines = code_only(text).split("\n")
    start = None
    for number, line in enumerate(lines, 1):
        if line.startswith("{"):
            start = number
        elif line.startswith("}") and start is not None:
            head = " ".join(lines[max(0, start - 8):start - 1])
            names = re.findall(r"(\w+)\s*\(", head)
            if names and line.rstrip() == "}":
                name = next((n for n in reversed(re.findall(r"^(\w+)\(", "\n".join(
                    lines[max(0, start - 8):start - 1]), re.M))), names[-1])
                yield name, start, number - start - 1
            start = None


def check_functions(check):
    check.rule(f"functions: at most {FUNCTION_LINES_MAX} lines")
    seen = set()
    for path in sources("*.c", "*.h"):
        for name, line, length in functions(read(path)):
            key = f"{path}:{name}"
            allowed = LONG_FUNCTIONS.get(key)
            if allowed is not None:
                seen.add(key)
                if length < allowed:
                    check.complain(path, line, f"{name} has shrunk to {length} lines: lower or "
                                   "remove its entry in LONG_FUNCTIONS")
            if length > (allowed or FUNCTION_LINES_MAX):
                check.complain(path, line, f"{name} has {length} lines")
    for key in sorted(set(LONG_FUNCTIONS) - seen):
        check.complain("tests/check_tree.py", 1, f"LONG_FUNCTIONS names {key}, which is gone")


def check_calls(check):
    check.rule("calls: none that overrun or start shells")
    banned = re.compile(r"(?<![\w.>])(" + "|".join(BANNED_CALLS) + r")\s*\(")
    for path in sources("*.c", "*.h"):
        for number, line in enumerate(code_only(read(path)).split("\n"), 1):
            match = banned.search(line)
            if match:
                check.complain(path, number, f"{match.group(1)}() is not used here")


def check_sends(check):
    check.rule("graph: packets move through its own functions, which bound every vector")
    raw = re.compile(r"\b(rte_node_(?:enqueue|next_stream)\w*|rte_graph_walk)\s*\(")
    for path in sources("*.c", "*.h"):
        if path.parts[0] == "graph":
            continue
        for number, line in enumerate(code_only(read(path)).split("\n"), 1):
            match = raw.search(line)
            if match:
                check.complain(path, number, f"{match.group(1)}() goes past graph_send()")


def error_rows(path):
    """(line, symbol, enum name or None) of the error rows of one node file."""
    text = read(path)
    table = re.compile(r"struct\s+graph_error\s+\w+\[[^\]]*\]\s*=\s*\{(.*?)\n\};", re.S)
    row = re.compile(r'(?:\[(\w+)\]\s*=\s*)?\{\s*(?:\.symbol\s*=\s*)?"([^"]+)"\s*,')
    for match in table.finditer(text):
        for entry in row.finditer(match.group(1)):
            line = text.count("\n", 0, match.start(1) + entry.start()) + 1
            yield line, entry.group(2), entry.group(1)


def check_error_rows(check):
    check.rule("error rows: every one is named by a test")
    tests = "\n".join(read(p) for p in sources("*.c", "*.h", "*.py")
                      if p.parts[0] == "tests" and p.name != "check_tree.py")
    for path in sources("*.c"):
        if path.parts[0] in ("tests", "perf"):
            continue
        for line, symbol, enum in error_rows(path):
            named = f'"{symbol}"' in tests or (enum and re.search(rf"\b{enum}\b", tests))
            if not named:
                check.complain(path, line, f'no test names "{symbol}"'
                               + (f" or {enum}" if enum else ""))


def check_names(check):
    check.rule("names: nothing of one machine in the tree")
    # A home, a work or a temporary directory of whoever wrote it; written so as not to match here.
    place = re.compile(r"/(?:home|root|work)/\w|/tmp/\w+/\w")
    for path in sources("*.c", "*.h", "*.py", "*.build", "*.sh", "*.conf"):
        for number, line in enumerate(read(path).split("\n"), 1):
            if place.search(line) and path.name != "check_tree.py":
                check.complain(path, number, "names a directory of one machine")


def check_packages(check):
    if shutil.which("dpkg-query") is None:
        print("skip    commands: this is not Debian")
        return
    check.rule("commands: each comes with a package that set-up names")
    for path, line, text in check_commands.complaints(ROOT):
        check.complain(path, line, text)


def check_exports(check, build):
    check.rule("exports: liblstack.so shows nothing but the intercepted calls")
    library = pathlib.Path(build) / "preload" / "liblstack.so"
    if not library.exists():
        check.complain(library, 0, "is not built")
        return
    out = subprocess.run(["nm", "-D", "--defined-only", str(library)], check=True,
                         capture_output=True, text=True).stdout
    exported = {line.split()[-1].split("@")[0] for line in out.splitlines()}
    rows = "\n".join(read(p) for p in sources("*.def") if p.parts[0] == "preload")
    for name in sorted(exported):
        if not re.search(rf"\b{re.escape(name)}\b", rows):
            check.complain("preload/liblstack.so", 0, f"exports {name}")
    if not exported:
        check.complain("preload/liblstack.so", 0, "exports nothing at all")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", help="build directory whose liblstack.so is looked at")
    args = parser.parse_args()
    check = Check()
    check_headings(check)
    check_includes(check)
    check_functions(check)
    check_calls(check)
    check_sends(check)
    check_error_rows(check)
    check_names(check)
    check_packages(check)
    if args.build:
        check_exports(check, args.build)
    failed = 0
    for name, complaints in check.rules.items():
        print(("ok      " if not complaints else "FAIL    ") + name)
        for complaint in complaints:
            print("  " + complaint)
        failed += bool(complaints)
    print(f"{len(check.rules) - failed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
