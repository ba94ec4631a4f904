#!/usr/bin/env python3
"""The USDT probes that docs/tracing.md tells of are in the library, with so many arguments.

usage: test_probes.py SOURCE LIBRARY yes|no        whether the build found sys/sdt.h
"""
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT, LIBRARY, BUILT_IN = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "yes"


def documented():
    """{name: number of arguments}, from the table."""
    rows = re.findall(r"^\| `mf:(\w+)` \| (.*?) \|", (ROOT / "docs" / "tracing.md").read_text(), re.MULTILINE)
    return {name: len(re.findall(r"`arg\d`", arguments)) for name, arguments in rows}


def in_library():
    """{name: set of numbers of arguments}: a probe may stand in several places."""
    notes = subprocess.run(["readelf", "--notes", "--wide", LIBRARY], text=True, capture_output=True, check=True).stdout
    found = {}
    for name, arguments in re.findall(r"Provider: mf\s+Name: (\w+)\s+Location: .*\n\s+Arguments: (.*)", notes):
        found.setdefault(name, set()).add(len(re.findall(r"-?\d+@", arguments)))
    return found


def main():
    print("1..1")
    reason = "needs sys/sdt.h (systemtap-sdt-dev) where it is built" if not BUILT_IN else "needs readelf (binutils)" if not shutil.which("readelf") else None
    told, found = documented(), {} if reason else in_library()
    ok = reason or found == {name: {count} for name, count in told.items()}
    print(f"{'ok' if ok else 'not ok'} 1 - the library has the probes of the table{f' # SKIP {reason}' if reason else ''}")
    if not ok:
        print(f"# told {told}, found {found}")
    return 0 if ok and len(told) >= 6 else 1


if __name__ == "__main__":
    sys.exit(main())
