#!/usr/bin/env python3
"""./dev faults: every system call struck in turn, then file systems that are really full and a device that really fails.

usage: faults.py BUILD [PLAN | SCENE]

MF_WORKLOADS=3: two more sets of workloads, drawn from MF_SEED. A plan, and a test on a real file system, counts as one.
"""
import os
import re
import subprocess
import sys

import harness
from count_tests import singles

BUILD = sys.argv[1]
PROGRAM = f"{BUILD}/tests/proof/faults"
DISKS = {"full disk": f"{BUILD}/tests/host/test_full_disk", "broken device": f"{BUILD}/tests/persist/test_broken_device"}


def run(command, env=None):
    """Its lines, shown as they come."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **(env or {})})
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if not re.match(r"ok |not ok \d+ # SKIP|# skipped|1\.\.|\d+ passed", line):
            print(line, end="", flush=True)
    return lines, process.wait()


def plans(*args):
    """passed, failed of the program that strikes calls."""
    lines, code = run([PROGRAM, *args], {"MF_REPLAY": "./dev faults"})
    if code == 2:  # it has said why
        raise SystemExit(2)
    match = re.fullmatch(r"(\d+) passed, (\d+) failed", lines[-1] if lines else "")
    return (int(match[1]), int(match[2])) if match else (0, 1)


def disks(name, program):
    """passed, failed, skipped of a test on real file systems."""
    lines, code = run([program], {"CMOCKA_MESSAGE_OUTPUT": "TAP"})
    said = "\n".join(line for line in lines if not re.match(r"(not )?ok - ", line))  # but for the group's own line
    kinds = [kind for kind, _, _ in singles(said)]
    passed, failed, skipped = (kinds.count(kind) for kind in ("passed", "failed", "skipped"))
    if skipped:
        print(f"skipped: {name}: needs root: {skipped} tests that mount a small file system")
    print(f"# {name}: {passed} passed, {failed} failed, {skipped} skipped")
    return passed, failed or int(code != 0 and not skipped), skipped


def main():
    passed, failed = plans()
    skipped = 0
    for name, program in DISKS.items():
        counts = disks(name, program)
        passed, failed, skipped = passed + counts[0], failed + counts[1], skipped + counts[2]
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 0 if failed == 0 and passed > 0 else 1


if len(sys.argv) > 2:
    os.execve(PROGRAM, [PROGRAM, *sys.argv[2:]], {**os.environ, "MF_REPLAY": "./dev faults"})
harness.run(main)
