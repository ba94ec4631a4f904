#!/usr/bin/env python3
"""What the tools behind ./dev share (tools/harness.py): a setting that is wrong is refused, and one that is stopped says so and leaves nothing.

usage: test_tools.py SOURCE
"""
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

PATIENCE_S = 120
TOOLS = Path(sys.argv[1]) / "tools"

# A tool with a worker that starts a program in a session of its own, again when it has ended, and tells what it saw.
STUBBORN = """
import subprocess, sys, tempfile, threading
import harness

def work():
    while True:
        process = subprocess.Popen(["sh", "-c", "trap : TERM; echo begun; while :; do sleep 1; done"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True)
        process.stdout.readline()
        print(process.pid, tempfile.mkdtemp(), harness.in_memory() or tempfile.mkdtemp(), flush=True)
        print("it ended with", process.wait(), flush=True)

def main():
    worker = threading.Thread(target=work)
    worker.start()
    worker.join()

harness.PATIENCE_S = 1
harness.run(main)
"""


def environment(place, settings=None):
    return {name: value for name, value in os.environ.items() if not name.startswith("MF_")} | {"TMPDIR": place, "PYTHONPATH": str(TOOLS), "PYTHONDONTWRITEBYTECODE": "1"} | (settings or {})


def answer(tool, *arguments, **settings):
    with tempfile.TemporaryDirectory() as place:
        done = subprocess.run([sys.executable, TOOLS / f"{tool}.py", *arguments], env=environment(place, settings), capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        assert not os.listdir(place), os.listdir(place)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


def is_there(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def a_tool_that_is_stopped_says_so_and_leaves_nothing():
    for number in (signal.SIGINT, signal.SIGTERM):
        with tempfile.TemporaryDirectory() as place:
            process = subprocess.Popen([sys.executable, "-c", STUBBORN], env=environment(place), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
            pid, *folders = process.stdout.readline().split()
            assert is_there(pid) and all(os.path.isdir(folder) for folder in folders), (pid, folders)
            os.killpg(process.pid, number)
            said = process.communicate(timeout=PATIENCE_S)[0]
            assert (said, process.returncode) == ("stopped\n", 128 + number), (said, process.returncode)
            assert not is_there(pid) and not [folder for folder in folders if os.path.exists(folder)] and not os.listdir(place)


def what_a_tool_returns_is_its_exit_code():
    with tempfile.TemporaryDirectory() as place:
        for code in (0, 1, 3):
            done = subprocess.run([sys.executable, "-c", f"import harness\nharness.run(lambda: {code})"], env=environment(place), timeout=PATIENCE_S, check=False)
            assert done.returncode == code, (code, done.returncode)


def what_is_wrong_is_refused_with_a_sentence():
    with tempfile.TemporaryDirectory() as build:
        for path in ("tests/proof/threads", "tests/fuzz/fuzz_line", "tests/fuzz/fuzz_json"):
            Path(build, path).parent.mkdir(parents=True, exist_ok=True)
            Path(build, path).write_text("#!/bin/sh\nexit 1\n")
            Path(build, path).chmod(0o755)
        for tool, arguments, settings, expected in (
                ("threads", [build], {"MF_COUNT": "1e3"}, "MF_COUNT is '1e3', it must be a number"), ("threads", [build], {"MF_SECONDS": "-3"}, "MF_SECONDS is '-3'"), ("threads", ["nosuch"], {}, "nosuch is no build"),
                ("fuzz", [build], {"MF_SEED": "xyz"}, "MF_SEED is 'xyz'"), ("fuzz", [build, "abc"], {}, "SECONDS is 'abc'"), ("fuzz", [build, "1", "nosuch"], {}, "no target 'nosuch'; there are: json line"),
                ("fuzz", [build, "--replay", "nosuch", "QUJD"], {}, "no target 'nosuch'; there are: json line"), ("fuzz", [build, "--replay", "json", "?" * 300], {}, "neither a file nor base64"),
                ("mutants", ["1 000"], {}, "COUNT is '1 000'"), ("mutants", [], {"MF_MUTANT": "nosuch"}, "no mutant 'nosuch'"), ("teeth", ["nosuch"], {}, "no planted bug nosuch; there are: acknowledged_before_commit "),
                ("teeth", ["--nosuch"], {}, "'--nosuch' is not understood here")):
            code, said = answer(tool, *arguments, **settings)
            assert code == 2 and expected in said, (tool, arguments, settings, code, said)
        for tool in ("threads", "fuzz", "mutants", "teeth", "demo"):
            code, said = answer(tool, build, "--help")
            assert code == 0 and f"{tool}.py" in said, (tool, code, said)


def main():
    tests = [a_tool_that_is_stopped_says_so_and_leaves_nothing, what_a_tool_returns_is_its_exit_code, what_is_wrong_is_refused_with_a_sentence]
    print(f"1..{len(tests)}")
    for number, test in enumerate(tests, 1):
        try:
            test()
            print(f"ok {number} {test.__name__}", flush=True)
        except (AssertionError, ValueError, subprocess.TimeoutExpired):
            print("".join(f"# {line}\n" for line in traceback.format_exc().splitlines()) + f"not ok {number} {test.__name__}", flush=True)


main()
