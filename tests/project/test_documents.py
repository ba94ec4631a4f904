#!/usr/bin/env python3
"""The documents are true where a program can tell: the C in them compiles, the tests that testing.md lists are there, an installation has
a build directory of its own, and links lead somewhere.

usage: test_documents.py SOURCE COMPILER
"""
import re
import subprocess
import sys
from pathlib import Path

ROOT, COMPILER = Path(sys.argv[1]), sys.argv[2]
FLAGS = ["-std=c11", "-fsyntax-only", "-Wall", "-Wextra", "-Wmissing-prototypes", "-Wunused-result", "-Werror"]


def c_faults():
    """Whole programs: what includes something."""
    for name in ("README.md", "docs/plugins.md", "docs/embedding.md", "docs/errors.md", "docs/backup.md"):
        for block in re.findall(r"^```c\n(.*?)^```", (ROOT / name).read_text(), re.DOTALL | re.MULTILINE):
            run = subprocess.run([COMPILER, *FLAGS, f"-I{ROOT / 'include'}", "-x", "c", "-"], input=block, text=True, capture_output=True)
            if run.returncode != 0:
                yield f"{name}: {run.stderr.strip()}"


# A test, not a word about one. (Of a test in C that no list names the compiler complains.)
TEST = re.compile(r"^(?:static void|\s*def) ([fp])(\d+)_[a-z]\w*\(", re.MULTILINE)


# The faults that must be shown to be absent, whatever else is.
KNOWN_FAULTS = {f"f{n}" for n in range(1, 23)} | {f"p{n}" for n in range(1, 19)}


def list_faults():
    """Every listed number has a test, and every number of a test is listed."""
    sources = [p for p in (ROOT / "tests").rglob("*") if p.suffix in (".c", ".py")]
    tested = {kind + number.lstrip("0") for p in sources for kind, number in TEST.findall(p.read_text())}
    listed = set(re.findall(r"^\| ([fp]\d+) \|", (ROOT / "docs" / "testing.md").read_text(), re.MULTILINE))
    for name in sorted(KNOWN_FAULTS - listed):
        yield f"{name} is not listed in docs/testing.md"
    for name in sorted(listed ^ tested):
        yield f"{name} is {'listed in docs/testing.md and has no test' if name in listed else 'tested and not in docs/testing.md'}"


def variable_faults():
    """An environment variable that a document names is read by something."""
    code = "".join(p.read_text() for folder in ("tests", "tools", "bus", "host") for p in (ROOT / folder).rglob("*") if p.suffix in (".c", ".py"))
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = path.read_text()
        for name in sorted(set(re.findall(r"`(MF_(?:SEED|COUNT|SECONDS|ROUNDS?|EVENTS|PLUGIN_PATH))`", text))):
            if f'"{name}"' not in code:
                yield f"{path.relative_to(ROOT)}: nothing reads {name}"


def anchors(path):
    """Of the headings, as web pages of repositories name them: small letters, spaces as hyphens, no other signs."""
    headings = re.findall(r"^#+ +(.*)$", re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def link_faults():
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "examples").rglob("*.md"))]:
        for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", path.read_text()):
            there = path.parent / target if target else path
            if "://" in target:
                continue
            if not there.exists():
                yield f"{path.relative_to(ROOT)}: {target} is not there"
            elif anchor and there.suffix == ".md" and anchor not in anchors(there):
                yield f"{path.relative_to(ROOT)}: {target} has no heading #{anchor}"


def install_faults():
    """Of a directory that is set up already Meson ignores the prefix: what is installed has one that ./dev never makes, and is set up first."""
    taken = set(re.findall(r"(?<![\w/.-])build(?:-\w+)?(?![\w.-])", (ROOT / "dev").read_text()))
    found = 0
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "examples").rglob("*.md"))]:
        text, name = path.read_text(), path.relative_to(ROOT)
        made = re.findall(r"meson setup (\S+) [^\n`]*--prefix", text)
        found += len(made)
        for folder in sorted(taken.intersection(made)):
            yield f"{name}: {folder} is a directory of ./dev"
        for folder in re.findall(r"meson install -C ([\w./-]+)", text):
            if folder not in made:
                yield f"{name}: {folder} is installed, and was set up without a prefix"
    if found == 0 or not {"build", "build-asan", "build-bench"} <= taken:
        yield f"nothing was looked at: {found} installations, {sorted(taken)}"


def main():
    checks = [
        ("the programs in the documents compile without a warning", c_faults),
        ("the list of faults in testing.md is that of the tests", list_faults),
        ("environment variables in the documents exist", variable_faults),
        ("an installation has a build directory of its own", install_faults),
        ("links lead somewhere", link_faults),
    ]
    print(f"1..{len(checks)}")
    failed = False
    for number, (name, check) in enumerate(checks, 1):
        faults = list(check())
        failed |= bool(faults)
        print(f"{'not ok' if faults else 'ok'} {number} - {name}")
        for fault in faults:
            print("# " + fault.replace("\n", "\n# "))
    return failed


if __name__ == "__main__":
    sys.exit(main())
