#!/usr/bin/env python3
"""mcdc.py BUILD : the conditions of each layer that a run of its programs has shown to decide alone.

Reads BUILD/profiles/*.profraw of a build by clang-19 with -fcoverage-mcdc. A program holds what of the libraries it uses, so each
decision is counted in the program that has shown most of it.
"""
import json
import os
import subprocess
import sys
from pathlib import Path

LAYERS = ("model", "bus", "persist")


def binaries(build):
    """The programs and libraries that were run, each once."""
    found = {build / "libmoduforge.so.0"}
    for test in json.loads((build / "meson-info" / "intro-tests.json").read_text()):
        program = Path(test["cmd"][0]).resolve()
        if program.is_relative_to(build):
            found.add(program)
    return sorted(path.resolve() for path in found if path.exists())


def decisions(binary, profile, root):
    """{(file, line, column): (conditions, shown to decide)}"""
    got = subprocess.run(["llvm-cov-19", "export", str(binary), f"-instr-profile={profile}", "--skip-functions"], capture_output=True, text=True, check=False)
    if got.returncode != 0:
        return {}
    found = {}
    for file in json.loads(got.stdout)["data"][0]["files"]:
        path = os.path.relpath(file["filename"], root)
        if path.split("/")[0] in LAYERS:
            for record in file.get("mcdc_records", []):
                shown = record[-1]
                found[path, record[0], record[1]] = len(shown), sum(shown)
    return found


def main():
    build, root = Path(sys.argv[1]).resolve(), Path(__file__).resolve().parent.parent
    profile = build / "profiles.profdata"
    raw = sorted(str(path) for path in (build / "profiles").glob("*.profraw"))
    subprocess.run(["llvm-profdata-19", "merge", "-sparse", "--failure-mode=all", "-o", str(profile), *raw], check=True)
    best = {}
    for binary in binaries(build):
        for place, record in decisions(binary, profile, root).items():
            if place not in best or record[1] > best[place][1]:
                best[place] = record
    if not best:
        sys.exit("no decision was measured")
    files = {}
    for (path, *_), (conditions, shown) in best.items():
        files.setdefault(path, []).append((conditions, shown))
    for name in (*sorted(files), *LAYERS, "together"):
        members = files.get(name) or [pair for path, pairs in files.items() for pair in pairs if name in ("together", path.split("/")[0])]
        total, shown = (sum(pair[i] for pair in members) for i in (0, 1))
        print(f"{name:<34}{100 * shown / total if total else 100:>8.1f} %{shown:>8}/{total} conditions")
    return 0


if __name__ == "__main__":
    sys.exit(main())
