#!/usr/bin/env python3
"""What the tools behind ./dev share (tools/harness.py): a setting that is wrong is refused, and one that is stopped says so and leaves nothing.

usage: test_tools.py SOURCE
"""
import os
import re
import shutil
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


def ci(place, who, reason):
    """Its exit code and last line, with a ./dev of which one test is skipped for that reason."""
    for name, text in {"dev": f"[ $1 != asan ] || echo 'skipped: host / clock: a_jump: {reason}'\n[ $1 != asan ] || echo '2 passed, 0 failed, 1 skipped'\n[ $1 = asan ] || echo '1 passed, 0 failed'",
                       "bin/id": f"echo {who}"}.items():
        Path(place, name).parent.mkdir(exist_ok=True)
        Path(place, name).write_text(f"#!/bin/sh\n{text}\n")
        Path(place, name).chmod(0o755)
    Path(place, ".ci").mkdir(exist_ok=True)
    shutil.copy(TOOLS.parent / ".ci" / "run", Path(place, ".ci", "run"))
    env = environment(place, {"PATH": f"{place}/bin:{os.environ['PATH']}"})
    done = subprocess.run([Path(place, ".ci", "run")], env=env, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    return done.returncode, done.stdout.splitlines()[-1]


def a_test_that_needs_what_root_has_may_not_be_skipped_for_root():
    for who, reason, code, closing in (
            (0, "needs root to mount", 1, "14 passed, 1 failed"), (0, "needs strace", 1, "14 passed, 1 failed"), (0, "needs libfaketime", 1, "14 passed, 1 failed"),
            (0, "the build has a sanitizer in it", 0, "14 passed, 0 failed, 1 skipped"), (0, "no git here, which it needs", 0, "14 passed, 0 failed, 1 skipped"),
            (1000, "needs root to mount", 0, "14 passed, 0 failed, 1 skipped")):
        with tempfile.TemporaryDirectory() as place:
            assert ci(place, who, reason) == (code, closing), (who, reason, ci(place, who, reason))


def each_skip_for_want_of_what_dev_installs_says_so():
    [names] = re.findall(r"^test_packages=\(([^)]*)\)", (TOOLS.parent / "dev").read_text(), re.MULTILINE)
    installed = {re.sub(r"^lib|\d*(\.\d+)?-dev$", "", name) for name in names.split()} | {*names.split(), "root", "tables", "readelf"}
    said = []
    for file in (path for path in (TOOLS.parent / "tests").rglob("*") if path.suffix in (".c", ".py") and path != Path(__file__).resolve()):
        for reason in re.findall(r'(?:Skip\(f?"|skipped: (?=\w)|# SKIP (?=\w))([^"\\]+)', file.read_text(errors="replace")):
            words = [word for word in installed if re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", reason, re.IGNORECASE)]
            assert not words or reason.startswith("needs "), (file, reason, words)
            said += [reason] if words else []
    assert {"root", "strace", "faketime"} < installed and len(said) >= 12, (installed, said)


def main():
    tests = [a_test_that_needs_what_root_has_may_not_be_skipped_for_root, each_skip_for_want_of_what_dev_installs_says_so, a_tool_that_is_stopped_says_so_and_leaves_nothing, what_a_tool_returns_is_its_exit_code, what_is_wrong_is_refused_with_a_sentence]
    print(f"1..{len(tests)}")
    for number, test in enumerate(tests, 1):
        try:
            test()
            print(f"ok {number} {test.__name__}", flush=True)
        except (AssertionError, ValueError, subprocess.TimeoutExpired):
            print("".join(f"# {line}\n" for line in traceback.format_exc().splitlines()) + f"not ok {number} {test.__name__}", flush=True)


main()
