#!/usr/bin/env python3
"""Count the single tests of the last `meson test` run in a build directory: count_tests.py BUILD

A program that speaks TAP counts each of its tests; any other counts as one.
Prints "N passed, M failed[, K skipped]" and exits 1 unless something passed and nothing failed.

count_tests.py --programs BUILD prints the names of the tests that are programs of the build, not scripts.
"""
import json
import re
import sys
from pathlib import Path

TAP_LINE = re.compile(r"^(not ok|ok)\b(?:[^#\n]*)(#\s*skip)?", re.IGNORECASE | re.MULTILINE)


def count(record):
    """(passed, failed, skipped) of one test program."""
    outcome = record["result"]
    lines = TAP_LINE.findall(record.get("stdout") or "")
    if not lines:
        return (int(outcome == "OK"), int(outcome not in ("OK", "SKIP")), int(outcome == "SKIP"))
    # cmocka skips with "not ok ... # SKIP", which meson takes for a failure.
    failed = sum(word.lower() == "not ok" and not skip for word, skip in lines)
    skipped = sum(bool(skip) for _, skip in lines)
    if outcome not in ("OK", "SKIP") and failed == 0 and (record["returncode"] or not skipped):
        failed = 1  # it died, or left tests out
    return (len(lines) - failed - skipped, failed, skipped)


def programs(build):
    build = build.resolve()
    for test in json.loads((build / "meson-info" / "intro-tests.json").read_text()):
        if Path(test["cmd"][0]).resolve().is_relative_to(build):
            print(test["name"])
    return 0


def main():
    if sys.argv[1] == "--programs":
        return programs(Path(sys.argv[2]))
    log = Path(sys.argv[1]) / "meson-logs" / "testlog.json"
    names = [p for p in sorted(log.parent.glob("testlog*.json"), key=lambda p: p.stat().st_mtime)]
    if not names:
        print("0 passed, 1 failed")
        return 1
    totals = [0, 0, 0]
    for line in names[-1].read_text().splitlines():
        for i, n in enumerate(count(json.loads(line))):
            totals[i] += n
    passed, failed, skipped = totals
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
