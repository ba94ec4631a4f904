#!/usr/bin/env python3
"""Run the fuzz targets: fuzz.py BUILD [SECONDS] [TARGET]

Each starts from its seeds (BUILD/tests/fuzz/seeds), the corpus in the tree (tests/fuzz/corpus) and what earlier runs learned
(BUILD/corpus), for SECONDS: by default 60, but 20 in a run of all where others read the same as a part of theirs. Two run at a
time, and of a single target two processes, which learn from each other.
MF_COUNT=N: N runs each instead. MF_SEED=N: the fuzzer's seed. MF_MAX_LEN=N: inputs of at most N bytes: short ones are many times
as fast. What is found stays in BUILD/findings, and is printed with the command that tries it again.

  fuzz.py BUILD --replay TARGET FILE   one input once more; instead of a file its bytes in base64 will do
  fuzz.py BUILD --merge [TARGET]       what BUILD/corpus reaches beyond the corpus in the tree goes into it, as few files as can be
"""
import base64
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import harness

SOURCE = Path(__file__).resolve().parent.parent / "tests" / "fuzz"
ENVIRONMENT = {
    **os.environ,
    "ASAN_OPTIONS": "detect_leaks=1:allocator_may_return_null=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
}
# While fuzzing: where memory was asked for is of no use, and telling it takes half of the time.
HURRIED = {**ENVIRONMENT, "ASAN_OPTIONS": ENVIRONMENT["ASAN_OPTIONS"] + ":malloc_context_size=0:quarantine_size_mb=16"}
LIMITS = ["-rss_limit_mb=2048", "-malloc_limit_mb=600", "-timeout=10"]
WITH_WORDS = ("config", "json", "line", "options")
SHOWN_MAX = 600  # bytes of a finding that are printed
JOBS = 2
SECONDS, SECONDS_OF_A_PART = 60, 20
PARTS = ("delta", "event", "fields", "json", "state")  # of records, snapshots and stores; of lines, options and plugins.json
KEPT_MAX = 8192  # bytes of a file in the corpus of the tree

running = {}  # what each target under way has said last
printing = threading.Lock()


def say(text):
    with printing:
        print(text, file=sys.stderr, flush=True)


def folders_of(build, name):
    learned = build / "corpus" / name
    learned.mkdir(parents=True, exist_ok=True)
    (build / "findings").mkdir(exist_ok=True)
    return [learned, *(d for d in (build / "tests" / "fuzz" / "seeds" / name, SOURCE / "corpus" / name) if d.is_dir())]


def settings():
    """MF_COUNT, MF_SEED, MF_MAX_LEN; 0: not set."""
    return harness.number("MF_COUNT", 0), harness.number("MF_SEED", 0, 0, 2**31), harness.number("MF_MAX_LEN", 0)


def command_for(build, target, name, seconds, part, parts):
    count, seed, longest = settings()
    words = [f"-dict={SOURCE / 'words.dict'}"] if name in WITH_WORDS else []
    return [target, f"-runs={count // parts + (part < count % parts)}" if count else f"-max_total_time={seconds}", f"-seed={seed + part if seed else 0}", f"-max_len={longest}", f"-artifact_prefix={build / 'findings' / name}-",
            *LIMITS, "-entropic=0", "-print_final_stats=1", "-verbosity=1", *words, *folders_of(build, name)]


def follow(process, name, part):
    """All that it says; the newest figures are in running meanwhile."""
    said = []
    for line in process.stderr:
        said.append(line)
        if figures := re.match(r"#(\d+)\s.*cov: (\d+)", line):
            running[name, part] = f"{name} {int(figures[1]):,} runs {figures[2]} edges"
    return "".join(said[:20] + said[-400:] if len(said) > 420 else said)


def figures_of(said, seconds):
    stats = {key: int(value) for key, value in re.findall(r"stat::(\w+):\s+(\d+)", said)}
    covered = re.findall(r"cov: (\d+)", said)
    corpus = re.findall(r"corp: (\d+)/(\w+)", said)
    runs = stats.get("number_of_executed_units")
    if runs is None:
        return "no figures"
    return (f"{runs:>11,} runs {int(runs / max(seconds, 0.001)):>8,}/s {covered[-1] if covered else '?':>6} edges, corpus {corpus[-1][0] if corpus else '?':>5} "
            f"files {corpus[-1][1] if corpus else '?':>6}, {stats.get('peak_rss_mb', 0):>4} MB")


def tell_finding(build, name, said):
    say(said[-6000:])
    for path in re.findall(r"Test unit written to (\S+)", said):
        found = Path(path).read_bytes()
        shown = base64.b64encode(found).decode() if len(found) <= SHOWN_MAX else None
        say(f"{name}: {len(found)} bytes{': ' + shown if shown else ''}\n  again: ./dev fuzz --replay {name} {shown or os.path.relpath(path)}")


def run(build, target, seconds, part=0, parts=1):
    name = target.name.removeprefix("fuzz_")
    begun = time.monotonic()
    process = subprocess.Popen(command_for(build, target, name, seconds, part, parts), env=HURRIED, text=True, errors="replace", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = follow(process, name, part)
    passed = process.wait() == 0
    running.pop((name, part), None)
    say(f"{name:10} {figures_of(said, time.monotonic() - begun)}, {'nothing found' if passed else 'FOUND SOMETHING'}")
    if not passed:
        tell_finding(build, name, said)
    return passed


def show_progress(stop):
    while not stop.wait(1):
        with printing:
            print("\r\033[K" + "   ".join(running.values()), end="\r", file=sys.stderr, flush=True)
    print("\r\033[K", end="", file=sys.stderr)


def refuse_target(build, name):
    harness.refuse(f"there is no target '{name}'; there are: {' '.join(p.name.removeprefix('fuzz_') for p in targets_in(build))}")


def targets_in(build, wanted=""):
    found = sorted(p for p in (build / "tests" / "fuzz").glob("fuzz_*") if p.is_file() and os.access(p, os.X_OK))
    exact = [p for p in found if p.name == "fuzz_" + wanted]
    these = exact or [p for p in found if wanted in p.name.removeprefix("fuzz_")]
    if not these:
        refuse_target(build, wanted) if wanted else harness.refuse(f"{build} has no fuzz targets")
    return these


def usual_seconds(target):
    return SECONDS_OF_A_PART if target.name.removeprefix("fuzz_") in PARTS else SECONDS


def run_all(build, seconds, wanted):
    targets = targets_in(build, wanted)
    settings()  # before anything begins
    stop = threading.Event()
    shower = threading.Thread(target=show_progress, args=(stop,))
    if sys.stderr.isatty():
        shower.start()
    with ThreadPoolExecutor(JOBS) as pool:
        if len(targets) == 1:
            passed = [all(pool.map(lambda part: run(build, targets[0], seconds or SECONDS, part, JOBS), range(JOBS)))]
        else:
            passed = list(pool.map(lambda target: run(build, target, seconds or usual_seconds(target)), targets))
    stop.set()
    if shower.is_alive():
        shower.join()
    print(f"{passed.count(True)} passed, {passed.count(False)} failed")
    return not passed or not all(passed)


def replay(build, name, what):
    path = Path(what)
    target = targets_in(build, name)[0]
    if target.name != f"fuzz_{name}":
        refuse_target(build, name)
    with tempfile.TemporaryDirectory() as folder:
        if not os.path.isfile(path):
            path = Path(folder) / "input"
            try:
                path.write_bytes(base64.b64decode(what, validate=True))
            except ValueError:
                harness.refuse(f"'{what}' is neither a file nor base64")
        return subprocess.run([target, *LIMITS, path], env=ENVIRONMENT, check=False).returncode


def merge(build, wanted):
    """Files are named for what is in them; those with another name were put there by somebody and stay."""
    for target in targets_in(build, wanted):
        name = target.name.removeprefix("fuzz_")
        learned, *others = folders_of(build, name)
        kept = SOURCE / "corpus" / name
        kept.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            known = [d for d in others if d != kept]
            named = Path(folder) / "named"
            named.mkdir()
            for file in kept.iterdir():
                if not re.fullmatch(r"[0-9a-f]{40}", file.name):
                    (named / file.name).write_bytes(file.read_bytes())
            new = Path(folder) / "new"
            new.mkdir()
            for seed in [f for d in [*known, named] for f in d.iterdir()]:
                (new / f"seed-{seed.parent.name}-{seed.name}").write_bytes(seed.read_bytes())
            subprocess.run([target, "-merge=1", "-use_counters=0", f"-max_len={KEPT_MAX}", *LIMITS, new, learned, kept], env=HURRIED, check=True, stderr=subprocess.DEVNULL)
            for file in kept.iterdir():
                if re.fullmatch(r"[0-9a-f]{40}", file.name):
                    file.unlink()
            files = [f for f in new.iterdir() if re.fullmatch(r"[0-9a-f]{40}", f.name)]
            for file in files:
                (kept / file.name).write_bytes(file.read_bytes())
        say(f"{name}: {len(files)} files, {sum(f.stat().st_size for f in kept.iterdir()):,} bytes")
    return 0


def main():
    build, *arguments = sys.argv[1:]
    build = Path(build).resolve()
    if arguments[:1] == ["--replay"] and len(arguments) == 3:
        return replay(build, *arguments[1:])
    if arguments[:1] == ["--merge"] and len(arguments) <= 2:
        return merge(build, "".join(arguments[1:]))
    arguments = harness.arguments(__doc__, 3)[1:]
    seconds = harness.number("SECONDS", text=arguments[0]) if arguments else 0
    return run_all(build, seconds, "".join(arguments[1:]))


if __name__ == "__main__":
    harness.run(main)
