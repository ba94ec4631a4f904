#!/usr/bin/env python3
"""What a cycle of ./dev crash that failed leaves (evidence.h), and that the oracle, asked again, says what it said.

usage: test_evidence.py CRASH   (the program)
"""
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

PATIENCE_S = 240
CRASH = sys.argv[1]
COUNT = "9"  # some of them ask the oracle more than once


def run(place, *arguments, **settings):
    """(exit code, lines that it printed)."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MF_")}
    stores = place / "stores"
    stores.mkdir(exist_ok=True)
    done = subprocess.run([CRASH, *arguments], env=environment | {"TMPDIR": str(stores), "MF_EVIDENCE": str(place / "left")} | settings, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert not os.listdir(stores), "stores are left"
    return done.returncode, done.stdout.splitlines()


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def left(place):
    return sorted((place / "left").iterdir()) if (place / "left").exists() else []


def failures(place, **settings):
    """The folders of the cycles that failed; each is named in what was printed."""
    code, lines = run(place, MF_COUNT=COUNT, MF_SEED="7", **settings)
    failed = int(re.fullmatch(r"\d+ passed, (\d+) failed", lines[-1])[1])
    named = [line.split()[-1] for line in lines if line.startswith("#   exactly: ./dev crash --ask ")]
    assert code == 1 and failed > 0 and sorted(named) == [str(path) for path in left(place)] and len(named) == failed, lines
    return left(place)


def ask(place, folder):
    """Exit code and lines; the folder is as it was."""
    before = contents(folder)
    code, lines = run(place, "--ask", str(folder))
    assert contents(folder) == before, "the evidence was changed"
    return code, lines


def without_the_lie(folder):
    lines = [line for line in (folder / "ledger").read_text().splitlines(keepends=True) if line.split()[1:2] != [str(1 << 62)]]
    (folder / "ledger").write_text("".join(lines))


def a_failure_is_told_again_word_for_word(place):
    for folder in failures(place, MF_LIE="1"):
        said = (folder / "said").read_text().splitlines()
        assert "never" in said[0], said
        for _ in range(2):
            assert ask(place, folder) == (1, said + ["0 passed, 1 failed"]), folder


def asked_before(folder):
    return sum(line.startswith("W ") for line in (folder / "ledger").read_text().splitlines())


def what_is_sound_is_told_to_be_sound(place):
    folders = sorted(failures(place, MF_LIE="1"), key=asked_before)
    assert asked_before(folders[-1]) > 0, "what the oracle found before is a part of the evidence"
    for folder in (folders[0], folders[-1]):  # each is asked 20 times
        without_the_lie(folder)
        code, lines = ask(place, folder)
        assert code == 0 and lines[0] == "sound" and "# asked 20 times it never said what the run said:" in lines and lines[-1] == "1 passed, 0 failed", lines


def lose_the_newest(folder):
    """Takes the newest acknowledged event that is there, and what came after, out of the store; its LSN, or None."""
    told = [line.split() for line in (folder / "ledger").read_text().splitlines()]
    acknowledged = {int(line[3]) for line in told if line[0] == "E" and line[2] in "34"}
    if not acknowledged or any(line[:2] == ["O", "0"] for line in told):  # LSNs of a life in memory are others
        return None
    database = sqlite3.connect(folder / "store" / "store.db")
    newest = max((lsn for lsn, in database.execute("SELECT lsn FROM events") if lsn in acknowledged), default=None)
    database.execute("DELETE FROM events WHERE lsn >= ?", (newest,))
    database.commit()
    database.close()
    return newest


def a_planted_loss_is_found_each_time(place):
    lost = 0
    for folder in failures(place, MF_LIE="1"):
        without_the_lie(folder)
        newest = lose_the_newest(folder)
        if newest is None or lost == 2:
            continue
        code, lines = ask(place, folder)
        assert code == 1 and (f"holds events up to LSN {newest - 1}, but" in lines[0] or any(f"LSN {newest}" in line for line in lines)), (newest, lines)
        answer = lines[: lines.index("# asked 20 times it never said what the run said:")]
        (folder / "said").write_text("".join(f"{line}\n" for line in answer))
        assert ask(place, folder) == (1, answer + ["0 passed, 1 failed"])
        lost += 1
    assert lost > 0


def who_asks_may_die_of_it(place):
    for folder in failures(place, MF_LIE="2"):
        said = (folder / "said").read_text()
        assert "process ended with status 9" in said, said
        code, lines = ask(place, folder)
        assert code == 0 and (lines[0] == "sound" or "MF_ERR_CORRUPTED" in lines[0]) and lines[-2] == said, lines  # a copy may be refused
    assert len(left(place)) == int(COUNT)


def a_second_failure_leaves_the_first(place):
    first = failures(place, MF_LIE="2")
    before = [contents(folder) for folder in first]
    code, _ = run(place, MF_CYCLE="1", MF_SEED="7", MF_LIE="2")
    assert code == 1 and [contents(folder) for folder in first] == before
    assert {path.name for path in left(place)} - {path.name for path in first} == {"7-1.2"}, left(place)


def a_success_leaves_nothing(place):
    code, lines = run(place, MF_COUNT="4", MF_SEED="7")
    assert code == 0 and lines[-1] == "4 passed, 0 failed" and not left(place), lines


def evidence_that_cannot_be_kept_is_refused_before_there_is_any(place):
    (place / "file").write_text("")
    for folder in ("/proc/x", str(place / "file"), str(place / "file" / "x"), str(place / ("x" * 250) / ("y" * 250))):
        code, lines = run(place, MF_COUNT="2", MF_LIE="1", MF_EVIDENCE=folder)
        assert code == 2 and not [line for line in lines if not line.startswith("# seed")], (folder, code, lines)
    code, _ = run(place, MF_COUNT="1", MF_SEED="7", MF_EVIDENCE=str(place / "new" / "left"))
    assert code == 0 and not (place / "new" / "left").exists(), "a success leaves nothing"


def evidence_that_cannot_be_kept_any_more_is_told_with_the_reason(place):
    (place / "stores").mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MF_")}
    settings = {"TMPDIR": str(place / "stores"), "MF_EVIDENCE": str(place / "there" / "left"), "MF_COUNT": COUNT, "MF_SEED": "7", "MF_LIE": "1"}
    process = subprocess.Popen([CRASH], env=environment | settings, stdout=subprocess.PIPE, text=True)
    process.stdout.readline() # it has begun
    (place / "there").rename(place / "gone")
    (place / "there").write_text("")
    said = process.communicate(timeout=PATIENCE_S)[0]
    assert process.returncode == 1 and re.search(r"^#   its evidence cannot be left in \S+/there/left/7-\d+: Not a directory$", said, re.MULTILINE), said


def what_is_no_evidence_is_refused(place):
    (place / "empty").mkdir()
    for name in ("empty", "nosuch"):
        assert run(place, "--ask", str(place / name)) == (2, []), name


def main():
    tests = [a_failure_is_told_again_word_for_word, what_is_sound_is_told_to_be_sound, a_planted_loss_is_found_each_time, who_asks_may_die_of_it, a_second_failure_leaves_the_first,
             a_success_leaves_nothing, evidence_that_cannot_be_kept_is_refused_before_there_is_any, evidence_that_cannot_be_kept_any_more_is_told_with_the_reason, what_is_no_evidence_is_refused]
    print(f"1..{len(tests)}")
    for number, test in enumerate(tests, 1):
        try:
            with tempfile.TemporaryDirectory() as place:
                test(Path(place))
            print(f"ok {number} {test.__name__}", flush=True)
        except (AssertionError, subprocess.TimeoutExpired, sqlite3.Error):
            print("".join(f"# {line}\n" for line in traceback.format_exc().splitlines()) + f"not ok {number} {test.__name__}", flush=True)


main()
