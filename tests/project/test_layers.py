#!/usr/bin/env python3
"""A folder is a layer, and includes point down only (docs/architecture.md)."""
import re
import sys
from pathlib import Path

# Which folders a folder may include from, besides itself and the public headers.
MAY = {
    "include": set(),
    "model": set(),
    "bus": {"model"},
    "persist": {"model"},
    "host": {"model", "bus", "persist"},
    "stepfactories": set(),
    "plugins": set(),
    "examples": set(),
}
# A library's header is included by one file (or one header's worth of them).
ONE_PLACE = {
    "sqlite3.h": r"persist/sqlite_\w+\.[ch]",
    "zstd.h": r"persist/compress\.c",
    "dlfcn.h": r"bus/plugin\.c",
    "jansson.h": r"(?!)",  # the tests' second opinion, and no part of the library
    "libdeflate.h": r"persist/checksum\.c",
    "libsmartcols.h": r"host/table\.c",
}
# So that a test can decide who runs when, and what time it is (model/thread.h). The program's own files are not the library.
SEAM = re.compile(r"\b(pthread_cond_(?:init|wait|timedwait|signal|broadcast)|pthread_(?:create|join)|clock_gettime|nanosleep|usleep|sched_yield)\s*\(")
BESIDE_THE_SEAM = {
    "model/thread.c": None,
    "persist/env.c": "clock_gettime",
    "host/run_acks.c": None,
    "host/cmd_backup.c": "clock_gettime",
    "host/progress.c": "clock_gettime",
}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def layer_faults(root):
    for folder, below in MAY.items():
        for path in sorted((root / folder).rglob("*.[ch]")):
            for kind, target in INCLUDE.findall(path.read_text()):
                first = target.split("/")[0]
                if kind == '"' and "/" not in target and (path.parent / target).exists():
                    continue  # a file of its own folder
                if first in MAY and first != folder and first not in below:
                    yield f"{path.relative_to(root)} includes {target}: {folder} may not look into {first}"
                if kind == '"' and "/" not in target:
                    yield f"{path.relative_to(root)} includes \"{target}\": write its folder too"


def library_faults(root):
    for folder in MAY:
        for path in sorted((root / folder).rglob("*.[ch]")):
            name = str(path.relative_to(root))
            for _, target in INCLUDE.findall(path.read_text()):
                if target in ONE_PLACE and not re.fullmatch(ONE_PLACE[target], name):
                    yield f"{name} includes {target}, which belongs to {ONE_PLACE[target]}"


def seam_faults(root):
    for folder in ("model", "bus", "persist", "host", "plugins", "stepfactories"):
        for path in sorted((root / folder).rglob("*.[ch]")):
            name = str(path.relative_to(root))
            for call in SEAM.findall(path.read_text()):
                if name not in BESIDE_THE_SEAM or BESIDE_THE_SEAM[name] not in (None, call):
                    yield f"{name} calls {call}: threads, waits and clocks go through model/thread.h"


def size_faults(root):
    for folder in MAY:
        for path in sorted((root / folder).rglob("*.[ch]")):
            lines = len(path.read_text().splitlines())
            if lines > 600:
                yield f"{path.relative_to(root)} has {lines} lines: it is more than one noun"


def main():
    root = Path(sys.argv[1])
    checks = [
        ("includes point down only", layer_faults),
        ("each library is included in one place", library_faults),
        ("threads, waits and clocks go through one seam", seam_faults),
        ("no file is larger than 600 lines", size_faults),
    ]
    print(f"1..{len(checks)}")
    failed = False
    for number, (name, check) in enumerate(checks, 1):
        faults = list(check(root))
        failed |= bool(faults)
        print(f"{'not ok' if faults else 'ok'} {number} - {name}")
        for fault in faults:
            print(f"# {fault}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
