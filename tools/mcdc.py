#!/usr/bin/env python3
"""mcdc.py BUILD : the conditions of each layer that a run of its programs has shown to decide alone.

Reads BUILD/profiles/*.profraw of a build by clang-19 with -fcoverage-mcdc. A program holds what of the libraries it uses, and
functions of headers are many: a condition is shown where any of them shows it.

Prints each decision with a condition that was not shown, a row a file and one a layer; at last "N passed, M failed": a layer passes
with 95 %. An assert counts as any other decision, though nothing can show it: its false side is our own broken promise.
"""
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import harness

LAYERS = ("model", "bus", "persist")
FLOOR = 95 # per cent

FILE = re.compile(r"(/\S+):")
DECISION = re.compile(r"\|---> MC/DC Decision Region \((\d+):(\d+)\)")
CONDITION = re.compile(r"Condition C\d+ --> \((\d+):(\d+)\)")
PAIR = re.compile(r"C\d+-Pair: (.*)")


def binaries(build):
    """The programs and libraries that were run, each once."""
    found = {build / "libmoduforge.so.0"}
    for test in json.loads((build / "meson-info" / "intro-tests.json").read_text()):
        program = Path(test["cmd"][0]).resolve()
        if program.is_relative_to(build):
            found.add(program)
    return sorted(path.resolve() for path in found if path.exists())


def decisions(binary, profile, root):
    """((file, line, column), [(line, column, was it shown) of each condition]), of each copy of each decision."""
    got = subprocess.run(["llvm-cov-19", "show", str(binary), f"-instr-profile={profile}", "--show-mcdc", "--use-color=0"], capture_output=True, text=True, check=False)
    found, path = [], ""
    for line in got.stdout.splitlines() if got.returncode == 0 else []:
        if at := FILE.fullmatch(line):
            path = os.path.relpath(at[1], root)
        elif at := DECISION.search(line):
            found.append(((path, int(at[1]), int(at[2])), [], []))
        elif at := CONDITION.search(line):
            found[-1][1].append((int(at[1]), int(at[2])))
        elif at := PAIR.search(line):
            found[-1][2].append(at[1].startswith("covered"))
    for place, conditions, shown in found:
        if place[0].split("/")[0] in LAYERS:
            yield place, [(*where, was) for where, was in zip(conditions, shown)]


def count(conditions):
    return sum(was for *_, was in conditions), len(conditions)


def tell_open(best, root):
    """Each line of a condition that was not shown, and of which."""
    for (path, line, _), conditions in sorted(best.items()):
        text = (root / path).read_text().splitlines()
        not_shown = [f"{number} ({text[at - 1][column - 1:column + 40].strip()})" for number, (at, column, was) in enumerate(conditions, 1) if not was]
        if not_shown:
            print(f"{path}:{line}: not shown, of {len(conditions)}: {', '.join(not_shown)}")
    print()


def main():
    build, root = Path(sys.argv[1]).resolve(), Path(__file__).resolve().parent.parent
    profile = build / "profiles.profdata"
    raw = sorted(str(path) for path in (build / "profiles").glob("*.profraw"))
    subprocess.run(["llvm-profdata-19", "merge", "-sparse", "--failure-mode=all", "-o", str(profile), *raw], check=True)
    best = {}
    for binary in binaries(build):
        for place, conditions in decisions(binary, profile, root):
            before = best.get(place, conditions)
            best[place] = [(*where, was or earlier) for (*where, was), (*_, earlier) in zip(conditions, before)]
    if not best:
        sys.exit("no decision was measured")
    tell_open(best, root)
    failed = 0
    for name in (*sorted({path for path, *_ in best}), *LAYERS, "together"):
        members = [count(conditions) for (path, *_), conditions in best.items() if name in (path, path.split("/")[0], "together")]
        shown, total = (sum(pair[i] for pair in members) for i in (0, 1))
        print(f"{name:<34}{100 * shown / total if total else 100:>8.1f} %{shown:>8}/{total} conditions")
        failed += name in LAYERS and 100 * shown < FLOOR * total
    print(f"{len(LAYERS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    harness.run(main)
