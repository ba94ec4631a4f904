#!/usr/bin/env python3
"""Paired comparisons with hand-written SQLite; medians of the ratios, a bar for each.

usage: bench.py BUILD [--rounds N] [--only NAME] [--svg FILE]
The two sides take turns in one run, since absolute times on a shared machine prove nothing.
"""
import argparse
import gzip
import json
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import harness

# What each ratio (ours / theirs) must be at least; docs/benchmarks.md says what is compared.
TARGETS = {
    "commit and wait, async": 0.9,
    "submit with tickets, async": 4.0,
    "8 threads, sync": 2.0,
    "batches of 1000, async": 0.8,
    "recovery": 0.3,
    "keystrokes through mf run": 3.0,
}
TRACE = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "sveltecomponent.jsonl.gz"


def keystrokes():
    """A recorded history where there is one, else a generated one of the same shape."""
    if TRACE.exists():
        return gzip.decompress(TRACE.read_bytes()).decode()
    rng, length, lines = random.Random(7), 0, []
    lines.append({"type_id": "insert_node", "data": {"parent": "root", "node": {"id": "text", "type": "text", "attrs": {"text": ""}}}})
    for _ in range(18000):
        delete = rng.random() < 0.15 and length > 0
        pos = rng.randrange(length) if delete else rng.randint(0, length)
        lines.append({"type_id": "replace_text", "data": {"id": "text", "pos": pos, "delete": int(delete), "insert": "" if delete else rng.choice("abcdefgh \n")}})
        length += -1 if delete else 1
    return "".join(json.dumps({"doc": "text", "key": f"text:{n}", "steps": [s]}) + "\n" for n, s in enumerate(lines))


def timed(command):
    start = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - start


def through_mf_run(build, work, rounds):
    source = work / "keystrokes.jsonl"
    text = keystrokes()
    source.write_text(text)
    count = text.count("\n")
    for n in range(rounds):
        theirs_dir = work / f"lines-{n}"
        theirs_dir.mkdir()
        ours = timed([build / "mf", "run", "--config", build / "plugins.json", "--mode", "async", "--data", work / f"run-{n}", "--input", source])
        theirs = timed([build / "bench" / "sqlite_lines", source, theirs_dir])
        yield {"name": "keystrokes through mf run", "ours": count / ours, "theirs": count / theirs}


def measure(build, work, rounds, only):
    command = [build / "bench" / "compare", build, work, str(rounds)] + ([only] if only else [])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            yield json.loads(line)
    if process.returncode:
        raise SystemExit(process.returncode)
    if only in "keystrokes through mf run":
        yield from through_mf_run(build, work, rounds)


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def picture(results, path):
    """A bar for each ratio, beside the line at 1, which is hand-written SQLite; the smallest and the largest round as a whisker."""
    ratios = {name: [r["ours"] / r["theirs"] for r in rounds] for name, rounds in results.items()}
    scale = 480 / max(max(r) for r in ratios.values())
    height = 34 * len(ratios) + 60
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{height}" font-family="sans-serif" font-size="13">',
        f'<rect width="760" height="{height}" fill="#fff"/>',
        '<text x="12" y="22" font-weight="bold">Events per second, as a multiple of hand-written SQLite (longer is faster)</text>',
    ]
    for n, (name, values) in enumerate(ratios.items()):
        y, median = 40 + 34 * n, statistics.median(values)
        low, high = 210 + min(values) * scale, 210 + max(values) * scale
        out += [
            f'<text x="200" y="{y + 15}" text-anchor="end">{name}</text>',
            f'<rect x="210" y="{y}" width="{median * scale:.1f}" height="20" fill="{"#2a7" if median >= 1 else "#c96"}"/>',
            f'<path d="M{low:.1f} {y + 10}H{high:.1f}M{low:.1f} {y + 6}v8M{high:.1f} {y + 6}v8" stroke="#333" fill="none"/>',
            f'<text x="{high + 6:.1f}" y="{y + 15}">{median:.2f}</text>',
        ]
    one = 210 + scale
    out += [
        f'<path d="M{one:.1f} 32V{height - 22}" stroke="#000" stroke-dasharray="4 3"/>',
        f'<text x="{one:.1f}" y="{height - 8}" text-anchor="middle">SQLite = 1</text>',
        "</svg>",
    ]
    path.write_text("\n".join(out) + "\n")


def report(results):
    print(f"{'comparison':28} {'ours/s':>9} {'SQLite/s':>9} {'ratio':>6}  {'target':>6}   0        1        2        3        4 and more")
    missed = []
    for name, rounds in results.items():
        ratio = statistics.median(r["ours"] / r["theirs"] for r in rounds)
        ours, theirs = (statistics.median(r[side] for r in rounds) for side in ("ours", "theirs"))
        target = TARGETS.get(name, 0)
        bar = "█" * min(40, round(ratio * 9))
        print(f"{name:28} {ours:9.0f} {theirs:9.0f} {ratio:6.2f}  {'≥ ' + str(target):>6}   {bar}")
        if ratio < target:
            missed.append(name)
    print(f"\nmedians of {max(len(r) for r in results.values())} rounds; ratio = median of the rounds' ratios")
    for name in missed:
        print(f"below its target: {name}")
    return not missed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="")
    parser.add_argument("--svg", type=Path)
    options = parser.parse_args()
    build = options.build.resolve()
    work = Path(tempfile.mkdtemp(prefix="bench-", dir=build))
    results = {}
    try:
        for row in measure(build, work, options.rounds, options.only):
            results.setdefault(row["name"], []).append(row)
            progress(f"{row['name']}: round {len(results[row['name']])} of {options.rounds}")
        progress("")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if options.svg:
        picture(results, options.svg)
    return 0 if report(results) else 1


if __name__ == "__main__":
    harness.run(main)
