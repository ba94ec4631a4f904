#!/usr/bin/env python3
"""Run each fuzz target for a while: fuzz.py BUILD [SECONDS] [TARGET]. Findings stay in BUILD/findings.

What a run learned stays in BUILD/corpus and is the start of the next one. Two targets run at a time.
To try a finding again: BUILD/tests/fuzz/fuzz_TARGET FILE.
"""
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent / "tests" / "fuzz"
ENVIRONMENT = {
    **os.environ,
    "ASAN_OPTIONS": "detect_leaks=1:allocator_may_return_null=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
}


def command_for(build, target, seconds):
    name = target.name.removeprefix("fuzz_")
    corpus, findings = build / "corpus" / name, build / "findings"
    corpus.mkdir(parents=True, exist_ok=True)
    findings.mkdir(exist_ok=True)
    seeds = [d for d in (build / "tests" / "fuzz" / "seeds" / name, SOURCE / "corpus" / name) if d.is_dir()]
    words = [f"-dict={SOURCE / 'words.dict'}"] if name in ("config", "json", "line") else []
    return [target, f"-max_total_time={seconds}", f"-artifact_prefix={findings}/{name}-", "-rss_limit_mb=2048",
            "-timeout=10", "-print_final_stats=1", "-verbosity=1", *words, corpus, *seeds]


def run(build, target, seconds):
    """True if nothing was found; prints one line, and the report when something was."""
    result = subprocess.run(command_for(build, target, seconds), env=ENVIRONMENT, text=True, errors="replace",
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    stats = dict(re.findall(r"stat::(\w+):\s+(\d+)", result.stderr))
    covered = re.findall(r"cov: (\d+)", result.stderr)
    found = "nothing found" if result.returncode == 0 else "FOUND SOMETHING"
    print(f"{target.name}: {stats.get('number_of_executed_units', '?')} runs, {covered[-1] if covered else '?'} edges, {found}",
          file=sys.stderr)
    if result.returncode:
        print(result.stderr[-6000:], file=sys.stderr)
    return result.returncode == 0


def main():
    build = Path(sys.argv[1]).resolve()
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 60
    wanted = sys.argv[3] if len(sys.argv) > 3 else ""
    targets = sorted(p for p in (build / "tests" / "fuzz").glob("fuzz_*") if p.is_file() and os.access(p, os.X_OK) and wanted in p.name)
    with ThreadPoolExecutor(2) as pool:
        passed = list(pool.map(lambda target: run(build, target, seconds), targets))
    print(f"{passed.count(True)} passed, {passed.count(False)} failed")
    return not passed or not all(passed)


if __name__ == "__main__":
    sys.exit(main())
