#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The check of commands finds what a bare machine would lack, and nothing else."""

import pathlib
import shutil
import sys
import tempfile

import check_commands

SET_UP = "PACKAGES_BUILD=(gcc iproute2 python3)\nPACKAGES_TEST=({})\n"
# A command of a package that a test names, as each kind of file would start it.
CALLS = {
    "tests/system/a.py": 'sh("ip", "netns", "exec", ns, "taskset", "-c", "1", "{}", "-n")\n',
    "tests/system/b.py": 'ARGV = ["{}", "--version"]\n',
    "tests/system/c.py": 'bed.near(["sh", "-c", "sleep 1; exec {} -x"])\n',
    "tests/system/d.py": 'subprocess.run(["{}"], check=True)\n',
    "perf/e": "#!/bin/sh\n# comment\nfor i in 1 2; do {} $i | grep x; done\n",
    "perf/f": '#!/usr/bin/env bash\nn="$({} -a) and text"\n',
    "tests/g.c": 'execlp("{}", "x", NULL);\n',
}
GOOD = {
    "tests/a.py": '"""What tcpdump says."""\nimport json, os\nimport b\nsh("ip", "link")\nsh("grep")\n',
    "tests/b.py": 'raise Failure("tcpdump failed")\n',
    "tests/c": "#!/bin/sh\n# tcpdump\necho 'tcpdump is here' \"tcpdump\"\nsed x | awk y\n",
}


def complaints(packages, texts):
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        for name, text in {"gazelle": "#!/bin/bash\n" + SET_UP.format(packages), **texts}.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        return list(check_commands.complaints(root))


def a_command_of_an_unnamed_package_is_found():
    for name, text in CALLS.items():
        found = complaints("", {name: text.format("ethtool")})
        assert [str(path) for path, _, _ in found] == [name] and "ethtool" in found[0][2], (name, found)
        assert not complaints("ethtool", {name: text.format("ethtool")}), name


def a_command_that_is_not_here_is_found_where_it_is_started():
    for name in ("tests/system/a.py", "tests/system/d.py", "tests/g.c"):
        found = complaints("", {name: CALLS[name].format("no-such-command")})
        assert len(found) == 1 and "no-such-command" in found[0][2], (name, found)


def an_import_from_elsewhere_is_found():
    found = complaints("", {"tests/a.py": "import json\nfrom scipy import stats\n"})
    assert len(found) == 1 and "scipy" in found[0][2], found


def texts_and_comments_are_no_commands():
    assert not complaints("", GOOD), complaints("", GOOD)


TESTS = (a_command_of_an_unnamed_package_is_found,
         a_command_that_is_not_here_is_found_where_it_is_started, an_import_from_elsewhere_is_found,
         texts_and_comments_are_no_commands)


def main():
    if shutil.which("dpkg-query") is None or shutil.which("ethtool") is None:
        print("skipped: the check asks dpkg about packages, with ethtool as its example")
        return 77
    passed = failed = 0
    for test in TESTS:
        try:
            test()
            passed += 1
            print("ok     ", test.__name__)
        except AssertionError as reason:
            failed += 1
            print("FAIL   ", test.__name__, reason)
    print(f"{passed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
