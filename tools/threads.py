#!/usr/bin/env python3
"""Rounds of tests/proof/threads in build directories with sanitizers: threads.py BUILD...

Each build gets the same time: MF_SECONDS in total (60), or MF_COUNT rounds each; from MF_SEED on (1). A round that ends the
program (a sanitizer's finding, a crash, a hang) has failed, and the next seed goes on. Prints what a failed round printed,
and the command that runs its seed again; at last "N passed, M failed", in rounds.
"""
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import harness

LINE = re.compile(r"^(ok|not ok) \d+ - threads, seed (\d+)")


class Tally:
    def __init__(self):
        self.passed = self.failed = 0
        self.figures = {}

    def show(self, build):
        if sys.stderr.isatty():
            print(f"\r{build.name}: {self.passed} passed, {self.failed} failed ", end="", file=sys.stderr, flush=True)


def fail(tally, build, seed, said):
    tally.failed += 1
    print(f"failed: {build.name}: threads, seed {seed}; again: MF_SEED={seed} MF_COUNT=1 ./dev threads")
    print("".join(f"  | {line}" for line in said[-120:]))


def run(build, seed, limits, tally):
    """Rounds from seed on, until the limits are reached or one of them ends the program; the seed to go on with."""
    environment = {**os.environ, "MF_SEED": str(seed), "MF_COUNT": "", "MF_SECONDS": "", "MF_FAIL_FAST": "", **limits}
    process = subprocess.Popen([build / "tests" / "proof" / "threads"], cwd=build, env=environment, text=True,
                               errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = []
    for line in process.stdout:
        said.append(line)
        found = LINE.match(line)
        for name, value in re.findall(r"(\w+)=(\d+)", line) if line.startswith("# seed") else []:
            tally.figures[name] = tally.figures.get(name, 0) + int(value)
        if found:
            if found[1] == "ok":
                tally.passed += 1
            else:
                fail(tally, build, seed, said)
            seed, said = int(found[2]) + 1, []
            tally.show(build)
    if process.wait() != 0 and not (said and said[-1].startswith("1..")):
        fail(tally, build, seed, said)
        seed += 1
    return seed


def main():
    builds = [Path(name).resolve() for name in harness.arguments(__doc__, harness.MANY)]
    count, seconds = harness.number("MF_COUNT"), harness.number("MF_SECONDS", 60)
    tally, first = Tally(), harness.number("MF_SEED", 1, 0)
    for build in builds:
        if not (build / "tests" / "proof" / "threads").is_file():
            harness.refuse(f"{build} is no build directory with the program threads\n{__doc__.strip()}")
    for build in builds:
        seed, end = first, time.monotonic() + seconds / len(builds)
        while seed < first + count if count else time.monotonic() < end:
            left = {"MF_COUNT": str(first + count - seed)} if count else {"MF_SECONDS": str(max(1, int(end - time.monotonic())))}
            seed = run(build, seed, left, tally)
        if sys.stderr.isatty():
            print(file=sys.stderr)
        print(f"{build.name}: seeds {first} to {seed - 1}")
    print(", ".join(f"{value} {name}" for name, value in tally.figures.items()))
    print(f"{tally.passed} passed, {tally.failed} failed")
    return 0 if tally.passed and not tally.failed else 1


if __name__ == "__main__":
    harness.run(main)
