#!/usr/bin/env python3
"""Count the single tests of the last `meson test` run in a build directory: count_tests.py BUILD

A program that speaks TAP counts each of its tests; any other counts as one.
Prints the names of those that were skipped, with the reason, and of those that failed, under what their programs last
printed; at last "N passed, M failed[, K skipped]". Exits 1 unless something passed and nothing failed.

count_tests.py --programs BUILD [SUITE...] prints the names of the tests that are programs of the build, not scripts, without those of SUITE.
"""
import json
import re
import sys
from pathlib import Path

TAP_LINE = re.compile(r"^(not ok|ok)\b(?:[ \t]*\d+)?(?:[ \t]*-)?([^#\n]*)(?:#[ \t]*(skip\b)?(.*))?$|^[# ]*skipped: (.*)$", re.IGNORECASE | re.MULTILINE)

BEFORE_FAILURE, AT_END, MOST_LINES = 20, 20, 80


def singles(output):
    """(outcome, name, why) of each line of TAP: "passed", "failed" or "skipped"."""
    reason = ""
    for word, name, skip, rest, said in TAP_LINE.findall(output):
        if said:  # by a test in C, ahead of its line
            reason = said
        elif skip:  # cmocka's line is "not ok 1 # SKIP name" or "ok 1 - name # SKIP"
            name, why = (name.strip(), rest.strip()) if name.strip() else (rest.strip(), "")
            yield "skipped", name, why or reason
        else:
            yield "passed" if word.lower() == "ok" else "failed", name.strip(), ""


def outcomes(record):
    """(outcome, name, why) of each single test of one test program."""
    program = record["name"].split(":", 1)[-1]
    outcome, rc = record["result"], record["returncode"]
    found = [(kind, f"{program}: {name}", why) for kind, name, why in singles(record.get("stdout") or "")]
    if not found:
        kind = {"OK": "passed", "SKIP": "skipped"}.get(outcome, "failed")
        return [(kind, program, "")]
    kinds = [kind for kind, _, _ in found]
    # cmocka's way to skip is a failure to meson.
    if outcome not in ("OK", "SKIP") and "failed" not in kinds and (rc or "skipped" not in kinds):
        found[-1] = ("failed", f"{program}: it ended with {outcome}, exit {rc}", "")  # it died, or left tests out
    return found


def last_words(record):
    """What a program that failed printed around its failures and at its end: a log that is cut short still tells why."""
    said = [line for name in ("stdout", "stderr") for line in (record.get(name) or "").splitlines()]
    near = {i for at, line in enumerate(said) if line.startswith("not ok") for i in range(at - BEFORE_FAILURE, at + 10)}
    shown = [i for i in sorted(near | set(range(len(said) - AT_END, len(said)))) if 0 <= i < len(said)][-MOST_LINES:]
    return [f"  | {said[i][:300]}" for i in shown]


def programs(build, without):
    build = build.resolve()
    for test in json.loads((build / "meson-info" / "intro-tests.json").read_text()):
        if Path(test["cmd"][0]).resolve().is_relative_to(build) and not any(suite.split(":")[-1] in without for suite in test["suite"]):
            print(test["name"])
    return 0


def main():
    if sys.argv[1] == "--programs":
        return programs(Path(sys.argv[2]), sys.argv[3:])
    log = Path(sys.argv[1]) / "meson-logs" / "testlog.json"
    names = [p for p in sorted(log.parent.glob("testlog*.json"), key=lambda p: p.stat().st_mtime)]
    if not names:
        print("0 passed, 1 failed")
        return 1
    records = [json.loads(line) for line in names[-1].read_text().splitlines()]
    found = []
    for record in records:
        singles_of_it = outcomes(record)
        found += singles_of_it
        if any(kind == "failed" for kind, _, _ in singles_of_it):
            print(f"{record['name']} ended with {record['result']}, exit {record['returncode']}, after {record['duration']:.0f} s:")
            print("\n".join(last_words(record)))
    for wanted in ("skipped", "failed"):
        for kind, name, why in found:
            if kind == wanted:
                print(f"{kind}: {name}" + (f": {why}" if why else ""))
    passed, failed, skipped = (sum(kind == wanted for kind, _, _ in found) for wanted in ("passed", "failed", "skipped"))
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
