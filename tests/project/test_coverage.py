#!/usr/bin/env python3
"""tools/coverage.py tells what nothing excuses, and excuses that are not needed: test_coverage.py SOURCE"""
import json
import subprocess
import sys
import tempfile
from pathlib import Path

TOOL = Path(sys.argv[1]).resolve() / "tools" / "coverage.py"
SOURCE = """int f(int a)
{
	if (a)
		return 1;
	assert(a);
	if (b: c)
		return 2;
	if (a)
		return 3;
}
"""


def line(number, *counts):
    return {"line_number": number, "count": 1, "gcovr/noncode": False, "branches": [{"count": count} for count in counts]}


def run(excused="", lines=(line(3, 5, 0), line(5, 9, 0), line(6, 1, 1), line(8, 2, 3))):
    """(exit code, output) for one file, bus/a.c, of which a branch of line 3 was not taken."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "bus").mkdir()
        (root / "bus/a.c").write_text(SOURCE)
        (root / "excused").write_text(excused)
        measured = json.dumps({"files": [{"file": "bus/a.c", "lines": list(lines)}] if lines else []})
        got = subprocess.run([sys.executable, TOOL, "excused"], input=measured, capture_output=True, text=True, cwd=root, check=False)
        return got.returncode, got.stdout + got.stderr


def says(got, code, *parts):
    assert got[0] == code, got
    for part in parts:
        assert part in got[1], (part, got[1])


def a_branch_that_nothing_excuses_fails_and_is_named():
    says(run(), 1, "bus/a.c:3: 1 of 2 not taken: if (a)", "0 passed, 1 failed")


def an_excuse_with_a_reason_is_taken():
    says(run("# cannot be\n1 bus/a.c: if (a)\n"), 0, "1 passed, 0 failed")


def an_excuse_without_a_reason_fails():
    says(run("1 bus/a.c: if (a)\n"), 1, "no reason above it")
    says(run("# why\n\n1 bus/a.c: if (a)\n"), 1, "no reason above it")


def an_excuse_of_a_line_that_is_not_there_fails():
    says(run("# why\n1 bus/a.c: if (a)\n1 bus/a.c: if (gone)\n"), 1, "no such line: bus/a.c: if (gone)")


def an_excuse_of_more_than_is_needed_fails_unless_threads_decide():
    says(run("# why\n2 bus/a.c: if (a)\n"), 1, "excuses 2 where only 1 are not taken")
    says(run("# why\n2? bus/a.c: if (a)\n"), 0, "1 passed, 0 failed")


def an_excuse_covers_no_more_branches_than_it_says():
    says(run("# why\n1 bus/a.c: if (a)\n", lines=(line(3, 5, 0), line(8, 0, 0))), 1, "bus/a.c:8: 1 of 2 not taken")


def an_assert_has_no_branches_of_its_own():
    says(run("# why\n1 bus/a.c: if (a)\n", lines=(line(3, 5, 0), line(5, 0, 0))), 0, "1 passed, 0 failed")


def nothing_measured_is_no_success():
    says(run(lines=()), 1, "0 passed, 0 failed")


def main():
    tests = [test for name, test in globals().items() if callable(test) and test.__module__ == __name__ and name not in ("line", "run", "says", "main")]
    print(f"1..{len(tests)}")
    failed = 0
    for number, test in enumerate(tests, 1):
        try:
            test()
            print(f"ok {number} - {test.__name__}")
        except AssertionError as error:
            failed += 1
            print(f"not ok {number} - {test.__name__}\n# {error}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
