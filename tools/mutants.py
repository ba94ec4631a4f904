#!/usr/bin/env python3
"""Mechanical bugs: how many do the tests kill? mutants.py [COUNT]

Takes a seeded sample (COUNT or MF_COUNT, 40; MF_SEED, 1) of small changes to the C of model, bus and persist, of each file its
share (mutation.py): a condition turned round, < for <=, && for ||, + for -, a constant off by one, a call left out, a status
returned as MF_OK. Each is made in a copy of the tree, built, and run against those programs of `./dev test` that reach the line
(reach.py), what has killed most in that file and costs least first, until one fails. If none does, the first unit tests among them once more
under AddressSanitizer, as in `./dev asan`, for a leak is seen by nothing else. If that finds nothing either, it has survived.
One that the compiler refuses, or that changes nothing in the object file with optimization, is not counted. Survivors that
cannot be told from the original are listed in tests/teeth/equivalent.txt with the reason.

What came out is kept in build-mutants/results.jsonl, and not tried again while the function is the same and, of a survivor, the tests
that reach it are: so a second call goes on where the first was stopped, and MF_COUNT may grow. MF_FILES=REGEX: only files whose
name matches. MF_LONGEST: no test that takes as many seconds (20), for a quick look. MF_MUTANT=FILE:LINE:NAME: that one again. MF_JOBS: how many at a time (processors). Prints each survivor, and
a line a layer; at last "N passed, M failed": killed, and survived without a reason. Exits 1 when fewer than MF_FLOOR per cent (90) were killed.
"""
import json
import os
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import harness
import mutation
import reach
from planting import OPTIONS, SOURCE, Bed, has_ccache

EQUIVALENT = SOURCE / "tests" / "teeth" / "equivalent.txt"
FOLDER = SOURCE / "build-mutants"
LIMITS = "ulimit -f 4000000 -c 0; "  # a spoilt loop must not fill the disk
LONGEST_S = 20  # a test that takes longer is left out: what it alone finds, small changes seldom are
LINKING_S = 0.4  # what a program costs before it runs
SANITIZED_S, SANITIZED_MAX = 6, 12  # a program that takes longer is not run under the sanitizers, and so many are
UNITS = ("tests/model/", "tests/bus/", "tests/persist/", "tests/stepfactories/")
SANITIZED = ["-Db_sanitize=address,undefined", "-Db_lundef=false", "-Doptimization=1"]


def spoilt(text, mutant):
    lines = text.splitlines(keepends=True)
    lines[mutant.number - 1] = mutant.text + "\n"
    return "".join(lines)


class Field:
    """A copy of the tree in which mutants are made, and what is known of its tests."""

    def __init__(self, folder, options):
        self.bed = Bed(folder, options=[*OPTIONS, *options])
        self.why = self.bed.sync() or self.bed.configure()
        self.tests = {} if self.why else reach.tests_of(self.bed)
        self.sound = {}  # program: whether it passes without any bug

    def passes(self, name, seconds):
        """False: it fails, or does not end, or does not build."""
        test = self.tests[name]
        if self.bed.make(test.targets, 1):
            return False
        with self.bed.scratch():
            return not reach.fails(*self.bed.run(LIMITS + test.command, 10 + 8 * seconds))

    def killed_by(self, mutant, names, seconds_of):
        """The first of the tests that fails with it, and not without; None: none."""
        path = self.bed.tree / mutant.file
        whole = (SOURCE / mutant.file).read_text()
        try:
            for name in names:
                path.write_text(spoilt(whole, mutant))
                if self.sound.get(name) is False or self.passes(name, seconds_of(name)):
                    continue
                if name not in self.sound:
                    self.bed.sync([mutant.file])
                    self.sound[name] = self.passes(name, seconds_of(name))
                if self.sound[name]:
                    return name
            return None
        finally:
            self.bed.sync([mutant.file])


class Compiler:
    """Whether a change changes the code: the compiler's opinion, with optimization."""

    def __init__(self, bed):
        self.bed = bed
        told = json.loads(subprocess.run(["ninja", "-C", bed.build, "-t", "compdb"], capture_output=True, text=True, check=True).stdout)
        self.commands = {str((bed.build / one["file"]).resolve().relative_to(bed.tree)): one for one in told if re.match(r"(model|bus|persist)/lib\w+\.a\.p/", one["output"])}

    def compiled(self, file, text):
        one = self.commands[file]
        path = self.bed.tree / file
        output = self.bed.build / "compared.o"
        command = one["command"].replace(one["output"], str(output)).replace("-O0", "-O2") + " -w"
        try:
            path.write_text(text)
            done = subprocess.run(command, shell=True, cwd=self.bed.build, env=self.bed.environment, capture_output=True, check=False)
            return None if done.returncode else output.read_bytes()
        finally:
            self.bed.sync([file])

    def verdict(self, mutant):
        whole = (SOURCE / mutant.file).read_text()
        after = self.compiled(mutant.file, spoilt(whole, mutant))
        if after is None:
            return "refused"
        return "the same" if after == self.compiled(mutant.file, whole) else ""


class Results:
    """{key: what came out}, the newest line of a key counts."""

    def __init__(self):
        self.path, self.lock, self.known = FOLDER / "results.jsonl", threading.Lock(), {}
        self.kills = {}  # {file: {test: how many}}
        for line in self.path.read_text().splitlines() if self.path.is_file() else []:
            self.take(json.loads(line))

    def take(self, result):
        self.known[result["key"]] = result
        if result["outcome"] == "killed":
            file = result["file"]
            self.kills.setdefault(file, {}).setdefault(result["by"], 0)
            self.kills[file][result["by"]] += 1

    def add(self, mutant, outcome, by, tests, seconds):
        result = {"key": mutant.key, "file": mutant.file, "line": mutant.number, "name": mutant.name, "outcome": outcome, "by": by, "tests": tests, "seconds": round(seconds, 1)}
        with self.lock:
            self.take(result)
            with self.path.open("a") as file:
                file.write(json.dumps(result) + "\n")


class Run:
    def __init__(self, mutants):
        FOLDER.mkdir(exist_ok=True)
        self.mutants, self.results, self.map = mutants, Results(), reach.Map(FOLDER)
        self.local, self.beds, self.lock, self.tried = threading.local(), 0, threading.Lock(), 0

    def say(self, words):
        with self.lock:
            print(words, flush=True)

    def plan(self, mutant):
        """The tests that reach it, in the order in which to try them; those that tell gcov nothing last."""
        kills, stem = self.results.kills.get(mutant.file, {}), Path(mutant.file).stem

        def promise(name):
            named = name.split(" ")[-1]
            return (kills.get(name, 0) + (1 if named in stem or stem in named else 0.1)) / (self.map.known[name]["seconds"] + LINKING_S)

        reached = [name for name in self.map.known if self.seconds_of(name) < LONGEST_S and self.map.reaches(name, mutant.file, mutant.number)]
        return sorted(reached, key=lambda name: (name in reach.BLIND and name not in kills, -promise(name)))

    def version(self, names):
        return reach.sha(*(self.map.known[name]["version"].encode() for name in sorted(names)))

    def is_known(self, mutant):
        known = self.results.known.get(mutant.key)
        return known and (known["outcome"] != "survived" or known["tests"] == self.version(self.plan(mutant)))

    def seconds_of(self, name):
        return self.map.known[name]["seconds"]

    def try_out(self, mutant, plain, sanitized, compiler):
        """(outcome, by whom)"""
        if is_unseen(mutant):
            return "survived", ""
        verdict = compiler.verdict(mutant)
        if verdict:
            return verdict, "the compiler"
        names = [name for name in self.plan(mutant) if self.seconds_of(name) < harness.number("MF_LONGEST", LONGEST_S)]
        by = plain.killed_by(mutant, names, self.seconds_of)
        if by:
            return "killed", by
        units = [name for name in names if self.seconds_of(name) < SANITIZED_S and plain.tests[name].program.startswith(UNITS)][:SANITIZED_MAX]
        by = sanitized.killed_by(mutant, units, lambda name: 3 * self.seconds_of(name))
        return ("killed", by + ", sanitized") if by else ("survived", "")

    def fields(self):
        """This thread's."""
        if not hasattr(self.local, "those"):
            with self.lock:
                number, self.beds = self.beds, self.beds + 1
            plain, sanitized = Field(FOLDER / f"plain-{number}", ["-Doptimization=0"]), Field(FOLDER / f"sanitized-{number}", SANITIZED)
            sanitized.bed.environment.update(ASAN_OPTIONS="detect_leaks=1:abort_on_error=1:allocator_may_return_null=1:hard_rss_limit_mb=4000", UBSAN_OPTIONS="halt_on_error=1")
            self.local.those = plain, sanitized, None if plain.why or sanitized.why else Compiler(plain.bed)
        return self.local.those

    def one(self, mutant):
        plain, sanitized, compiler = self.fields()
        if plain.why or sanitized.why:
            raise SystemExit(f"the copy cannot be built:\n{plain.why or sanitized.why}")
        began = time.monotonic()
        outcome, by = self.try_out(mutant, plain, sanitized, compiler)
        seconds = time.monotonic() - began
        self.results.add(mutant, outcome, by, self.version(self.plan(mutant)), seconds)
        shown = f"\n  - {mutant.original}\n  + {mutant.text.strip()}" if outcome == "survived" else ""
        self.say(f"{outcome}: {mutant}" + (f" ({by})" if by else "") + f", {seconds:.1f} s{shown}")

    def all(self, jobs):
        why = self.map.learn(jobs, lambda words: print("# " + words, file=sys.stderr, flush=True))
        if why:
            raise SystemExit(why)
        todo = [mutant for mutant in self.mutants if not self.is_known(mutant)]
        self.tried = len(todo)
        with ThreadPoolExecutor(jobs) as pool:
            for done in [pool.submit(self.one, mutant) for mutant in todo]:
                done.result()


# What no test can see, whatever the line: more memory than is needed; a lock that is given back to an operating system that keeps nothing for it; a hint
UNSEEN = [("one-more", r"mf_calloc\(1, "), ("one-more", r"mf_strmap_reserve\([^;]*, 1\)"), ("call-left-out", r"pthread_\w+_destroy\(|mf_cond_destroy\(|__builtin_prefetch\(")]


def is_unseen(mutant):
    return any(mutant.name == name and re.search(pattern, mutant.original) for name, pattern in UNSEEN)


def equivalents():
    """{(file, name, the line's text): reason}: numbers move, texts do not."""
    known = {}
    for line in EQUIVALENT.read_text().splitlines() if EQUIVALENT.is_file() else []:
        if line and not line.startswith("#"):
            file, name, rest = line.split(" | ", 2)
            code, reason = rest.rsplit(" | ", 1)
            known[file.strip(), name.strip(), code.strip()] = reason.strip()
    return known


def sum_up(run, mutants, total):
    """Prints the survivors and the sums; the exit code."""
    known, tally, survivors = equivalents(), {}, []
    for mutant in mutants:
        outcome = run.results.known[mutant.key]["outcome"]
        if outcome == "survived" and ((mutant.file, mutant.name, mutant.original) in known or is_unseen(mutant)):
            outcome = "equivalent"
        if outcome == "survived":
            survivors.append(mutant)
        layer = tally.setdefault(mutant.layer(), {})
        layer[outcome] = layer.get(outcome, 0) + 1
    for mutant in survivors:
        print(f"survived: {mutant}\n  - {mutant.original}\n  + {mutant.text.strip()}")
    killed = 0
    for layer, outcomes in sorted(tally.items()):
        counted = outcomes.get("killed", 0) + outcomes.get("survived", 0)
        killed += outcomes.get("killed", 0)
        print(f"{layer:8} {counted} counted, " + ", ".join(f"{n} {name}" for name, n in sorted(outcomes.items())) + f": {100 * outcomes.get('killed', 0) / max(1, counted):.1f} % killed")
    counted = killed + len(survivors)
    percent = 100 * killed / counted if counted else 0
    print(f"{len(mutants)} of {total} mutants, {percent:.1f} % killed of the {counted} that count")
    print(f"{killed} passed, {len(survivors)} failed")
    return 0 if counted and percent >= harness.number("MF_FLOOR", 90, 0, 100) else 1


def main():
    everything = mutation.everything()
    given = harness.arguments(__doc__, 1)
    again = os.environ.get("MF_MUTANT")
    count = harness.number("COUNT", text=given[0]) if given else harness.number("MF_COUNT", 40)
    jobs = harness.number("MF_JOBS", os.cpu_count() or 1) if has_ccache() else 1
    try:
        wanted = re.compile(os.environ.get("MF_FILES") or "")
    except re.error as error:
        harness.refuse(f"MF_FILES is '{os.environ['MF_FILES']}', it must be a regular expression: {error}")
    ordered = mutation.in_order([mutant for mutant in everything if wanted.search(mutant.file)], os.environ.get("MF_SEED") or "1")
    mutants = [mutant for mutant in everything if str(mutant) == again] if again else ordered[:count]
    if not mutants:
        harness.refuse(f"there is no mutant '{again}'" if again else f"MF_FILES is '{wanted.pattern}', which no file of the layers matches")
    run = Run(mutants)
    if again:
        for mutant in mutants:
            run.results.known.pop(mutant.key, None)
    began = time.monotonic()
    run.all(jobs)
    if run.tried:
        print(f"{run.tried} tried now, {(time.monotonic() - began) / run.tried:.1f} s each with {jobs} at a time")
    return sum_up(run, mutants, len(everything))


if __name__ == "__main__":
    harness.run(main, "stopped; the next call goes on from here")
