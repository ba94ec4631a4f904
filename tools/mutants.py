#!/usr/bin/env python3
"""Mechanical bugs: how many does `./dev test` kill? mutants.py [COUNT]

Takes a seeded sample (MF_COUNT or COUNT, 40; MF_SEED, 1) of small changes to the C of model, bus and persist: a condition
turned round, < for <=, && for ||, + for -, a constant off by one, a call left out, a status returned as MF_OK. Each is
made in a copy of the tree, built, and run against the tests, the fastest first, until one fails, or none does: then it has
survived. One that the compiler refuses, or that changes nothing in the object file, is not counted. Survivors that cannot
be told from the original are listed in tests/teeth/equivalent.txt with the reason.

MF_MUTANT=FILE:LINE:NAME runs one again. Prints each survivor; at last "N passed, M failed": killed, and survived without a reason.
Exits 1 when fewer than MF_FLOOR per cent (90) were killed.
"""
import os
import random
import re
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from planting import PLUGINS, SOURCE, Bed, has_ccache, tracked

FOLDERS = ("model/", "bus/", "persist/")
EQUIVALENT = SOURCE / "tests" / "teeth" / "equivalent.txt"
TIMEOUT = 120  # of one test program

# The fastest first, and those that say most. What a change of a layer is likely to break comes before the rest.
TESTS = {
    "model/": "model/test_state model/test_step model/test_transaction model/test_value model/test_field model/test_fragment model/test_doc model/test_edit model/test_buffer "
              "model/test_utf8 model/test_log model/test_seq model/test_tree model/test_canonical model/test_pack model/test_pack_fields model/test_pack_state model/test_pack_doc "
              "model/test_delta model/test_history model/test_text model/test_json model/test_edits",
    "bus/": "bus/test_bus bus/test_options bus/test_loop bus/test_config bus/test_follow bus/test_plugin bus/test_plugin_set",
    "persist/": "persist/test_subscriber persist/test_ticket persist/test_env persist/test_policy persist/test_watermark persist/test_compress persist/test_recovery persist/test_ladder "
                "persist/test_fields persist/test_key_filter persist/test_snapshot_codec persist/test_snapshot_chain persist/test_tables persist/test_record persist/test_verify_beside "
                "persist/test_store_log persist/test_sqlite_log persist/test_sqlite_indexes persist/test_snapshots_beside persist/test_health persist/test_metrics persist/test_commit_queue "
                "persist/test_sqlite_store persist/test_store_contract persist/test_sqlite_verify persist/test_restore persist/test_sqlite_faults persist/test_backup_faults",
    "": "stepfactories/test_node_steps stepfactories/test_mark_steps stepfactories/test_text_steps host/test_walk host/test_runtime host/test_followers host/test_errors",
}
TAIL = {"stepfactories/test_property": "MF_COUNT=500 ", "proof/model": "MF_COUNT=150 ", "proof/threads": "MF_COUNT=3 ", "proof/crash": "MF_COUNT=20 "}

SWAPS = [  # (name, pattern, replacement)
    ("less", r"(?<=[\w)\]]) < (?=[\w(*&!-])", " <= "), ("less-or-equal", r" <= ", " < "), ("greater", r"(?<=[\w)\]]) > (?=[\w(*&!-])", " >= "), ("greater-or-equal", r" >= ", " > "),
    ("equal", r" == ", " != "), ("not-equal", r" != ", " == "), ("and", r" && ", " || "), ("or", r" \|\| ", " && "),
    ("plus", r"(?<=[\w)\]]) \+ (?=[\w(])", " - "), ("minus", r"(?<=[\w)\]]) - (?=[\w(])", " + "),
    ("not", r"(?<=\()!(?=\w)", ""), ("one-more", r"(?<=[ (])1(?=[;,) ])", "2"), ("nothing-is-one", r"(?<== )0(?=;)", "1"),
    ("no-error", r"return MF_ERR_\w+;", "return MF_OK;"), ("status-dropped", r"return status;", "return MF_OK;"),
]
CALL = re.compile(r"^\t+(?!return|if|for|while|else|do|switch|case|break|continue|goto)[\w.>\-]+\([^{}]*\);$")


class Mutant:
    def __init__(self, file, number, name, text):
        self.file, self.number, self.name, self.text = file, number, name, text

    def __str__(self):
        return f"{self.file}:{self.number}:{self.name}"


def comment(line):
    return line.lstrip().startswith(("/*", "*", "//", "#")) or "assert(" in line or "MF_PROBE" in line


def mutants_of(file):
    """Every one of a file: (number, name, the line as it becomes)."""
    found, inside = [], False
    for number, line in enumerate((SOURCE / file).read_text().splitlines(), 1):
        inside = line.startswith("{") or (inside and not line.startswith("}"))  # of a function; tables and prototypes are left alone
        if not inside or comment(line):
            continue
        code = line.split("/*", 1)[0]
        for name, pattern, replacement in SWAPS:
            for at, match in enumerate(re.finditer(pattern, code)):
                if code[: match.start()].count('"') % 2 == 0:
                    found.append(Mutant(file, number, name + (f"-{at}" if at else ""), line[: match.start()] + replacement + line[match.end():]))
        if CALL.match(code.rstrip()):
            found.append(Mutant(file, number, "call-left-out", re.match(r"\t+", line)[0] + ";"))
        condition = re.match(r"^(\t+(?:\} else )?if \()(.*)\)(| \{)$", line)
        if condition:
            found.append(Mutant(file, number, "condition-turned", f"{condition[1]}!({condition[2]})){condition[3]}"))
    return found


class Field:
    def __init__(self, bed, jobs):
        self.bed, self.jobs = bed, jobs
        self.ready = bed.sync() or bed.configure()
        self.sound, self.unsound = set(), set()  # programs that pass, or fail, without any bug

    def fails(self, name, command):
        """Whether it does, with the tree as it is. None: it does not build."""
        targets = self.bed.needed_by(f"tests/{name}") + (PLUGINS if name.startswith(("host/", "proof/")) else [])
        return None if self.bed.make(targets, self.jobs) else self.bed.run(command, TIMEOUT)[0] != 0

    def fails_anyway(self, mutant, name, command):
        if name not in self.sound | self.unsound:
            spoilt = (self.bed.tree / mutant.file).read_text()
            self.bed.sync([mutant.file])
            (self.unsound if self.fails(name, command) is not False else self.sound).add(name)
            (self.bed.tree / mutant.file).write_text(spoilt)
        return name in self.unsound

    def plan(self, file):
        layer = next(folder for folder in FOLDERS if file.startswith(folder))
        names = [name for part in (layer, "") for name in TESTS[part].split()]
        if layer == "model/":
            names += TESTS["persist/"].split()[:12]
        elif layer == "bus/":
            names += ["persist/test_subscriber"]
        own = [name for name in names if Path(name).name.removeprefix("test_") in Path(file).stem]
        commands = [(name, f"tests/{name}") for name in own + [name for name in names if name not in own]]
        return commands + [(name, f"{values}tests/{name if name.startswith('proof/') else name}") for name, values in TAIL.items()]

    def object_of(self, file):
        layer, name = file.split("/", 1)
        return f"{layer}/lib{layer}.a.p/{name}.o"

    def try_out(self, mutant):
        """(outcome, by whom): killed, survived, or not counted."""
        path = self.bed.tree / mutant.file
        lines = path.read_text().splitlines(keepends=True)
        lines[mutant.number - 1] = mutant.text + "\n"
        compiled = self.object_of(mutant.file)
        if self.bed.make([compiled], 1):
            return "refused", "the build as it is"
        before = (self.bed.build / compiled).read_bytes()
        path.write_text("".join(lines))
        try:
            if self.bed.make([compiled], 1):
                return "refused", "the compiler"
            if (self.bed.build / compiled).read_bytes() == before:
                return "the same", "the object file"
            for name, command in self.plan(mutant.file):
                failed = None if name in self.unsound else self.fails(name, command)
                if failed and not self.fails_anyway(mutant, name, command):
                    return "killed", name
            return "survived", ""
        finally:
            self.bed.sync([mutant.file])


def equivalents():
    """{(file, name, the line's text): reason}: numbers move, texts do not."""
    known = {}
    for line in EQUIVALENT.read_text().splitlines() if EQUIVALENT.is_file() else []:
        if line and not line.startswith("#"):
            file, name, code, reason = (part.strip() for part in line.split(" | ", 3))
            known[file, name, code] = reason
    return known


def sample():
    everything = [mutant for file in tracked() if file.startswith(FOLDERS) and file.endswith(".c") for mutant in mutants_of(file)]
    if os.environ.get("MF_MUTANT"):
        return [mutant for mutant in everything if str(mutant) == os.environ["MF_MUTANT"]], len(everything)
    count = int(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("MF_COUNT") or 40)
    return random.Random(int(os.environ.get("MF_SEED") or 1)).sample(everything, min(count, len(everything))), len(everything)


def main():
    mutants, everything = sample()
    known, lock, tally, survivors = equivalents(), threading.Lock(), {}, []
    beds = [Bed(SOURCE / "build-teeth" / str(i)) for i in range(min(2, os.cpu_count() or 1) if has_ccache() else 1)]
    jobs, began, queue = max(1, (os.cpu_count() or 2) // len(beds)), time.monotonic(), list(mutants)

    def work(bed):
        field = Field(bed, jobs)
        while True:
            with lock:
                if field.ready:
                    raise SystemExit(f"the copy does not build:\n{field.ready}")
                if not queue:
                    return
                mutant = queue.pop(0)
            original = (SOURCE / mutant.file).read_text().splitlines()[mutant.number - 1].strip()
            outcome, by = field.try_out(mutant)
            if outcome == "survived" and (mutant.file, mutant.name, original) in known:
                outcome, by = "equivalent", known[mutant.file, mutant.name, original]
            with lock:
                tally[outcome] = tally.get(outcome, 0) + 1
                if outcome == "survived":
                    survivors.append(mutant)
                print(f"{outcome}: {mutant}" + (f" ({by})" if by else "") + (f"\n  - {original}\n  + {mutant.text.strip()}" if outcome == "survived" else ""), flush=True)

    with ThreadPoolExecutor(len(beds)) as pool:
        for done in [pool.submit(work, bed) for bed in beds]:
            done.result()
    killed, counted = tally.get("killed", 0), tally.get("killed", 0) + len(survivors)
    percent = 100 * killed / counted if counted else 0
    print(f"{len(mutants)} of {everything} mutants: " + ", ".join(f"{n} {name}" for name, n in sorted(tally.items())) + f"; {percent:.0f} % killed, {time.monotonic() - began:.0f} s")
    print(f"{killed} passed, {len(survivors)} failed")
    return 0 if counted and percent >= float(os.environ.get("MF_FLOOR") or 90) else 1


if __name__ == "__main__":
    sys.exit(main())
