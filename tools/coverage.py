#!/usr/bin/env python3
"""Which branches of a layer no test took: gcovr --json - | coverage.py EXCUSED

Prints a row a file and one a layer; then each line with a branch that was never taken and is not excused; at last
"N passed, M failed": a file passes when each of its branches was taken or is excused. A failed excuse fails too.

EXCUSED holds paragraphs: a reason (lines that begin with #), then the lines it excuses, each

    BRANCHES PATH: TEXT

the text of the line, without what is around it, and how many of its branches need not be taken. A line that is there
several times in a file is meant each time. `2?` instead of `2`: they are taken at times, as two threads happen to meet.
An excuse without a reason, for a line that is not there, or of whose branches more are taken by now, has failed.

The false side of an assert is our own broken promise, and has no branch here.
"""
import json
import re
import sys
from itertools import groupby
from pathlib import Path

import harness

EXCUSE = re.compile(r"(\d+)(\??) ([^ :]+): (.+)")


class Excuse:
    def __init__(self, where, count, at_times, reason):
        self.where, self.count, self.at_times, self.reason, self.used = where, count, at_times, reason, []


def read_excuses(path):
    excuses, faults, reason, in_reason = {}, [], "", False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith("#"):
            reason, in_reason = (reason + " " if in_reason else "") + line[1:].strip(), True
            continue
        in_reason = False
        if not line.strip():
            reason = ""
        elif not (found := EXCUSE.fullmatch(line)) or not reason:
            faults.append(f"{path}:{number}: {'no reason above it' if found else 'not BRANCHES PATH: TEXT'}: {line}")
        elif (found[3], found[4]) in excuses:
            faults.append(f"{path}:{number}: there already: {line}")
        else:
            excuses[found[3], found[4]] = Excuse(f"{path}:{number}", int(found[1]), bool(found[2]), reason)
    return excuses, faults


def branches_of(file):
    """(line number, text, branches taken, branches) of each line that branches."""
    text = Path(file["file"]).read_text().splitlines()
    for line in file["lines"]:
        said = text[line["line_number"] - 1].strip()
        if line["branches"] and not said.startswith("assert("):
            yield line["line_number"], said, sum(branch["count"] > 0 for branch in line["branches"]), len(line["branches"])


def row(name, lines, branches, excused):
    cells = [f"{100 * taken / all_of_it:.1f} %  {taken}/{all_of_it}" if all_of_it else "-" for taken, all_of_it in (lines, branches)]
    print(f"{name:<34}{cells[0]:>22}{cells[1]:>22}{excused or '':>10}")


def total(pairs):
    pairs = list(pairs)
    return sum(a for a, _ in pairs), sum(b for _, b in pairs)


def allow(excuses, place, not_taken):
    """How many of the branches that were not taken an excuse of this line covers."""
    excuse = excuses.get(place)
    if excuse:
        excuse.used.append(not_taken)
    return min(not_taken, excuse.count) if excuse else 0


def measure(file, excuses):
    """(lines, branches, excused, [(line, text, not taken, of)]) of a file."""
    counted = [line for line in file["lines"] if not line["gcovr/noncode"]]
    lines = sum(line["count"] > 0 for line in counted), len(counted)
    branches, excused, missed = [], 0, []
    for number, text, taken, count in branches_of(file):
        branches.append((taken, count))
        allowed = allow(excuses, (file["file"], text), count - taken)
        excused += allowed
        if count - taken > allowed:
            missed.append((number, text, count - taken - allowed, count))
    return lines, total(branches), excused, missed


def faults_of(excuses):
    for (path, text), excuse in excuses.items():
        if not excuse.used:
            yield f"{excuse.where}: no such line: {path}: {text}"
        elif max(excuse.used) < excuse.count and not excuse.at_times:
            yield f"{excuse.where}: excuses {excuse.count} where only {max(excuse.used)} are not taken: {path}: {text}"


def main():
    excuses, faults = read_excuses(Path(sys.argv[1]))
    files = sorted(json.load(sys.stdin)["files"], key=lambda f: f["file"])
    measured = {file["file"]: measure(file, excuses) for file in files}
    print(f"{'':<34}{'lines':>22}{'branches':>22}{'excused':>10}")
    for path, (lines, branches, excused, _) in measured.items():
        row(path, lines, branches, excused)
    print()
    for layer, members in groupby(measured, lambda path: path.split("/")[0]):
        of_layer = [measured[path] for path in members]
        row(layer, total(m[0] for m in of_layer), total(m[1] for m in of_layer), sum(m[2] for m in of_layer))
    row("together", *(total(m[i] for m in measured.values()) for i in (0, 1)), sum(m[2] for m in measured.values()))
    print(f"excused: {len(excuses)} lines, for {len({excuse.reason for excuse in excuses.values()})} reasons\n")

    faults += faults_of(excuses)
    failed = [path for path, (*_, missed) in measured.items() if missed]
    for path in failed:
        print("\n".join(f"{path}:{number}: {count} of {of} not taken: {text}" for number, text, count, of in measured[path][-1]))
    print("\n".join(faults))
    passed = len(measured) - len(failed)
    print(f"{passed} passed, {len(failed) + len(faults)} failed")
    return 0 if passed and not failed and not faults else 1


if __name__ == "__main__":
    harness.run(main)
