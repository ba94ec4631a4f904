#!/usr/bin/env python3
"""What the harnesses share (harness.h): a setting that is wrong is refused, a failure says how it is repeated, and a run that is stopped, or whose
files somebody removes, says so and leaves nothing.

usage: test_harness.py FOLDER   (where the programs of tests/proof are)
"""
import os
import re
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

PATIENCE_S = 240
FOLDER = Path(sys.argv[1])
MOST = "1000000000"  # of anything: it does not end before it is stopped


def environment(place, settings):
    return {name: value for name, value in os.environ.items() if not name.startswith("MF_")} | {"TMPDIR": place} | settings


def answer(program, *arguments, **settings):
    """(exit code, what it said); it must leave nothing."""
    with tempfile.TemporaryDirectory() as place:
        done = subprocess.run([FOLDER / program, *arguments], env=environment(place, {}) | settings, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        assert not os.path.isdir(place) or not os.listdir(place), os.listdir(place)
    return done.returncode, done.stdout + done.stderr


def a_number_that_is_none_is_refused():
    for wrong in ("abc", "1e3", "1 000", " 5", "-3", "0", "0x10", "1.5", "99999999999999999999999"):
        code, said = answer("crash", MF_COUNT=wrong)
        assert code == 2 and f"MF_COUNT is '{wrong}', it must be a number from 1 to " in said, (wrong, code, said)
    for seed in ("1795946348", "1"):  # of the first one the only life ends by itself
        code, said = answer("crash", MF_COUNT="01", MF_SEED=seed)
        assert code == 0, f"it is decimal: {said}"


def each_program_refuses_what_it_does_not_know():
    for program, name, wrong in (("crash", "MF_CYCLE", "99999999999"), ("crash", "MF_LIE", "3"), ("bitflip", "MF_CASE", "abc"), ("bitflip", "MF_SCENE", "nosuch"), ("oom", "MF_SCENE", "nosuch"), ("oom", "MF_JOBS", "0"), ("oom", "MF_STRIDE", "0"),
                                 ("model", "MF_WITHOUT", "3,x"), ("model", "MF_SEED", "1.5"), ("powerloss", "MF_COUNT", "1e3"), ("faults", "MF_WORKLOADS", "abc"), ("threads", "MF_SECONDS", "-1"),
                                 ("race", "MF_SECONDS", "abc")):
        code, said = answer(program, **{name: wrong})
        assert code == 2 and f"{name} is '{wrong}'" in said, (program, name, code, said)
    code, said = answer("powerloss", "--lies", "8")
    assert code == 2 and "--lies is '8', it must be a number from 0 to 7" in said, (code, said)
    for program in ("crash", "bitflip", "oom", "model", "powerloss", "faults"):
        for arguments, expected in ((["--help"], 0), (["-h"], 0), (["--nosuch"], 2), (["stray"], 2)):
            code, said = answer(program, *arguments)
            assert code == expected and f"usage: {program}" in said, (program, arguments, code, said)


def a_replay_of_what_is_not_there_is_no_success():
    worlds = [answer("oom", "create", f"{world}:99999999:once") for world in ("all", "own")]  # one of them is there, as it is built
    code, said = min(worlds)
    assert code == 1 and "not asked for" in said and said.endswith("0 passed, 1 failed\n"), worlds
    assert answer("oom", "create", "all:5:never")[0] == 2
    assert answer("powerloss", "--replay", "/dev/null", "abc", "0")[0] == 2
    assert answer("powerloss", "--replay", "/dev/null", "0", "4294967296")[0] == 2
    assert answer("bitflip", MF_EXHAUSTIVE="1", MF_CASE=MOST)[0] == 2
    for recording, why in (("/nosuch", "cannot be read: No such file or directory"), ("/tmp", "cannot be read: Is a directory"), ("/dev/null", "is no recording")):
        for arguments in (["--replay", recording, "1", "0"], ["--show", recording]):
            assert answer("powerloss", *arguments) == (2, f"{recording} {why}\n"), arguments


def again(said, mark, dev):
    """The commands that it says repeat a failure, as settings and arguments."""
    for line in re.findall(f"^.*?{mark}: (.*)$", said, re.MULTILINE):
        words = line.split()
        at = words.index("./dev")
        assert words[at + 1] == dev, line
        yield words[at + 2:], dict(word.split("=") for word in words[:at])


def a_failure_is_repeated_by_the_line_that_it_prints():
    with tempfile.TemporaryDirectory() as kept:
        for program, mark, arguments, settings in (
                ("crash", "again", [], {"MF_LIE": "1", "MF_SEED": "21", "MF_COUNT": "4"}), ("model", "replay", [], {"MF_LIES": "100", "MF_COUNT": "3"}),
                ("model", "replay", [], {"MF_FAULTS": "1", "MF_WITHOUT": "3", "MF_COUNT": "4"}), ("powerloss", "again", ["--lies", "7", "--save", kept], {"MF_SEED": "3", "MF_COUNT": "20"})):
            code, said = answer(program, *arguments, MF_EVIDENCE=kept, **settings)
            commands = list(again(said, mark, program))
            assert code == 1 and commands, (program, said)
            for given, needed in commands:
                assert program != "model" or "MF_WITHOUT" not in settings or re.search(r"(^|,)(3|[12]-\d+)(,|$)", needed["MF_WITHOUT"]), needed
                code, said = answer(program, *given, **needed, **({"MF_EVIDENCE": kept} if program == "crash" else {}))
                assert code == 1, (program, given, needed, said)


def a_directory_that_cannot_be_written_is_named():
    for program in ("crash", "bitflip", "oom", "model", "powerloss", "faults", "threads"):
        code, said = answer(program, TMPDIR="/nonexistent")
        assert code == 2 and "/nonexistent" in said, (program, code, said)


def who_loses_its_files_stops_and_blames_nobody():
    for program in ("crash", "bitflip", "powerloss", "oom"):
        with tempfile.TemporaryDirectory() as place, tempfile.TemporaryDirectory() as taken:
            process = subprocess.Popen([FOLDER / program], env=environment(place, {"MF_SEED": "1", "MF_COUNT": MOST, "MF_EVIDENCE": taken}), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            process.stdout.readline()
            [folder] = os.listdir(place)
            os.rename(os.path.join(place, folder), os.path.join(taken, folder))
            said = process.communicate(timeout=PATIENCE_S)[0]
            assert process.returncode == 2 and f"{place}/{folder} was removed while it was in use" in said, (program, process.returncode, said)
            assert said.endswith(" 0 failed\n"), (program, said)


def stop(number, program, *arguments, first, **settings):
    """Stops it, the whole group, as a terminal does, once its first line was seen; what it said afterwards."""
    with tempfile.TemporaryDirectory() as place:
        process = subprocess.Popen([FOLDER / program, *arguments], env=environment(place, settings), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
        line = process.stdout.readline()
        assert first in line, line
        os.killpg(process.pid, number)
        said = process.communicate(timeout=PATIENCE_S)[0]
        assert process.returncode == 128 + number, (program, process.returncode, said)
        try:
            os.killpg(process.pid, 0)
            raise AssertionError(f"{program}: processes are left")
        except ProcessLookupError:
            pass
        assert not os.listdir(place), (program, os.listdir(place))
    return said


def a_run_that_is_stopped_is_no_failure():
    for program, first, of in (("crash", "# seed 1", f" of {MOST}"), ("bitflip", "# seed 1", f" of {MOST}"), ("powerloss", "seed 1", f" of {MOST}"), ("model", "seeds 1 to", f" of {MOST}"), ("oom", "create:", "")):
        for number in (signal.SIGINT, signal.SIGTERM):
            said = stop(number, program, first=first, MF_SEED="1", MF_COUNT=MOST)
            found = re.search(r"^stopped after (\d+)" + of + r"$", said, re.MULTILINE)
            assert found and said.endswith(f"{found[1]} passed, 0 failed\n"), (program, said)
            assert "again:" not in said and "Interrupt" not in said, (program, said)


def the_first_failure_is_enough_where_that_is_said():
    with tempfile.TemporaryDirectory() as kept:
        for program, arguments, settings in (("crash", [], {"MF_LIE": "2"}), ("model", [], {"MF_LIES": "100"}), ("powerloss", ["--lies", "7", "--save", kept], {})):
            code, said = answer(program, *arguments, MF_EVIDENCE=kept, MF_SEED="3", MF_COUNT="500", MF_FAIL_FAST="1", **settings)
            assert code == 1 and re.search(r"^stopped after \d+ of 500\n(.*\n)*?\d+ passed, [1-9] failed$", said, re.MULTILINE), (program, code, said[-2000:])
            assert "again:" in said or "replay:" in said, (program, said[-2000:])


def main():
    tests = [a_number_that_is_none_is_refused, each_program_refuses_what_it_does_not_know, a_replay_of_what_is_not_there_is_no_success, a_failure_is_repeated_by_the_line_that_it_prints,
             a_directory_that_cannot_be_written_is_named, who_loses_its_files_stops_and_blames_nobody, a_run_that_is_stopped_is_no_failure,
             the_first_failure_is_enough_where_that_is_said]
    print(f"1..{len(tests)}")
    for number, test in enumerate(tests, 1):
        try:
            test()
            print(f"ok {number} {test.__name__}", flush=True)
        except (AssertionError, subprocess.TimeoutExpired):
            print("".join(f"# {line}\n" for line in traceback.format_exc().splitlines()) + f"not ok {number} {test.__name__}", flush=True)


main()
