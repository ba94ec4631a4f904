#!/usr/bin/env python3
"""Do the tests bite? Plants each bug of tests/teeth in a copy of the tree, and expects its row to find it: teeth.py [NAME...]

tests/teeth/NAME.patch is a unified diff under a few lines that say what it is about:

  Bug: what is wrong in a sentence
  Row: the row, or the meson test, that must catch it: crash, threads, race, persist/sqlite_store, ...
  Run: the command, in the build directory; $SRC is the source tree. Its program is built; so is what Needs: names
  Says: a regular expression that its output must match (optional), so that it fails for the right reason
  Hangs: yes (optional) when not ending within Timeout: seconds (60) is how it shows

The command must pass in the copy as it is, and fail with the bug, where a harness stops at its first failure (MF_FAIL_FAST=1).
A patch that does not apply or build, a command that fails without it, and a bug that is not found are failures. Prints a line for each; at last "N passed, M failed", in bugs.
"""
import os
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import harness
from planting import OPTIONS, PLUGINS, SOURCE, Bed, has_ccache

FOLDER = SOURCE / "tests" / "teeth"
PRODUCT = ("bus/", "host/", "include/", "model/", "persist/", "plugins/", "stepfactories/")


class Plant:
    def __init__(self, path):
        self.path, self.name = path, path.stem
        text = path.read_text()
        fields = dict(re.findall(r"^(\w+): (.*)$", text.split("\n--- ", 1)[0], re.MULTILINE))
        self.bug, self.row, self.command = fields["Bug"], fields["Row"], fields["Run"]
        self.says, self.hangs, self.timeout = fields.get("Says"), fields.get("Hangs") == "yes", int(fields.get("Timeout", 60))
        self.files = re.findall(r"^\+\+\+ b/(\S+)", text, re.MULTILINE)
        self.program = next(word for word in self.command.split() if "=" not in word)
        self.needs = fields.get("Needs", "").split()

    def targets(self, bed):
        if not self.program.startswith("tests/"):
            return self.needs + PLUGINS
        return self.needs + bed.needed_by(self.program) + (PLUGINS if self.program.startswith(("tests/proof/", "tests/host/")) else [])

    def wrong(self):
        """Empty, or why this is no planted bug."""
        outside = [name for name in self.files if not name.startswith(PRODUCT)]
        return "changes no file" if not self.files else f"changes {outside[0]}, which is no part of the product" if outside else ""


def command_passes(bed, plant):
    code, said = bed.run(plant.command, 4 * plant.timeout)
    return "" if code == 0 else f"without the bug, '{plant.command}' ends with {code}:\n{said[-2000:]}"


def bite(bed, plant, jobs):
    """Empty when the bug is found, else what happened instead."""
    why = bed.apply(plant.path)
    if why:
        return f"the patch does not apply:\n{why}"
    try:
        why = bed.make(plant.targets(bed), jobs)
        if why:
            return f"with the bug it does not build:\n{why}"
        code, said = bed.run("MF_FAIL_FAST=1 " + plant.command, plant.timeout)  # one failure is enough
    finally:
        bed.sync(plant.files)
    if code is None and plant.says and re.search(plant.says, said):
        return ""
    if code is None:
        return "" if plant.hangs else f"it did not end within {plant.timeout} s, which is not how this bug should show:\n{said[-1000:]}"
    if code == 0:
        return f"'{plant.command}' passes all the same"
    if plant.says and not re.search(plant.says, said):
        return f"it failed, but not as expected ('{plant.says}'):\n{said[-2000:]}"
    return ""


class Run:
    """The plants, spread over beds that work side by side."""

    def __init__(self, plants):
        self.plants, self.lock, self.passes = list(plants), threading.Lock(), {}
        self.passed = self.failed = 0
        self.began = time.monotonic()

    def note(self, plant, why, seconds):
        with self.lock:
            self.passed, self.failed = self.passed + (not why), self.failed + bool(why)
            print(f"{'MISSED' if why else 'caught'}: {plant.name} ({plant.row}, {seconds:.0f} s): {plant.bug}" + (f"\n  | {why}".replace("\n", "\n  | ") if why else ""), flush=True)

    def check(self, bed, plant):
        """Whether its command passes without the bug; asked once for each command."""
        with self.lock:
            mine = plant.command not in self.passes
            if mine:
                self.passes[plant.command] = threading.Event(), [""]
            event, answer = self.passes[plant.command]
        if mine:
            answer[0] = bed.make(plant.targets(bed), self.jobs) or command_passes(bed, plant)
            event.set()
        event.wait()
        return answer[0]

    def work(self, bed):
        why = bed.sync() or bed.configure()
        while True:
            with self.lock:
                plant = self.plants.pop(0) if self.plants else None
            if not plant:
                return
            began = time.monotonic()
            why_this = why or plant.wrong() or self.check(bed, plant) or bite(bed, plant, self.jobs)
            self.note(plant, why_this, time.monotonic() - began)

    def all(self, beds):
        self.jobs = max(1, (os.cpu_count() or 2) // len(beds))
        with ThreadPoolExecutor(len(beds)) as pool:
            for done in [pool.submit(self.work, bed) for bed in beds]:
                done.result()


def main():
    names = harness.arguments(__doc__, harness.MANY)
    plants = [Plant(path) for path in sorted(FOLDER.glob("*.patch")) if not names or path.stem in names]
    missing = set(names) - {plant.name for plant in plants}
    if missing or not plants:
        harness.refuse(f"there is no planted bug {', '.join(sorted(missing))}; there are: {' '.join(p.stem for p in sorted(FOLDER.glob('*.patch')))}")
    count = 1 if len(plants) == 1 or not has_ccache() else min(2, os.cpu_count() or 1)
    run = Run(sorted(plants, key=lambda plant: plant.command))
    run.all([Bed(SOURCE / "build-teeth" / str(i), options=[*OPTIONS, "-Doptimization=1"]) for i in range(count)])
    rows = {}
    for plant in plants:
        rows[plant.row] = rows.get(plant.row, 0) + 1
    print(", ".join(f"{row}: {n}" for row, n in sorted(rows.items(), key=lambda item: -item[1])) + f"; {time.monotonic() - run.began:.0f} s")
    print(f"{run.passed} passed, {run.failed} failed")
    return 0 if run.passed and not run.failed else 1


if __name__ == "__main__":
    harness.run(main)
