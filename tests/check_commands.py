# SPDX-License-Identifier: BSD-3-Clause
"""Every command and module that build, tests, benchmarks and demo use comes with a package that
set-up names.

A command that this machine happens to have is missing on a bare one. So each word that can be a
command (a string of its own in Python, a word of a shell script, the program of an exec() in C) is
looked up: what is an executable here must belong to Debian's minimal system, to a package in
PACKAGES_BUILD or PACKAGES_TEST of `gazelle`, or to what those depend on. Where a program is
certainly started (sh(), Popen(), behind `ip netns exec` ...) the word must be known even if this
machine lacks it. tests/bare proves the same by doing it.
"""

import ast
import os
import pathlib
import re
import shutil
import subprocess
import sys

# Words that are a command of another package somewhere, and in this file something else.
NOT_COMMANDS = {
    "gazelle": {"file"},
    "perf/attack_peer.py": {"route"},
    "perf/scenarios/attack.py": {"route"},
    "perf/report.py": {"time"},
    "perf/scenarios/web.py": {"write"},
    "tests/system/cases_bond.py": {"write"},
    "tests/system/cases_ltran.py": {"route"},
    "tests/system/cases_programs.py": {"shutdown"},
    "tests/system/sanitized_programs.py": {"shutdown"},
}

# Commands that their caller does without when they are missing, and says so.
OPTIONAL = {
    "git": "perf/machine.py looks whether it is there; tests/bare says that it needs it",
    "make": "tests/sanitized --tsan says that it needs it; by hand only",
    "perf": "perf/run --profile; by hand only",
    "shellcheck": "gazelle test looks whether it is there",
    "systemctl": "gazelle setup, where systemd runs",
    "systemd-analyze": "test_ltran_program.py looks whether it is there",
}

# Where the first argument, or the first word of the list, is certainly a program.
RUNNERS = {"sh", "Popen", "check_output", "check_call", "call", "execvp", "execv", "Proc", "Process",
           "near", "far", "run_near", "run_far"}
# Words that are followed by a command, with the number of words in between that are not options.
PREFIXES = {"exec": 0, "env": 0, "nice": 0, "setsid": 0, "nohup": 0, "chrt": 1, "taskset": 1,
            "timeout": 1, "setpriv": 0, "unshare": 0, "stdbuf": 0}

PATHS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


def python_words(text):
    """(line, word, certain) of strings that can be commands, (line, module) of imports."""
    words, modules = [], []

    def literal(node):
        return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None

    def first(node):
        if isinstance(node, ast.BinOp):
            return first(node.left)
        return first(node.elts[0]) if isinstance(node, (ast.List, ast.Tuple)) and node.elts else node

    def sequence(nodes):
        """Words behind a prefix in a list of arguments; `sh -c` has a script."""
        values = [literal(n) for n in nodes]
        for i, value in enumerate(values):
            if value in PREFIXES and (value != "exec" or values[i - 1] == "netns"):
                behind = [(j, v) for j, v in enumerate(values[i + 1:], i + 1)
                          if v is None or not (v.startswith("-") or "=" in v)]
                skip = PREFIXES[value] + (value == "exec")
                if len(behind) > skip and behind[skip][1]:
                    words.append((nodes[behind[skip][0]].lineno, behind[skip][1], True))
            if value in ("sh", "bash") and i + 2 < len(values) and values[i + 1] == "-c" \
                    and values[i + 2]:
                words.extend((nodes[i + 2].lineno, w, c) for _, w, c in shell_words(values[i + 2]))

    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            modules += [(node.lineno, a.name.split(".")[0]) for a in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            modules.append((node.lineno, node.module.split(".")[0]))
        elif isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            owner = getattr(getattr(node.func, "value", None), "id", "")
            if node.args and (name in RUNNERS or (owner, name) == ("subprocess", "run")):
                word = literal(first(node.args[0]))
                if word:
                    words.append((node.lineno, word, True))
            words += [(a.lineno, literal(a), False) for a in node.args if literal(a)]
            sequence(node.args)
        elif isinstance(node, (ast.List, ast.Tuple)):
            words += [(e.lineno, literal(e), False) for e in node.elts if literal(e)]
            sequence(node.elts)
    return words, modules


def shell_words(text):
    """(line, word, certain) of a shell script: every bare word, outside comments and quotes."""
    text = re.sub(r"(?m)(^|\s)#.*$", r"\1", text)
    # Texts of here-documents and of quotes are not commands, but for what $(...) runs in them.
    text = re.sub(r"<<-?\s*'?(\w+)'?(.*?)\n\s*\1\n", lambda m: "\n" * m.group(0).count("\n"), text,
                  flags=re.S)
    text = re.sub(r"(sh|bash) -(\w*c) '([^']*)'", r"\1 -\2 ; \3 ;", text)
    text = re.sub(r"'[^']*'", lambda m: "\n" * m.group(0).count("\n"), text)
    text = re.sub(r'"((?:\\.|\$\([^()]*\)|[^"\\])*)"',
                  lambda m: " ".join(re.findall(r"\$\([^()]*\)", m.group(1)))
                  + "\n" * m.group(1).count("\n"), text)
    words = []
    for number, line in enumerate(text.split("\n"), 1):
        for match in re.finditer(r"(?<![\w./$=:{-])([a-z_][\w.+-]*)(?![\w=(/:.])", line):
            words.append((number, match.group(1), False))
        for match in re.finditer(r"\bip netns exec \S+ ([a-z][\w.-]*)", line):
            words.append((number, match.group(1), True))
    return words


def c_words(text):
    """Programs that C code starts by name."""
    for match in re.finditer(r'\b(?:exec[lv]p?e?|posix_spawnp?)\s*\(\s*(?:&\w+,\s*)?"([^"]+)"', text):
        yield text.count("\n", 0, match.start()) + 1, match.group(1), True


def packages_named(root):
    """The packages that set-up installs."""
    text = (root / "gazelle").read_text(encoding="utf-8")
    return set(" ".join(re.findall(r"^PACKAGES_\w+=\((.*?)\)", text, re.S | re.M)).split())


class Debian:
    """What dpkg knows of this machine."""

    def __init__(self, named):
        self.needs, self.providers, minimal = {}, {}, set()
        rows = subprocess.run(
            ["dpkg-query", "-W", "-f", "${Package}\t${Essential}\t${Priority}\t${Provides}\t"
             "${Pre-Depends}, ${Depends}\n"], check=True, capture_output=True, text=True).stdout
        for row in rows.splitlines():
            name, essential, priority, provides, depends = row.split("\t")
            clauses = [[re.sub(r"[\s:(].*", "", a.strip()) for a in clause.split("|")]
                       for clause in depends.split(",") if clause.strip()]
            self.needs[name] = clauses
            for virtual in provides.split(","):
                self.providers.setdefault(re.sub(r"[\s(].*", "", virtual.strip()), set()).add(name)
            if essential == "yes" or priority == "required" or name == "apt":
                minimal.add(name)
        self.brought = self.closure(minimal | named)

    def closure(self, names):
        """These and what they depend on; of alternatives, as apt does, the first that is there."""
        found, left = set(), list(names)
        while left:
            name = left.pop()
            if name in found:
                continue
            found.add(name)
            for clause in self.needs.get(name, ()):
                have = [a for a in clause if a in self.needs]
                have = have or [p for a in clause for p in sorted(self.providers.get(a, ()))]
                left += have[:1]
        return found

    @staticmethod
    def owners(paths):
        """{path: package} of files; dpkg may know a path from before /bin became /usr/bin."""
        spelled = {}
        for path in paths:
            for one in (path, path[4:] if path.startswith("/usr/") else "/usr" + path):
                spelled.setdefault(one, set()).add(path)
        out = subprocess.run(["dpkg-query", "-S", *spelled], check=False, capture_output=True,
                             text=True).stdout if spelled else ""
        owners = {}
        for line in out.splitlines():
            package, path = line.rsplit(": ", 1)
            if not package.startswith("diversion "):
                for one in spelled.get(path, ()):
                    owners[one] = package.split(",")[0].split(":")[0]
        return owners


def files(root):
    """(path, kind) of what is looked at."""
    for folder in ("tests", "perf", ".ci", "."):
        for path in sorted((root / folder).glob("*" if folder == "." else "**/*")):
            if not path.is_file() or "__pycache__" in path.parts:
                continue
            if path.suffix == ".c":
                yield path, "c"
            elif path.suffix in ("", ".py", ".sh"):
                line = path.read_bytes()[:64].split(b"\n")[0]
                if path.suffix == ".py" or b"python" in line:
                    yield path, "python"
                elif line.startswith(b"#!") and b"sh" in line:
                    yield path, "shell"


def find(word):
    """The file behind a command, or None. A file that no package owns (in /usr/local) hides none
    that one does own."""
    if word.startswith("/proc/"):
        return None
    if "/" in word:
        return word if os.access(word, os.X_OK) and os.path.isfile(word) else None
    found = [p for p in (shutil.which(word, path=d) for d in reversed(PATHS)) if p]
    return found[0] if found else None


def missing_modules(root, modules, debian):
    """Modules that neither Python's standard library nor the tree has, and whose package set-up
    does not name."""
    own = {p.stem for p in root.rglob("*.py")} | {p.parent.name for p in root.rglob("__init__.py")}
    # Debian keeps these parts of the standard library in packages of their own.
    split = {"distutils", "ensurepip", "idlelib", "lib2to3", "tkinter", "turtle", "venv"}
    for place, line, name in modules:
        if name in own or (name in sys.stdlib_module_names and name not in split):
            continue
        package = "python3-" + name.replace("_", "-").lower()
        if package not in debian.brought:
            yield place, line, f"Python module {name}: no package that set-up names has it"


def complaints(root):
    """(path, line, text) of each command and module that a bare machine would lack."""
    root = pathlib.Path(root)
    words, modules = [], []
    for path, kind in files(root):
        text, place = path.read_text(encoding="utf-8"), path.relative_to(root)
        if kind == "python":
            found, imported = python_words(text)
            modules += [(place, *m) for m in imported]
        else:
            found = shell_words(text) if kind == "shell" else c_words(text)
        words += [(place, *w) for w in found]
    debian = Debian(packages_named(root))
    targets = {w: os.path.realpath(f) for w in {w for _, _, w, _ in words}
               if re.fullmatch(r"[\w./+-]+", w) and (f := find(w))}
    owners = Debian.owners(set(targets.values()) | {find(w) for w in targets})
    yield from missing_modules(root, modules, debian)
    seen = set()
    for place, line, word, certain in sorted(words, key=lambda w: (str(w[0]), w[1], not w[3])):
        if (place, word) in seen or word in OPTIONAL or word in NOT_COMMANDS.get(str(place), ()):
            continue
        if word in targets:
            package = owners.get(targets[word]) or owners.get(find(word))
            if package in debian.brought:
                continue
            text = f"`{word}` is of package {package}, which set-up does not name" if package \
                else f"`{word}` is {targets[word]}, which is of no package"
            # A file of ours, or a word that is a program of this machine by accident.
            if not package and not certain:
                continue
        elif certain and re.fullmatch(r"[a-z][\w.+-]*", word):
            text = f"`{word}` is started, and no package that is here has it"
        else:
            continue
        seen.add((place, word))
        yield place, line, text
